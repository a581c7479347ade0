#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 3: starts that are not ours always go, the configuration stays as it is, and the reason is said."""
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import PVESIM
from tap import (at_rest, changing, checked_node, contains, equal, fingerprint, imported, lacks, run,
                 wait_for)

POLICY = {"on_drift": "refuse", "on_error": "refuse"}     # even then


def differing(node, **conf):
    node.vm(105, imported(**conf))
    node.fingerprint(105, fingerprint(policy=POLICY))
    node.start_daemon(early=0)


def untouched(node, before):
    at_rest(node)
    equal(changing(node), [], "requests that change something")
    for key in ("smbios1", "machine", "net0", "scsi0", "scsihw", "boot"):
        equal(node.conf(105).get(key), before.get(key), key)


def went(task, reason):
    equal(task.returncode, 0, f"{task.stdout}{task.stderr}")
    contains(task.stdout, reason, "task log")


def test_incoming_migration_goes():
    with checked_node() as node:
        differing(node)
        before = node.conf(105)
        source = node.path("etc/pve/nodes/pve2/qemu-server")
        os.makedirs(source)
        shutil.move(node.path(node.conf_path(105)), source)
        task = node.qm("start", "105", "--skiplock", "--migratedfrom", "pve2",
                       "--migration_type", "secure")
        went(task, "incoming migration")
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        shutil.move(os.path.join(source, "105.conf"), node.path(node.conf_path(105)))
        untouched(node, before)


def test_incoming_migration_of_a_configuration_that_is_here_goes():
    """As at the end of a migration, or where a node migrates to itself: only PVE_MIGRATED_FROM tells."""
    with checked_node() as node:
        differing(node)
        before = node.conf(105)
        task = node.qm("start", "105", "--skiplock", "--migratedfrom", node.name,
                       "--migration_type", "insecure")
        went(task, "incoming migration")
        untouched(node, before)
        assert node.running(105), "it does not run"


def test_resume_from_hibernation_goes():
    with checked_node() as node:
        node.vm(105, imported())
        node.qm("start", "105", check=True)
        node.qm("suspend", "105", "--todisk", "1", check=True)
        node.fingerprint(105, fingerprint(policy=POLICY))
        before = node.conf(105)
        node.start_daemon()         # early: a hibernated VM is not to be touched either
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        task = node.qm("start", "105")
        went(task, "resume from hibernation")
        untouched(node, before)
        assert node.running(105), "it does not run"


def test_resume_by_the_resume_call_goes():
    with checked_node() as node:
        node.vm(105, imported())
        node.qm("start", "105", check=True)
        node.qm("suspend", "105", "--todisk", "1", check=True)
        node.fingerprint(105, fingerprint(policy=POLICY))
        before = node.conf(105)
        node.start_daemon()         # early: nor is it rewritten into its resume
        at_rest(node)
        went(node.qm("resume", "105"), "resume from hibernation")
        untouched(node, before)
        assert node.running(105), "it does not run"


def test_rollback_with_ram_goes():
    with checked_node() as node:
        node.vm(105, imported())
        node.qm("start", "105", check=True)
        node.qm("snapshot", "105", "ram", "--vmstate", "1", check=True)
        node.fingerprint(105, fingerprint(policy=POLICY))
        node.start_daemon(early=0)
        before = node.conf(105)
        went(node.qm("rollback", "105", "ram"), "rollback")
        untouched(node, before)
        assert node.running(105), "it does not run"


def test_rollback_with_ram_goes_in_spite_of_early_rewriting():
    """The rollback stops the VM first: that post-stop must not begin a rewrite into its restart."""
    with checked_node() as node:
        node.vm(105, imported())
        node.qm("start", "105", check=True)
        node.qm("snapshot", "105", "ram", "--vmstate", "1", check=True)
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        at_rest(node)
        before = node.conf(105)
        went(node.qm("rollback", "105", "ram"), "rollback")
        untouched(node, before)
        assert node.running(105), "it does not run"


def test_backup_of_a_stopped_vm_goes_and_succeeds():
    with checked_node() as node:
        differing(node)
        before = node.conf(105)
        task = node.run(PVESIM, "vzdump", node.root, "105", check=False)
        went(task, "vzdump (backup)")
        contains(task.stdout, "Backup job finished successfully", "task log")
        untouched(node, before)


def test_stop_mode_backup_of_a_running_vm_succeeds_with_early_rewriting():
    """It stops the VM and starts it again with the lock in the file: both are not ours."""
    with checked_node(qemu="stub") as node:
        node.vm(105, imported(freeze=None))
        node.qm("start", "105", check=True)
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        at_rest(node)
        task = node.run(PVESIM, "vzdump", node.root, "105", "--mode", "stop", check=False)
        contains(task.stdout, "Backup job finished successfully", "task log")
        contains(task.stdout, "vzdump (backup)", "task log")
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        lacks(node.read(node.conf_path(105)), "lock:", "configuration")


def test_template_is_left_alone():
    with checked_node() as node:
        node.vm(105, imported(template="1"))
        node.fingerprint(105, fingerprint())
        before = node.conf(105)
        node.start_daemon()
        untouched(node, before)


def test_locked_vm_is_rewritten_when_the_lock_is_gone():
    with checked_node() as node:
        node.vm(105, imported(lock="snapshot"))
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        node.qm("unlock", "105", check=True)
        wait_for("the rewrite", lambda: "end" in node.records(105), 20)


def test_hook_called_by_hand_decides_nothing():
    with checked_node() as node:
        differing(node)
        result = node.run(node.path("var/lib/vz/snippets/pve-hwid"), "105", "pre-start")
        contains(result.stdout, "outside of a start by PVE", "hook")
        equal(changing(node), [], "requests that change something")


if __name__ == "__main__":
    run(globals(), "guards")
