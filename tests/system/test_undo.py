#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`undo`: the configuration is what it was before the change set, byte for byte; nothing is changed again
by itself; refused where somebody else has changed something since; ended after a crash."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BUILD
from tap import (MAC, UUID, at_rest, changing, checked_node, contains, differs_no_more, disks, equal, faults,
                 fingerprint, gate, has_identity, imported, lacks, puts, run, small_fingerprint, smbios, starts_by_us,
                 wait_for)

HOLD = "etc/pve/pve-hwid/105.hold"


def verb(node, *argv, code=0):
    result = node.hwid(argv[0], "--config", node.path("etc/pve-hwid/pve-hwid.conf"), *argv[1:])
    equal(result.returncode, code, f"{argv}: {result.stdout}{result.stderr}")
    return result


def verb_json(node, *argv, code=0):
    import json
    return json.loads(verb(node, *argv, "--json", code=code).stdout)


def whole(node):
    return node.read(node.conf_path(105))


def rewritten(node, wanted=None, conf=None, vm_disks=("scsi0=64M",)):
    """A VM after a change set; its configuration from before."""
    node.vm(105, imported(**(conf or {})), disks=vm_disks)
    before = whole(node)
    node.start_daemon()
    node.fingerprint(105, wanted or fingerprint(), cluster=True)
    wait_for("rewritten", lambda: "end" in node.records(105), 30)
    assert whole(node) != before, "nothing was changed"
    return before


def held(node):
    return os.path.exists(node.path(HOLD))


def ends(node):
    return [r["outcome"] for r in node.journal(105) if r["type"] == "end"]


def test_the_file_is_what_it_was():
    with checked_node() as node:
        before = rewritten(node)
        differs_no_more(node, 105)
        result = verb(node, "undo", "105")
        equal(whole(node), before, "configuration")
        contains(result.stdout, "is as it was before", "undo")
        contains(result.stdout, "pve-hwid resume 105", "undo")
        begin = [r for r in node.journal(105) if r["type"] == "begin"]
        equal((begin[1]["cause"], begin[1]["undoes"]), ("undo", begin[0]["txn"]), "journal")
        at_rest(node)
        equal(whole(node), before, "configuration later")
        equal(node.hwid_json("check", "105")["vms"][0]["state"], "on-hold", "state")


def test_several_disks_with_a_boot_order_and_options():
    with checked_node() as node:
        before = rewritten(node, fingerprint(disks=disks(3)),
                           vm_disks=("scsi0=64M", "scsi1=64M", "scsi2=64M"))
        verb(node, "undo", "105")
        equal(whole(node), before, "configuration")
        moves = [p for p in puts(node, 105) if "delete" in p]
        equal([p["delete"] for p in moves], ["scsi0", "scsi1", "scsi2", "sata2", "sata1", "sata0"],
              "deletions, one a call, backwards")


def test_what_was_not_there_before_is_gone_again():
    with checked_node() as node:
        before = rewritten(node, fingerprint(disks=disks(1, "pvscsi")),
                           {"machine": None, "smbios1": None, "scsihw": None, "boot": None})
        for key in ("machine", "smbios1", "scsihw"):
            assert key in node.conf(105), f"{key} was not set"
        verb(node, "undo", "105")
        equal(whole(node), before, "configuration")


def test_resume_makes_it_as_the_fingerprint_says_again():
    with checked_node() as node:
        rewritten(node)
        after = whole(node)
        verb(node, "undo", "105")
        verb(node, "resume", "105")
        wait_for("rewritten again", lambda: whole(node) == after, 30)


def test_dry_run_changes_nothing_and_holds_nothing():
    with checked_node() as node:
        rewritten(node)
        before = len(changing(node))
        result = verb(node, "undo", "105", "--dry-run", code=3)
        contains(result.stdout, "sata0 -> scsi0", "plan")
        answer = verb_json(node, "undo", "105", "--dry-run", code=3)
        equal((answer["outcome"], answer["dry_run"], answer["hold"]), ("differs", True, None), "json")
        at_rest(node)
        equal(len(changing(node)), before, "requests that change something")
        assert not held(node), "it is on hold"


def test_an_older_change_set_that_a_later_one_built_upon():
    with checked_node() as node:
        before = rewritten(node)
        node.api("PUT", "/nodes/pve1/qemu/105/config", {"net0": "e1000=BC:24:11:00:00:77,bridge=vmbr0"})
        verb_apply = node.hwid("apply", "105")
        equal(verb_apply.returncode, 0, verb_apply.stderr)
        first, second = [r["txn"] for r in node.journal(105) if r["type"] == "begin"]
        assert first != second
        verb(node, "undo", "105", first)      # what net0 is now, the first change set made of it as well
        equal(whole(node), before, "configuration")


