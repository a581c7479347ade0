#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the VMs of three other nodes carry, two hundred of them: asked for two at a time, whatever the
nodes do. One that is down, hangs or vanishes is a gap that is told, and hides nothing of the others.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from load import hooks_at_once, most_at_once
from tap import (UUID, at_rest, checked_node, contains, equal, faults, has_identity, imported, lacks,
                 run, small_fingerprint, wait_for)

NODES = ("pve2", "pve3", "pve4")
EACH = 68
CARRIES = f"uuid={UUID}"
GAP = "not fully known"


def first_of(name):
    return 2000 + 1000 * NODES.index(name)


def cluster(node, copy_on=None):
    """Three nodes full of VMs; the last one of `copy_on` is a copy of VM 105. Two of our own."""
    for name in NODES:
        for i in range(EACH):
            vmid = first_of(name) + i
            last = name == copy_on and i == EACH - 1
            node.vm_elsewhere(vmid, {"name": f"vm{vmid}", "smbios1": CARRIES if last else
                                     f"uuid=00000000-0000-0000-0000-{vmid:012d}"}, name)
    node.vm(105, imported())
    node.fingerprint(105, small_fingerprint())
    node.vm(106, imported(106), hook=False)     # is not changed early: its plan tells what is known
    node.fingerprint(106, small_fingerprint())


def start_daemon_soon(node, **settings):
    """Not waiting for it to be ready: that comes after the first survey, which is looked at here."""
    node.start_daemon(wait=False, **settings)
    wait_for("it answers", lambda: node.hwid("status").returncode == 0, 20)


def asked(node, name=None):
    """Questions for what VMs of other nodes carry, in the order they came."""
    return sorted((r for r in node.requests("GET") if r["path"].endswith("/pending")
                   and any(f"/nodes/{n}/" in r["path"] for n in ([name] if name else NODES))),
                  key=lambda r: r["t_start"])


def vmids_of(requests):
    return {int(r["path"].split("/")[4]) for r in requests}


def whole(name):
    return set(range(first_of(name), first_of(name) + EACH))


def notes_of(node, vmid):
    return " ".join(node.hwid_json("plan", vmid)["notes"])


def state_of(node, vmid):
    return node.hwid_json("check", vmid)["vms"][0]


def refused_for(node, vmid):
    state = wait_for("VM 105 is refused", lambda: (
        s := state_of(node, 105))["state"] == "refused" and s, 40, 0.2)
    contains(state["detail"], f"VM {vmid} on node", "detail")
    assert not has_identity(node, 105), "it was given the identity"


def test_two_hundred_vms_are_each_asked_once_and_two_at_a_time():
    with checked_node(qemu="stub") as node:
        cluster(node, copy_on="pve4")
        start_daemon_soon(node)
        wait_for("the survey has begun", lambda: asked(node), 30)
        results = hooks_at_once(node, [105, 106])       # in the midst of it
        for vmid, (code, text, took) in results.items():
            assert code in (0, 75), f"hook of VM {vmid}: {code} {text}"
            assert took < 5, f"hook of VM {vmid} took {took:.1f} s"
        refused_for(node, 4000 + EACH - 1)
        at_rest(node)
        found = asked(node)
        for name in NODES:
            equal(vmids_of(asked(node, name)), whole(name), f"VMs of {name} that were asked for")
        # The one in the way is asked for again before each change; the others once.
        most = max(sum(1 for r in found if r["path"].split("/")[4] == str(v)) for v in whole("pve2"))
        equal(most, 1, "questions for one VM of pve2")
        assert most_at_once(found) <= 2, f"{most_at_once(found)} questions at once"
        lacks(notes_of(node, 106), GAP, "notes")
        print(f"# {len(found)} questions for {EACH * len(NODES)} VMs, at most {most_at_once(found)} at once")


def test_node_that_is_down_is_asked_a_few_times_and_hides_nothing_of_the_others():
    with checked_node(qemu="stub") as node:
        cluster(node, copy_on="pve4")
        node.write("etc/pve/nodes/pve3/offline", "")
        node.start_daemon()
        refused_for(node, 4000 + EACH - 1)
        at_rest(node)
        lists = [r for r in node.requests("GET") if r["path"] == "/cluster/resources"]
        down = asked(node, "pve3")
        assert 1 <= len(down) <= 2 * len(lists), f"{len(down)} questions in {len(lists)} surveys"
        for name in ("pve2", "pve4"):
            equal(vmids_of(asked(node, name)), whole(name), f"VMs of {name} that were asked for")
        contains(notes_of(node, 106), GAP, "notes")
        contains(notes_of(node, 106), "pve3", "notes")


