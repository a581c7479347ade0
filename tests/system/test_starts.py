#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of start (issue 4.1) that no other file has: what the hook answers, what the daemon does.
tests/test_pvesim_replay.py holds the contexts (process titles, lock, environment, phases in order)
against the recordings hook-context-* and 16-*; test_guards.py has the starts that are not ours,
test_hold.py the ordinary ones, test_early.py reboots."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import (api_start, at_most_one_start, disks_are_whole, fold, journal, ok_starts,
                   quick_vm, settled, wait_task)
from node import PVESIM
from tap import (UUID, at_rest, changing, checked_node, contains, disks, equal, faults, fingerprint,
                 gate, has_identity, lacks, run, start_tasks, wait_for)

FINGERPRINT = fingerprint(disks=disks(2), nics=None)
LIMIT = 40


def prepare(node, vmid=105, **settings):
    quick_vm(node, vmid)
    node.fingerprint(vmid, FINGERPRINT)
    node.start_daemon(**{"early": 0, **settings})


def ends_rewritten(node, vmid=105, starts=1):
    wait_for("it is rewritten and runs", lambda: node.running(vmid) and settled(node, vmid) and
             has_identity(node, vmid) and "sata1" in node.conf(vmid), LIMIT)
    disks_are_whole(node, vmid)
    equal(len(ok_starts(node, vmid)), starts, "starts by us")


def api(node, method, path, **form):
    """A call by root that starts a task; its UPID."""
    status, data = node.api(method, f"/nodes/{node.name}{path}", form)
    assert status == 200, f"{method} {path}: {status} {data}"
    return data


def log_of(node, upid):
    wait_task(node, upid)
    return node.read(f"pvesim/tasks/{upid}")


def hook_exits(node, vmid=105, phase="pre-start"):
    return [c["exit"] for c in node.hook_calls() if (c["vmid"], c["phase"]) == (vmid, phase)]


# --- starts that are ordinary ones ------------------------------------------------------------------

def test_bulk_start_at_boot_holds_those_that_differ_and_no_other():
    with checked_node(qemu="stub") as node:
        for vmid in (101, 102, 103):
            quick_vm(node, vmid)
        node.fingerprint(102, FINGERPRINT)
        node.start_daemon(early=0)
        text = log_of(node, api(node, "POST", "/startall", force="1"))
        contains(text, "TASK OK", "log of startall")
        ends_rewritten(node, 102)
        for vmid in (101, 103):
            assert node.running(vmid), f"VM {vmid} does not run"
            equal(changing(node, vmid), [], "requests that change something")
        equal(hook_exits(node, 102), [75, 0], "answers of the hook")


def test_start_by_pvesh():
    with checked_node(qemu="stub") as node:
        prepare(node)
        result = node.run(PVESIM, "pvesh", node.root, "create",
                          f"/nodes/{node.name}/qemu/105/status/start", check=False)
        contains(result.stdout, "is stopped on purpose", "output")
        ends_rewritten(node)


def test_start_of_the_local_resource_manager_is_left_to_ha():
    """HA starts it again by itself; we only rewrite."""
    with checked_node(qemu="stub") as node:
        prepare(node)
        api(node, "GET", "/qemu/105/status/current")
        equal(node.api("POST", "/cluster/ha/resources", {"sid": "vm:105"})[0], 200, "HA")
        node.run(PVESIM, "ha-start", node.root, "105", check=False)
        wait_for("it is rewritten", lambda: "sata1" in node.conf(105) and settled(node, 105), LIMIT)
        equal(ok_starts(node, 105), [], "starts by us")
        equal(journal(node, 105)[-1]["type"], "dropped", "last record")
        node.run(PVESIM, "ha-start", node.root, "105")
        assert node.running(105), "HA's next try was not let through"
        disks_are_whole(node, 105)