def test_what_has_nothing_left_to_undo_is_walked_past():
    """Somebody took the last change set back by hand: the one before it is meant, and that is said."""
    with checked_node() as node:
        before = rewritten(node)
        between = whole(node)
        node.fingerprint(105, fingerprint(nics=[{"model": "e1000", "mac": MAC}]), cluster=True)
        wait_for("rewritten again", lambda: len(ends(node)) == 2, 30)
        first, second = [r["txn"] for r in node.journal(105) if r["type"] == "begin"]
        node.api("PUT", "/nodes/pve1/qemu/105/config",
                 {"net0": between.split("net0: ")[1].splitlines()[0]})
        equal(whole(node), between, "taken back by hand")
        contains(verb(node, "undo", "105", second).stdout, second, "the named one")
        assert not held(node), "it is on hold"
        undone = verb(node, "undo", "105").stdout
        contains(undone, f"undoing the change set {first}", "the one before it")
        contains(undone, "is as it was before", "the one before it")
        equal(whole(node), before, "configuration")
        more = verb(node, "undo", "105", code=1).stderr
        contains(more, "nothing is left to undo", "once more")
        contains(more, "of which nothing is there any more", "once more")


def test_a_value_that_is_neither_is_refused():
    with checked_node() as node:
        rewritten(node)
        verb(node, "hold", "105", "--why", "mine")
        node.api("PUT", "/nodes/pve1/qemu/105/config", {"net0": "e1000=BC:24:11:00:00:77,bridge=vmbr0"})
        after = whole(node)
        result = verb(node, "undo", "105", code=5)
        contains(result.stderr, "net0 was changed since", "undo")
        equal(whole(node), after, "configuration")
        contains(node.read(HOLD), "mine", "the hold that was there")


def test_other_options_that_changed_since_stay():
    with checked_node() as node:
        before = rewritten(node)
        verb(node, "hold", "105", "--why", "mine")
        node.api("PUT", "/nodes/pve1/qemu/105/config", {"memory": "96", "name": "other"})
        contains(verb(node, "undo", "105").stdout, "(mine)", "the hold that was there")
        conf = node.conf(105)
        equal((conf["memory"], conf["name"]), ("96", "other"), "what others changed")
        contains(before, conf["smbios1"], "what was undone")


def test_a_running_vm_is_left_alone_and_not_held():
    with checked_node() as node:
        rewritten(node)
        equal(node.qm("start", "105").returncode, 0, "start")
        after = whole(node)
        at_rest(node)
        before = node.records(105)
        result = verb(node, "undo", "105", code=4)
        contains(result.stderr, "running", "undo")
        equal(whole(node), after, "configuration")
        assert not held(node), "it is on hold"
        contains(result.stderr, "when it is stopped and unlocked: pve-hwid undo 105", "undo")
        lacks(result.stdout, "undoing", "undo")
        answer = verb_json(node, "undo", "105", code=4)
        equal((answer["outcome"], answer["hold"], answer["dry_run"]), ("busy", None, False), "json")
        at_rest(node)
        equal(node.records(105), before, "records")


def test_a_locked_vm_is_left_alone():
    with checked_node() as node:
        rewritten(node)
        node.set_conf(105, whole(node) + "lock: backup\n")
        result = verb(node, "undo", "105", code=5)
        contains(result.stderr, "locked (backup)", "undo")
        assert not held(node), "it is on hold"


def test_a_disk_whose_volume_is_away_stops_all_of_it():
    with checked_node() as node:
        rewritten(node)
        volume = node.conf(105)["sata0"].split(",")[0].split(":")[1]
        path = node.path(f"var/lib/vz/images/{volume}")
        os.rename(path, path + ".away")
        after = whole(node)
        result = verb(node, "undo", "105", code=1)
        contains(result.stderr, "sata0 cannot be moved now", "undo")
        equal(whole(node), after, "configuration")
        os.rename(path + ".away", path)
        verb(node, "undo", "105")
        assert "scsi0" in node.conf(105), "not undone"


def test_nothing_to_undo_says_so():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        contains(verb(node, "undo", "105", code=1).stderr, "has changed nothing", "undo")
        assert not held(node), "it is on hold"


def test_an_unknown_change_set_names_the_known_ones():
    with checked_node() as node:
        rewritten(node)
        txn = [r for r in node.journal(105) if r["type"] == "begin"][0]["txn"]
        result = verb(node, "undo", "105", "11111111-1111-1111-1111-111111111111", code=1)
        contains(result.stderr, txn, "undo")
        assert not held(node), "it is on hold"


