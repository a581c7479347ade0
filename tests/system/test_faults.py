#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of request x every kind of fault (issue 4.5): whatever goes wrong with whichever of the
daemon's requests, once or for a while, in the end no disk is lost, the VM runs, it was started at
most once by us, the journal is whole, and after the next stop the VM is what its fingerprint says.

One VM for each pair, many of them on a node; the matrix is walked by rows, so that a fault of one
VM meets the healthy requests of the others.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import (api_start, at_most_one_start, disks_are_whole, in_threads, quick_vm, say,
                   settled, wait_task)
from node import PVESIM, TOKEN, machine_of, read_lines
from tap import checked_node, disks, faults, fingerprint, run, smbios, wait_for

NODES = 8
FIRST = 101
LIMIT = 180.0          # most of it is for a machine that is slow, with 230 VMs on it
SETTINGS = {"api_timeout_ms": 2000, "connect_timeout_ms": 1000, "lock_patience_s": 6,
            "start_patience_s": 8}

# Every request the daemon makes for one VM: which it is, in the words of pvesim/faults.py.
REQUESTS = {
    "permissions": {"method": "GET", "path": "^/access/permissions", "form": {"path": "/vms/{vmid}$"}},
    "bridge": {"method": "GET", "path": "^/access/permissions", "form": {"path": "/vmbr{vmid}$"}},
    "status": {"method": "GET", "path": "/qemu/{vmid}/status/current", "nth": 1},
    "gate": {"method": "GET", "path": "/qemu/{vmid}/status/current", "nth": 3},
    "digest": {"method": "GET", "path": "/qemu/{vmid}/config", "nth": 1},
    "step-digest": {"method": "GET", "path": "/qemu/{vmid}/config", "nth": 3},
    "probe": {"method": "PUT", "path": "/qemu/{vmid}/config", "form": {"scsi0": "."}},
    "identity": {"method": "PUT", "path": "/qemu/{vmid}/config", "form": {"smbios1": "."}},
    "move": {"method": "PUT", "path": "/qemu/{vmid}/config", "form": {"delete": "scsi0"}},
    "second-move": {"method": "PUT", "path": "/qemu/{vmid}/config", "form": {"delete": "scsi1"}},
    "pending": {"method": "GET", "path": "/qemu/{vmid}/pending"},
    "start": {"method": "POST", "path": "/qemu/{vmid}/status/start"},
    "task": {"method": "GET", "path": ":qmstart:{vmid}:[^/]*/status"},
}
CHANGES = ("identity", "move", "second-move")
FAULTS = {
    "slow": {"action": "delay", "seconds": 0.5},
    "too-slow": {"action": "delay", "seconds": 3},
    "drop": {"action": "drop"},
    "lost": {"action": "applied-then-lost"},
    "cut": {"action": "cut"},
    "truncated": {"action": "truncated"},
    "garbage": {"action": "garbage"},
    "wrong-shape": {"action": "wrong-shape"},
    "null": {"action": "wrong-shape", "data": None},
    "not-http": {"action": "not-http"},
    "endless": {"action": "endless"},
    "400": {"action": "status", "status": 400, "message": "Parameter verification failed."},
    "401": {"action": "status", "status": 401, "message": "Authentication failed!"},
    "403": {"action": "status", "status": 403, "message": "Permission check failed"},
    "500": {"action": "status", "status": 500, "message": "unable to read"},
    "503": {"action": "status", "status": 503, "message": "Service Unavailable"},
    "596": {"action": "status", "status": 596, "message": "Connection timed out"},
    "lock-1s": {"action": "hold-lock", "seconds": 1},
    "lock-9s": {"action": "hold-lock", "seconds": 9},
    "lock-25s": {"action": "hold-lock", "seconds": 25},
    "half-1": {"action": "half-applied", "writes": 1},
    "half-2": {"action": "half-applied", "writes": 2},
    "half-3": {"action": "half-applied", "writes": 3},
}


def once(request, fault, vmid):
    rule = {"nth": 1, "token": "daemon$", **REQUESTS[request], **FAULTS[fault]}
    rule["path"] = rule["path"].format(vmid=vmid)
    rule["form"] = {k: v.format(vmid=vmid) for k, v in rule.get("form", {}).items()}
    return rule


def pairs():
    """(request, fault) that make sense together."""
    for fault in FAULTS:
        if fault == "lock-25s":
            continue            # longer than the patience: only where it lasts
        for request in REQUESTS:
            if fault.startswith("half") and request not in CHANGES:
                continue
            if fault.startswith("lock") and request in ("permissions", "bridge", "pending", "task"):
                continue        # nothing that changes the VM follows
            yield request, fault


