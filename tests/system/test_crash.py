#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the daemon at every instant that matters (law 8): at each record of its journal (half
written, written, synced) and at each of its requests (on its way, carried out, answered). Started
again, it ends what was begun: no disk is lost, the VM runs and was started at most once by us, and
nothing harmful is repeated. Likewise for early rewrites, after which nothing is to be started.

Each crash point is a VM of its own; several nodes work side by side. The daemon is killed by the
simulator at an exact request, and by tests/helpers/crash_shim.c at an exact record: nothing here
depends on timing.
"""
import contextlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import (PARALLEL, api_start, at_most_one_start, disks_are_whole, fold, in_threads, journal,
                   ok_starts, quick_vm, say, settled, shim, wait_task)
from tap import checked_node, disks, equal, faults, fingerprint, has_identity, run, start_tasks, \
    wait_for

LIMIT = 60
FINGERPRINT = fingerprint(disks=disks(2), nics=None)


class Worker:
    """A node that takes one crash point after the other."""

    def __init__(self, points, early):
        self.points, self.early, self.died = points, early, 0
        self.vmid = 100

    def __call__(self):
        with checked_node(qemu="stub") as node:
            for kind, when, number in self.points:
                self.vmid += 1
                self.crash(node, kind, when, number)

    def crash(self, node, kind, when, number):
        vmid = self.vmid
        quick_vm(node, vmid)
        node.fingerprint(vmid, FINGERPRINT)
        wrapper = ()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(node.path("pvesim/victim"))       # its number may be another's by now
        faults(node)
        if kind == "request":
            faults(node, {"action": "kill", "when": when, "token": "daemon$", "nth": number})
        elif kind == "record":
            wrapper = shim(CRASH_RECORD=number, CRASH_WHEN=when)
        node.start_daemon(wait=False, early=self.early, wrapper=wrapper)
        node.write("pvesim/victim", f"{node.daemon.pid}\n")
        wait_for("the daemon is ready, or dead", lambda: "is ready" in node.log_text() or
                 node.daemon.poll() is not None)
        if not self.early:
            wait_task(node, api_start(node, vmid), 30)
        wait_for("the crash or the end", lambda: node.daemon.poll() is not None or
                 self.is_over(node, vmid), LIMIT)
        self.died += node.daemon.poll() == -9
        records = [r["type"] for r in journal(node, vmid)]
        node.stop_daemon()
        faults(node)
        node.start_daemon(early=self.early)
        label = f"VM {vmid}, {when} {kind} {number}, {records}"
        try:
            self.judge(node, vmid)
        except AssertionError as why:
            raise AssertionError(f"{label}: {why}\n{[r['type'] for r in journal(node, vmid)]}\n"
                                 f"{node.log_text()[-1500:]}") from None
        node.stop_daemon()
        self.forget(node, vmid)

    def is_over(self, node, vmid):
        last = [r["type"] for r in journal(node, vmid)][-1:]
        if self.early:
            return last == ["end"]
        return last in (["started"], ["dropped"]) or (last == [] and node.running(vmid))

    def judge(self, node, vmid):
        if self.early:
            wait_for("it is rewritten", lambda: "sata1" in node.conf(vmid) and
                     has_identity(node, vmid) and settled(node, vmid), LIMIT)
            equal(start_tasks(node, vmid), [], "starts")
        else:
            wait_for("it runs and nothing is open or owed",
                     lambda: node.running(vmid) and settled(node, vmid), LIMIT)
            at_most_one_start(node, vmid)
            if ok_starts(node, vmid):
                assert "sata1" in node.conf(vmid) and has_identity(node, vmid), node.conf(vmid)
        disks_are_whole(node, vmid)

    def forget(self, node, vmid):
        if node.running(vmid):
            node.api("POST", f"/nodes/{node.name}/qemu/{vmid}/status/stop")
            wait_for("it stops", lambda: not node.running(vmid), 30)
        os.unlink(node.path(node.conf_path(vmid)))
        os.unlink(node.path(f"etc/pve-hwid/fingerprints/{vmid}.json"))


def undisturbed(early):
    """(requests, records) of the whole story."""
    with checked_node(qemu="stub") as node:
        quick_vm(node, 101)
        node.fingerprint(101, FINGERPRINT)
        node.start_daemon(early=early)
        if not early:
            wait_task(node, api_start(node, 101), 30)
        wait_for("the end", lambda: Worker([], early).is_over(node, 101), LIMIT)
        equal(fold(journal(node, 101)), (False, False), "what is left")
        return (len([r for r in node.requests() if r["token"] == "pve-hwid@pve!daemon"]),
                len(journal(node, 101)))


def everywhere(early, moments):
    requests, records = undisturbed(early)
    points = [("record", when, n + 1) for n in range(records)
              for when in ("torn", "written", "synced")]
    points += [("request", when, n + 1) for n in range(requests) for when in moments]
    workers = [Worker(points[i::PARALLEL], early) for i in range(PARALLEL)]
    in_threads(workers)
    died = sum(w.died for w in workers)
    say(f"{died} crash points ({requests} requests, {records} records)")
    # The last polls of the start task are a matter of luck.
    assert died >= len(points) * 0.9, f"only {died} of {len(points)} crash points were met"


def test_killed_at_each_record_and_request_of_a_hold():
    everywhere(0, ("before", "handled", "answered"))


def test_killed_at_each_record_and_request_of_an_early_rewrite():
    everywhere(1, ("handled",))


if __name__ == "__main__":
    run(globals(), "crash")
