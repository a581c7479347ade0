#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Law 1a: configurations are changed early, while the VM is stopped; and only then."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (UUID, at_rest, changing, checked_node, contains, disks, equal, fingerprint, gate,
                 has_identity, imported, lacks, run, small_fingerprint, smbios, starts_by_us, wait_for)


def rewritten(node, vmid=105):
    wait_for(f"VM {vmid} has its identity", lambda: has_identity(node, vmid))
    wait_for("its journal ends", lambda: node.records(vmid)[-1:] == ["end"])


def test_dropped_fingerprint_rewrites_a_stopped_vm():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        wait_for("the machines are known", lambda: node.requests("GET"))
        at_rest(node)       # or it may be found by the look at the daemon's start
        node.fingerprint(105, small_fingerprint())
        rewritten(node)
        equal(node.journal(105)[0]["cause"], "fingerprint", "cause")
        equal(starts_by_us(node, 105), [], "starts by us")


def test_dropped_in_the_cluster_directory_as_well():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        node.fingerprint(105, small_fingerprint(), cluster=True)
        rewritten(node)


def test_edited_fingerprint_rewrites_again():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        node.fingerprint(105, small_fingerprint())
        rewritten(node)
        node.fingerprint(105, small_fingerprint(smbios={"uuid": UUID, "serial": "ABC-1"}))
        wait_for("the new serial",
                 lambda: smbios(node.conf(105)["smbios1"]).get("serial") == "ABC-1")


def test_half_written_fingerprint_is_left_alone_until_it_is_whole():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        import json
        text = json.dumps(small_fingerprint())
        path = node.path("etc/pve-hwid/fingerprints/105.json")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text[:60])
            f.flush()
            at_rest(node)
            equal(changing(node), [], "requests that change something")
            f.write(text[60:])
        rewritten(node)


def test_daemon_start_rewrites_what_was_dropped_before():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        rewritten(node)
        equal(node.journal(105)[0]["cause"], "daemon-start", "cause")


def test_running_vm_is_rewritten_after_its_stop_not_before():
    with checked_node() as node:
        node.vm(105, imported())
        node.qm("start", "105", check=True)
        node.start_daemon()
        node.fingerprint(105, fingerprint())
        at_rest(node, 1.5)
        equal(changing(node), [], "requests that change something")
        lacks(node.read(node.conf_path(105)), "[PENDING]", "configuration")
        node.qm("stop", "105", check=True)
        wait_for("the rewrite", lambda: "end" in node.records(105))
        equal(node.journal(105)[0]["cause"], "post-stop", "cause")
        assert "sata0" in node.conf(105), node.conf(105)
        start = node.qm("start", "105")
        equal(start.returncode, 0, f"start: {start.stdout}{start.stderr}")


def test_guest_that_powers_off_by_itself_is_rewritten_too():
    """post-stop then comes from `qm cleanup`, which is no task worker."""
    with checked_node(qemu="stub") as node:
        node.vm(105, imported(freeze=None))
        node.qm("start", "105", check=True)
        node.start_daemon()
        node.fingerprint(105, small_fingerprint())
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        node.qm("shutdown", "105", "--timeout", "20", check=True)
        rewritten(node)


def test_crash_of_qemu_is_a_stop():
    with checked_node() as node:
        node.vm(105, imported())
        node.qm("start", "105", check=True)
        node.start_daemon()
        node.fingerprint(105, small_fingerprint())
        at_rest(node)
        node.qm("kill", "105")
        rewritten(node)


def test_vm_without_our_hook_is_not_rewritten_early():
    with checked_node() as node:
        node.vm(105, imported(), hook=False)
        node.start_daemon()
        node.fingerprint(105, small_fingerprint())
        wait_for("a word in the log", lambda: "hookscript is not pve-hwid" in node.log_text())
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        contains(node.log_text(), "pve-hwid attach 105", "the daemon's log")


def test_hook_attached_later_sees_the_difference_at_the_next_start():
    """Nobody tells us of an edited configuration; the pre-start check does not need it."""
    with checked_node() as node:
        node.vm(105, imported(), hook=False)
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        wait_for("a word in the log", lambda: "hookscript is not pve-hwid" in node.log_text())
        node.qm("set", "105", "--hookscript", "local:snippets/pve-hwid", check=True)
        assert node.qm("start", "105").returncode != 0, "the start went through"
        wait_for("the VM runs", lambda: node.running(105))
        assert has_identity(node, 105), node.conf(105)


def test_early_0_waits_for_the_start():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(early=0)
        at_rest(node, 1.5)
        equal(changing(node), [], "requests that change something")
        equal(has_identity(node, 105), False, "identity")


def test_reboot_with_a_difference_ends_rewritten():
    """qm reboot: post-stop and the restart are close together; whoever is first, the VM ends right."""
    with checked_node(qemu="stub") as node:
        node.vm(105, imported(freeze=None))
        node.qm("start", "105", check=True)
        node.start_daemon()
        node.fingerprint(105, small_fingerprint())
        at_rest(node)
        node.qm("reboot", "105", "--timeout", "20")
        wait_for("running with its identity",
                 lambda: has_identity(node, 105) and node.running(105), 30)
        at_rest(node)
        assert node.running(105), "it does not stay up"


def test_start_right_into_an_early_rewrite_is_held_and_made_up_for():
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        identity = gate(node, method="PUT", path="config", form={"smbios1": "."})
        node.fingerprint(105, fingerprint(disks=disks(2)))
        node.start_daemon()
        identity.reached()
        task = node.qm("start", "105")
        identity.open()
        assert task.returncode != 0, "the start went into a half-done configuration"
        contains(task.stdout, "being changed by pve-hwid right now", "task log")
        wait_for("the VM runs", lambda: node.running(105), 25)
        wait_for("started", lambda: "started" in node.records(105))
        assert {"sata0", "sata1"} <= set(node.conf(105)), node.conf(105)
        equal(len(starts_by_us(node, 105)), 1, "starts by us")


if __name__ == "__main__":
    run(globals(), "early")