def test_reboot_by_the_api_applies_nothing_between_stop_and_start():
    """Early rewriting is on, but the VM is on its way up again: that start is held, and made up for."""
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105, freeze=None)
        wait_task(node, api_start(node, 105))
        node.fingerprint(105, FINGERPRINT)
        node.start_daemon()
        at_rest(node)
        equal(changing(node), [r for r in changing(node) if r["token"] == "root@pam!test"],
              "requests that change something while it runs")
        wait_task(node, api(node, "POST", "/qemu/105/status/reboot"))
        wait_for("it is rewritten and runs", lambda: node.running(105) and settled(node, 105) and
                 has_identity(node, 105), LIMIT)
        disks_are_whole(node, 105)
        at_most_one_start(node, 105)


def test_reset_by_the_guest_runs_no_hook():
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105, freeze=None)
        wait_task(node, api_start(node, 105))
        node.fingerprint(105, FINGERPRINT)
        node.start_daemon()
        at_rest(node)
        calls = len(node.hook_calls())
        wait_task(node, api(node, "POST", "/qemu/105/status/reset"))
        at_rest(node)
        equal(len(node.hook_calls()), calls, "calls of the hook")
        assert node.running(105) and "scsi0" in node.conf(105), "something was changed"


def snapshot(node, *more):
    node.qm("snapshot", "105", "before", *more, check=True)


def test_rollback_without_ram_is_seen_at_the_start_that_follows():
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105)
        snapshot(node)
        node.fingerprint(105, FINGERPRINT)
        node.start_daemon()
        wait_for("early", lambda: "sata1" in node.conf(105) and settled(node, 105), LIMIT)
        node.qm("rollback", "105", "before", check=True)
        assert "scsi0" in node.conf(105), "it was not rolled back"
        wait_task(node, api_start(node, 105))
        ends_rewritten(node)


def test_rollback_without_ram_and_start_is_an_ordinary_start():
    """Its worker is a qmstart below a qmrollback; the nearest task counts (hook-context-snapshot-*)."""
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105)
        snapshot(node)
        node.fingerprint(105, FINGERPRINT)
        node.start_daemon(early=0)
        task = node.qm("rollback", "105", "before", "--start", "1")
        contains(task.stdout, "is stopped on purpose", "task log")
        ends_rewritten(node)
        contains(node.read(node.conf_path(105)), "[before]", "configuration")


def test_rollback_with_ram_of_a_stopped_vm_by_the_api():
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105)
        wait_task(node, api_start(node, 105))
        snapshot(node, "--vmstate", "1")
        wait_task(node, api(node, "POST", "/qemu/105/status/stop"))
        node.fingerprint(105, fingerprint(disks=disks(2), policy={"on_drift": "refuse"}))
        node.start_daemon()
        text = log_of(node, api(node, "POST", "/qemu/105/snapshot/before/rollback"))
        contains(text, "rollback to a snapshot with RAM", "task log")
        assert node.running(105), "it does not run"
        at_rest(node)
        assert "scsi0" in node.conf(105), "it was changed"


# --- backup and restore -----------------------------------------------------------------------------

def backup(node):
    text = log_of(node, api(node, "POST", "/vzdump", vmid="105", mode="stop"))
    contains(text, "Backup job finished successfully", "log of vzdump")
    return "local:backup/" + re.search(r"/dump/([^/']+)'", text)[1]


def test_backup_of_a_stopped_vm_by_the_api_goes_with_early_rewriting():
    """It starts and stops the VM with `lock: backup` in the file. PVE takes no change before, so that it
    still differs; afterwards the rewrite is made up for."""
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105)
        node.fingerprint(105, fingerprint(disks=disks(2), nics=None, policy={"on_drift": "refuse"}))
        faults(node, {"token": "daemon$", "method": "PUT", "path": "/105/config", "action": "status",
                      "status": 503, "message": "not now"})
        node.start_daemon()
        wait_for("a change was tried", lambda: changing(node, 105), LIMIT)
        text = log_of(node, api(node, "POST", "/vzdump", vmid="105", mode="stop"))
        contains(text, "vzdump (backup)", "log of vzdump")
        contains(text, "Backup job finished successfully", "log of vzdump")
        equal(hook_exits(node), [0], "answers of the hook")
        assert "scsi0" in node.conf(105), "it was changed"
        faults(node)
        wait_for("early", lambda: "sata1" in node.conf(105) and settled(node, 105), LIMIT)
        disks_are_whole(node, 105)
        equal(start_tasks(node, 105), [], "starts")


