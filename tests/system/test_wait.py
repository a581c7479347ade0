#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rewrite waits for the end of the start worker, not inside a request (08g), and no more than one
changing request is under way on a node."""
import concurrent.futures
import fcntl
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import PVESIM
from tap import (WaitingSnippet, all_logs, at_rest, changing, checked_node, disks, equal, faults,
                 fingerprint, gate, has_identity, imported, lacks, run, small_fingerprint, starts_by_us,
                 wait_for)


def slow_snippet(node, seconds):
    """A hookscript that calls ours and stays on for a while with its exit code."""
    hook = node.read("var/lib/vz/snippets/pve-hwid").splitlines()[1].removeprefix("exec ")
    node.write("var/lib/vz/snippets/pve-hwid", f"""#!/bin/sh
{hook}
code=$?
[ $code = 75 ] && sleep {seconds}
exit $code
""", 0o755)


def test_rewrite_begins_when_the_start_worker_is_gone():
    with checked_node() as node:
        slow_snippet(node, 2)
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        assert node.qm("start", "105").returncode != 0, "the start went through"
        wait_for("the VM runs", lambda: node.running(105))
        call = [c for c in node.hook_calls() if c["exit"] == 75][0]
        assert call["t_end"] - call["t_start"] > 2, call
        first = changing(node, 105)[0]      # so none of them waited for the lock of that start
        assert first["t_start"] >= call["t_end"], \
            f"a changing request {call['t_end'] - first['t_start']:.2f} s before the hook's end"
        assert first["t_start"] - call["t_end"] < 5, "the rewrite came late"


def test_snippet_that_stays_in_spite_of_our_hook_costs_no_open_request():
    """While it sleeps nothing but short reads is on its way: pvedaemon's workers stay free."""
    with checked_node() as node:
        slow_snippet(node, 3)
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        node.qm("start", "105")
        wait_for("the VM runs", lambda: node.running(105))
        end = [c for c in node.hook_calls() if c["exit"] == 75][0]["t_end"]
        open_then = [(r["method"], r["path"]) for r in node.requests() if r["t_start"] < end - 1 and r["t_end"] > end]
        equal(open_then, [], "requests that were open for a second and more when the snippet ended")


def test_lock_held_by_somebody_else_is_waited_for_without_a_request():
    with checked_node() as node:
        node.vm(105, imported())
        lock = node.path("var/lock/qemu-server/lock-105.conf")
        fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(fd, fcntl.LOCK_EX)
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        wait_for("it has looked at the VM", lambda: [r for r in node.requests("GET")
                                                     if r["path"].endswith("/105/config")])
        time.sleep(2)
        released = time.monotonic()
        os.close(fd)
        wait_for("the rewrite", lambda: node.records(105)[-1:] == ["end"])
        early = [r for r in changing(node) if r["t_start"] < released]
        equal(early, [], "requests that change something while the lock was held")


def overlapping(requests):
    """Pairs of requests that were under way at the same time."""
    found = []
    ordered = sorted(requests, key=lambda r: r["t_start"])
    for a, b in zip(ordered, ordered[1:]):
        if b["t_start"] < a["t_end"] - 0.001:
            found.append((a["path"], b["path"]))
    return found


