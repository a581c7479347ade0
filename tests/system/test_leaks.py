#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten thousand calls to one daemon: descriptors and memory are what they were, and under the sanitizers
(make check-asan) nothing is left behind at its end, which checked_node() looks for.

LEAK_CALLS for more.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from load import Client, descriptors, identity, own_memory, small_vm, start_time
from tap import checked_node, equal, run, wait_for

CALLS = int(os.environ.get("LEAK_CALLS", "10000"))
FIRST = 1000
VMS = 40
# Its quarantine keeps what was freed; leaks are found at the end.
SANITIZED = "asan" in os.environ.get("PVE_HWID_BUILD", "")
GROWTH_KIB = 1024
NONSENSE = [b"{\0", b'{"method":"io.pvehwid.Hook","parameters":{"vmid":0}}\0', b"\xff\0", b"half a call"]


def hook(client, worker, number):
    """What a node sees all day: starts, stops, migrations, backups, VMs with and without fingerprints."""
    vmid = FIRST + number % (VMS + 2)           # two without a configuration
    phase = ("pre-start", "post-start", "pre-stop", "post-stop")[number // 3 % 4]
    more = ({"worker_type": "qmstart"}, {"worker_type": "vzdump"}, {"worker_type": "qmstart"},
            {"worker_type": "qmstart", "migrated_from": "pve2"})[number // 7 % 4]
    reply = client.call("Hook", vmid=vmid, phase=phase, worker_pid=worker.pid,
                        worker_start=start_time(worker.pid), **more)
    assert "error" not in reply, reply
    equal(reply["parameters"]["exit_code"], 0, f"exit code of {phase} of VM {vmid}")


def other_calls(node, client, number):
    vmid = FIRST + number % VMS
    client.call(("Plan", "Report", "Check", "Log", "List", "Status")[number % 6],
                **({} if number % 6 > 3 else {"vmid": vmid}))
    stranger = Client(node)
    stranger.socket.sendall(NONSENSE[number % len(NONSENSE)])
    stranger.close()


def test_ten_thousand_calls_leave_nothing_behind():
    with checked_node(serve=False) as node:
        for vmid in range(FIRST, FIRST + VMS):
            small_vm(node, vmid, in_sync=vmid % 4 != 0)     # no API: these start with a loud line
            node.fingerprint(vmid, identity(vmid) if vmid % 5 else "{ broken")
        node.start_daemon()
        wait_for("all are seen", lambda: node.hwid_json("status")["fingerprints"] == VMS, 30)
        worker = subprocess.Popen(["sleep", "600"])
        client = Client(node)
        figures = {}
        try:
            for number in range(CALLS):
                if number % 97 == 0:                        # a hook is a connection of its own
                    client.close()
                    client = Client(node)
                hook(client, worker, number)
                if number % 50 == 0:
                    other_calls(node, client, number // 50)
                if number == CALLS // 5:
                    figures["fds"] = descriptors(node.daemon.pid)
                    figures["memory"] = own_memory(node.daemon.pid)
            wait_for("the same descriptors as in the beginning",
                     lambda: descriptors(node.daemon.pid) <= figures["fds"], 20)
            grown = own_memory(node.daemon.pid) - figures["memory"]
            assert SANITIZED or grown < GROWTH_KIB, f"{grown} KiB more after {CALLS} calls"
            print(f"# {CALLS} hook calls, {figures['fds']} descriptors, {grown} KiB more")
        finally:
            client.close()
            worker.kill()
            worker.wait(5)


if __name__ == "__main__":
    run(globals(), "leaks")
