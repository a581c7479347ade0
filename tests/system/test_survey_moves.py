#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM that moves while the cluster is being asked who carries which identity: it is on no node that is
looked at, or on one that was looked at already; what it carries stays its own all the same."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import injected
from tap import (BUILD, UUID, at_rest, changing, checked_node, contains, equal, faults, has_identity,
                 imported, run, small_fingerprint, wait_for)

CARRIES = f"uuid={UUID}"


def place_of(node, name):
    os.makedirs(node.path(f"etc/pve/nodes/{name}/qemu-server"), exist_ok=True)
    return node.path(f"etc/pve/nodes/{name}/qemu-server/204.conf")


def move(node, old, new):
    os.rename(place_of(node, old), place_of(node, new))


def begin_apply(node):
    return subprocess.Popen([os.path.join(BUILD, "pve-hwid"), "apply", "--socket",
                             node.path("run/pve-hwid/socket"), "105"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def apply_until_asked(node):
    """An apply for which the cluster is being asked (and a fault is at work): what was asked a moment ago
    is not asked again, so it may take some."""
    for _ in range(100):
        process = begin_apply(node)
        wait_for("an answer, or a question", lambda p=process: p.poll() is not None or injected(node), 30)
        if injected(node):
            return process
        equal(process.returncode, 5, process.communicate()[0])
    raise AssertionError("the cluster is not asked")


def refused(node, process):
    text, _ = process.communicate(timeout=60)
    assert not has_identity(node, 105), "the identity of VM 204 was given to VM 105: " + text
    equal(process.returncode, 5, text)
    contains(" ".join(text.split()), "VM 204", "apply")
    equal(changing(node, 105), [], "requests that change something")


def surveyed(node):
    """VM 204 on pve2 carries what VM 105 is to get, and the daemon has asked about it once."""
    node.vm_elsewhere(204, {"smbios1": CARRIES, "name": "vm204"}, "pve2")
    node.vm(105, imported())
    node.fingerprint(105, small_fingerprint())
    node.start_daemon(early=0)
    wait_for("the first survey", lambda: [r for r in node.requests() if "/204/" in r["path"]], 30)
    at_rest(node)


def test_from_one_node_to_another_while_it_is_asked():
    with checked_node(qemu="stub") as node:
        surveyed(node)
        faults(node, {"path": "^/nodes/pve2/qemu/204/pending", "action": "delay", "seconds": 3})
        process = apply_until_asked(node)
        move(node, "pve2", "pve3")
        refused(node, process)
        faults(node)
        process = begin_apply(node)
        refused(node, process)
        contains(node.hwid_json("check", 105)["vms"][0]["detail"], "VM 204 on node pve3", "detail")


def test_from_here_to_another_node_that_was_looked_at_already():
    with checked_node(qemu="stub") as node:
        node.vm_elsewhere(300, {"smbios1": "uuid=11111111-2222-3333-4444-555555555555"}, "pve3")
        node.vm(204, imported(204, smbios1=CARRIES), hook=False)
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        faults(node, {"path": "^/nodes/pve3/qemu/300/pending", "action": "delay", "seconds": 4})
        node.start_daemon(wait=False, early=0)
        wait_for("the survey has begun", lambda: injected(node), 30)
        process = begin_apply(node)
        wait_for("VM 105 waits for it", lambda: node.hwid_json("metrics")["under_way"] == 1 or
                 process.poll() is not None, 30)
        move(node, node.name, "pve2")
        refused(node, process)


def test_from_another_node_to_here_a_moment_after_this_one_was_looked_at():
    with checked_node(qemu="stub") as node:
        surveyed(node)
        faults(node, {"path": "^/cluster/resources", "action": "delay", "seconds": 0.25})
        process = apply_until_asked(node)
        move(node, "pve2", node.name)
        refused(node, process)


if __name__ == "__main__":
    run(globals(), "system/survey_moves", parallel=3)
