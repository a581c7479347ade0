#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that boots: many starts at once."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import PVESIM
from tap import (HOOK_LIMIT, at_rest, changing, checked_node, equal, has_identity, imported,
                 run, small_fingerprint, starts_by_us, wait_for)

COUNT = 30


def many(node, **conf):
    vmids = list(range(200, 200 + COUNT))
    node.vm(199, imported(199, **conf))
    text = node.read(node.conf_path(199))
    for vmid in vmids:              # by hand: thirty processes would take longer than the test
        os.makedirs(node.path(f"var/lib/vz/images/{vmid}"))
        node.write(f"var/lib/vz/images/{vmid}/vm-{vmid}-disk-0.raw", "\0" * 4096)
        node.set_conf(vmid, "".join(
            f"{line}\n" for line in text.splitlines() if not line.startswith("scsi0:")).replace(
                "name: vm199", f"name: vm{vmid}").replace("order=scsi0;net0", "order=net0"))
        node.fingerprint(vmid, small_fingerprint())
    return vmids


def start_all(node, vmids):
    tasks = [subprocess.Popen([PVESIM, "qm", node.root, "start", str(vmid)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) for vmid in vmids]
    return [(task.communicate(timeout=90)[0], task.returncode) for task in tasks]


def slowest(node):
    return max(c["t_end"] - c["t_start"] for c in node.hook_calls() if c["phase"] == "pre-start")


def test_thirty_starts_in_sync_are_all_answered():
    with checked_node(qemu="stub") as node:
        vmids = many(node)
        node.start_daemon()
        wait_for("all rewritten", lambda: all(has_identity(node, v) for v in vmids), 40)
        at_rest(node)
        before = len(changing(node))
        for text, code in start_all(node, vmids):
            equal(code, 0, text)
        equal(len(changing(node)), before, "requests that change something")
        assert slowest(node) < HOOK_LIMIT, f"a hook took {slowest(node):.2f} s"


def test_thirty_starts_that_all_differ_end_right():
    with checked_node(qemu="stub") as node:
        vmids = many(node)
        node.start_daemon(early=0)
        results = start_all(node, vmids)
        assert slowest(node) < HOOK_LIMIT, f"a hook took {slowest(node):.2f} s"
        held = [v for v, (text, code) in zip(vmids, results) if code != 0]
        loud = [v for v, (text, code) in zip(vmids, results) if code == 0]
        for vmid, (text, code) in zip(vmids, results):
            assert code != 0 or "WARNING" in text, f"{vmid} slipped through: {text}"
        wait_for("all run", lambda: all(node.running(v) for v in vmids), 60, every=0.2)
        at_rest(node)
        for vmid in held:
            assert has_identity(node, vmid), f"{vmid} runs as it was"
            equal(len(starts_by_us(node, vmid)), 1, f"starts of {vmid} by us")
        # How many are let through, because PVE's API did not answer in time, is the machine's affair.
        assert held, f"none was held, {len(loud)} were let through"


if __name__ == "__main__":
    run(globals(), "storm")
