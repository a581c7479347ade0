#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The identity guard: no identity is given to two VMs, by whatever way the second one came. What a VM
carries already is its own. Refusals end in exit 5 and a sentence; a start goes on as it is."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import shim
from tap import (BUILD, MAC, SERIAL, UUID, at_rest, changing, checked_node, contains, equal, faults,
                 fingerprint, has_identity, imported, lacks, run, small_fingerprint,
                 smbios, wait_for)

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CTIME = 1795397075                       # of all VMs that the simulator makes
CARRIES = f"uuid={UUID}"
OWN = "uuid=11111111-2222-3333-4444-555555555555"


def carries(node, vmid):
    """Is it the machine that VM 105 was?"""
    return smbios(node.conf(vmid)["smbios1"]).get("uuid") == UUID


def refused(node, vmid, *parts):
    """check, plan and apply agree: exit 5, and why."""
    def settled():
        state = node.hwid_json("check", vmid)["vms"][0]
        return state if state["state"] == "refused" else None
    state = wait_for(f"VM {vmid} is refused", settled)
    equal(node.hwid("check", vmid).returncode, 5, "exit code of check")
    plan = node.hwid("plan", vmid)
    result = node.hwid("apply", vmid)
    equal((plan.returncode, result.returncode), (5, 5), "exit codes of plan and apply")
    for part in parts:
        contains(state["detail"], part, "detail")
        contains(" ".join(plan.stdout.split()), part, "plan")
    assert not carries(node, vmid), "it was given the identity"
    equal(changing(node, vmid), [], "requests that change something")
    return state["detail"]


def rewritten(node, vmid):
    wait_for(f"VM {vmid} has its identity", lambda: carries(node, vmid))
    wait_for("its end is written down", lambda: "end" in node.records(vmid))


def plan_of(node, vmid):
    return node.hwid_json("plan", vmid)


def notes_of(node, vmid):
    return "\n".join(plan_of(node, vmid)["notes"])


def test_two_fingerprints_with_one_uuid_change_neither():
    with checked_node(qemu="stub") as node:
        for vmid in (105, 106):
            node.vm(vmid, imported(vmid))
            node.fingerprint(vmid, small_fingerprint(), twin=True)
        node.start_daemon()
        refused(node, 105, "VM 106 has a fingerprint with the same uuid " + UUID)
        refused(node, 106, "VM 105 has a fingerprint with the same uuid " + UUID)
        contains(node.hwid("status").stdout, "VM 105: VM 106 has a fingerprint", "status")
        task = node.qm("start", "105")          # on_error: start
        equal(task.returncode, 0, "the start")
        contains(task.stdout, "WARNING: VM 105 starts although", "task log")
        equal(changing(node), [], "requests that change something")
        # One is taken away: the other is changed without anybody asking.
        os.unlink(node.path("etc/pve-hwid/fingerprints/105.json"))
        rewritten(node, 106)


def test_on_error_refuse_stops_the_start():
    with checked_node(qemu="stub") as node:
        for vmid in (105, 106):
            node.vm(vmid, imported(vmid))
            node.fingerprint(vmid, small_fingerprint(policy={"on_error": "refuse"}),
                             twin=True)
        node.start_daemon()
        task = node.qm("start", "105")
        assert task.returncode != 0, "it started"
        contains(task.stdout, "VM 106 has a fingerprint", "task log")


def test_the_one_that_carries_it_stays_in_sync():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        rewritten(node, 105)
        node.vm(106, imported(106))
        node.fingerprint(106, small_fingerprint(), twin=True)
        refused(node, 106, "VM 105 carries uuid " + UUID, "has a fingerprint that says so")
        equal(node.hwid("check", 105).returncode, 0, "exit code of check 105")
        wait_for("the other one is told of", lambda: "VM 106 has a fingerprint with the same"
                 in notes_of(node, 105))
        lacks(node.qm("start", "105").stdout, "WARNING", "task log")


def test_copy_of_a_vm_is_an_obstacle_until_it_has_its_own():
    with checked_node(qemu="stub") as node:
        node.vm(104, imported(104, smbios1=CARRIES))
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        refused(node, 105, "VM 104 carries uuid " + UUID + " already", "pve-hwid move 104 105")
        equal(node.conf(104)["smbios1"], CARRIES, "smbios1 of the copy")
        node.qm("set", "104", "--smbios1", OWN, check=True)
        equal(node.hwid("apply", 105).returncode, 0, "exit code of apply")
        rewritten(node, 105)


