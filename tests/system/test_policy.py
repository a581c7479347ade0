#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for by on_drift and on_error, and what happens when pve-hwid itself is in trouble: by
default the VM starts, with a loud line (law 9)."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import PRIVS, PVESIM, TOKEN
from tap import (HOOK_LIMIT, at_rest, changing, checked_node, contains, equal, faults, fingerprint,
                 has_identity, imported, lacks, run, starts_by_us, wait_for)


def differing(node, policy=None, **settings):
    node.vm(105, imported())
    node.fingerprint(105, fingerprint(policy=policy))
    node.start_daemon(early=0, **settings)


def goes(node, *sentences):
    task = node.qm("start", "105")
    equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
    for sentence in sentences:
        contains(task.stdout, sentence, "task log")
    at_rest(node)
    equal(changing(node), [], "requests that change something")
    assert node.running(105), "it does not run"
    return task


def refused(node, *sentences):
    task = node.qm("start", "105")
    assert task.returncode != 0, "the start went through"
    contains(task.stderr, "exit code 78", "error of the task")
    for sentence in sentences:
        contains(task.stdout, sentence, "task log")
    at_rest(node)
    equal(changing(node), [], "requests that change something")
    equal(starts_by_us(node, 105), [], "starts by us")
    assert not node.running(105), "it runs"
    return task


def hook_time(node):
    call = [c for c in node.hook_calls() if c["phase"] == "pre-start"][-1]
    return call["t_end"] - call["t_start"]


def test_on_drift_refuse_of_the_fingerprint():
    with checked_node() as node:
        differing(node, {"on_drift": "refuse"})
        refused(node, "on_drift: refuse", "pve-hwid apply 105")


def test_on_drift_refuse_of_the_settings():
    with checked_node() as node:
        differing(node, on_drift="refuse")
        refused(node, "on_drift: refuse")


def test_on_drift_refuse_then_apply_then_start():
    with checked_node() as node:
        differing(node, {"on_drift": "refuse"})
        refused(node)
        equal(node.hwid("apply", "105").returncode, 0, "apply")
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")


def test_on_drift_start():
    with checked_node() as node:
        differing(node, {"on_drift": "start"})
        goes(node, "WARNING: VM 105 starts with hardware that differs", "on_drift: start")


def test_policy_of_the_fingerprint_wins_over_the_settings():
    with checked_node() as node:
        differing(node, {"on_drift": "start"}, on_drift="refuse")
        goes(node, "on_drift: start")


def test_bad_fingerprint_starts_loudly():
    with checked_node() as node:
        differing(node)
        node.fingerprint(105, "{ this is no JSON")
        goes(node, "WARNING: VM 105 starts although", "105.json")


def test_bad_fingerprint_with_on_error_refuse_of_the_settings():
    with checked_node() as node:
        differing(node, on_error="refuse")
        node.fingerprint(105, "{ this is no JSON")
        refused(node, "on_error: refuse", "105.json")


def test_api_down_at_pre_start_starts_loudly_and_soon():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        wait_for("the machines are known", lambda: node.requests("GET"))
        node.settings["api_url"] = "https://127.0.0.1:9"      # nobody listens there
        node.write("etc/pve-hwid/pve-hwid.conf", node.config_text(early=0))
        node.daemon.send_signal(signal.SIGHUP)
        wait_for("reloaded", lambda: "read again" in node.log_text())
        task = goes(node, "WARNING: VM 105 starts although", "cannot be changed now")
        contains(task.stdout, "127.0.0.1", "task log")
        assert hook_time(node) < HOOK_LIMIT, f"the hook took {hook_time(node):.1f} s"


def test_api_down_with_on_error_refuse():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint(policy={"on_error": "refuse"}))
        node.start_daemon(early=0, api_url="https://127.0.0.1:9")
        refused(node, "on_error: refuse")


def test_api_that_hangs_costs_at_most_two_seconds():
    with checked_node() as node:
        differing(node)
        wait_for("the machines are known", lambda: node.requests("GET"))
        faults(node, {"path": "", "action": "delay", "seconds": 8})
        goes(node, "WARNING: VM 105 starts although", "does not answer in time")
        assert hook_time(node) < HOOK_LIMIT, f"the hook took {hook_time(node):.1f} s"
        faults(node)


def test_api_that_answers_500_starts_loudly():
    with checked_node() as node:
        differing(node)
        faults(node, {"path": "permissions", "action": "status", "status": 500,
                      "message": "no such luck"})
        goes(node, "WARNING: VM 105 starts although", "no such luck")


def test_missing_privilege_is_named_and_the_start_not_held():
    with checked_node() as node:
        differing(node)
        privs = PRIVS.replace(",VM.PowerMgmt", "")
        node.run(PVESIM, "token", node.root, TOKEN, "--privs", privs)
        goes(node, "WARNING: VM 105 starts although", "lacks VM.PowerMgmt on /vms/105")


def test_missing_privilege_on_the_bridge_is_named_and_the_start_not_held():
    with checked_node() as node:
        differing(node)
        node.run(PVESIM, "token", node.root, TOKEN, "--privs", "SDN.Audit", "--path",
                 "/sdn/zones/localnetwork/vmbr0")
        goes(node, "WARNING: VM 105 starts although",
             "lacks SDN.Use on /sdn/zones/localnetwork/vmbr0")


def test_token_that_is_not_known_starts_loudly():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.write("etc/pve-hwid/token", f"{TOKEN}=00000000-0000-0000-0000-000000000000\n", 0o600)
        node.start_daemon(early=0)
        goes(node, "WARNING: VM 105 starts although")
        assert hook_time(node) < HOOK_LIMIT, f"the hook took {hook_time(node):.1f} s"
        lacks(node.log_text(), "00000000-0000", "the daemon's log")


def test_error_in_the_rewrite_starts_the_vm_loudly():
    """The identity PUT fails for good: nothing is changed, the owed start is made."""
    with checked_node() as node:
        differing(node)
        faults(node, {"method": "PUT", "path": "config", "action": "status", "status": 400,
                      "message": "Parameter verification failed."})
        assert node.qm("start", "105").returncode != 0, "it was not held"
        wait_for("the VM runs", lambda: node.running(105), 20)
        assert not has_identity(node, 105), "changed?"
        equal(len(starts_by_us(node, 105)), 1, "starts by us")
        contains(node.log_text(), "hardware not changed as planned", "the daemon's log")


def test_error_in_the_rewrite_with_on_error_refuse_stays_down():
    with checked_node() as node:
        differing(node, {"on_error": "refuse"})
        faults(node, {"method": "PUT", "path": "config", "action": "status", "status": 400,
                      "message": "Parameter verification failed."})
        assert node.qm("start", "105").returncode != 0, "it was not held"
        wait_for("the decision", lambda: "dropped" in node.records(105))
        at_rest(node)
        assert not node.running(105), "it runs"
        equal(starts_by_us(node, 105), [], "starts by us")


def test_disks_keep_and_nics_keep_change_only_the_rest():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint(policy={"disks": "keep", "nics": "keep"}))
        before = node.conf(105)
        node.start_daemon()
        wait_for("the rewrite", lambda: "end" in node.records(105))
        after = node.conf(105)
        for key in ("net0", "scsi0", "scsihw", "boot"):
            equal(after[key], before[key], key)
        assert has_identity(node, 105)


if __name__ == "__main__":
    run(globals(), "policy")
