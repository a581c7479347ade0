#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody starts a VM that has the deletion of a disk pending. PVE carries the deletion out before the
hook is asked at all (02b): so the start is refused, and the disk is put back before any other."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import Gate, checked_node, contains, equal, lacks, puts, run, starts_by_us, wait_for
from test_stuck import bring_back, stuck, vanish


def refused(node):
    task = node.qm("start", "105")
    assert task.returncode != 0, "the start went through"
    contains(task.stderr, "exit code 78", "error of the task")
    contains(task.stdout, "must not start", "task log")


def whole_again(node, path, slot):
    bring_back(path)
    wait_for("the VM runs", lambda: node.running(105), 45, every=0.2)
    text = node.read(node.conf_path(105))
    lacks(text, "[PENDING]", "configuration")
    lacks(text, "unused", "configuration")
    boot = node.conf(105)["boot"]
    equal(boot, f"order={slot};net0", "boot order")
    contains(" ".join(node.qemu_argv(105)), f"drive-{slot}", "QEMU's command line")
    assert not [f for f in puts(node, 105) if any(k.startswith("unused") for k in f)], "unusedN"


def test_start_is_refused_and_the_disk_is_put_back_before_ours():
    with checked_node() as node:
        path = vanish(node, hold=True)
        stuck(node)
        refused(node)
        refused(node)
        whole_again(node, path, "scsi0")
        equal(len(starts_by_us(node, 105)), 1, "starts by us")


def test_after_a_crash_the_disk_is_put_back_and_the_move_finished():
    with checked_node() as node:
        path = vanish(node, hold=True)
        stuck(node)
        refused(node)
        node.stop_daemon(signal.SIGKILL)
        node.start_daemon(early=0)
        refused(node)
        whole_again(node, path, "sata0")     # recovery finishes what it finds whole again


def refused_alone(node):
    """Exit code 78 of the hook without a daemon, twice; the task log says which disk."""
    for _ in range(2):
        task = node.qm("start", "105")
        contains(task.stderr, "exit code 78", "error of the task")
        contains(task.stdout, "a move of its disk scsi0 (local:105/", "task log")
        contains(task.stdout, "systemctl start pve-hwidd", "task log")


def test_hook_alone_refuses_it_too_and_the_next_daemon_puts_the_disk_back():
    with checked_node() as node:
        path = vanish(node, hold=True)
        stuck(node)
        node.stop_daemon(signal.SIGKILL)
        refused_alone(node)
        contains(node.read(node.conf_path(105)), "unused0: local:105/", "configuration")
        node.start_daemon(early=0)
        whole_again(node, path, "sata0")


def test_hook_alone_refuses_before_the_journal_says_stuck():
    """Killed in the call itself: the journal has its beginning and no word of how it went."""
    with checked_node() as node:
        revert = Gate(node, method="PUT", path="/qemu/105/config", nth=4)
        path = vanish(node, True, revert.rule)
        revert.reached()
        contains(node.read(node.conf_path(105)), "delete: scsi0", "configuration")
        node.stop_daemon(signal.SIGKILL)
        lacks(" ".join(node.records(105)), "stuck", "journal")
        refused_alone(node)
        bring_back(path)
        refused_alone(node)     # its image is there, and it still is in no slot
        node.start_daemon(early=0)
        wait_for("the VM runs", lambda: node.running(105), 45, every=0.2)
        lacks(node.read(node.conf_path(105)), "unused", "configuration")


def test_hook_alone_lets_a_vm_start_whose_disk_somebody_attached_again():
    with checked_node() as node:
        path = vanish(node, hold=True)
        value = node.conf(105)["scsi0"]
        stuck(node)
        node.stop_daemon(signal.SIGKILL)
        refused_alone(node)
        bring_back(path)
        node.qm("set", "105", "--scsi0", value, "--boot", "order=scsi0;net0", check=True)
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "WARNING: no answer from pve-hwidd", "task log")
        contains(" ".join(node.qemu_argv(105)), "drive-scsi0", "QEMU's command line")


if __name__ == "__main__":
    run(globals(), "stuck_start")
