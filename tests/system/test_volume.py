#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume or its storage is away: the probe finds it, the disk stays where it is, the rest is changed,
and the VM is not held in a circle (recordings 06p, 06n5)."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (UUID, at_rest, checked_node, contains, disks, equal, fingerprint, imported, lacks,
                 puts, run, smbios, start_tasks, starts_by_us, wait_for)


def image(node, vmid, slot):
    name = node.conf(vmid)[slot].split(",")[0].partition("/")[2]
    return node.path(f"var/lib/vz/images/{vmid}/{name}")


def two_disks(node, **settings):
    node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
    node.fingerprint(105, fingerprint(disks=disks(2)))
    node.start_daemon(**settings)


def ended(node, outcome):
    wait_for("the end of the rewrite", lambda: "end" in node.records(105))
    end = [r for r in node.journal(105) if r["type"] == "end"][0]
    equal(end["outcome"], outcome, f"outcome ({end.get('message')})")
    return end


def test_missing_image_leaves_the_disk_and_changes_the_rest():
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        os.unlink(image(node, 105, "scsi1"))
        before = node.conf(105)["scsi1"]
        node.fingerprint(105, fingerprint(disks=disks(2)))
        node.start_daemon()
        end = ended(node, "partial")
        contains(end["message"], "scsi1", "message")
        contains(end["message"], "does not exist", "message")
        conf = node.conf(105)
        equal(conf["scsi1"], before, "the disk without its image")
        equal(smbios(conf["smbios1"])["uuid"], UUID, "uuid")
        lacks(node.read(node.conf_path(105)), "[PENDING]", "configuration")
        assert "scsi1" not in [f.get("delete") for f in puts(node, 105)], puts(node, 105)
        # Whoever asks later hears why, too.
        for verb in ("check", "list"):
            [seen] = node.hwid_json(verb)["vms"]
            equal(seen["state"], "differs", f"state by {verb}")
            contains(seen["detail"], "scsi1 -> sata1 could not be changed: ", verb)
            contains(seen["detail"], "does not exist", verb)


def test_apply_that_leaves_a_disk_says_so_and_exits_3():
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        os.unlink(image(node, 105, "scsi1"))
        node.fingerprint(105, fingerprint(disks=disks(2)))
        node.start_daemon()
        ended(node, "partial")
        result = node.hwid("apply", "105")
        equal(result.returncode, 3, f"exit code: {result.stdout}{result.stderr}")
        contains(result.stdout, "VM 105: done in part: ", "apply")
        contains(result.stdout, "scsi1 stays as it is", "apply")
        answer = json.loads(node.hwid("apply", "105", "--json").stdout)
        equal(answer["outcome"], "partial", "outcome")


def test_undefined_storage_leaves_the_disk_and_changes_the_rest():
    with checked_node() as node:
        node.vm(105, imported())
        text = node.read(node.conf_path(105)).replace("scsi0: local:105", "scsi0: gone:105")
        node.set_conf(105, text)
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        end = ended(node, "partial")
        contains(end["message"], "scsi0", "message")
        contains(node.conf(105)["scsi0"], "gone:105", "scsi0")
        equal(smbios(node.conf(105)["smbios1"])["uuid"], UUID, "uuid")
        lacks(node.read(node.conf_path(105)), "[PENDING]", "configuration")


def test_start_with_a_missing_image_is_held_once_then_loud():
    """PVE itself cannot start it (its image is missing); but it is PVE that says so, not we."""
    with checked_node() as node:
        two_disks(node, early=0)
        os.unlink(image(node, 105, "scsi1"))
        assert node.qm("start", "105").returncode != 0, "the start went through"
        wait_for("the end", lambda: node.records(105)[-1:] == ["dropped"])
        at_rest(node)
        equal(len(start_tasks(node, 105)), 2, "starts")
        again = node.qm("start", "105")
        contains(again.stdout, "WARNING", "task log")
        contains(again.stdout, "could not be changed", "task log")
        contains(again.stdout, "does not exist", "task log")
        lacks(again.stdout + again.stderr, "exit code 75", "task")
        equal(len(starts_by_us(node, 105)), 1, "starts by us")


def test_volume_that_comes_back_is_moved_by_apply():
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        path = image(node, 105, "scsi1")
        os.rename(path, path + ".away")
        node.fingerprint(105, fingerprint(disks=disks(2)))
        node.start_daemon()
        ended(node, "partial")
        os.rename(path + ".away", path)
        result = node.hwid("apply", "105")
        equal(result.returncode, 0, f"apply: {result.stdout}{result.stderr}")
        conf = node.conf(105)
        assert not [k for k in conf if k.startswith("scsi") and k != "scsihw"], conf
        start = node.qm("start", "105")
        equal(start.returncode, 0, f"start: {start.stdout}{start.stderr}")
        lacks(start.stdout, "WARNING", "task log")


def test_start_after_a_partial_rewrite_goes_with_a_loud_line():
    """Once the volume is back a stop moves the disk: only the start before that is loud."""
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        path = image(node, 105, "scsi1")
        os.rename(path, path + ".away")
        node.fingerprint(105, fingerprint(disks=disks(2)))
        node.start_daemon()
        ended(node, "partial")
        os.rename(path + ".away", path)
        start = node.qm("start", "105")
        equal(start.returncode, 0, f"start: {start.stdout}{start.stderr}")
        contains(start.stdout, "WARNING: VM 105 starts although", "task log")
        contains(start.stdout, "scsi1", "task log")
        equal(starts_by_us(node, 105), [], "starts by us")
        node.qm("stop", "105", check=True)
        wait_for("the second rewrite", lambda: node.records(105).count("end") == 2)
        assert "sata1" in node.conf(105), node.conf(105)


def test_volume_of_another_vm_stays_and_the_rest_is_changed():
    """The token may not look at the storage (06o): that is about this disk, not about the VM."""
    with checked_node() as node:
        node.vm(106, imported(106))
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.set_conf(105, node.read(node.conf_path(105)).replace(
            "scsi1: local:105/vm-105-disk-1", "scsi1: local:106/vm-106-disk-0"))
        node.fingerprint(105, fingerprint(disks=disks(2)))
        node.start_daemon()
        wait_for("the rewrite", lambda: "end" in node.records(105), 20)
        end = node.journal(105)[-1]
        equal(end["outcome"], "partial", f"outcome ({end.get('message')})")
        contains(end["message"], "Permission check failed (/storage/local, Datastore.Audit)", "why")
        contains(end["message"], "pveum acl modify /storage/local", "why")
        conf = node.conf(105)
        equal(smbios(conf["smbios1"])["uuid"], UUID, "uuid")
        assert "sata0" in conf and "scsi1" in conf, conf


if __name__ == "__main__":
    run(globals(), "volume")
