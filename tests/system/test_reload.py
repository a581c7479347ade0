#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemctl reload at any instant: of a hold, of a hook that waits, of a survey, of an undo. The client of
PVE's API is another one after each of these reloads, since a time-out of it is another."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import fold, injected
from load import hook_of_a_start, most_at_once
from tap import (BUILD, UUID, at_rest, changing, checked_node, contains, differs_no_more, disks, equal,
                 faults, fingerprint, has_identity, imported, run, small_fingerprint, start_tasks,
                 starts_by_us, wait_for)

SLOW = {"method": "PUT", "path": "config", "token": "daemon$", "action": "delay", "seconds": 0.3}


class Reloads:
    """Counts those that were asked for, and waits for each to be carried out."""

    def __init__(self, node, **settings):
        self.node, self.settings, self.count = node, settings, 0

    def once(self, **more):
        self.count += 1
        self.node.write("etc/pve-hwid/pve-hwid.conf", self.node.config_text(
            **{"api_timeout_ms": 20000 + self.count, **self.settings, **more}))
        self.node.daemon.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: self.node.log_text().count("read again") >= self.count, 30, 0.005)

    def until(self, what, condition, limit=60):
        end = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < end, f"not within {limit} s: {what}"
            self.once()
            time.sleep(0.02)


def test_again_and_again_while_starts_are_held_and_made():
    with checked_node(qemu="stub") as node:
        for vmid in (105, 106, 107):
            node.vm(vmid, imported(vmid), disks=("scsi0=64M", "scsi1=32M"))
            node.fingerprint(vmid, fingerprint(disks=disks(2)))
        node.start_daemon(early=0)
        faults(node, SLOW)
        for vmid in (105, 106, 107):
            assert node.qm("start", str(vmid)).returncode != 0, "the start went through"
        reloads = Reloads(node, early=0)
        reloads.until("they run", lambda: all(node.running(v) for v in (105, 106, 107)))
        for vmid in (105, 106, 107):
            wait_for("nothing is open", lambda v=vmid: fold(node.journal(v)) == (False, False), 20)
            differs_no_more(node, vmid)
            equal(len(starts_by_us(node, vmid)), 1, f"starts of VM {vmid} by us")
        assert reloads.count > 5, f"only {reloads.count} reloads"
        equal(most_at_once([r for r in changing(node) if r["method"] == "PUT"]), 1,
              "changing calls under way at once")


def test_while_a_hook_waits_for_its_answer():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(early=0)
        faults(node, {"path": "^/access/permissions", "token": "daemon$", "action": "delay", "seconds": 0.5})
        hook = hook_of_a_start(node, 105)
        wait_for("the daemon asks PVE before it holds", lambda: injected(node), every=0.002)
        Reloads(node, early=0).once()
        text, _ = hook.communicate(timeout=30)
        assert hook.returncode == 75 or (hook.returncode == 0 and "WARNING" in text), text
        if hook.returncode == 75:
            wait_for("it runs", lambda: node.running(105) and has_identity(node, 105), 30)


def test_with_another_directory_of_fingerprints_in_the_middle():
    """What was begun without its fingerprint is ended as if it had been taken away: the VM runs, whole."""
    with checked_node(qemu="stub") as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.fingerprint(105, fingerprint(disks=disks(2)))
        node.start_daemon(early=0)
        faults(node, SLOW)
        node.qm("start", "105")
        wait_for("a step is under way", lambda: "begin" in node.records(105) and injected(node))
        elsewhere = node.path("etc/pve-hwid/elsewhere")
        os.mkdir(elsewhere)
        reloads = Reloads(node, early=0)
        reloads.once(fingerprint_dir=elsewhere)
        wait_for("it runs", lambda: node.running(105), 30)
        wait_for("nothing is open", lambda: fold(node.journal(105)) == (False, False), 20)
        equal(len(starts_by_us(node, 105)), 1, "starts by us")
        wait_for("it is not known any more", lambda: node.hwid_json("status")["fingerprints"] == 0)
        node.qm("stop", "105")
        reloads.once()
        wait_for("it is known again", lambda: node.hwid_json("status")["fingerprints"] == 1)
        if node.qm("start", "105").returncode != 0:
            wait_for("it runs again", lambda: node.running(105), 30)
        wait_for("nothing is open", lambda: fold(node.journal(105)) == (False, False), 20)


def test_while_the_cluster_is_being_asked():
    with checked_node(qemu="stub") as node:
        node.vm_elsewhere(204, {"smbios1": f"uuid={UUID}", "name": "copy"})
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        faults(node, {"path": "^/nodes/pve2/", "action": "delay", "seconds": 1})
        node.start_daemon(wait=False)
        wait_for("the survey has begun", lambda: injected(node), 30)
        reloads = Reloads(node)
        for _ in range(4):
            reloads.once()
        wait_for("VM 105 is refused", lambda: node.hwid_json("check", 105)["vms"][0]["state"] == "refused", 30)
        at_rest(node)
        assert not has_identity(node, 105), "the identity was given twice"


def test_while_a_change_set_is_taken_back():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        before = node.conf(105)
        node.fingerprint(105, fingerprint(disks=disks(2)))
        node.start_daemon()
        wait_for("it is rewritten", lambda: node.records(105)[-1:] == ["end"], 30)
        faults(node, SLOW)
        undo = subprocess.Popen([os.path.join(BUILD, "pve-hwid"), "undo", "--config",
                                 node.path("etc/pve-hwid/pve-hwid.conf"), "--socket",
                                 node.path("run/pve-hwid/socket"), "105"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wait_for("a step is under way", lambda: injected(node) or undo.poll() is not None, 30)
        reloads = Reloads(node)
        reloads.until("the undo ends", lambda: undo.poll() is not None)
        equal(undo.returncode, 0, undo.communicate()[0])
        after = node.conf(105)
        for key in ("scsi0", "scsi1", "boot", "scsihw", "smbios1", "net0", "machine"):
            equal(after.get(key), before.get(key), key)


if __name__ == "__main__":
    run(globals(), "system/reload", parallel=3)