def test_restored_copy_and_clone_of_what_is_in_sync_are_only_told():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        rewritten(node, 105)
        own = node.conf(105)["smbios1"]
        node.vm(107, imported(107, smbios1=own))                                # restored
        node.vm(108, imported(108, smbios1=own.replace(f"uuid={UUID}", OWN)))   # a full clone
        equal(node.hwid("check", 105).returncode, 0, "exit code of check")
        wait_for("the copy is told of", lambda: "VM 107 carries the same uuid " + UUID
                 in notes_of(node, 105))
        contains(notes_of(node, 105), "VM 108 carries the same serial " + SERIAL, "notes")
        for vmid in (107, 108):
            equal(node.qm("start", vmid).returncode, 0, f"start of {vmid}")
            equal(changing(node, vmid), [], f"changes of {vmid}")
        # A difference of the original that is no matter of identity is set right all the same.
        node.qm("set", "105", "--smbios1", own.replace("manufacturer=", "sku=QUJD,manufacturer="),
                check=True)
        node.fingerprint(105, fingerprint(nics=None, disks=None))
        wait_for("the machine type", lambda: "pc-q35" in node.conf(105)["machine"])


def test_what_was_given_a_moment_ago_is_known():
    """The fingerprint goes to another VM right after the first one got what it says."""
    with checked_node(qemu="stub") as node:
        for vmid in (105, 106):
            node.vm(vmid, imported(vmid))
        node.start_daemon()
        node.fingerprint(105, small_fingerprint())
        wait_for("VM 105 has its identity", lambda: carries(node, 105), every=0.005)
        where = node.path("etc/pve-hwid/fingerprints")
        os.rename(f"{where}/105.json", f"{where}/106.json")
        time.sleep(0.7)  # no question meanwhile: it would make the daemon look at all
        refused(node, 106, "VM 105 carries")


def set_conf_of_second(node, vmid, smbios1, second):
    """As pmxcfs has it: the time of a file is a whole second. The text has the same length each time."""
    path = node.path(node.conf_path(vmid))
    text = node.read(node.conf_path(vmid)).replace(node.conf(vmid)["smbios1"], smbios1)
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.utime(path + ".new", (second, second))
    os.rename(path + ".new", path)


def test_configuration_that_changes_twice_within_a_second_is_seen():
    with checked_node(qemu="stub") as node:
        for vmid in (104, 105):
            node.vm(vmid, imported(vmid, **({"smbios1": OWN} if vmid == 104 else {})))
        node.start_daemon(early=0, wrapper=shim(WHOLE_SECONDS=1))
        node.fingerprint(105, small_fingerprint())
        now = int(time.time())
        equal(len(OWN), len(CARRIES), "length")
        set_conf_of_second(node, 104, OWN.replace("1111", "2222"), now)
        time.sleep(1.1)         # else the look of a moment ago is good enough
        equal(node.hwid("check", 105).returncode, 3, "exit code of check")      # it reads that one
        set_conf_of_second(node, 104, CARRIES, now)
        time.sleep(1.1)
        refused(node, 105, "VM 104 carries uuid " + UUID)


def test_configuration_that_cannot_be_read_for_a_moment_keeps_its_claim():
    with checked_node(qemu="stub") as node:
        node.vm(104, imported(104, smbios1=CARRIES))
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        broken = node.write("broken", "")
        node.start_daemon(wrapper=shim(UNREAD_FILE=broken))
        refused(node, 105, "VM 104 carries uuid " + UUID)
        node.write("broken", "/104.conf")
        text = node.read(node.conf_path(104))
        node.set_conf(104, text + "tags: changed\n")
        time.sleep(1.1)
        refused(node, 105, "VM 104 carries uuid " + UUID)
        contains(node.log_text(), "cannot be looked at", "log")
        node.write("broken", "")
        node.set_conf(104, text.replace(CARRIES, OWN))
        result = wait_for("it is read again", lambda: (
            r := node.hwid("apply", 105)).returncode == 0 and r, 20, 0.5)
        contains(result.stdout, "done", "apply")


def test_fingerprint_that_cannot_be_read_for_a_moment_keeps_its_claim():
    with checked_node(qemu="stub") as node:
        for vmid in (105, 106):
            node.vm(vmid, imported(vmid))
            node.fingerprint(vmid, small_fingerprint(), twin=True)
        broken = node.write("broken", "")
        node.start_daemon(wrapper=shim(UNREAD_FILE=broken))
        refused(node, 105, "VM 106 has a fingerprint with the same uuid " + UUID)
        node.write("broken", "106.json")
        node.fingerprint(106, small_fingerprint(source={"kind": "vmx", "name": "changed"}), twin=True)
        wait_for("the change was noticed", lambda: "106.json" in node.log_text(), 20)
        refused(node, 105, "VM 106 has a fingerprint with the same uuid " + UUID)
        # It can be read again, and nothing about it changes: it is read by itself.
        node.fingerprint(106, small_fingerprint(smbios={"uuid": OWN[5:]}))
        wait_for("the change was noticed", lambda: "bad-fingerprint" in node.hwid("list").stdout, 20)
        node.write("broken", "")
        wait_for("it is looked at again", lambda: OWN in node.conf(106)["smbios1"], 30)
        rewritten(node, 105)


