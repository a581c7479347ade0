#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the daemon after each request in turn (law 8): started again, it ends what was begun, starts
the VM exactly once, and repeats nothing harmful."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (at_rest, changing, checked_node, contains, disks, equal, faults, fingerprint,
                 imported, lacks, run, starts_by_us, wait_for)


def replay(journal):
    """What the records add up to: (open, owed, begun, ended)."""
    is_open = owed = False
    for record in journal:
        kind = record["type"]
        if kind == "held":
            owed = True
        elif kind == "begin":
            assert not is_open, "a change set begins within another"
            is_open = True
        elif kind == "step":
            assert is_open, "a step outside of a change set"
        elif kind == "end":
            assert is_open, "an end without a beginning"
            is_open = False
        elif kind in ("started", "dropped"):
            owed = False
    return is_open, owed


def kill_after(k, slow=()):
    """The daemon dies when k requests since the start were answered (`slow`: PUTs that take longer, so
    that the next one is on its way then); True where it had ended before."""
    with checked_node(qemu="stub") as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.fingerprint(105, fingerprint(disks=disks(2)))
        if slow:
            faults(node, {"method": "PUT", "path": "config", "nth": list(slow), "action": "delay",
                          "seconds": 0.4})
        node.start_daemon(early=0)
        wait_for("the machines are known", lambda: node.requests("GET"))
        base = len(node.requests())
        assert node.qm("start", "105").returncode != 0, "the start went through"
        over = False
        end = time.monotonic() + 10
        while len(node.requests()) - base < k:
            if node.records(105)[-1:] == ["started"]:
                over = True
                break
            assert time.monotonic() < end, "no such request"
            time.sleep(0.001)
        node.stop_daemon(signal.SIGKILL)
        is_open, owed = replay(node.journal(105))
        before = node.records(105)
        node.start_daemon(early=0)
        if is_open or owed:
            contains(node.log_text(), "taking up what was under way", "the daemon's log")
        wait_for(f"the VM runs (killed after {k}: {before})", lambda: node.running(105), 25)
        wait_for("nothing is open", lambda: replay(node.journal(105)) == (False, False), 25)
        at_rest(node, 0.5)
        conf = node.conf(105)
        assert {"sata0", "sata1"} <= set(conf) and "scsi0" not in conf, conf
        equal(conf["boot"], "order=sata0;sata1;net0", "boot")
        lacks(node.read(node.conf_path(105)), "[PENDING]", "configuration")
        equal(len(starts_by_us(node, 105)), 1, f"starts by us (killed after {k}: {before})")
        moves = [r["form"]["delete"] for r in changing(node, 105)
                 if "delete" in r["form"] and r["status"] == 200]
        equal(moves, ["scsi0", "scsi1"], f"moves (killed after {k})")
        return over


def test_killed_after_each_of_the_first_requests():
    for k in range(0, 9):
        kill_after(k)


def test_killed_while_a_put_is_on_its_way():
    """PVE carries it out although nobody waits for the answer."""
    for slow in (1, 3, 4, 5):
        with_slow_put(slow)


def with_slow_put(number):
    with checked_node(qemu="stub") as node:
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.fingerprint(105, fingerprint(disks=disks(2)))
        faults(node, {"method": "PUT", "path": "config", "nth": number, "action": "delay",
                      "seconds": 0.7})
        node.start_daemon(early=0)
        assert node.qm("start", "105").returncode != 0, "the start went through"
        wait_for("the PUTs before", lambda: len(changing(node, 105)) == number - 1)
        time.sleep(0.3)
        node.stop_daemon(signal.SIGKILL)
        node.start_daemon(early=0)
        wait_for(f"the VM runs (PUT {number})", lambda: node.running(105), 25)
        wait_for("nothing is open", lambda: replay(node.journal(105)) == (False, False), 25)
        conf = node.conf(105)
        assert {"sata0", "sata1"} <= set(conf) and "scsi0" not in conf, conf
        equal(conf["boot"], "order=sata0;sata1;net0", "boot")
        lacks(node.read(node.conf_path(105)), "[PENDING]", "configuration")
        equal(len(starts_by_us(node, 105)), 1, f"starts by us (PUT {number})")


if __name__ == "__main__":
    run(globals(), "crash")
