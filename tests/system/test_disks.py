#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks move bus as facts/pve.md 4 demands: every one probed, the identity first, one PUT per disk with
delete, new slot, boot and digest together, nothing left pending."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (at_rest, changing, checked_node, contains, disks, equal, fingerprint, imported,
                 lacks, puts, run, smbios, wait_for, UUID)


def rewritten(node, vmid=105, outcome="done"):
    """Starts the daemon and waits for the early rewrite; the forms of all PUTs."""
    node.start_daemon()
    wait_for("the rewrite", lambda: "end" in node.records(vmid))
    at_rest(node)
    ends = [r for r in node.journal(vmid) if r["type"] == "end"]
    equal(ends[0]["outcome"], outcome, f"outcome ({ends[0].get('message')})")
    lacks(node.read(node.conf_path(vmid)), "[PENDING]", "configuration")
    lacks(node.read(node.conf_path(vmid)), "unused", "configuration")
    return puts(node, vmid)


def volume(value):
    return value.split(",")[0]


def test_one_disk_from_lsisas_to_sata():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        was = volume(node.conf(105)["scsi0"])
        forms = rewritten(node)
        equal(volume(node.conf(105)["sata0"]), was, "volume on sata0")
        equal(len(forms), 3, f"PUTs: {forms}")
        probe, identity, move = forms
        equal(sorted(probe), ["digest", "scsi0"], "probe")
        assert {"smbios1", "machine", "net0", "digest"} <= set(identity), identity
        assert "delete" not in identity and "sata0" not in identity, identity
        equal(sorted(move), ["boot", "delete", "digest", "sata0"], "move")
        equal(move["delete"], "scsi0", "delete")
        equal(move["boot"], "order=sata0;net0", "boot")


def test_three_disks_each_probed_first_then_one_call_each():
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M", "scsi2=16M"))
        node.fingerprint(105, fingerprint(disks=disks(3)))
        was = [volume(node.conf(105)[f"scsi{i}"]) for i in range(3)]
        forms = rewritten(node)
        equal(len(forms), 7, f"PUTs: {forms}")
        equal([sorted(f) for f in forms[:3]],
              [["digest", f"scsi{i}"] for i in range(3)], "probes first")
        contains(forms[3], "smbios1", "fourth PUT: identity")
        equal([f["delete"] for f in forms[4:]], ["scsi0", "scsi1", "scsi2"], "moves")
        for i, form in enumerate(forms[4:]):
            equal(sorted(form), ["boot", "delete", "digest", f"sata{i}"], f"move {i}")
            equal(volume(form[f"sata{i}"]), was[i], f"volume of move {i}")
        conf = node.conf(105)
        equal([volume(conf[f"sata{i}"]) for i in range(3)], was, "volumes")
        equal(conf["boot"], "order=sata0;sata1;sata2;net0", "boot")


def test_every_changing_request_carries_a_fresh_digest():
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.fingerprint(105, fingerprint(disks=disks(2)))
        forms = rewritten(node)
        assert all(len(f.get("digest", "")) == 40 for f in forms), forms
        equal(len({f["digest"] for f in forms}), 3, "one for probes and identity, one per move")


def test_a_probe_changes_nothing():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        before = node.conf(105)["scsi0"]
        forms = rewritten(node)
        equal(forms[0]["scsi0"], before, "probe: exactly the present value")


def test_pvscsi_is_exact_and_keeps_the_slots():
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.fingerprint(105, fingerprint(disks=disks(2, "pvscsi")))
        forms = rewritten(node)
        conf = node.conf(105)
        equal(conf["scsihw"], "pvscsi", "scsihw")
        assert "scsi0" in conf and "scsi1" in conf and "sata0" not in conf, conf
        assert not any("delete" in f for f in forms), forms
        node.qm("start", "105", check=True)
        contains(" ".join(node.qemu_argv(105)), "pvscsi", "QEMU's command line")


def test_pvscsi_from_virtio_moves_with_scsihw_in_the_first_move():
    with checked_node() as node:
        node.vm(105, imported(), disks=("virtio0=64M", "virtio1=32M"))
        node.fingerprint(105, fingerprint(disks=disks(2, "pvscsi")))
        forms = rewritten(node)
        moves = [f for f in forms if "delete" in f]
        equal([f["delete"] for f in moves], ["virtio0", "virtio1"], "moves")
        with_hw = [i for i, f in enumerate(forms) if "scsihw" in f]
        assert len(with_hw) == 1 and with_hw[0] <= forms.index(moves[0]), forms
        equal(node.conf(105)["scsihw"], "pvscsi", "scsihw")


def test_ide_disk_goes_to_ide():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint(disks=disks(1, "ide")))
        rewritten(node)
        assert "ide0" in node.conf(105), node.conf(105)


def test_options_the_new_bus_lacks_are_dropped_and_others_stay():
    with checked_node() as node:
        node.vm(105, imported(scsihw="virtio-scsi-single"))
        value = node.conf(105)["scsi0"]
        text = node.read(node.conf_path(105)).replace(
            value, value + ",iothread=1,discard=on,ssd=1,cache=writeback")
        node.set_conf(105, text)
        node.fingerprint(105, fingerprint())
        rewritten(node)
        moved = node.conf(105)["sata0"]
        lacks(moved, "iothread", "sata0")
        for part in ("discard=on", "ssd=1", "cache=writeback", "size=64M"):
            contains(moved, part, "sata0")


def test_running_qemu_has_the_disk_on_the_new_bus():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        rewritten(node)
        node.qm("start", "105", check=True)
        argv = " ".join(node.qemu_argv(105))
        contains(argv, "drive-sata0", "QEMU's command line")
        lacks(argv, "drive-scsi0", "QEMU's command line")


def test_different_numbers_of_disks_leave_them_and_change_the_rest():
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.fingerprint(105, fingerprint(disks=disks(1)))
        node.start_daemon()
        wait_for("the rewrite", lambda: "end" in node.records(105))
        conf = node.conf(105)
        assert "scsi0" in conf and "scsi1" in conf and "sata0" not in conf, conf
        equal(smbios(conf["smbios1"])["uuid"], UUID, "uuid")
        assert not any("delete" in f for f in puts(node, 105)), puts(node, 105)


def test_protection_leaves_the_disk_without_a_leftover():
    """`protection: 1` refuses the deletion of a disk; whatever is done, nothing stays pending."""
    with checked_node() as node:
        node.vm(105, imported(protection="1"))
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        at_rest(node, 2)
        text = node.read(node.conf_path(105))
        lacks(text, "[PENDING]", "configuration")
        assert "scsi0" in node.conf(105), text


def test_serial_and_order_survive_a_second_look():
    """What PVE made of our values is in sync: no second rewrite."""
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.fingerprint(105, fingerprint(disks=[
            {"controller": "lsisas1068", "bus": 0, "unit": 0, "serial": "6000c29aabbccddee001"},
            {"controller": "lsisas1068", "bus": 0, "unit": 1, "serial": "6000c29aabbccddee002"}]))
        rewritten(node)
        contains(node.conf(105)["sata0"], "serial=", "sata0")
        before = len(changing(node))
        equal(node.hwid("check", "105").returncode, 0, "check")
        node.qm("start", "105", check=True)
        equal(len(changing(node)), before, "requests that change something")


if __name__ == "__main__":
    run(globals(), "disks")
