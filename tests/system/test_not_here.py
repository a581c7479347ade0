#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A number that is nobody's, that of a VM on another node, and that of a VM that is gone: every verb says
so in the same words, changes nothing, and tells what is known all the same."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (changing, checked_node, contains, differs_no_more, equal, fingerprint, imported, lacks, run, wait_for)

NOWHERE = "there is no such VM in the cluster; qm list shows those of this node"
ALL = ("plan", "check", "verify", "apply", "undo", "log", "hold", "resume", "adopt")


def verb(node, *argv, code=0):
    more = () if argv[0] == "plan" else ("--config", node.path("etc/pve-hwid/pve-hwid.conf"))
    result = node.hwid(argv[0], *more, *argv[1:])
    equal(result.returncode, code, f"{argv}: {result.stdout}{result.stderr}")
    return result


def left_behind(node, vmid):
    """Files of ours about that VM."""
    return [rel for rel in (f"etc/pve/pve-hwid/{vmid}.hold", f"etc/pve-hwid/fingerprints/{vmid}.hold",
                            f"var/lib/pve-hwid/journal/{vmid}.jsonl") if os.path.exists(node.path(rel))]


def test_a_number_that_is_nobodys():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        for name in ALL:
            told = verb(node, name, "999", code=1)
            # plan's --config is another one, so it knows less: there is no /etc/pve here
            contains(told.stderr, "VM 999: " + ("there is no such VM on this node; qm list shows those that are here"
                                                if name == "plan" else NOWHERE), name)
            equal(told.stdout, "", name)
            equal(told.stderr.count("\n"), 1, f"lines of {name}: {told.stderr}")
            equal(left_behind(node, 999), [], name)
        json = node.hwid_json("log", "999")
        equal(json["error"]["exit"], 1, "log --json")


def test_a_vm_of_another_node():
    with checked_node() as node:
        node.vm(105, imported())
        node.vm_elsewhere(204, {"name": "web4"})
        node.start_daemon()
        for name in ("check", "verify", "apply", "undo", "log"):
            contains(verb(node, name, "204", code=1).stderr,
                     f"VM 204: it is on node pve2; run there: pve-hwid {name} 204", name)
        told = verb(node, "hold", "204")
        contains(told.stdout, "VM 204 is on hold since", "hold")
        contains(told.stderr, "VM 204 is on node pve2, whose daemon sees that by itself", "hold")
        equal(left_behind(node, 204), ["etc/pve/pve-hwid/204.hold"], "hold")
        contains(verb(node, "resume", "204").stdout, "VM 204 is on hold no more.", "resume")
        equal(left_behind(node, 204), [], "resume")


def test_a_vm_that_is_gone_can_be_looked_back_at():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        node.fingerprint(105, fingerprint(), cluster=True)
        wait_for("rewritten", lambda: "end" in node.records(105), 30)
        differs_no_more(node, 105)
        lacks(verb(node, "log", "105").stderr, "cluster", "log while it is here")
        before = len(changing(node))
        os.rename(node.path(node.conf_path(105)), node.path("105.conf"))
        told = verb(node, "log", "105")
        contains(told.stdout, "smbios1 uuid: ", "log")
        contains(told.stderr, "there is no VM 105 in the cluster any more: this is what was changed while it was here",
                 "log")
        for name in ("undo", "apply", "verify"):
            contains(verb(node, name, "105", code=1).stderr,
                     f"VM 105: {NOWHERE}; what was changed here: pve-hwid log 105", name)
        contains(verb(node, "check", "105", code=1).stdout, "VM 105: no-config: no such VM on this node", "check")
        node.vm_elsewhere(105, {"name": "web5"})
        contains(verb(node, "log", "105").stderr, "VM 105 is on node pve2 now: this is what was changed while it was here",
                 "log of one that was migrated")
        equal(len(changing(node)), before, "requests that change something")


def test_a_hold_may_wait_for_a_vm_whose_fingerprint_is_there():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        node.fingerprint(777, fingerprint(), cluster=True)
        told = verb(node, "hold", "777")
        contains(told.stdout, "VM 777 is on hold since", "hold")
        contains(told.stderr, "there is no VM 777 in the cluster now", "hold")
        equal(left_behind(node, 777), ["etc/pve/pve-hwid/777.hold"], "hold")
        contains(verb(node, "resume", "777").stdout, "VM 777 is on hold no more.", "resume")
        verb(node, "resume", "777", code=1)


if __name__ == "__main__":
    run(globals(), "not_here")