def fingerprint_of_second(node, vmid, uuid, second):
    path = node.path(f"etc/pve/pve-hwid/{vmid}.json")
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(small_fingerprint(smbios={"uuid": uuid}), f)
    os.utime(path + ".new", (second, second))
    os.rename(path + ".new", path)


def test_fingerprint_that_changes_twice_within_a_second_is_seen():
    """By looks at the directory alone, as on a node that did not write it itself."""
    with checked_node(qemu="stub") as node:
        node.vm(106, imported(106))
        node.start_daemon(wrapper=shim(WHOLE_SECONDS=1, NO_INOTIFY=1))

        def has(uuid):
            return smbios(node.conf(106)["smbios1"]).get("uuid") == uuid

        def second_one_is_seen(attempt):
            first, second, now = OWN[5:-1] + attempt, UUID[:-1] + attempt, int(time.time())
            fingerprint_of_second(node, 106, first, now)
            wait_for("the first one is the VM's, and nothing goes on any more",
                     lambda: has(first) and node.records(106)[-1:] == ["end"], 20, 0.01)
            fingerprint_of_second(node, 106, second, now)
            end = time.monotonic() + 6
            while not has(second) and time.monotonic() < end:
                time.sleep(0.05)
            return has(second)

        # Where the machine is so busy that the second one comes seconds later, it was none of that second.
        assert any(second_one_is_seen(attempt) for attempt in "1234"), "it was not seen"


def test_template_with_the_identity_is_only_told():
    with checked_node(qemu="stub") as node:
        node.vm(104, imported(104, smbios1=CARRIES, template="1"))
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        rewritten(node, 105)
        contains(notes_of(node, 105), "the template 104 carries the same uuid", "notes")


def test_a_mac_that_another_vm_has_is_not_given_out_twice():
    with checked_node(qemu="stub") as node:
        node.vm(104, imported(104, net0=f"e1000={MAC.upper()},bridge=vmbr0"))
        node.vm(105, imported())
        node.fingerprint(105, fingerprint(smbios=None, disks=None))
        node.start_daemon()
        refused(node, 105, "VM 104 carries MAC " + MAC + " already")


def test_what_runs_still_carries_what_is_pending_to_go():
    with checked_node(qemu="stub") as node:
        node.vm(104, imported(104, smbios1=CARRIES))
        node.qm("start", "104", check=True)
        node.qm("set", "104", "--smbios1", OWN, check=True)     # goes to [PENDING]
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        refused(node, 105, "VM 104 carries uuid")
        node.qm("stop", "104", check=True)
        equal(node.hwid("apply", 105).returncode, 0, "exit code of apply")


# --- other nodes ----------------------------------------------------------------------------------

def test_vm_on_another_node_is_seen_and_asked_again_before_a_change():
    with checked_node(qemu="stub") as node:
        node.vm_elsewhere(204, {"smbios1": CARRIES, "name": "copy"})
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        refused(node, 105, "VM 204 on node pve2 carries uuid " + UUID)
        node.vm_elsewhere(204, {"smbios1": OWN, "name": "copy"})
        result = wait_for("it is asked again", lambda: (
            r := node.hwid("apply", 105)).returncode == 0 and r, 20, 1)
        contains(result.stdout, "done", "apply")
        assert has_identity(node, 105), "no identity"


def test_vm_that_came_to_another_node_meanwhile_is_seen():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.vm(104, imported(104, smbios1=CARRIES))
        node.start_daemon()
        refused(node, 105, "VM 104 carries uuid " + UUID)
        os.makedirs(node.path("etc/pve/nodes/pve2/qemu-server"))
        os.rename(node.path(node.conf_path(104)),
                  node.path("etc/pve/nodes/pve2/qemu-server/104.conf"))
        result = node.hwid("apply", 105)
        equal(result.returncode, 5, "exit code of apply")
        contains(result.stdout + result.stderr, "VM 104 on node pve2 carries", "apply")


