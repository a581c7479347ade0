#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand VMs on one node: all fingerprints dropped at once, then five hundred starts at once, of
which one in ten differs; a local user who floods the socket. An API that takes its time: test_slow_api.py.

LOAD_VMS, LOAD_STARTS make it more or less.
"""
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from load import (Client, descriptors, has_own_identity, hooks_at_once, identity, most_at_once,
                  own_memory, small_vm)
from tap import Skip, at_rest, changing, checked_node, equal, run, starts_by_us, wait_for

FIRST = 1000
VMS = int(os.environ.get("LOAD_VMS", "1000"))
STARTS = int(os.environ.get("LOAD_STARTS", "500"))
MANY_CONFIGS = 12000
DEADLINE = 2.0          # of a hook; what is measured from outside has the start of two programs in it
SLACK = 3.0


def drop_directory(node, vmids):
    """All of them in one rename, as a copy tool leaves a directory."""
    target = node.path("etc/pve-hwid/fingerprints")
    new = target + ".copy"
    os.makedirs(new)
    for vmid in vmids:
        with open(os.path.join(new, f"{vmid}.json"), "w", encoding="utf-8") as f:
            json.dump(identity(vmid), f)
    shutil.rmtree(target)
    os.rename(new, target)


def status(node):
    return node.hwid_json("status")


def all_looked_at(node, count):
    now = status(node)
    return now["fingerprints"] == count and "unknown" not in now["by_state"]


def check_storm(node, results, differing):
    slow = {v: r for v, r in results.items() if r[2] > DEADLINE + SLACK}
    assert not slow, f"{len(slow)} hooks were late, the latest by {max(r[2] for r in slow.values()):.1f} s"
    for vmid, (code, text, _seconds) in results.items():
        if vmid not in differing:
            equal((code, text), (0, ""), f"hook of VM {vmid}, which is in sync")
        else:
            assert code == 75 or (code == 0 and "WARNING" in text), f"VM {vmid}: {code} {text}"
    return [v for v in differing if results[v][0] == 75]


def test_a_directory_of_a_thousand_and_a_storm_of_five_hundred():
    with checked_node(qemu="stub") as node:
        vmids = list(range(FIRST, FIRST + VMS))
        started = vmids[:STARTS]
        differing = started[::10]
        for vmid in vmids:
            small_vm(node, vmid, vmid not in differing)
        node.start_daemon(early=0)
        before = own_memory(node.daemon.pid)
        drop_directory(node, vmids)
        wait_for("the directory was taken in", lambda: all_looked_at(node, VMS), 60, 0.2)
        equal(status(node)["by_state"].get("differs", 0), len(differing), "VMs that differ")
        equal(changing(node), [], "requests that change something")
        held = check_storm(node, hooks_at_once(node, started), differing)
        assert held, "no start was held"
        # Those workers are gone with their hooks: now each that was held is rewritten and started.
        wait_for("all that were held run", lambda: all(node.running(v) for v in held), 150, 0.5)
        at_rest(node)
        for vmid in held:
            assert has_own_identity(node, vmid), f"VM {vmid} runs as it was"
            equal(len(starts_by_us(node, vmid)), 1, f"starts of VM {vmid} by us")
            equal(node.records(vmid).count("started"), 1, f"`started` of VM {vmid}")
        equal(most_at_once([r for r in changing(node) if r["method"] == "PUT"]), 1,
              "changing calls under way at once")
        grown = own_memory(node.daemon.pid) - before
        assert "asan" in os.environ.get("PVE_HWID_BUILD", "") or grown < 10240, f"{grown} KiB more"
        print(f"# {len(started)} starts, {len(differing)} differed, {len(held)} held; "
              f"{grown} KiB of memory more")


# What a local user can do: all connections there are, each silent or full of nonsense.
FLOOD = """
import os, socket, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
junk = [b"\\0", b"{\\0", b'{"method":1}\\0', b'{"method":"io.pvehwid.Hook","parameters":{"vmid":1}}\\0',
        b"\\xff" * 3000 + b"\\0", b'{"method":"' + b"a" * 60000 + b'"}\\0', b"x" * 70000, b"[[[[[[" * 9000]
idle, tried, end = [], 0, time.monotonic() + seconds
while time.monotonic() < end:
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    try:
        s.connect(path)
        tried += 1
        if tried % 3 == 0:
            s.send(junk[tried // 3 % len(junk)])
    except OSError:
        time.sleep(0.001)
    idle.append(s)
    if len(idle) > 1000:
        idle.pop(0).close()
print(tried)
"""


def test_a_flood_by_a_local_user_delays_no_hook():
    if os.getuid() != 0:
        raise Skip("needs root, to be somebody else")
    with checked_node(serve=False) as node:
        vmids = list(range(FIRST, FIRST + 20))
        for vmid in vmids:
            small_vm(node, vmid)
            node.fingerprint(vmid, identity(vmid))
        node.start_daemon()
        os.chmod(node.root, 0o711)
        rest = descriptors(node.daemon.pid)
        seconds = 6
        flood = subprocess.Popen([sys.executable, "-c", FLOOD, node.path("run/pve-hwid/socket"),
                                  str(seconds)], user=65534, group=65534, extra_groups=[],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        end, rounds, worst, most = time.monotonic() + seconds - 1, 0, 0.0, 0
        while time.monotonic() < end:
            for vmid, (code, text, took) in hooks_at_once(node, vmids).items():
                equal((code, text), (0, ""), f"hook of VM {vmid} in the flood")
                worst = max(worst, took)
            most = max(most, descriptors(node.daemon.pid))
            rounds += 1
        tried = int(flood.communicate(timeout=30)[0])
        assert tried > 1000, f"only {tried} connections: that is no flood"
        assert worst < DEADLINE + SLACK, f"a hook took {worst:.1f} s"
        assert most < rest + 64 + len(vmids) + 20, f"{most} descriptors, {rest} at rest"
        wait_for("the daemon has let go of them", lambda: descriptors(node.daemon.pid) <= rest + 2, 30)
        equal(Client(node).call("Status").get("error"), None, "error of a call afterwards")
        print(f"# {tried} connections by the flood, {rounds * len(vmids)} hooks, the slowest "
              f"{worst * 1000:.0f} ms, at most {most} descriptors")


def test_a_node_with_very_many_configurations_is_looked_at():
    """A look at the directory takes longer than a turn may last: as on pmxcfs with a few hundred."""
    with checked_node(serve=False) as node:
        small_vm(node, FIRST, False)
        node.fingerprint(FIRST, identity(FIRST))
        text = node.read(node.conf_path(FIRST)).replace("hookscript: local:snippets/pve-hwid\n", "")
        for vmid in range(20000, 20000 + MANY_CONFIGS):
            with open(node.path(node.conf_path(vmid)), "w", encoding="utf-8") as f:
                f.write(text.replace(f"name: vm{FIRST}", f"name: vm{vmid}"))
        node.start_daemon(wait=False)
        wait_for("the socket", lambda: os.path.exists(node.path("run/pve-hwid/socket")))
        wait_for("the VM was looked at", lambda: all_looked_at(node, 1), 30, 0.2)


if __name__ == "__main__":
    run(globals(), "load_node")
