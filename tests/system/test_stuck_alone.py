#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change broke, a disk is left without its slot, and the daemon is dead: the hook alone must not let
the VM run without it; and must not keep it down for anything else."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import PVESIM
from tap import checked_node, contains, equal, lacks, puts, run, wait_for
from test_stuck import bring_back, stuck, vanish
from test_stuck_start import whole_again


def refused(node):
    task = node.qm("start", "105")
    contains(task.stderr, "exit code 78", "error of the task")
    contains(task.stdout, "REFUSED: VM 105 must not start", "task log")
    contains(task.stdout, "systemctl start pve-hwidd", "task log")
    equal(node.running(105), False, "running")
    return task.stdout


def goes(node):
    task = node.qm("start", "105")
    equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
    lacks(task.stdout, "must not start", "task log")
    return task.stdout


def broken_change(node):
    """The move failed, its deletion is pending, and the daemon was killed before it could write so."""
    path = vanish(node, hold=False)
    wait_for("the move fails", lambda: [r for r in node.requests("PUT") if "delete" in r["form"]
                                        and r["status"] == 500], 25, 0.005)
    node.stop_daemon(signal.SIGKILL)
    lacks(node.records(105), "stuck", "journal")
    contains(node.read(node.conf_path(105)), "delete: scsi0", "configuration")
    return path


def stuck_and_dead(node):
    path = vanish(node, hold=True)
    stuck(node)
    node.stop_daemon(signal.SIGKILL)
    return path


def test_stuck_vm_is_refused_without_a_daemon_until_one_puts_the_disk_back():
    with checked_node() as node:
        path = stuck_and_dead(node)
        contains(refused(node), "its disk scsi0", "task log")
        contains(node.read(node.conf_path(105)), "unused0:", "configuration")
        contains(refused(node), "which is unused0 now", "task log")
        node.start_daemon(early=0)
        whole_again(node, path, "sata0")


def test_change_that_broke_just_before_the_daemon_died_is_found_out():
    with checked_node() as node:
        path = broken_change(node)
        contains(refused(node), "its disk scsi0", "task log")
        bring_back(path)
        contains(refused(node), "which is unused0 now", "task log")
        node.start_daemon()         # nobody is owed a start: it is put back and moved, no more
        wait_for("the disk is moved", lambda: "sata0" in node.conf(105) and
                 node.records(105)[-1:] == ["end"], 45, 0.2)
        lacks(node.read(node.conf_path(105)), "unused", "configuration")
        goes(node)


def test_disk_put_back_by_hand_ends_the_refusal():
    with checked_node() as node:
        path = stuck_and_dead(node)
        text = refused(node)
        bring_back(path)
        command = text[text.index("qm set 105 ") + len("qm set "):].split("\n")[0].split()
        node.qm("set", *command, check=True)        # as it was told
        contains(goes(node), "WARNING: no answer from pve-hwidd", "task log")
        contains(" ".join(node.qemu_argv(105)), "drive-scsi0", "QEMU's command line")


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
        contains(goes(node), "what was changed last is not known", "task log")
        node.qm("stop", "105", check=True)
        os.unlink(journal)
        os.rename(journal + ".away", journal)
        refused(node)
        equal(len([f for f in puts(node, 105) if "delete" in f]), 1, "moves that were tried")


if __name__ == "__main__":
    run(globals(), "stuck_alone", parallel=6)