class Row:
    """A node with its share of the matrix."""

    def __init__(self, cases, lasting=False):
        self.cases = {FIRST + i: case for i, case in enumerate(cases)}
        self.lasting = lasting
        self.hit = 0

    def __call__(self):
        with checked_node(qemu="stub", settings=SETTINGS) as node:
            node.run(PVESIM, "token", node.root, TOKEN, "--privs", "SDN.Use", "--path",
                     "/sdn/zones/localnetwork")
            for vmid in self.cases:
                quick_vm(node, vmid)
                node.fingerprint(vmid, fingerprint(disks=disks(2), nics=[{"model": "vmxnet3"}]))
            node.start_daemon(early=0)
            self.arm(node)
            in_threads([lambda vmid=vmid: self.begin(node, vmid) for vmid in self.cases], 3)
            if self.lasting:
                for vmid in self.cases:
                    wait_for(f"VM {vmid} ({'/'.join(self.cases[vmid])}) runs, or it is said why not",
                             lambda: node.running(vmid) or is_told(node, vmid), LIMIT, every=0.2)
                self.count(node)
                faults(node)
            for vmid in self.cases:
                self.judge(node, vmid)
            self.count(node)
            self.afterwards(node)

    def arm(self, node):
        faults(node, *(self.rule(*case, vmid) for vmid, case in self.cases.items()))

    def rule(self, request, fault, vmid):
        rule = once(request, fault, vmid)
        if self.lasting:
            del rule["nth"]
        return rule

    def begin(self, node, vmid):
        """A start that meets the fault. On a machine that is too slow for the hook's deadline it may
        go through before; then it is stopped and started again."""
        for _ in range(4):
            wait_task(node, api_start(node, vmid))
            if not node.running(vmid):
                return
            if self.was_hit(node, vmid):
                return
            node.api("POST", f"/nodes/{node.name}/qemu/{vmid}/status/stop")
            wait_for(f"VM {vmid} stops", lambda: not node.running(vmid), 30)

    def was_hit(self, node, vmid):
        index = list(self.cases).index(vmid)
        return any(f["rule"] == index for f in read_lines(node.path("pvesim/injected.jsonl")))

    def judge(self, node, vmid):
        label = f"VM {vmid}: {'/'.join(self.cases[vmid])}"
        try:
            wait_for("it runs and nothing is open or owed",
                     lambda: node.running(vmid) and settled(node, vmid), LIMIT, every=0.2)
            disks_are_whole(node, vmid)
            at_most_one_start(node, vmid)
        except AssertionError as why:
            lines = [line for line in node.log_text().splitlines() if f"VM {vmid}" in line]
            raise AssertionError(f"{label}: {why}\n  records: {node.records(vmid)}\n  "
                                 + "\n  ".join(lines[-12:])) from None

    def count(self, node):
        self.hit = max(self.hit, len(read_lines(node.path("pvesim/injected.jsonl"))))

    def afterwards(self, node):
        """The fault is over: after a stop each VM becomes what its fingerprint says."""
        faults(node)
        node.write("etc/pve-hwid/pve-hwid.conf", node.config_text(early=1))
        node.daemon.send_signal(1)
        for vmid in self.cases:
            node.api("POST", f"/nodes/{node.name}/qemu/{vmid}/status/stop")
        wait_for("all are stopped", lambda: not any(map(node.running, self.cases)), 90, every=0.2)
        for vmid, case in self.cases.items():
            wait_for(f"VM {vmid} ({'/'.join(case)}) is what its fingerprint says",
                     lambda: is_right(node, vmid) and settled(node, vmid), LIMIT, every=0.2)
            disks_are_whole(node, vmid)


def is_told(node, vmid):
    text = node.log_text()
    return f"VM {vmid} is DOWN" in text or f"VM {vmid}: a change did not go through" in text


def is_right(node, vmid):
    conf = node.conf(vmid)
    return (smbios(conf["smbios1"])["uuid"] == machine_of(vmid)[0] and conf["net0"].startswith("vmxnet3=")
            and conf["machine"].startswith("pc-q35-") and {"sata0", "sata1"} <= set(conf))


def matrix(cases, lasting=False):
    cases = list(cases)
    rows = [Row(cases[i::NODES], lasting) for i in range(NODES)]
    in_threads(rows)
    say(f"{len(cases)} pairs of request and fault, {sum(r.hit for r in rows)} faults injected")


def test_each_request_with_each_fault_once():
    matrix(pairs())


def test_each_request_with_a_fault_that_lasts():
    """Until the VM runs all the same, or it was said why it does not; then the fault is over."""
    matrix([(request, fault) for fault in ("drop", "500", "wrong-shape") for request in REQUESTS]
           + [(request, "403") for request in CHANGES + ("start", "task")]
           + [(request, "lock-25s") for request in ("gate", "move", "start")], lasting=True)


if __name__ == "__main__":
    run(globals(), "faults")
