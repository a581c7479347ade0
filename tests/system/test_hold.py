#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of law 1c: a start finds a difference, is stopped on purpose, the VM is rewritten and
started again without anybody doing anything."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (MAC, SERIAL, UUID, at_rest, changing, checked_node, contains, differs_no_more,
                 equal, fingerprint, imported, lacks, run, smbios, start_tasks, starts_by_us,
                 wait_for)


def held_node(node, vmid=105, fp=None, **conf):
    """A differing VM and a daemon that does not rewrite early."""
    node.vm(vmid, imported(vmid, **conf))
    node.fingerprint(vmid, fp or fingerprint())
    node.start_daemon(early=0)


def started(node, vmid=105):
    wait_for(f"VM {vmid} runs", lambda: node.running(vmid))
    wait_for("the journal says so", lambda: node.records(vmid)[-1:] == ["started"])


def test_first_start_is_stopped_with_75_and_sentences():
    with checked_node() as node:
        held_node(node)
        task = node.qm("start", "105")
        assert task.returncode != 0, "the start went through"
        contains(task.stdout, "pve-hwid: VM 105 differs from its fingerprint", "task log")
        contains(task.stdout, "this start is stopped on purpose", "task log")
        contains(task.stderr, "105 pre-start' failed: exit code 75", "error of the task")
        assert task.stdout.isascii(), "the task log is not ASCII"
        equal(node.hook_calls()[0]["exit"], 75, "exit code of the hook")
        started(node)


def test_vm_ends_rewritten_and_running_by_itself():
    with checked_node() as node:
        held_node(node)
        node.qm("start", "105")
        started(node)
        differs_no_more(node, 105)
        found = smbios(node.conf(105)["smbios1"])
        equal(found, {"uuid": UUID, "manufacturer": "VMware, Inc.", "product": "VMware7,1",
                      "version": "None", "serial": SERIAL}, "smbios1")
        equal(len(starts_by_us(node, 105)), 1, "starts by us")
        equal(len(start_tasks(node, 105)), 2, "starts in all")


def test_qemu_of_the_second_start_has_the_new_hardware():
    with checked_node() as node:
        held_node(node)
        node.qm("start", "105")
        started(node)
        argv = " ".join(node.qemu_argv(105))
        contains(argv, UUID, "QEMU's command line")
        contains(argv, "vmxnet3", "QEMU's command line")
        contains(argv.lower(), MAC, "QEMU's command line")
        assert re.search(r"pc-q35-(9|1\d)\.", argv), argv
        contains(argv, "VMware", "QEMU's command line")
        lacks(argv, "virtio-net", "QEMU's command line")
        lacks(argv, "virtio-scsi", "QEMU's command line")


def test_journal_tells_it_in_order_with_one_id():
    with checked_node() as node:
        held_node(node)
        node.qm("start", "105")
        started(node)
        # `in-sync` is the hook's at our own start: its place among the last ones is its own affair.
        journal = [r for r in node.journal(105) if r["type"] != "in-sync"]
        types = [r["type"] for r in journal]
        equal(types[:2], ["held", "begin"], "first records")
        equal(types[-3:], ["end", "start", "started"], "last records")
        steps = types[2:-3]
        assert len(steps) == 2 and set(steps) == {"step"}, types
        equal(len({r["txn"] for r in journal}), 1, "transaction ids")
        equal(journal[-3]["outcome"], "done", "outcome")
        assert all(r["applied"] for r in journal if r["type"] == "step"), journal
        options = {c["option"] for c in journal[1]["changes"]}
        assert {"smbios1", "machine", "net0", "scsi0", "sata0", "boot"} <= options, options
        for change in journal[1]["changes"]:
            assert change["why"] and "old" in change and "new" in change, change