def test_a_second_undo_has_nothing_left_and_an_undo_can_be_undone():
    with checked_node() as node:
        before = rewritten(node)
        after = whole(node)
        undone = verb_json(node, "undo", "105")
        equal((undone["outcome"], whole(node)), ("done", before), "undo")
        contains(verb(node, "undo", "105", code=1).stderr, "nothing is left to undo", "second undo")
        txn = [r for r in node.journal(105) if r["type"] == "begin"][1]["txn"]
        verb(node, "undo", "105", txn)
        equal(whole(node), after, "the undo undone")


def test_two_change_sets_are_undone_one_after_the_other():
    with checked_node() as node:
        first = rewritten(node, small_fingerprint())
        between = whole(node)
        node.fingerprint(105, fingerprint(), cluster=True)
        wait_for("rewritten again", lambda: ends(node).count("done") == 2, 30)
        verb(node, "undo", "105")
        equal(whole(node), between, "after one")
        verb(node, "undo", "105")
        equal(whole(node), first, "after both")


def undo_up_to_its_second_move(node):
    """(process, gate, configuration from before): the undo of two disks, one of which is back."""
    before = rewritten(node, fingerprint(disks=disks(2)), vm_disks=("scsi0=64M", "scsi1=64M"))
    move = gate(node, method="PUT", path="/qemu/105/config", form={"delete": "sata0"})
    undo = subprocess.Popen(
        [os.path.join(BUILD, "pve-hwid"), "undo", "--socket", node.path("run/pve-hwid/socket"),
         "--config", node.path("etc/pve-hwid/pve-hwid.conf"), "105"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    move.reached()
    records = node.journal(105)
    begun = max(i for i, r in enumerate(records) if "undoes" in r)
    assert any(r["type"] == "step" for r in records[begun:]), records
    return undo, move, before


def test_a_start_meanwhile_waits_for_the_undo():
    with checked_node() as node:
        undo, move, before = undo_up_to_its_second_move(node)
        task = node.qm("start", "105")
        assert task.returncode != 0, "the start went into a half-done configuration"
        contains(task.stdout + task.stderr, "75", "task")
        move.open()
        out = undo.communicate(timeout=60)[0]
        equal(undo.returncode, 0, out)
        wait_for("it runs", lambda: node.running(105), 30)
        equal(len(starts_by_us(node, 105)), 1, "starts by us")
        equal(whole(node), before, "configuration")


def test_a_daemon_that_is_killed_ends_it():
    with checked_node() as node:
        undo, _, before = undo_up_to_its_second_move(node)
        node.stop_daemon(signal.SIGKILL)
        out = undo.communicate(timeout=60)[0]
        equal(undo.returncode, 1, out)
        contains(out, "pve-hwid resume 105", "undo")
        faults(node)
        node.start_daemon()
        wait_for("undone", lambda: whole(node) == before, 30)
        wait_for("ended", lambda: ends(node)[-1] == "done", 30)
        at_rest(node)
        equal(whole(node), before, "configuration later")
        assert held(node), "it is not on hold"


def test_an_identity_that_another_vm_has_by_now_does_not_come_back():
    """No order of events gives one identity to two VMs, an undo of an undo neither."""
    with checked_node() as node:
        rewritten(node, small_fingerprint())
        verb(node, "undo", "105")
        undo = [r for r in node.journal(105) if r["type"] == "begin"][-1]["txn"]
        node.vm(110, imported(110))
        verb(node, "move", "105", "110")
        wait_for("VM 110 is that machine", lambda: smbios(node.conf(110)["smbios1"]).get("uuid") == UUID, 30)
        before = whole(node)
        result = verb(node, "undo", "105", undo, code=5)
        contains(result.stderr, "VM 110", "undo")
        equal(verb(node, "undo", "105", undo, "--dry-run", code=5).returncode, 5, "dry run")
        equal(whole(node), before, "configuration")
        # What is nobody else's goes back as ever.
        os.unlink(node.path("etc/pve/pve-hwid/110.json"))
        node.set_conf(110, node.read(node.conf_path(110)).replace(node.conf(110)["smbios1"],
                                                                 "uuid=11111111-2222-3333-4444-555555555555"))
        wait_for("it may come back", lambda: node.hwid("undo", "105", undo, "--dry-run").returncode == 3)
        verb(node, "undo", "105", undo)
        assert has_identity(node, 105), "nothing came back"


def test_the_daemon_refuses_it_without_a_hold():
    with checked_node() as node:
        rewritten(node)
        after = whole(node)
        import json
        import socket
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(node.path("run/pve-hwid/socket"))
            s.sendall(b'{"method":"io.pvehwid.Undo","parameters":{"vmid":105}}\0')
            answer = json.loads(s.recv(65536).rstrip(b"\0"))["parameters"]
        equal(answer["outcome"], "refused", "outcome")
        contains(answer["detail"], "is not on hold", "detail")
        equal(whole(node), after, "configuration")


if __name__ == "__main__":
    run(globals(), "undo")
