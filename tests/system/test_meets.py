#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens when something else comes in between: another start, another fingerprint, somebody's
pending changes, a VM that goes, a crowd of curious users."""
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (MAC, Skip, WaitingSnippet, at_rest, checked_node, contains, equal, faults,
                 fingerprint, gate, has_identity, imported, lacks, puts, run, small_fingerprint,
                 starts_by_us, wait_for)
from test_stuck import stuck, vanish

OTHER_NIC = {"nics": [{"model": "e1000e", "mac": MAC}]}


def exits(node):
    return [c["exit"] for c in node.hook_calls() if c["phase"] == "pre-start"]


def stuck_early(node):
    path = vanish(node, hold=False)
    stuck(node)
    return path


def test_status_refused_before_a_hold():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        faults(node, {"method": "GET", "path": "/qemu/105/status/current", "nth": 1,
                      "action": "status", "status": 500, "message": "boom"})
        task = node.qm("start", "105")
        equal(task.returncode, 0, "start")
        contains(task.stdout, "boom", "task log")


def test_our_own_start_is_not_stopped_again():
    """The fingerprint changes after the rewrite, before our start asks; its watch is under way."""
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        new = node.write("new.json", json.dumps(fingerprint(**OTHER_NIC)))
        hook = node.read("var/lib/vz/snippets/pve-hwid").splitlines()[1].replace("exec ", "")
        node.write("var/lib/vz/snippets/pve-hwid", f"""#!/bin/sh
if [ "$2" = pre-start ]; then
    if [ -e {node.root}/second ]; then
        cp {new} {node.path('etc/pve-hwid/fingerprints/105.json')}
        sleep 0.5
    fi
    : > {node.root}/second
