#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same package as an administrator meets it: apt install, `pve-hwid setup` with its units, attach, a
start through the hook that setup put there, doctor; then removed with a VM attached, and once more as the
manual says, until nothing is left. Run as inside.py is, in a tree of its own:

    administrator.py STAGE OLD.deb NEW.deb     STAGE: setup, remove

pveum, pvesm, pvesh and qm are the simulator's (tests/pvesim/cli.py), where a node has them.
"""
import json
import os
import stat
import sys

import inside
from inside import COPY, NODE, apt, bytes_of, equal, failed_units, is_active, sh, show, step
from admin import STORAGES      # inside has set the path
from node import wait_for
from tap import contains, differs_no_more, fingerprint, imported, lacks

inside.STEPS.update(setup=[], remove=[])
# Where PVE's packages have them.
COMMANDS = {"pveum": "/usr/sbin", "pvesm": "/usr/sbin", "qm": "/usr/sbin", "pvesh": "/usr/bin"}
TOKEN = "pve-hwid@pve!daemon-pve1"
OURS = ("/etc/pve-hwid", "/var/lib/pve-hwid", "/run/pve-hwid", COPY)


def hwid_json(*argv):
    done = NODE.hwid(*argv, "--json")
    return json.loads(done.stdout), done.returncode


def states(answer):
    return {s["id"]: s["state"] for s in answer["steps"]}


def access():
    with open("/pvesim/access.json", encoding="utf-8") as f:
        found = json.load(f)
    return {kind: found[kind] for kind in ("users", "tokens", "roles", "acl")}


def findings():
    """What doctor finds, but for the clock: a container has none to keep."""
    answer, _ = hwid_json("doctor")
    return {f["id"]: f for f in answer["findings"] if f["severity"] != "ok" and f["id"] != "clock"}


def our_starts(vmid):
    """Start tasks in the name of the token that setup made."""
    return [t for t in os.listdir("/pvesim/tasks") if f":qmstart:{vmid}:{TOKEN}:" in t]


# --- setup ----------------------------------------------------------------------------------------

@step("setup")
def installs_on_a_node_where_nothing_is_set_up():
    for name, folder in COMMANDS.items():
        path = f"/src/tests/pvesim/bin/{name}"
        NODE.write(f"{folder}/{name}"[1:], f'#!/bin/sh\ncd / && PVESIM_ROOT=/ exec {path} "$@"\n', 0o755)
    for path in ("/pvesim/access.json", COPY):
        if os.path.lexists(path):
            os.unlink(path)
    os.rmdir("/etc/pve/pve-hwid")
    NODE.write("etc/pve/storage.cfg", STORAGES)
    apt("install", inside.NEW_DEB)
    NODE.vm(105, imported(105), hook=False)
    NODE.vm(106, imported(106), hook=False)


@step("setup")
def a_dry_run_tells_the_units_and_changes_nothing():
    answer, code = hwid_json("setup", "--dry-run")
    # Enabled by the package; without a token they do not run.
    found = states(answer)
    equal((code, found["enable"], found["start"], found["token"]), (3, "already", "would-do", "would-do"),
          "setup --dry-run")
    commands = [" ".join(s["command"]) for s in answer["steps"]]
    assert "systemctl start pve-hwidd.socket pve-hwidd.service" in commands, commands
    assert not os.path.exists("/etc/pve-hwid/token") and not os.path.exists(COPY), "something was done"


@step("setup")
def setup_makes_the_node_ready_and_starts_the_daemon():
    sh("systemctl", "disable", "pve-hwidd.socket", "pve-hwidd.service")
    answer, code = hwid_json("setup")
    found = states(answer)
    equal((code, answer["result"]), (0, "done"), f"setup: {answer}")
    equal({found[name] for name in ("role", "user", "token", "content", "hook", "enable", "start")}, {"done"},
          "its steps")
    for unit in ("pve-hwidd.socket", "pve-hwidd.service"):
        equal((is_active(unit), sh("systemctl", "is-enabled", unit).strip()), ("active", "enabled"), unit)
    equal(stat.S_IMODE(os.stat("/etc/pve-hwid/token").st_mode), 0o600, "mode of the token file")
    assert NODE.read("etc/pve-hwid/token").startswith(TOKEN + "="), "the token's name"
    assert bytes_of(COPY) == bytes_of(inside.HOOK), "the hook"
    equal(NODE.hwid("status").returncode, 0, "status")


@step("setup")
def setup_again_finds_all_of_it_done():
    pid = show("MainPID")
    answer, code = hwid_json("setup")
    equal((code, set(states(answer).values())), (0, {"already"}), "setup again")
    equal(show("MainPID"), pid, "the daemon's pid")


@step("setup")
def a_lost_token_is_made_anew_and_the_daemon_started_with_it():
    pid = show("MainPID")
    os.unlink("/etc/pve-hwid/token")
    answer, code = hwid_json("setup")
    done = sorted(name for name, state in states(answer).items() if state == "done")
    equal((code, done), (0, ["old-token", "start", "token"]), "what was done")
    assert show("MainPID") != pid, "the daemon still has the old token"
    wait_for("the API answers it", lambda: hwid_json("status")[0]["api"]["ok"])


@step("setup")
def an_attached_vm_starts_through_the_hook_with_its_hardware():
    NODE.fingerprint(105, fingerprint(), cluster=True)
    equal(NODE.hwid("attach", "105").stdout, "VM 105: done\n", "attach")
    contains(NODE.read(NODE.conf_path(105)), "hookscript: local:snippets/pve-hwid\n", "its configuration")
    NODE.qm("start", "105")
    wait_for("it runs", lambda: NODE.running(105), 60)
    differs_no_more(NODE, 105)
    assert [h for h in NODE.hook_calls() if h["vmid"] == 105 and h["phase"] == "pre-start"], "no hook was called"
    who = {r["token"] for r in NODE.requests("PUT") if r["path"].endswith("/qemu/105/config")}
    assert who <= {TOKEN}, f"who changed it: {who}"
    # Without a fingerprint, and unattached, nothing of ours is asked.
    before = len(NODE.hook_calls())
    equal(NODE.qm("start", "106").returncode, 0, "the start of VM 106")
    equal(len(NODE.hook_calls()), before, "calls of the hook")
    for vmid in ("105", "106"):
        NODE.qm("stop", vmid, check=True)


@step("setup")
def the_hook_holds_a_start_that_differs():
    sh("qm", "set", "105", "--machine", "pc")
    begun = len(our_starts(105))
    sh("systemctl", "stop", "pve-hwidd.service", "pve-hwidd.socket")
    NODE.write("etc/pve-hwid/pve-hwid.conf", "early: 0\n")
    sh("systemctl", "start", "pve-hwidd.socket", "pve-hwidd.service")
    started = sh("qm", "start", "105", check=False)
    contains(started, "exit code 75", "qm start")
    wait_for("the second start", lambda: NODE.running(105), 60)
    equal(len(our_starts(105)), begun + 1, "starts by the daemon")
    differs_no_more(NODE, 105)
    sh("qm", "stop", "105")


@step("setup")
def doctor_finds_a_healthy_node_and_what_is_broken():
    equal(findings(), {}, "findings")
    os.chmod(COPY, 0o644)
    broken = findings()
    assert broken and all(f["cure"] for f in broken.values()), f"a hook that cannot be run: {broken}"
    equal(NODE.hwid("setup").returncode, 0, "the cure")
    equal(findings(), {}, "findings after it")


# --- remove ---------------------------------------------------------------------------------------

@step("remove")
def setup_is_not_taken_back_while_a_vm_is_attached():
    done = NODE.hwid("setup", "--remove")
    equal(done.returncode, 5, "exit code")
    contains(done.stderr, "105 (pve1)", "which VM")
    equal(is_active(), "active", "the service")
    assert os.path.exists("/etc/pve-hwid/token"), "the token is gone"


@step("remove")
def a_removal_meanwhile_tells_the_vm_and_leaves_a_stub_that_lets_it_start():
    out = apt("remove", "pve-hwid")
    contains(out, "VM 105 on pve1: qm set 105 --delete hookscript", "apt remove")
    lacks(out, "VM 106", "apt remove")
    contains(NODE.read(COPY[1:]), "pve-hwid was removed", "what is left")
    started = sh("qm", "start", "105")
    contains(started, "pve-hwid was removed: VM 105 starts as it is", "its task log")
    assert NODE.running(105), "VM 105 does not run"
    sh("qm", "stop", "105")


@step("remove")
def installed_again_it_works_as_before():
    apt("install", inside.NEW_DEB)
    assert bytes_of(COPY) == bytes_of(inside.HOOK), "the copy is not the hook"
    equal(set(states(hwid_json("setup")[0]).values()), {"already"}, "setup")
    equal(findings(), {}, "findings")


@step("remove")
def detached_and_taken_back_nothing_is_left_in_pve():
    equal(NODE.hwid("detach", "--all").returncode, 0, "detach")
    lacks(NODE.read(NODE.conf_path(105)), "hookscript", "its configuration")
    os.unlink("/etc/pve/pve-hwid/105.json")     # the administrator's own, and his to delete
    answer, code = hwid_json("setup", "--remove")
    equal((code, answer["result"]), (0, "done"), f"setup --remove: {answer}")
    for kind, rest in access().items():
        assert "hwid" not in json.dumps(rest).lower(), f"{kind}: {rest}"
    lacks(NODE.read("etc/pve/storage.cfg"), "snippets", "storage.cfg")
    assert not os.path.exists(COPY) and not os.path.exists("/etc/pve-hwid/token"), "hook or token is there"
    for unit in ("pve-hwidd.socket", "pve-hwidd.service"):
        equal((is_active(unit), sh("systemctl", "is-enabled", unit, check=False).strip()),
              ("inactive", "disabled"), unit)
    equal(hwid_json("setup", "--remove")[0]["result"], "already", "again")


@step("remove")
def purge_leaves_nothing():
    out = apt("purge", "pve-hwid")
    lacks(out, "stays", "apt purge")
    for gone in OURS:
        assert not os.path.lexists(gone), f"{gone} is there"
    found = sh("find", "/etc", "/usr", "/var/lib/systemd", "/var/lib/vz", "-name", "*pve-hwid*").split()
    # The cluster's, other nodes may be about to put fingerprints there.
    equal(found, ["/etc/pve/pve-hwid"], "files of ours")
    equal(os.listdir("/etc/pve/pve-hwid"), [], "what is in it")
    equal(failed_units(), [], "failed units")
    equal(NODE.qm("start", "105").returncode, 0, "a start")
    NODE.qm("stop", "105", check=True)


@step("remove")
def nothing_forbidden_was_done_by_any_of_it():
    equal(NODE.violations(), [], "violations")


if __name__ == "__main__":
    sys.exit(inside.main())