def test_restore_with_start_is_an_ordinary_start():
    """A child of init by then, since its parent has ended (16-backup-restore-config)."""
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105)
        name = backup(node)
        node.fingerprint(109, FINGERPRINT)
        node.start_daemon(early=0)
        wait_task(node, api(node, "POST", "/qemu", vmid="109", archive=name, start="1"))
        wait_for("its start", lambda: start_tasks(node, 109), LIMIT)
        ends_rewritten(node, 109)
        disks_are_whole(node, 105)
        equal(node.journal(105), [], "journal of the source")


def test_restore_over_a_rewritten_vm_is_rewritten_again():
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105)
        name = backup(node)
        node.fingerprint(105, FINGERPRINT)
        node.start_daemon()
        wait_for("early", lambda: "sata1" in node.conf(105) and settled(node, 105), LIMIT)
        wait_task(node, api(node, "POST", "/qemu", vmid="105", archive=name, force="1"))
        assert "scsi0" in node.conf(105), "it was not restored"
        wait_task(node, api_start(node, 105))
        ends_rewritten(node)


# --- templates and clones ---------------------------------------------------------------------------

def test_template_that_a_vm_becomes_is_left_alone():
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105)
        wait_task(node, api(node, "POST", "/qemu/105/template"))
        node.fingerprint(105, FINGERPRINT)
        before = node.read(node.conf_path(105))
        node.start_daemon()
        at_rest(node)
        contains(wait_task(node, api_start(node, 105)), "if it's a template", "the start")
        equal(hook_exits(node), [], "calls of the hook")
        equal(node.read(node.conf_path(105)), before, "configuration")


def clone(node, newid, **form):
    text = log_of(node, api(node, "POST", "/qemu/105/clone", newid=newid, **form))
    contains(text, "TASK OK", "log of the clone")


def test_clone_keeps_the_hookscript_and_starts_without_a_word():
    """The fingerprint is its source's, not its own."""
    with checked_node(qemu="stub") as node:
        prepare(node, early=1)
        wait_for("early", lambda: "sata1" in node.conf(105) and settled(node, 105), LIMIT)
        clone(node, 106, full="1")
        before = node.read(node.conf_path(106))
        contains(before, "hookscript: local:snippets/pve-hwid", "configuration of the clone")
        text = log_of(node, api_start(node, 106))
        equal(text, "TASK OK\n", "log of the start")
        equal(node.read(node.conf_path(106)), before, "configuration of the clone")
        equal(node.journal(106), [], "journal of the clone")
        at_rest(node)
        equal(changing(node, 105)[-1]["path"].rpartition("/")[2], "clone", "last request for VM 105")


def test_linked_clone_with_a_fingerprint_of_its_own_moves_its_disk():
    """Its volume has another volume's name in front."""
    with checked_node(qemu="stub") as node:
        quick_vm(node, 105)
        wait_task(node, api(node, "POST", "/qemu/105/template"))
        clone(node, 106)
        contains(node.conf(106)["scsi0"], "base-105-disk-0.qcow2/106/vm-106-disk-0.qcow2", "scsi0")
        node.fingerprint(106, FINGERPRINT)
        node.start_daemon(early=0)
        wait_task(node, api_start(node, 106))
        wait_for("it is rewritten and runs", lambda: node.running(106) and settled(node, 106) and
                 has_identity(node, 106), LIMIT)
        conf = node.conf(106)
        contains(conf["sata0"], "base-105-disk-0.qcow2/106/vm-106-disk-0.qcow2", "sata0")
        lacks(node.read(node.conf_path(106)), "unused", "configuration")


# --- what becomes of the VM meanwhile ---------------------------------------------------------------

def in_between(node, act, records=1):
    """act() when so many records are in the journal: the daemon's next look at the digest hangs meanwhile
    (after the hold it asks for it once, and before each step again)."""
    prepare(node)
    digest = gate(node, method="GET", path="/105/config", nth=records)
    upid = api_start(node, 105)
    digest.reached()
    equal(len(journal(node, 105)), records, "records")
    wait_task(node, upid)
    act()
    digest.open()