def test_node_that_does_not_answer_is_told_and_blocks_nothing():
    with checked_node(qemu="stub") as node:
        node.vm_elsewhere(204, {"smbios1": CARRIES})
        node.vm_elsewhere(205, {"smbios1": OWN})
        node.write("etc/pve/nodes/pve2/offline", "")
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(early=0)
        wait_for("the survey", lambda: [r for r in node.requests() if "/pve2/" in r["path"]])
        at_rest(node, 0.5)
        contains(notes_of(node, 105), "whether a VM of another node has this identity is not fully "
                 "known: pve2", "notes")
        equal(node.hwid("apply", 105).returncode, 0, "exit code of apply")
        assert has_identity(node, 105), "no identity"


def test_survey_that_is_refused_blocks_nothing():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        faults(node, {"path": "/cluster/resources", "action": "status", "status": 500,
                      "message": "no quorum"})
        node.start_daemon()
        rewritten(node, 105)


def test_a_held_start_is_refused_when_the_survey_says_so():
    """The hook does not wait for the survey; what is done for the held start does."""
    with checked_node(qemu="stub") as node:
        node.vm_elsewhere(204, {"smbios1": CARRIES})
        node.vm(105, imported())
        node.start_daemon()
        at_rest(node, 0.5)
        faults(node, {"path": "/cluster/resources", "action": "delay", "seconds": 1})
        node.fingerprint(105, small_fingerprint())
        node.qm("start", "105")
        wait_for("it runs", lambda: node.running(105), 30)
        at_rest(node)
        assert not has_identity(node, 105), "it was given the identity"


# --- the number, used again -----------------------------------------------------------------------

def test_configuration_that_cannot_be_looked_at_keeps_nobody_down():
    """A start that was stopped is made, although the file of another VM gives an error."""
    with checked_node(qemu="stub") as node:
        for vmid in (105, 999):
            node.vm(vmid, imported(vmid))
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(wrapper=shim(UNSEEN="999.conf"), early=0)
        node.qm("start", "105")
        wait_for("VM 105 runs", lambda: node.running(105))
        assert carries(node, 105), "it runs as it was"
        contains(node.log_text(), "cannot be looked at", "log")


def test_reused_number_is_refused_until_it_is_adopted():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint(), cluster=True)
        node.start_daemon()
        rewritten(node, 105)
        equal([r.get("ctime") for r in node.journal(105) if r["type"] == "begin"], [CTIME], "ctime")
        os.unlink(node.path(node.conf_path(105)))                   # qm destroy
        node.stop_daemon()
        node.run("rm", "-r", node.path("var/lib/vz/images/105"))
        node.vm(105, imported(meta=f"creation-qemu=10.0.2,ctime={CTIME + 60}"))
        node.start_daemon()                                         # remembered by the journal
        before = len(changing(node))
        state = wait_for("it is refused", lambda: (
            s := node.hwid_json("check", 105)["vms"][0])["state"] == "refused" and s)
        contains(state["detail"], "the number was used again", "detail")
        contains(state["detail"], "pve-hwid adopt 105", "detail")
        equal(node.hwid("apply", 105).returncode, 5, "exit code of apply")
        equal(node.qm("start", "105").returncode, 0, "the start")
        node.qm("stop", "105", check=True)
        at_rest(node, 0.5)
        equal([r for r in changing(node)[before:] if r["method"] == "PUT"], [], "changes")
        result = node.hwid("adopt", 105, "--config", node.path("etc/pve-hwid/pve-hwid.conf"))
        equal(result.returncode, 0, f"adopt: {result.stderr}")
        equal(json.loads(node.read("etc/pve/pve-hwid/105.json"))["vm"], {"ctime": CTIME + 60}, "vm")
        wait_for("it has its identity", lambda: has_identity(node, 105))


def test_another_machine_under_an_old_number_is_nobodys_business():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        rewritten(node, 105)
        node.run("rm", "-r", node.path("var/lib/vz/images/105"), node.path(node.conf_path(105)))
        node.vm(105, imported(meta=f"creation-qemu=10.0.2,ctime={CTIME + 60}"))
        node.fingerprint(105, small_fingerprint(smbios={"uuid": OWN[5:]}))
        wait_for("it has the other one's", lambda: OWN in node.conf(105)["smbios1"])


# --- move -----------------------------------------------------------------------------------------

def move(node, *argv):
    return node.hwid("move", *argv, "--config", node.path("etc/pve-hwid/pve-hwid.conf"))


