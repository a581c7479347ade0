#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API that takes five seconds for each answer: more VMs to be rewritten than are rewritten at once,
and starts on top of it. Nearly all of this test is waiting.

LOAD_DELAY (seconds of each answer) and LOAD_SLOW_VMS make it more or less.
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from load import Client, has_own_identity, hooks_at_once, identity, most_at_once, small_vm
from tap import changing, checked_node, equal, faults, run, wait_for

FIRST = 1000
DELAY = float(os.environ.get("LOAD_DELAY", "5"))
EARLY = int(os.environ.get("LOAD_SLOW_VMS", "9"))       # one more than at once
ACTIVE_MAX = 8          # ENGINE_ACTIVE_MAX
MAX_READS = 4           # max_reads, the default
READS_OF_ONE = 12       # what one rewrite of an identity reads, with room
DEADLINE = 2.0          # of a hook; what is measured from outside has the start of two programs in it
SLACK = 3.0


class Watch(threading.Thread):
    """The daemon's own numbers, all the time: what waits, and what is under way."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.client, self.over, self.trouble = Client(node), threading.Event(), None
        self.looks = self.reads = self.changes = self.under_way = 0
        self.slowest = 0.0

    def run(self):
        try:
            while not self.over.wait(0.1):
                began = time.monotonic()
                found = self.client.call("Metrics")["parameters"]
                self.slowest = max(self.slowest, time.monotonic() - began)
                for key in ("looks", "reads", "changes"):
                    setattr(self, key, max(getattr(self, key), found["queues"][key]))
                self.under_way = max(self.under_way, found["under_way"])
        except Exception as why:        # told by end()
            self.trouble = why

    def end(self):
        self.over.set()
        self.join(20)
        if self.trouble:
            raise self.trouble


def overtaken(ours, vmids):
    """Between two reads of one VM, with no change of its own in between: how many reads of one other VM
    were begun at most. First in, first out makes that one or two; a VM that starves sees them all."""
    of = {vmid: sorted((r for r in ours if f"/qemu/{vmid}/" in r["path"]), key=lambda r: r["t_start"])
          for vmid in vmids}
    most = 0
    for vmid, mine in of.items():
        for a, b in zip(mine, mine[1:]):
            if a["method"] == "GET" == b["method"]:
                for other in (v for v in vmids if v != vmid):
                    most = max(most, sum(a["t_end"] < r["t_start"] < b["t_start"] for r in of[other]
                                         if r["method"] == "GET"))
    return most


def slow_node(node, early, late, sync):
    for vmid in early + late + sync:
        small_vm(node, vmid, vmid in sync)
        node.fingerprint(vmid, identity(vmid))
    for vmid in late:
        # Their look finds nothing to do for us: only a start may bring them to the API.
        text = node.read(node.conf_path(vmid))
        node.set_conf(vmid, text.replace("hookscript: local:snippets/pve-hwid\n", ""))
    faults(node, {"path": "/(qemu|access|nodes)", "action": "delay", "seconds": DELAY,
                  "token": "daemon"})
    node.start_daemon(wait=False)
    wait_for("rewriting has begun", lambda: any("status/current" in r["path"]
                                                for r in node.requests("GET")), 30 + 3 * DELAY)


def check_hooks(results, sync):
    for vmid, (code, text, _took) in results.items():
        if vmid in sync:
            equal((code, text), (0, ""), f"hook of VM {vmid}, which is in sync")
        else:
            assert code == 0 and "WARNING" in text, f"VM {vmid}: {code} {text}"
    worst = max(took for _code, _text, took in results.values())
    assert worst < DEADLINE + SLACK, f"a hook took {worst:.1f} s"
    return worst


def check_rewrites(node, early):
    """Nothing lost, nothing twice, one change at a time, fair."""
    ours = [r for r in node.requests() if r["path"].startswith("/") and "daemon" in (r["token"] or "")]
    puts = [r for r in changing(node) if r["method"] == "PUT"]
    equal(sorted(int(r["path"].split("/")[4]) for r in puts), early,
          "changing calls: one for each VM, none twice, none lost")
    equal(most_at_once(puts), 1, "changing calls under way at once")
    equal([node.records(v) for v in early], [["begin", "step", "end"]] * len(early), "records")
    assert most_at_once(ours) <= MAX_READS + 1, f"{most_at_once(ours)} requests under way at once"
    lost = overtaken(ours, early)
    assert lost <= 2, f"a VM was overtaken by {lost} reads of another one"
    return most_at_once(ours), lost


def test_slow_answers_hold_up_no_start_and_lose_nothing():
    with checked_node(qemu="stub") as node:
        early = list(range(FIRST, FIRST + EARLY))
        late = list(range(FIRST + 100, FIRST + 120))
        sync = list(range(FIRST + 200, FIRST + 240))
        slow_node(node, early, late, sync)
        watch = Watch(node)
        watch.start()
        worst = check_hooks(hooks_at_once(node, sync + late), sync)
        # In the thick of it once more: what the first starts asked for still blocks all places.
        worst = max(worst, check_hooks(hooks_at_once(node, late + sync), sync))
        wait_for("all are rewritten", lambda: all(has_own_identity(node, v) for v in early),
                 60 + EARLY * DELAY * (1 + READS_OF_ONE / MAX_READS), 0.5)
        wait_for("all have ended", lambda: all("end" in node.records(v) for v in early),
                 60 + EARLY * DELAY, 0.5)
        watch.end()
        at_once, lost = check_rewrites(node, early)
        assert watch.under_way <= ACTIVE_MAX, f"{watch.under_way} rewrites at once"
        assert watch.changes < ACTIVE_MAX, f"{watch.changes} changes wait"
        # One for each rewrite, one for each hook that asks for a hold, and the daemon's own.
        assert watch.reads <= ACTIVE_MAX + len(late) + 4, f"{watch.reads} reads wait"
        assert watch.slowest < DEADLINE, f"a call waited {watch.slowest:.1f} s"
        print(f"# {DELAY:g} s an answer, {EARLY} rewrites: at most {watch.under_way} of them, {at_once} requests "
              f"and 1 change at once; {watch.reads} reads and {watch.changes} changes waited; overtaken by "
              f"{lost}; {2 * len(sync + late)} hooks, the slowest {worst * 1000:.0f} ms")


if __name__ == "__main__":
    run(globals(), "slow_api")
