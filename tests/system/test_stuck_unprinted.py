#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worst state (test_stuck.py), and the VM's fingerprint is deleted: the hook asks for its journal,
so the VM does not start without its disk, whether or not a daemon is there. Nobody else is kept down:
no VM without a fingerprint, none with a journal that has ended, no other machine of that number."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (at_rest, changing, checked_node, contains, equal, faults, fingerprint, has_identity, imported,
                 lacks, puts, run, small_fingerprint, starts_by_us, wait_for)
from test_stuck import bring_back, stuck, vanish
from test_stuck_alone import goes, refused, stuck_and_dead
from test_stuck_start import whole_again


def unprint(node):
    os.unlink(node.path("etc/pve-hwid/fingerprints/105.json"))


def another_machine(node):
    """VM 105 as one that was made later: its images have the old one's names."""
    node.set_conf(105, node.read(node.conf_path(105)).replace("ctime=1795397075", "ctime=1795399999"))


def states(node):
    return node.hwid_json("status")["by_state"]


def test_daemon_refuses_it_too_and_puts_the_disk_back():
    with checked_node() as node:
        path = vanish(node, hold=True)
        stuck(node)
        unprint(node)
        contains(refused_by_daemon(node), "could not be taken back", "task log")
        equal(states(node).get("stuck"), 1, "VMs that are stuck")
        whole_again(node, path, "scsi0")
        equal(len(starts_by_us(node, 105)), 1, "starts by us")
        wait_for("nothing is left of it", lambda: sum(states(node).values()) == 0)


def refused_by_daemon(node):
    task = node.qm("start", "105")
    contains(task.stderr, "exit code 78", "error of the task")
    contains(task.stdout, "VM 105 must not start", "task log")
    return task.stdout


def test_hook_alone_refuses_it_too_and_the_next_daemon_puts_the_disk_back():
    with checked_node() as node:
        path = stuck_and_dead(node)
        unprint(node)
        contains(refused(node), "systemctl start pve-hwidd", "task log")
        node.start_daemon(early=0)
        whole_again(node, path, "scsi0")
        equal(len(starts_by_us(node, 105)), 1, "starts by us")


def test_daemon_that_cannot_reach_pve_refuses_it():
    """Killed in its call: nothing says stuck, and the next daemon cannot look."""
    with checked_node() as node:
        path = vanish(node, hold=False)
        wait_for("the deletion is pending", lambda: "delete: scsi0" in node.read(node.conf_path(105)), 25)
        node.stop_daemon(signal.SIGKILL)
        lacks(" ".join(node.records(105)), "stuck", "journal")
        unprint(node)
        faults(node, {"action": "status", "status": 503, "message": "gone"})
        node.start_daemon(early=0)
        # So long PVE may have a call of the dead one in its hands, and a start would be held.
        time.sleep(12)
        contains(refused_by_daemon(node), "a move of its disk scsi0 (local:105/", "task log")
        faults(node)
        bring_back(path)
        wait_for("the disk is back", lambda: node.conf(105).get("scsi0"), 45, every=0.2)
        wait_for("its end", lambda: node.records(105)[-1:] == ["end"], 45)
        goes(node)
        contains(node.conf(105)["boot"], "scsi0", "boot order")


def test_another_machine_of_that_number_is_neither_kept_down_nor_changed():
    with checked_node() as node:
        vanish(node, hold=True)
        stuck(node)
        unprint(node)
        refused_by_daemon(node)
        another_machine(node)
        before = node.read(node.conf_path(105))
        n = len(puts(node, 105))
        goes(node)
        equal(node.read(node.conf_path(105)), before, "configuration of the other machine")
        node.qm("stop", "105", check=True)
        at_rest(node)
        equal(len(puts(node, 105)), n, "changes of the other machine")
        equal(starts_by_us(node, 105), [], "starts by us")
        equal(node.records(105)[-1], "dropped", "last record")


def test_another_machine_of_that_number_starts_without_a_daemon_too():
    with checked_node() as node:
        stuck_and_dead(node)
        unprint(node)
        refused(node)
        another_machine(node)
        goes(node)


def test_nobody_else_without_a_fingerprint_is_kept_down():
    """One that never had one, and one whose journal has ended: not asked about, with a daemon that does
    not answer, or with none."""
    with checked_node() as node:
        node.vm(105, imported())
        node.vm(106, imported(106))
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        wait_for("105 is rewritten", lambda: node.records(105)[-1:] == ["end"])
        assert has_identity(node, 105)
        unprint(node)
        os.kill(node.daemon.pid, signal.SIGSTOP)
        try:
            for vmid in ("105", "106"):
                task = node.qm("start", vmid, check=True)
                lacks(task.stdout, "pve-hwid", f"task log of {vmid}")
        finally:
            os.kill(node.daemon.pid, signal.SIGCONT)
        node.stop_daemon(signal.SIGKILL)
        for vmid in ("105", "106"):
            node.qm("stop", vmid, check=True)
            task = node.qm("start", vmid, check=True)
            lacks(task.stdout, "pve-hwid", f"task log of {vmid}")


def test_change_that_was_cut_off_elsewhere_keeps_nobody_down():
    """Its journal is open, but every disk is in its slot: it starts, with a line."""
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(wrapper=(), early=1)
        wait_for("105 is rewritten", lambda: node.records(105)[-1:] == ["end"])
        node.stop_daemon(signal.SIGKILL)
        journal = node.path("var/lib/pve-hwid/journal/105.jsonl")
        lines = node.read(journal).splitlines(True)
        node.write("var/lib/pve-hwid/journal/105.jsonl", "".join(lines[:-2]))   # the last step, and the end
        unprint(node)
        contains(goes(node), "VM 105 has no fingerprint any more", "task log")
        n = len(changing(node, 105))
        node.start_daemon(early=1)
        wait_for("the next daemon ends it", lambda: node.records(105)[-1:] == ["end"])
        equal(len(changing(node, 105)), n, "changes")


if __name__ == "__main__":
    run(globals(), "stuck_unprinted", parallel=4)
