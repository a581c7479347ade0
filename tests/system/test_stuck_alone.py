#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change broke, a disk is left without its slot, and the daemon is dead: the hook alone does not let
the VM run without it (test_stuck_start.py), and keeps it down for nothing else."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import PVESIM
from tap import checked_node, contains, equal, lacks, puts, run
from test_stuck import stuck, vanish


def refused(node):
    task = node.qm("start", "105")
    contains(task.stderr, "exit code 78", "error of the task")
    contains(task.stdout, "REFUSED: VM 105 must not start", "task log")
    equal(node.running(105), False, "running")
    return task.stdout


def goes(node):
    task = node.qm("start", "105")
    equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
    lacks(task.stdout, "must not start", "task log")
    return task.stdout


def stuck_and_dead(node):
    path = vanish(node, hold=True)
    stuck(node)
    node.stop_daemon(signal.SIGKILL)
    return path


def test_disk_that_was_taken_away_on_purpose_keeps_nobody_down():
    with checked_node() as node:
        stuck_and_dead(node)
        refused(node)
        node.set_conf(105, "".join(line for line in node.read(node.conf_path(105)).splitlines(True)
                                   if not line.startswith("unused")))
        goes(node)


def test_other_starts_go_and_the_fingerprint_does_not_matter():
    with checked_node() as node:
        stuck_and_dead(node)
        refused(node)
        task = node.run(PVESIM, "vzdump", node.root, "105", check=False)
        contains(task.stdout, "vzdump (backup)", "task log")
        lacks(task.stdout, "must not start", "task log")
        node.fingerprint(105, "[]")
        refused(node)
        node.run("touch", node.path("etc/pve-hwid/fingerprints/105.hold"))
        refused(node)


def test_another_vm_of_that_number_and_a_broken_journal_keep_nobody_down():
    with checked_node() as node:
        stuck_and_dead(node)
        refused(node)
        text = node.read(node.conf_path(105))
        node.set_conf(105, text.replace("ctime=1795397075", "ctime=1795399999"))
        goes(node)
        node.qm("stop", "105", check=True)
        node.set_conf(105, text)
        refused(node)
        journal = node.path("var/lib/pve-hwid/journal/105.jsonl")
        os.rename(journal, journal + ".away")
        goes(node)
        node.qm("stop", "105", check=True)
        os.mkfifo(journal)
        goes(node)
        node.qm("stop", "105", check=True)
        os.unlink(journal)
        os.rename(journal + ".away", journal)
        refused(node)
        equal(len([f for f in puts(node, 105) if "delete" in f]), 1, "moves that were tried")


if __name__ == "__main__":
    run(globals(), "stuck_alone", parallel=3)