fi
{hook}
code=$?
sleep 1
exit $code
""", 0o755)
        faults(node, {"method": "GET", "path": "/tasks/", "action": "delay", "seconds": 0.7})
        node.start_daemon(early=0)
        node.qm("start", "105")
        wait_for("started", lambda: node.records(105)[-1:] == ["started"])
        equal(exits(node), [75, 0], "exit codes of the hook")
        equal(len(starts_by_us(node, 105)), 1, "starts by us")
        contains(node.log_text(), "no start is stopped twice", "the daemon's log")


def test_fingerprint_changed_during_the_rewrite():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        identity = gate(node, method="PUT", path="/qemu/105/config", nth=2)
        node.start_daemon()
        identity.reached()
        node.fingerprint(105, fingerprint(**OTHER_NIC))
        identity.open()
        wait_for("the new card", lambda: node.conf(105)["net0"].startswith("e1000e="))
        wait_for("end", lambda: node.journal(105)[-1].get("outcome") == "done")


def test_pending_changes_of_the_administrator():
    with checked_node() as node:
        node.vm(105, imported())
        node.set_conf(105, node.read(node.conf_path(105)) +
                      "\n[PENDING]\nsmbios1: uuid=11111111-2222-3333-4444-555555555555\n")
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        wait_for("the rewrite", lambda: has_identity(node, 105))
        lacks(node.log_text(), "keeps being changed", "the daemon's log")


def test_pending_changes_of_the_administrator_survive_a_crash():
    with checked_node(daemon_may_end=True) as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint(disks=None, smbios=None, machine=None))
        node.set_conf(105, node.read(node.conf_path(105)) +
                      "\n[PENDING]\nnet0: virtio=BC:24:11:00:00:69,bridge=vmbr0,tag=77\n")
        first_step = gate(node, method="GET", path="/qemu/105/config", nth=2)
        node.start_daemon()
        first_step.reached()
        assert "begin" in node.records(105), node.records(105)
        node.stop_daemon(signal.SIGKILL)
        faults(node)
        node.start_daemon()
        wait_for("the rewrite", lambda: node.conf(105)["net0"].startswith("vmxnet3="))
        contains(node.conf(105)["net0"], "tag=77", "net0")
        equal([f for f in puts(node, 105) if "revert" in f], [], "reverts")


def test_apply_meets_a_start_that_nobody_tells_us_of():
    """It had to wait for the lock; who held it has started the VM."""
    with checked_node() as node:
        node.vm(105, imported(), hook=False)
        node.fingerprint(105, fingerprint(disks=None))
        hook = WaitingSnippet(node, "mine")
        node.set_conf(105, node.read(node.conf_path(105)).replace(
            "boot:", "hookscript: local:snippets/mine\nboot:"))
        node.start_daemon(early=0)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            start = pool.submit(node.qm, "start", "105")
            hook.reached()
            apply = pool.submit(node.hwid, "apply", "105")
            wait_for("apply has looked at it", lambda: [r for r in node.requests("GET")
                                                        if r["path"].endswith("/105/config")])
            hook.open()
            equal(apply.result().returncode, 4, "exit code of apply")
            start.result()
        assert node.running(105)
        equal(puts(node, 105), [], "changes")


def looks(node):
    return len([r for r in node.requests("GET") if r["path"].endswith("/105/status/current")])


def test_stuck_and_started_all_the_same():
    """The administrator takes our hook off and starts it: nothing is plugged into what runs."""
    with checked_node() as node:
        path = stuck_early(node)
        os.rename(path + ".away", path)
        node.qm("set", "105", "--delete", "hookscript", check=True)
        node.qm("start", "105", check=True)
        before, looked = len(puts(node, 105)), looks(node)
        wait_for("it is looked at again", lambda: looks(node) > looked, 60, every=0.2)
        at_rest(node)
        equal(puts(node, 105)[before:], [], "changes to a running VM")
        node.qm("stop", "105", check=True)
        wait_for("the disk is back", lambda: "scsi0" in node.conf(105), 40, every=0.2)


def test_gone_while_stuck_is_forgotten():
    """Another VM of that number keeps what it has."""
    with checked_node() as node:
        stuck_early(node)
        os.unlink(node.path(node.conf_path(105)))
        wait_for("the end", lambda: node.records(105)[-1] == "end", 40, every=0.2)
        at_rest(node, 2)


def test_fingerprint_removed_while_a_disk_is_nowhere():
    with checked_node() as node:
        path = stuck_early(node)
        os.rename(path + ".away", path)
        os.unlink(node.path("etc/pve-hwid/fingerprints/105.json"))
        node.qm("set", "105", "--name", "other", check=True)   # carries the deletion out
        contains(node.read(node.conf_path(105)), "unused0", "configuration")
        wait_for("the disk is back", lambda: "scsi0" in node.conf(105), 40, every=0.2)


def test_somebody_is_faster_with_the_start():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        ours = gate(node, method="POST", path="/status/start", nth=1)
        node.start_daemon(early=0)
        node.qm("start", "105")
        ours.reached()
        equal(node.records(105)[-1], "start", "last record")
        equal(node.qm("start", "105").returncode, 0, "start")
        ours.open()
        wait_for("the journal", lambda: node.records(105)[-1] == "dropped")
        lacks(node.log_text(), "DOWN", "the daemon's log")


CROWD = """
import os, socket, sys, time
os.setuid(65534)
frame = b'{"method":"io.pvehwid.Check","parameters":{"vmid":1000}}\\0'
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(frame * 1000)
time.sleep(6)
"""


def test_hook_does_not_wait_for_the_curious():
    """A thousand questions of somebody who may ask, each of which reads a long journal."""
    if os.geteuid() != 0:
        raise Skip("must be root to be somebody else")
    with checked_node() as node:
        for place in ("", "run", "run/pve-hwid"):
            os.chmod(node.path(place), 0o755)
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.fingerprint(1000, fingerprint())
        os.makedirs(node.path("var/lib/pve-hwid/journal"), exist_ok=True)
        line = json.dumps({"v": 1, "time": "2026-01-01T00:00:00Z", "type": "in-sync", "vmid": 1000,
                           "txn": "860556d0-6bd6-4860-a6a8-919b3804dcdf"}) + "\n"
        with open(node.path("var/lib/pve-hwid/journal/1000.jsonl"), "w", encoding="utf-8") as f:
            f.write(line * 8000)
        node.start_daemon(early=0)
        crowd = subprocess.Popen([sys.executable, "-c", CROWD, node.path("run/pve-hwid/socket")])
        try:
            time.sleep(1)
            node.qm("start", "105")
            equal(exits(node)[0], 75, "exit code of the hook")
        finally:
            crowd.kill()
            crowd.wait()


def test_numbers_of_nobody_are_not_remembered():
    with checked_node() as node:
        node.start_daemon()
        lacks(node.hwid("check", "999").stdout, "no-config", "check")
        equal(node.hwid_json("status")["fingerprints"], 0, "fingerprints")


if __name__ == "__main__":
    run(globals(), "meets")
