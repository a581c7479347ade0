#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`hold` and `resume`: a VM on hold is left as it is, with and without the daemon, and its starts go on;
what was begun is ended; every hold is in the journal, whoever noticed it first."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (UUID_RFC, at_rest, changing, checked_node, contains, differs_no_more, disks, equal,
                 faults, fingerprint, gate, has_identity, imported, lacks, run, smbios, starts_by_us,
                 wait_for)

CLUSTER = "etc/pve/pve-hwid/105.hold"
LOCAL = "etc/pve-hwid/fingerprints/105.hold"


def there(node, rel):
    return os.path.exists(node.path(rel))


def verb(node, *argv, code=0):
    result = node.hwid(argv[0], "--config", node.path("etc/pve-hwid/pve-hwid.conf"), *argv[1:])
    equal(result.returncode, code, f"{argv}: {result.stdout}{result.stderr}")
    return result


def prepared(node, cluster=True, daemon=True, hold=True, **policy):
    node.vm(105, imported())
    if daemon:
        node.start_daemon()
        wait_for("the machines are known", lambda: node.requests("GET"))
    else:
        node.write("etc/pve-hwid/pve-hwid.conf", node.config_text())
    if hold:
        verb(node, "hold", "105", "--why", "the vendor looks at it")
    node.fingerprint(105, fingerprint(policy=policy or None), cluster=cluster)


def untouched(node):
    at_rest(node)
    equal(changing(node), [], "requests that change something")
    equal(smbios(node.conf(105)["smbios1"])["uuid"], UUID_RFC, "uuid")


def state(node):
    return node.hwid_json("check", "105")["vms"][0]


def types(node):
    return [t for t in node.records(105) if t in ("hold", "resume")]


def test_undo_where_nothing_was_changed_names_the_vm_once():
    with checked_node() as node:
        prepared(node, hold=False)
        node.vm(150)
        contains(verb(node, "undo", "150", code=1).stderr,
                 "pve-hwid: VM 150: pve-hwid has changed nothing", "undo")


def test_a_vm_on_hold_is_not_rewritten_early():
    with checked_node() as node:
        prepared(node)
        wait_for("it was looked at", lambda: "is on hold" in node.log_text())
        untouched(node)
        vm = state(node)
        equal(vm["state"], "on-hold", "state")
        contains(vm["detail"], "the vendor looks at it", "detail")
        assert vm["changes"] > 0, vm
        equal(node.hwid("check", "105").returncode, 3, "exit code of check")
        contains(node.hwid("plan", "105").stdout, "pve-hwid resume 105", "plan")
        equal(types(node), ["hold"], "records")


def test_its_start_goes_on_with_one_line():
    with checked_node() as node:
        prepared(node)
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        for part in ("VM 105 is on hold since", "the vendor looks at it", "differs in smbios1",
                     "pve-hwid resume 105"):
            contains(task.stdout, part, "task log")
        lacks(task.stdout, "WARNING", "task log")
        untouched(node)
        assert node.running(105), "it does not run"


def test_a_policy_of_refuse_waits_for_the_end_of_the_hold():
    with checked_node() as node:
        prepared(node, hold=False, daemon=False, on_drift="refuse", on_error="refuse")
        node.start_daemon(early=0)
        verb(node, "hold", "105")
        equal(node.qm("start", "105").returncode, 0, "start")
        node.qm("stop", "105")
        verb(node, "resume", "105")
        task = node.qm("start", "105")
        assert task.returncode != 0, "the start went through"
        contains(task.stdout, "on_drift: refuse", "task log")


def test_a_bad_fingerprint_is_said_and_the_start_goes_on():
    with checked_node() as node:
        prepared(node, on_error="refuse")
        node.fingerprint(105, "{ this is no JSON", cluster=True)
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "105.json", "task log")


def test_apply_is_refused():
    with checked_node() as node:
        prepared(node)
        result = node.hwid("apply", "105")
        equal(result.returncode, 5, f"{result.stdout}{result.stderr}")
        contains(result.stderr, "on hold since", "apply")
        contains(result.stderr, "pve-hwid resume 105", "apply")
        equal(node.hwid("apply", "105", "--dry-run").returncode, 5, "dry run")
        untouched(node)