def test_node_that_hangs_keeps_one_question_and_not_the_other():
    with checked_node(qemu="stub") as node:
        patience = 8
        cluster(node, copy_on="pve4")
        faults(node, {"path": "^/nodes/pve3/", "action": "delay", "seconds": 2 * patience})
        start_daemon_soon(node, api_timeout_ms=1000 * patience)
        refused_for(node, 4000 + EACH - 1)
        wait_for("the question that hangs", lambda: asked(node, "pve3"), 40, 0.2)
        hung = asked(node, "pve3")[0]
        for name in ("pve2", "pve4"):
            found = asked(node, name)
            equal(vmids_of(found), whole(name), f"VMs of {name} that were asked for")
            first = {r["path"]: r for r in reversed(found)}
            late = [p for p, r in first.items() if r["t_start"] > hung["t_start"] + patience - 1]
            assert not late, f"{len(late)} VMs of {name} had to wait for the end of what hangs"
        contains(wait_for("it is told", lambda: GAP in (n := notes_of(node, 106)) and n, 40, 0.2),
                 "pve3", "notes")
        lists = [r for r in node.requests("GET") if r["path"] == "/cluster/resources"]
        assert len(asked(node, "pve3")) <= len(lists), "a node that hangs is asked once in a survey"
        assert most_at_once([r for r in asked(node) if r not in asked(node, "pve3")]) <= 2


def test_node_that_vanishes_in_the_midst_keeps_what_it_told():
    with checked_node(qemu="stub") as node:
        cluster(node)
        # The copy is the first VM of pve3: told before the node vanishes.
        node.vm_elsewhere(3000, {"name": "copy", "smbios1": CARRIES}, "pve3")
        faults(node, {"path": "^/nodes/pve3/", "action": "drop", "nth": list(range(20, 2000))})
        node.start_daemon()
        refused_for(node, 3000)
        at_rest(node)
        lists = [r for r in node.requests("GET") if r["path"] == "/cluster/resources"]
        gone = [r for r in asked(node, "pve3") if r["status"] == 0]
        # curl sends a question that was read and not answered a second time, on a new connection.
        assert 1 <= len(gone) <= 4 * len(lists), f"{len(gone)} questions to a node that is gone"
        assert len(asked(node, "pve3")) < EACH, "all its VMs were asked for"
        for name in ("pve2", "pve4"):
            equal(vmids_of(asked(node, name)), whole(name), f"VMs of {name} that were asked for")
        contains(notes_of(node, 106), GAP, "notes")
        # It stays so with the node away, and a start of VM 105 goes as it is: nobody is kept down.
        equal(node.qm("start", "105").returncode, 0, "the start")
        wait_for("it runs", lambda: node.running(105), 30)
        assert not has_identity(node, 105), "it was given the identity"


def test_node_that_comes_back_ends_the_note():
    with checked_node(qemu="stub") as node:
        cluster(node)
        node.vm(108, imported(108))
        node.write("etc/pve/nodes/pve3/offline", "")
        node.start_daemon()
        wait_for("VM 105 has its identity", lambda: has_identity(node, 105), 40)
        contains(wait_for("it is told", lambda: GAP in (n := notes_of(node, 106)) and n, 30, 0.2),
                 "pve3", "notes")
        os.unlink(node.path("etc/pve/nodes/pve3/offline"))
        os.unlink(node.path(node.conf_path(108)))       # perhaps it went there: that is asked at once
        time.sleep(1.1)         # a look at this node's own is good for a second
        equal(node.hwid("apply", 106).returncode, 0, "exit code of apply")
        assert has_identity(node, 106), "no identity"
        equal(vmids_of(r for r in asked(node, "pve3") if r["status"] == 200), whole("pve3"),
              "VMs of pve3 that were told of")
        node.vm(107, imported(107), hook=False)
        node.fingerprint(107, small_fingerprint())
        wait_for("it is looked at", lambda: state_of(node, 107)["state"] == "differs", 20, 0.2)
        lacks(notes_of(node, 107), GAP, "notes")


def test_list_that_takes_too_long_is_not_waited_for_and_its_note_goes_when_it_comes():
    with checked_node(qemu="stub") as node:
        cluster(node)
        faults(node, {"path": "^/cluster/resources", "action": "delay", "seconds": 18, "nth": 1})
        start_daemon_soon(node)
        contains(wait_for("it is told", lambda: GAP in (n := notes_of(node, 106)) and n, 40, 0.2),
                 "takes long", "notes")
        wait_for("VM 105 has its identity all the same", lambda: has_identity(node, 105), 15)
        wait_for("all were asked for", lambda: len(asked(node)) >= EACH * len(NODES), 40, 0.2)
        wait_for("the note goes", lambda: GAP not in notes_of(node, 106), 20, 0.2)


if __name__ == "__main__":
    run(globals(), "survey", parallel=6)