def move_away(node):
    target = node.path("etc/pve/nodes/pve2/qemu-server")
    os.makedirs(target, exist_ok=True)
    shutil.move(node.path(node.conf_path(105)), target)


def test_moved_away_between_hook_and_rewrite():
    with checked_node(qemu="stub") as node:
        in_between(node, lambda: move_away(node))
        wait_for("nothing is owed", lambda: settled(node, 105), LIMIT)
        equal(journal(node, 105)[-1]["type"], "dropped", "last record")
        wait_for("the log tells", lambda: "not on this node any more" in node.log_text())
        equal([r for r in changing(node, 105) if r["token"] != "root@pam!test"], [],
              "requests that change something")
        at_rest(node)
        assert not os.path.exists(node.path(node.conf_path(105))), "it is back"


def test_moved_away_between_two_steps_and_back_again():
    """Each state between two steps is a VM that can start; back here, the rest is done."""
    with checked_node(qemu="stub") as node:
        in_between(node, lambda: move_away(node), records=3)
        wait_for("nothing is open or owed", lambda: settled(node, 105), LIMIT)
        moved = node.path("etc/pve/nodes/pve2/qemu-server/105.conf")
        contains(node.read("etc/pve/nodes/pve2/qemu-server/105.conf"), UUID, "what was moved")
        shutil.move(moved, node.path(node.conf_path(105)))
        disks_are_whole(node, 105)
        faults(node)
        wait_task(node, api_start(node, 105))
        ends_rewritten(node)


def destroy(node):
    wait_task(node, api(node, "DELETE", "/qemu/105"))


def test_destroyed_between_hook_and_rewrite():
    with checked_node(qemu="stub") as node:
        in_between(node, lambda: destroy(node))
        wait_for("nothing is owed", lambda: settled(node, 105), LIMIT)
        equal(journal(node, 105)[-1]["type"], "dropped", "last record")
        at_rest(node)
        equal(ok_starts(node, 105), [], "starts by us")
        assert not os.path.exists(node.path(node.conf_path(105))), "it is back"


def test_destroyed_between_two_steps():
    with checked_node(qemu="stub") as node:
        in_between(node, lambda: destroy(node), records=3)
        wait_for("nothing is open or owed", lambda: settled(node, 105), LIMIT)
        at_rest(node)
        equal(ok_starts(node, 105), [], "starts by us")
        assert not os.path.exists(node.path(node.conf_path(105))), "it is back"


def another_machine(node):
    """VM 105 again, but another one: made later, other disks, no hookscript yet."""
    quick_vm(node, 105, name="another", hookscript=None, smbios1=None, scsi1=None,
             meta="creation-qemu=10.0.2,ctime=1795999999", boot="order=scsi0;net0")
    os.unlink(node.path("etc/pve-hwid/fingerprints/105.json"))
    return node.read(node.conf_path(105))


def used_again(node):
    """Destroyed while the daemon is dead, its number used again for another machine: a daemon that comes
    back then leaves that one alone."""
    faults(node)
    destroy(node)
    fresh = another_machine(node)
    node.start_daemon()
    wait_for("nothing is open or owed", lambda: settled(node, 105), LIMIT)
    at_rest(node)
    equal(node.read(node.conf_path(105)), fresh, "configuration of the other machine")
    equal(start_tasks(node, 105)[1:], [], "starts but the one that was stopped")
    assert not node.running(105), "the other machine was started"


def test_vmid_used_again_inherits_no_debt_and_no_change():
    with checked_node(qemu="stub") as node:
        in_between(node, node.stop_daemon, records=3)
        equal(fold(journal(node, 105)), (True, True), "what is open and owed")
        used_again(node)
        contains(node.log_text(), "was given to another machine", "the daemon's log")


def test_vmid_used_again_before_anything_was_begun():
    """The same with nothing in the journal but the hold."""
    with checked_node(qemu="stub") as node:
        in_between(node, node.stop_daemon)
        equal([r["type"] for r in journal(node, 105)], ["held"], "records")
        used_again(node)


if __name__ == "__main__":
    run(globals(), "starts", parallel=5)
