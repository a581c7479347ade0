#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worst state (recording 06q): a disk's own volume vanishes between probe and move, its deletion is
left pending, and nothing takes it back until the volume is there again. The VM must not start."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (UUID, Gate, checked_node, contains, equal, faults, fingerprint, imported, lacks,
                 puts, run, smbios, starts_by_us, wait_for)


def vanish(node, hold, *more_faults):
    """A VM whose image goes away while the PUT that moves it is on its way; its path."""
    node.vm(105, imported())
    path = node.path("var/lib/vz/images/105/" +
                     node.conf(105)["scsi0"].split(",")[0].partition("/")[2])
    node.fingerprint(105, fingerprint())
    move = Gate(node, method="PUT", path="/qemu/105/config", nth=3)     # after probe and identity
    faults(node, move.rule, *more_faults)
    node.start_daemon(early=0 if hold else 1)
    if hold:
        assert node.qm("start", "105").returncode != 0, "the start went through"
    move.reached()
    os.rename(path, path + ".away")
    move.open()
    return path


def stuck(node):
    wait_for("the journal says stuck", lambda: "stuck" in node.records(105), 25)


def bring_back(path):
    os.rename(path + ".away", path)


def reverts(node):
    return [f for f in puts(node, 105) if "revert" in f]


def test_deletion_is_left_pending_and_both_ways_back_are_tried():
    with checked_node() as node:
        vanish(node, hold=True)
        stuck(node)
        contains(node.read(node.conf_path(105)), "delete: scsi0", "configuration")
        assert reverts(node), "no revert was tried"
        assert [f for f in puts(node, 105)[3:] if "scsi0" in f], "setting back was not tried"
        equal(node.running(105), False, "running")
        equal(starts_by_us(node, 105), [], "starts by us")
        wait_for("the daemon says so", lambda: "VM 105 must NOT be started" in node.log_text())
        contains(node.hwid("check", "105").stdout, "stuck", "check")


def test_volume_back_takes_the_deletion_back_and_starts_the_vm():
    with checked_node() as node:
        path = vanish(node, hold=True)
        stuck(node)
        bring_back(path)
        wait_for("the VM runs", lambda: node.running(105), 45, every=0.2)
        text = node.read(node.conf_path(105))
        lacks(text, "[PENDING]", "configuration")
        lacks(text, "unused", "configuration")
        equal(smbios(node.conf(105)["smbios1"])["uuid"], UUID, "uuid")
        contains(text.split("boot: ")[1].split("\n")[0], "scsi0", "boot order")
        contains(" ".join(node.qemu_argv(105)), "drive-scsi0", "QEMU's command line")
        equal(len(starts_by_us(node, 105)), 1, "starts by us")


if __name__ == "__main__":
    run(globals(), "stuck")
