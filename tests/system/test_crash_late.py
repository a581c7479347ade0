#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""As test_crash.py, for the requests that come later: verification, the start, watching it; and for
early rewrites, after which nothing is to be started."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (at_rest, changing, checked_node, disks, equal, fingerprint, imported, run,
                 start_tasks, starts_by_us, wait_for)
from test_crash import kill_after, replay


def test_killed_after_each_request_to_the_end():
    k, over = 9, False
    while not over:
        over = kill_after(k)
        k += 1
        assert k < 40, "it does not come to an end"


def test_early_rewrite_killed_in_the_middle_starts_nothing():
    for k in range(1, 6):
        with checked_node(qemu="stub") as node:
            node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
            node.fingerprint(105, fingerprint(disks=disks(2)))
            node.start_daemon()
            wait_for("the requests", lambda: len(changing(node, 105)) >= k, every=0.001)
            node.stop_daemon(signal.SIGKILL)
            node.start_daemon()
            wait_for("the rewrite", lambda: "end" in node.records(105) and
                     replay(node.journal(105)) == (False, False) and
                     {"sata0", "sata1"} <= set(node.conf(105)), 20)
            at_rest(node, 0.5)
            equal(start_tasks(node, 105), [], "starts")


def test_restart_of_the_service_in_the_middle_is_no_different():
    """SIGTERM: a clean end, the rest is taken up by the next daemon."""
    for k in (1, 3, 5):
        with checked_node(qemu="stub") as node:
            node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
            node.fingerprint(105, fingerprint(disks=disks(2)))
            node.start_daemon(early=0)
            assert node.qm("start", "105").returncode != 0, "the start went through"
            wait_for("the requests", lambda: len(changing(node, 105)) >= k, every=0.001)
            equal(node.stop_daemon(), 0, "exit code")
            node.start_daemon(early=0)
            wait_for("the VM runs", lambda: node.running(105), 20)
            wait_for("nothing is open", lambda: replay(node.journal(105)) == (False, False), 20)
            equal(len(starts_by_us(node, 105)), 1, "starts by us")


def test_fingerprint_taken_away_while_the_daemon_is_dead():
    """The start is still owed; nothing else is changed any more."""
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        node.qm("start", "105")
        wait_for("the hold", lambda: "held" in node.records(105), every=0.001)
        node.stop_daemon(signal.SIGKILL)
        if node.running(105):
            return      # it was quicker than we
        os.unlink(node.path("etc/pve-hwid/fingerprints/105.json"))
        node.start_daemon(early=0)
        wait_for("the VM runs", lambda: node.running(105), 20)


def test_vm_started_by_hand_while_the_daemon_is_dead():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        node.qm("start", "105")
        wait_for("the hold", lambda: "held" in node.records(105), every=0.001)
        node.stop_daemon(signal.SIGKILL)
        if node.running(105):
            return
        node.qm("start", "105")
        assert node.running(105), "the hook alone did not let it go"
        before = changing(node, 105)
        node.start_daemon(early=0)
        wait_for("the debt is gone", lambda: not replay(node.journal(105))[1], 20)
        at_rest(node)
        equal(changing(node, 105), before, "requests that change something")


if __name__ == "__main__":
    run(globals(), "crash_late")