def test_apply_of_one_that_is_in_sync_is_no_failure():
    with checked_node() as node:
        prepared(node, hold=False)
        wait_for("rewritten", lambda: has_identity(node, 105))
        wait_for("ended", lambda: "end" in node.records(105))
        verb(node, "hold", "105")
        equal(node.hwid("apply", "105").returncode, 0, "apply")
        vm = state(node)
        equal((vm["state"], vm["changes"]), ("on-hold", 0), "state")
        equal(node.hwid("check", "105").returncode, 0, "exit code of check")


def test_resume_rewrites_what_was_held():
    with checked_node() as node:
        prepared(node)
        untouched(node)
        contains(verb(node, "resume", "105").stdout, "on hold no more", "resume")
        assert not there(node, CLUSTER), "the file is still there"
        wait_for("rewritten", lambda: "end" in node.records(105), 30)
        differs_no_more(node, 105)
        equal(types(node), ["hold", "resume"], "records")


def test_resume_of_what_was_not_on_hold():
    with checked_node() as node:
        prepared(node, hold=False, daemon=False)
        node.start_daemon(early=0)
        contains(verb(node, "resume", "105").stdout, "was not on hold", "resume")
        equal(node.hwid_json("resume", "105", "--config", node.path("etc/pve-hwid/pve-hwid.conf")),
              {"vmid": 105, "on_hold": False, "was_on_hold": False, "daemon_told": True}, "json")


def test_the_hold_lies_beside_the_fingerprint():
    with checked_node() as node:
        prepared(node, cluster=False, daemon=False, hold=False)
        verb(node, "hold", "105")
        assert there(node, LOCAL) and not there(node, CLUSTER), "not in the local directory"
        verb(node, "resume", "105")
        node.fingerprint(105, fingerprint(), cluster=True)   # both: elsewhere the cluster's counts
        verb(node, "hold", "105")
        assert there(node, CLUSTER) and not there(node, LOCAL), "not in the cluster's directory"
        mode = os.stat(node.path(CLUSTER)).st_mode & 0o777
        equal(mode, 0o644, "mode")


def test_a_second_hold_keeps_the_first_but_for_its_reason():
    with checked_node() as node:
        prepared(node, daemon=False)
        first = json.loads(node.read(CLUSTER))
        verb(node, "hold", "105")
        equal(json.loads(node.read(CLUSTER)), first, "hold")
        node.fingerprint(105, fingerprint())                  # now the local directory is the place
        verb(node, "hold", "105", "--why", "another")
        assert not there(node, LOCAL), "there are two"
        equal(json.loads(node.read(CLUSTER))["why"], "another", "why")


def test_hold_and_start_without_a_daemon():
    with checked_node() as node:
        prepared(node, daemon=False)
        result = verb(node, "hold", "105")
        contains(result.stderr, "the daemon was not told", "hold")
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        for part in ("VM 105 is on hold since", "differs in smbios1", "pve-hwid resume 105"):
            contains(task.stdout, part, "task log")
        lacks(task.stdout, "WARNING", "task log")


def test_hold_and_resume_without_a_daemon_are_in_the_journal_later():
    with checked_node() as node:
        prepared(node, daemon=False)
        node.start_daemon()
        wait_for("the hold is in the journal", lambda: types(node) == ["hold"])
        untouched(node)
        node.stop_daemon()
        contains(verb(node, "resume", "105").stderr, "the daemon was not told", "resume")
        node.start_daemon()
        wait_for("its end is, too", lambda: types(node) == ["hold", "resume"])
        wait_for("rewritten", lambda: "end" in node.records(105), 30)


def test_a_hold_that_appears_is_noticed_from_another_node():
    # Without a word to the daemon, as when root said it on another node.
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon(early=0)
        node.fingerprint(105, fingerprint(), cluster=True)
        wait_for("looked at", lambda: state(node)["state"] == "differs")
        node.write(CLUSTER, '{"format":1,"since":"2026-11-26T00:00:00Z","by":"root@pve2"}\n')
        wait_for("noticed", lambda: types(node) == ["hold"])
        os.unlink(node.path(CLUSTER))
        wait_for("noticed", lambda: types(node) == ["hold", "resume"])