def test_move_is_one_command():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint(), cluster=True)
        node.start_daemon()
        rewritten(node, 105)
        node.vm(110, imported(110))
        node.qm("start", "105", check=True)
        result = move(node, 105, 110)
        equal(result.returncode, 4, "exit code while it runs")
        contains(result.stderr, "VM 105 runs", "move")
        node.qm("stop", "105", check=True)
        result = move(node, 105, 110, "--dry-run")
        equal(result.returncode, 3, f"exit code of the dry run: {result.stderr}")
        assert not os.path.exists(node.path("etc/pve/pve-hwid/110.json")), "it was written"
        result = move(node, 105, 110)
        equal(result.returncode, 0, f"exit code: {result.stderr}")
        equal(json.loads(node.read("etc/pve/pve-hwid/110.json"))["vm"],
              {"ctime": CTIME, "moved_from": 105}, "vm")
        assert not os.path.exists(node.path("etc/pve/pve-hwid/105.json")), "the old one is there"
        rewritten(node, 110)
        contains(notes_of(node, 110), "VM 105 still carries the same", "notes")
        contains(notes_of(node, 110), "never run both", "notes")


def test_what_move_adopt_and_capture_write_can_be_read_by_the_daemon():
    """Whatever the umask of root's shell: the daemon is nobody."""
    with checked_node(qemu="stub") as node:
        for vmid in (105, 110):
            node.vm(vmid, imported(vmid))
        node.fingerprint(105, small_fingerprint())
        node.write("etc/pve-hwid/pve-hwid.conf", node.config_text())
        old = os.umask(0o077)
        try:
            result = node.hwid("adopt", 105, "--config", node.path("etc/pve-hwid/pve-hwid.conf"))
            equal(result.returncode, 0, f"adopt: {result.stderr}")
            mode = os.stat(node.path("etc/pve-hwid/fingerprints/105.json")).st_mode
            equal(oct(mode & 0o777), "0o644", "mode after adopt")
            result = move(node, 105, 110, "--stopped")
            equal(result.returncode, 0, f"move: {result.stderr}")
            mode = os.stat(node.path("etc/pve-hwid/fingerprints/110.json")).st_mode
            equal(oct(mode & 0o777), "0o644", "mode after move")
            result = node.run(f"{BUILD}/pve-hwid", "capture", f"{TOP}/conf/examples/win2019.vmx", "-o", node.path("captured.json"))
            equal(result.returncode, 0, f"capture: {result.stderr}")
            mode = os.stat(node.path("captured.json")).st_mode
            equal(oct(mode & 0o777), "0o644", "mode after capture")
        finally:
            os.umask(old)


def test_move_accepts_a_copy_that_has_the_fingerprint_already():
    with checked_node(qemu="stub") as node:
        node.vm(104, imported(104, smbios1=CARRIES))
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        refused(node, 105, "pve-hwid move 104 105")
        result = move(node, 104, 105)
        equal(result.returncode, 0, f"exit code: {result.stderr}")
        rewritten(node, 105)


def test_move_refuses_what_makes_no_sense():
    with checked_node(qemu="stub") as node:
        for vmid in (105, 106, 107):
            node.vm(vmid, imported(vmid))
        for vmid in (105, 106):
            node.fingerprint(vmid, small_fingerprint(), twin=True)
        node.start_daemon()
        for argv, code, part in (((105, 106), 5, "VM 106 has a fingerprint already"),
                                 ((105, 999), 1, "VM 999 is nowhere in the cluster"),
                                 ((107, 108), 1, "VM 108 is nowhere in the cluster"),
                                 ((999, 105), 1, "VM 999 is nowhere in the cluster and has no fingerprint"),
                                 ((105, 105), 2, "the same")):
            result = move(node, *argv)
            equal(result.returncode, code, f"exit code of move {argv}: {result.stderr}")
            contains(result.stderr, part, f"move {argv}")
        os.unlink(node.path("etc/pve-hwid/fingerprints/106.json"))
        result = move(node, 107, 106)
        equal(result.returncode, 1, "exit code without any fingerprint")
        contains(result.stderr, "neither VM 107 nor VM 106 has a fingerprint", "move")


def test_move_to_another_node_goes_to_the_cluster():
    with checked_node(qemu="stub") as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())                  # of this node only
        node.vm_elsewhere(204, {"smbios1": OWN, "meta": "ctime=1234"})
        node.start_daemon()
        rewritten(node, 105)
        result = move(node, 105, 204)
        equal(result.returncode, 0, f"exit code: {result.stderr}")
        equal(json.loads(node.read("etc/pve/pve-hwid/204.json"))["vm"],
              {"ctime": 1234, "moved_from": 105}, "vm")
        assert not os.path.exists(node.path("etc/pve-hwid/fingerprints/105.json")), "still there"


if __name__ == "__main__":
    run(globals(), "identity")