def test_six_vms_at_once_one_changing_request_at_a_time():
    with checked_node(qemu="stub") as node:
        vmids = list(range(111, 117))
        for vmid in vmids:
            node.vm(vmid, imported(vmid))
            node.fingerprint(vmid, fingerprint(nics=None))
        faults(node, {"method": "PUT", "path": "config", "action": "delay", "seconds": 0.1})
        node.start_daemon(early=0)
        starts = [subprocess.Popen([PVESIM, "qm", node.root, "start", str(vmid)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL) for vmid in vmids]
        for start in starts:
            assert start.wait(30) != 0, "a start went through"
        wait_for("all run", lambda: all(node.running(v) for v in vmids), 40)
        at_rest(node)
        equal(overlapping(changing(node)), [], "changing requests under way together")
        for vmid in vmids:
            assert has_identity(node, vmid), node.conf(vmid)
            equal(len(starts_by_us(node, vmid)), 1, f"starts of {vmid} by us")


def test_early_rewriting_of_many_is_one_at_a_time_too():
    with checked_node(qemu="stub") as node:
        vmids = list(range(111, 123))
        for vmid in vmids:
            node.vm(vmid, imported(vmid))
            node.fingerprint(vmid, small_fingerprint())
        node.start_daemon()
        wait_for("all rewritten", lambda: all(has_identity(node, v) for v in vmids), 30)
        at_rest(node)
        equal(overlapping(changing(node)), [], "changing requests under way together")


def test_lock_timeout_of_pve_is_tried_again():
    with checked_node() as node:
        faults(node, {"method": "PUT", "path": "config", "nth": [1, 3], "action": "status",
                      "status": 500, "message": "can't lock file "
                      "'/var/lock/qemu-server/lock-105.conf' - got timeout"})
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        wait_for("the rewrite", lambda: node.records(105)[-1:] == ["end"])
        equal(node.journal(105)[-1]["outcome"], "done", "outcome")


def test_answer_that_gets_lost_is_looked_up_and_not_done_twice():
    with checked_node() as node:
        faults(node, {"method": "PUT", "path": "config", "nth": 3, "action": "applied-then-lost"})
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.fingerprint(105, fingerprint(disks=disks(2)))
        node.start_daemon()
        wait_for("the rewrite", lambda: node.records(105)[-1:] == ["end"], 40)
        equal(node.journal(105)[-1]["outcome"], "done", "outcome")
        identities = [r for r in changing(node, 105) if "smbios1" in r["form"]]
        equal(len(identities), 1, "identity PUTs")


def test_start_whose_answer_gets_lost_is_not_made_twice():
    with checked_node() as node:
        faults(node, {"method": "POST", "path": "status/start", "nth": 1,
                      "action": "applied-then-lost"})
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        node.qm("start", "105")
        wait_for("the VM runs", lambda: node.running(105))
        wait_for("started", lambda: node.records(105)[-1:] == ["started"], 30)
        equal(len(starts_by_us(node, 105)), 1, "starts by us")


def test_start_that_slips_in_before_a_step_ends_the_rewrite():
    """A VM without our hook is started between our look at its status and our call, which waits for the
    lock of that start: by the time it is free the VM runs, and nothing may be sent."""
    with checked_node() as node:
        other = WaitingSnippet(node, "other")
        node.vm(105, imported(hookscript="local:snippets/other"), hook=False)
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        wait_for("the machines are known", lambda: node.requests("GET"))
        at_rest(node)
        digest = gate(node, method="GET", path="105/config", nth=2)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            apply = pool.submit(node.hwid, "apply", "105")
            digest.reached()
            equal(len(changing(node, 105)), 1, "requests that change something (the probe)")
            start = pool.submit(node.qm, "start", "105", check=True)
            other.reached()         # so it has the lock
            digest.open()
            at_rest(node)
            other.open()
            start.result()
            result = apply.result()
        at_rest(node)
        equal(len(changing(node, 105)), 1, "requests that change something (the probe)")
        equal(result.returncode, 4, f"apply: {result.stdout}{result.stderr}")


def test_start_under_way_after_a_crash_is_not_made_again():
    """The daemon dies when PVE has its start in hands: the VM is not running yet, and will be."""
    with checked_node() as node:
        hook = node.read("var/lib/vz/snippets/pve-hwid").splitlines()[1]
        node.write("var/lib/vz/snippets/pve-hwid", f"""#!/bin/sh
[ -e {node.root}/slow ] && sleep 3
{hook}
""", 0o755)
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        move = gate(node, method="PUT", path="105/config", nth=3)
        node.qm("start", "105")
        node.write("slow", "")
        move.open()
        wait_for("our start", lambda: node.requests("POST"))
        node.stop_daemon(signal.SIGKILL)
        node.start_daemon(early=0)
        wait_for("the VM runs", lambda: node.running(105), 20)
        wait_for("the journal knows", lambda: node.records(105)[-1] in ("started", "dropped"), 20)
        at_rest(node)
        equal(len(starts_by_us(node, 105)), 1, "starts by us")
        lacks(all_logs(node), "is DOWN", "the daemon's log")


def test_somebody_elses_change_in_between_is_planned_around():
    with checked_node() as node:
        identity = gate(node, method="PUT", path="config", nth=2)
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        identity.reached()
        node.qm("set", "105", "--memory", "96", check=True)
        identity.open()
        wait_for("the rewrite", lambda: any(r.get("outcome") == "done" for r in node.journal(105)))
        equal(node.conf(105)["memory"], "96", "memory")
        assert has_identity(node, 105)
        assert "superseded" in [r.get("outcome") for r in node.journal(105)], node.journal(105)


if __name__ == "__main__":
    run(globals(), "wait")