def test_a_hold_that_nobody_understands_holds():
    with checked_node() as node:
        prepared(node, hold=False, daemon=False)
        node.write(CLUSTER, "{ half a file")
        node.start_daemon()
        wait_for("noticed", lambda: types(node) == ["hold"])
        untouched(node)
        contains(state(node)["detail"], "105.hold cannot be understood", "detail")
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "cannot be understood", "task log")


def test_a_hold_that_others_can_write_or_that_is_a_link_holds():
    with checked_node() as node:
        prepared(node, hold=False, daemon=False)
        good = '{"format":1,"since":"2026-11-26T00:00:00Z","by":"root@pve1"}\n'
        node.write(CLUSTER, good, 0o666)
        node.start_daemon()
        wait_for("noticed", lambda: types(node) == ["hold"])
        contains(state(node)["detail"], "can be written by others", "detail")
        os.unlink(node.path(CLUSTER))
        os.symlink("/dev/zero", node.path(CLUSTER))
        contains(state(node)["detail"], "symbolic link", "detail")
        untouched(node)


def test_what_was_begun_is_ended():
    # The daemon dies between two steps; the hold comes before it is back.
    with checked_node() as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=64M"))
        node.start_daemon()
        move = gate(node, method="PUT", path="/qemu/105/config", form={"delete": "scsi1"})
        node.fingerprint(105, fingerprint(disks=disks(2)), cluster=True)
        move.reached()
        contains(node.records(105), "step", "records")
        node.stop_daemon(signal.SIGKILL)
        faults(node)
        verb(node, "hold", "105")
        node.start_daemon()
        wait_for("ended", lambda: [r for r in node.journal(105)
                                   if r["type"] == "end" and r["outcome"] == "done"], 30)
        equal(sorted(k for k in node.conf(105) if k[:4] in ("scsi", "sata") and k[-1] in "01"),
              ["sata0", "sata1"], "disks")
        equal(state(node)["state"], "on-hold", "state")


def test_a_start_that_was_stopped_is_made_in_spite_of_a_hold():
    # Nobody's VM stays down because of a hold: it comes up as it is.
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon(early=0)
        wait_for("the machines are known", lambda: node.requests("GET"))
        node.fingerprint(105, fingerprint(), cluster=True)
        digest = gate(node, method="GET", path="/qemu/105/config", nth=1)    # before the rewrite
        task = node.qm("start", "105")
        assert task.returncode != 0, "the start was not stopped"
        digest.reached()
        verb(node, "hold", "105")
        digest.open()
        wait_for("it runs", lambda: node.running(105), 30)
        wait_for("the debt is paid", lambda: "started" in node.records(105), 30)
        untouched_identity(node)
        equal(len(starts_by_us(node, 105)), 1, "starts by us")


def untouched_identity(node):
    equal(smbios(node.conf(105)["smbios1"])["uuid"], UUID_RFC, "uuid")
    equal([r for r in changing(node, 105) if r["method"] == "PUT"], [], "changes")


def test_only_root_may_tell_and_the_file_must_be_there():
    with checked_node() as node:
        prepared(node, hold=False, daemon=False)
        node.start_daemon(early=0)
        import socket
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(15)
        s.connect(node.path("run/pve-hwid/socket"))
        s.sendall(b'{"method":"io.pvehwid.Hold","parameters":{"vmid":105}}\0')
        contains(s.recv(4096).decode(), "has no hold file", "answer")
        s.close()
        verb(node, "hold", "105")
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(15)
        s.connect(node.path("run/pve-hwid/socket"))
        s.sendall(b'{"method":"io.pvehwid.Resume","parameters":{"vmid":105}}\0')
        contains(s.recv(4096).decode(), "is still on hold", "answer")
        s.close()


if __name__ == "__main__":
    run(globals(), "hold_verb")