def test_second_start_is_in_sync_and_third_costs_nothing():
    with checked_node() as node:
        held_node(node)
        node.qm("start", "105")
        started(node)
        node.qm("stop", "105", check=True)
        at_rest(node)
        before = len(changing(node))
        third = node.qm("start", "105")
        equal(third.returncode, 0, f"third start: {third.stdout}{third.stderr}")
        at_rest(node)
        equal(changing(node)[before:], [], "requests that change something")
        equal(node.hook_calls()[-2]["phase"] if node.hook_calls()[-1]["phase"] != "pre-start"
              else "pre-start", "pre-start", "hook")
        lacks(third.stdout, "WARNING", "task log")
        assert node.running(105)


def test_vm_without_fingerprint_starts_without_a_word():
    with checked_node() as node:
        node.vm(106, imported(106))
        node.start_daemon()
        task = node.qm("start", "106")
        equal(task.returncode, 0, "start")
        lacks(task.stdout, "pve-hwid", "task log")
        equal(changing(node), [], "requests that change something")


def test_vm_in_sync_starts_at_once():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        wait_for("early rewriting", lambda: "end" in node.records(105))
        at_rest(node)
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        lacks(task.stdout, "WARNING", "task log")
        equal(starts_by_us(node, 105), [], "starts by us")
        lacks(" ".join(node.records(105)), "held", "journal")


def test_rolled_back_after_a_good_start_is_held_again():
    """Somebody restores the old hardware (a rollback): one hold and one start of ours each time."""
    with checked_node() as node:
        held_node(node)
        first = node.read(node.conf_path(105))
        node.qm("start", "105")
        started(node)
        node.qm("stop", "105", check=True)
        at_rest(node)
        node.set_conf(105, first)
        assert node.qm("start", "105").returncode != 0, "the start went through"
        wait_for("our second start", lambda: node.records(105).count("started") == 2)
        differs_no_more(node, 105)
        equal(len(starts_by_us(node, 105)), 2, "starts by us")


def test_configuration_that_does_not_stay_is_not_a_circle():
    """Something puts the old hardware back before every start: our own start is let through, loudly."""
    with checked_node() as node:
        held_node(node)
        old = node.write("old.conf", node.read(node.conf_path(105)))
        hook = node.read("var/lib/vz/snippets/pve-hwid").splitlines()[1]
        node.write("var/lib/vz/snippets/pve-hwid", f"""#!/bin/sh
[ "$2" = pre-start ] && cp {old} {node.path(node.conf_path(105))}
{hook}
""", 0o755)
        node.qm("start", "105")
        started(node)
        at_rest(node)
        equal(len(starts_by_us(node, 105)), 1, "starts by us")
        equal([c["exit"] for c in node.hook_calls() if c["phase"] == "pre-start"], [75, 0],
              "exit codes of the hook")
        contains(node.log_text(), "differ again although a start was stopped", "the daemon's log")


def test_start_through_the_api_is_held_as_well():
    with checked_node() as node:
        held_node(node)
        node.api("POST", f"/nodes/{node.name}/qemu/105/status/start")
        started(node)
        differs_no_more(node, 105)


def test_ha_managed_vm_is_not_started_by_us():
    with checked_node() as node:
        held_node(node)
        node.write("etc/pve/ha/resources.cfg", "vm: 105\n\tstate started\n\n")
        from node import PVESIM
        task = node.run(PVESIM, "ha-start", node.root, "105", check=False)
        assert task.returncode != 0, "the start went through"
        wait_for("journal", lambda: node.records(105)[-1:] == ["dropped"])
        differs_no_more(node, 105)
        equal(starts_by_us(node, 105), [], "starts by us")
        retry = node.run(PVESIM, "ha-start", node.root, "105", check=False)
        equal(retry.returncode, 0, f"the retry of HA: {retry.stdout}{retry.stderr}")


def test_ovmf_vm_keeps_8_2():
    with checked_node() as node:
        if not os.path.exists("/usr/share/OVMF/OVMF_CODE_4M.fd"):
            from tap import Skip
            raise Skip("no OVMF here")
        held_node(node, fp=fingerprint(firmware="efi"), bios="ovmf")
        node.qm("start", "105")
        started(node)
        equal(node.conf(105)["machine"], "pc-q35-8.2", "machine")


if __name__ == "__main__":
    run(globals(), "hold")
