#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else happens while the daemon is away in the middle of something (test_crash.py has the instants at
which it dies): a clean restart, a fingerprint taken away, a VM started, stopped or changed by hand."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import fold, journal
from tap import (at_rest, changing, checked_node, disks, equal, faults, fingerprint, gate, imported, run,
                 starts_by_us, wait_for)


def dies_after_the_hold(node):
    """A start is held, and nothing was done yet."""
    node.vm(105, imported())
    node.fingerprint(105, fingerprint())
    digest = gate(node, method="GET", path="/105/config")
    node.start_daemon(early=0)
    assert node.qm("start", "105").returncode != 0, "the start went through"
    digest.reached()
    node.stop_daemon(signal.SIGKILL)
    equal(node.records(105), ["held"], "records")
    faults(node)
    digest.open()


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
            wait_for("nothing is open", lambda: fold(node.journal(105)) == (False, False), 20)
            equal(len(starts_by_us(node, 105)), 1, "starts by us")


def test_fingerprint_taken_away_while_the_daemon_is_dead():
    """The start is still owed; nothing else is changed any more."""
    with checked_node(qemu="stub") as node:
        dies_after_the_hold(node)
        os.unlink(node.path("etc/pve-hwid/fingerprints/105.json"))
        node.start_daemon(early=0)
        wait_for("the VM runs", lambda: node.running(105), 20)
        assert "scsi0" in node.conf(105), "it was changed"


def test_vm_started_by_hand_while_the_daemon_is_dead():
    with checked_node(qemu="stub") as node:
        dies_after_the_hold(node)
        node.qm("start", "105")
        assert node.running(105), "the hook alone did not let it go"
        before = changing(node, 105)
        node.start_daemon(early=0)
        wait_for("the debt is gone", lambda: not fold(node.journal(105))[1], 20)
        at_rest(node)
        equal(changing(node, 105), before, "requests that change something")


def test_vm_stopped_while_the_daemon_is_dead_is_not_started_again():
    """Killed after it has asked for the start, which goes through; somebody stops the VM. PVE's list of
    tasks tells the next daemon that the start was made."""
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        faults(node, {"token": "daemon$", "method": "POST", "path": "/105/status/start",
                      "action": "kill", "when": "handled"})
        node.start_daemon(early=0)
        node.write("pvesim/victim", f"{node.daemon.pid}\n")
        node.qm("start", "105")
        wait_for("the daemon is dead", lambda: node.daemon.poll() is not None, 30)
        node.stop_daemon()
        faults(node)
        wait_for("the VM runs", lambda: node.running(105), 20)
        equal(node.records(105)[-1], "start", "the last record")
        node.qm("stop", "105")
        wait_for("it is stopped", lambda: not node.running(105), 20)
        node.start_daemon(early=0)
        wait_for("the debt is gone", lambda: not fold(journal(node, 105))[1], 20)
        at_rest(node)
        assert not node.running(105), "it was started again"
        equal(len(starts_by_us(node, 105)), 1, "starts by us")
        equal(node.records(105)[-1], "started", "the last record")
        assert "PVE has made its start already" in node.log_text(), node.log_text()[-800:]


if __name__ == "__main__":
    run(globals(), "crash_late")
