#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's own life, where it is not killed: it is stopped while a hook waits for its answer; it starts
and one VM's journal cannot be read, or the disk is full and something is to be written down first. What
is wrong with one VM, or with the disk, keeps no other VM from what it would get."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import injected
from load import hook_of_a_start
from tap import (all_logs, at_rest, checked_node, contains, equal, faults, has_identity, imported, lacks,
                 run, small_fingerprint, start_tasks, wait_for)
from test_faults_node import SmallDisk

PERMISSIONS = {"path": "^/access/permissions", "token": "daemon$", "action": "delay", "seconds": 4}


def utc(seconds_ago):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - seconds_ago))


def stopped_while_a_hook_waits(policy):
    """(exit code, lines) of the hook. Where this test is so slow that the daemon has answered before its
    end, the answer was that of an API that is too slow: the same is asked of it."""
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint(policy=policy))
        node.start_daemon(early=0)
        faults(node, PERMISSIONS)
        hook = hook_of_a_start(node, 105)
        wait_for("the daemon asks PVE before it holds", lambda: injected(node), every=0.002)
        equal(node.stop_daemon(), 0, "exit code of the daemon")
        text, _ = hook.communicate(timeout=30)
        faults(node)
        equal(node.records(105), [], "records: nothing was stopped, nothing is owed")
        node.start_daemon(early=0)
        at_rest(node)
        equal(start_tasks(node, 105), [], "starts")
        return hook.returncode, text


def test_daemon_that_ends_lets_no_start_go_without_a_word():
    code, text = stopped_while_a_hook_waits({"on_error": "start"})
    equal(code, 0, text)
    contains(text, "WARNING", "what the hook says")
    contains(text, "smbios1", "what the hook says")


def test_daemon_that_ends_lets_nothing_start_that_is_to_be_refused():
    code, text = stopped_while_a_hook_waits({"on_error": "refuse"})
    equal(code, 78, text)
    contains(text, "not started (on_error: refuse)", "what the hook says")


def make_broken(node, how):
    path = node.path("var/lib/pve-hwid/journal/105.jsonl")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if how == "a directory":
        os.mkdir(path)
    elif how == "a pipe":
        os.mkfifo(path)
    elif how == "a link":
        os.symlink("/etc/hostname", path)


def test_journal_of_one_vm_that_cannot_be_read_is_no_other_vms_trouble():
    for how in ("a directory", "a pipe", "a link"):
        with checked_node(qemu="stub") as node:
            for vmid in (105, 106):
                node.vm(vmid, imported(vmid))
                node.fingerprint(vmid, small_fingerprint())
            make_broken(node, how)
            node.start_daemon()
            wait_for(f"VM 106 is rewritten, though 105.jsonl is {how}",
                     lambda: has_identity(node, 106), 20)
            contains(all_logs(node), "VM 105", "the daemon's log")
            contains(all_logs(node), "105.jsonl", "the daemon's log")
            at_rest(node)
            assert not has_identity(node, 105), "changed without a journal"
            state = node.hwid_json("check", "105")["vms"][0]
            contains(state["detail"], "105.jsonl", f"detail of {state['state']}")
            task = node.qm("start", "105")
            equal(task.returncode, 0, task.stdout + task.stderr)
            contains(task.stdout + task.stderr, "105.jsonl", "the task log")


def owed_long_ago(node, vmid):
    """A start that was stopped an hour ago by a daemon that ended then."""
    folder = node.path("var/lib/pve-hwid/journal")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"{vmid}.jsonl"), "w", encoding="utf-8") as f:
        f.write(json.dumps({"v": 1, "time": utc(3600), "type": "held", "vmid": vmid,
                            "txn": "00000000-0000-4000-8000-000000000001",
                            "key": "00000000-0000-4000-8000-000000000002", "why": "it differed"}) + "\n")


def test_full_disk_at_the_start_of_the_daemon_is_no_reason_not_to_start():
    with checked_node(qemu="stub") as node, SmallDisk(node) as disk:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        owed_long_ago(node, 105)
        disk.fill_after(node, 105)
        node.start_daemon(early=0)
        contains(all_logs(node), "If it should run: qm start 105", "the daemon's log")
        task = node.qm("start", "105")
        equal(task.returncode, 0, task.stdout + task.stderr)
        contains(task.stdout + task.stderr, "WARNING", "the task log")
        disk.empty()
        node.qm("stop", "105")
        at_rest(node, 2)
        time.sleep(6)       # what is tried again is tried again after 5 s
        at_rest(node)
        assert not node.running(105), "a start of an hour ago was made"
        equal(len(start_tasks(node, 105)), 1, "start tasks")
        node.stop_daemon()
        node.start_daemon(early=0)
        at_rest(node)
        contains(" ".join(node.records(105)), "dropped", "records, once there is room")
        assert not node.running(105), "a start of an hour ago was made"


if __name__ == "__main__":
    run(globals(), "system/engine_life", parallel=4)
