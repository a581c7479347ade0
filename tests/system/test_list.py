#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`List` and `Check` of ten thousand VMs go in slices: whoever calls meanwhile, a hook above all, is
answered between two of them. What is looked at is the order of answers, not how fast they are.

LIST_VMS makes it more or less.
"""
import json
import os
import select
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from load import Client, hook_of_a_start, identity, small_vm, start_time
from tap import checked_node, equal, run, wait_for

FIRST = 1000
VMS = int(os.environ.get("LIST_VMS", "10000"))
NODE = []


class Parts:
    """A call that is answered in parts; taken in as they come, never waited for."""

    def __init__(self, node, method, more):
        self.client, self.vmids = Client(node), []
        self.parts, self.begun, self.over = 0, False, False
        self.client.socket.sendall(json.dumps({"method": f"io.pvehwid.{method}", "parameters": {},
                                               "more": more}).encode() + b"\0")

    def take(self, seconds=0.0):
        """What is there by now; True where something was."""
        c = self.client
        if not select.select([c.socket], [], [], seconds)[0]:
            return False
        data = c.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the daemon hung up")
        self.begun = True
        *frames, c.rest = (c.rest + data).split(b"\0")
        for frame in frames:
            reply = json.loads(frame)
            assert "error" not in reply, reply
            self.vmids += [vm["vmid"] for vm in reply["parameters"]["vms"]]
            self.parts += 1
            self.over = not reply.get("continues", False)
        return True

    def finish(self):
        end = time.monotonic() + 60
        while not self.over:
            assert time.monotonic() < end, f"no end after {len(self.vmids)} VMs"
            self.take(1)
        self.client.close()
        equal(self.vmids, list(range(FIRST, FIRST + VMS)), "VMs of the list: each once, in order")


def big_node():
    """One node for all tests here; it ends with the program."""
    if not NODE:
        context = checked_node(serve=False)
        node = context.__enter__()
        NODE.extend([node, context])
        small_vm(node, FIRST)
        text, own = node.read(node.conf_path(FIRST)), json.dumps(identity(FIRST))
        for vmid in range(FIRST, FIRST + VMS):
            tail = f"{vmid:06x}"
            for path, old in ((node.conf_path(vmid), text),
                              (f"etc/pve-hwid/fingerprints/{vmid}.json", own)):
                with open(node.path(path), "w", encoding="utf-8") as f:
                    f.write(old.replace(f"{FIRST:06x}", tail).replace(f"vm{FIRST}", f"vm{vmid}"))
        node.start_daemon(wait=False, early=0)
        wait_for("the socket", lambda: os.path.exists(node.path("run/pve-hwid/socket")))
        client = Client(node, 60)
        wait_for("all were looked at", lambda: "unknown" not in
                 client.call("Status")["parameters"]["by_state"], 120, 0.2)
        client.close()
    return NODE[0]


def hook_call(client, vmid):
    reply = client.call("Hook", vmid=vmid, phase="pre-start", worker_type="qmstart",
                        worker_pid=os.getpid(), worker_start=start_time(os.getpid()))
    equal(reply.get("parameters", reply).get("exit_code"), 0, "exit code of the hook")


def answered_in_between(method, more, ask):
    """`ask` is answered before the list is at its end; the longest it took."""
    node = big_node()
    client, longest = Client(node), 0.0
    listing = Parts(node, method, more)
    if more:
        while listing.parts == 0:
            assert listing.take(30), "no part came"
    for number in range(3):
        began = time.monotonic()
        ask(client, FIRST + VMS - 1 - number)
        longest = max(longest, time.monotonic() - began)
        while listing.take():
            pass
        # Of a list in one piece the first byte says that all of it was made.
        assert not (listing.over if more else listing.begun), \
            f"answer {number + 1} came after all {listing.parts} parts of {method}"
    listing.finish()
    client.close()
    if more:
        assert listing.parts > 10, f"{listing.parts} parts"
    print(f"# {method} of {VMS}: {listing.parts} parts; an answer in between took at most "
          f"{longest * 1000:.1f} ms")


def test_hook_is_answered_between_two_slices_of_a_list():
    answered_in_between("List", True, hook_call)


def test_hook_is_answered_between_two_slices_of_a_check():
    answered_in_between("Check", True, hook_call)


def test_hook_is_answered_while_a_list_in_one_piece_is_made():
    answered_in_between("List", False, hook_call)


def test_status_is_answered_between_two_slices_of_a_list():
    answered_in_between("List", True, lambda client, _vmid: client.call("Status"))


def test_lists_without_a_break_keep_no_look_waiting():
    """Looks have the lowest priority of all: one list after the other must not starve them."""
    node = big_node()
    vmid = FIRST + 5
    listing = [Parts(node, "List", True) for _ in range(3)]
    text = node.read(node.conf_path(vmid))
    client = Client(node)
    try:
        changed = text.replace("product=", "family=")
        assert changed != text
        node.set_conf(vmid, changed)
        node.write(f"etc/pve-hwid/fingerprints/{vmid}.json", json.dumps(identity(vmid)) + "\n")
        end = time.monotonic() + 30
        while client.call("Status")["parameters"]["by_state"].get("differs") != 1:
            assert time.monotonic() < end, "the fingerprint that was written was never looked at"
            for i, one in enumerate(listing):
                while one.take():
                    pass
                if one.over:
                    one.finish()
                    listing[i] = Parts(node, "List", True)
    finally:
        node.set_conf(vmid, text)
        client.close()
    for one in listing:
        one.finish()


def test_real_hook_ends_before_a_list_does():
    """The program itself, as PVE runs it, and lists as long as it takes."""
    node = big_node()
    listing, lists = Parts(node, "List", True), 0
    hook, end = hook_of_a_start(node, FIRST + 7), time.monotonic() + 30
    while hook.poll() is None:
        assert time.monotonic() < end, "the hook does not end"
        listing.take(0.002)
        if listing.over:
            listing.finish()
            listing, lists = Parts(node, "List", True), lists + 1
    equal((hook.returncode, hook.stdout.read()), (0, ""), "hook")
    listing.finish()


def test_nothing_forbidden_was_seen():
    big_node()
    NODE[1].__exit__(None, None, None)


if __name__ == "__main__":
    try:
        run(globals(), "list")
    finally:
        if NODE and os.path.exists(NODE[0].root):
            NODE[0].close()
