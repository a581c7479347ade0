#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`attach` and `detach`, and a hookscript that a VM had before: it goes on being run, in every phase,
with its exit code, and comes back."""
import json
import os

import tap
from admin import bare_node, environment, join, root, root_json, setup, tool
from node import wait_for
from tap import contains, differs_no_more, equal, fingerprint, imported, lacks, small_fingerprint

OLD = "local:snippets/old.sh"
TELL = "#!/bin/sh\necho \"old $1 $2\"\necho \"$1 $2\" >> %s\nexit %s\n"


def old_hook(node, code="0", name="old.sh"):
    return node.write(f"var/lib/vz/snippets/{name}", TELL % (node.path("old.log"), code), 0o755)


def old_calls(node):
    try:
        return node.read("old.log").splitlines()
    except FileNotFoundError:
        return []


def ready(node, daemon=True, **settings):
    setup(node)
    if daemon:
        node.start_daemon(**settings)


def note(node, vmid=105):
    try:
        return node.read(f"etc/pve/pve-hwid/{vmid}.hook")
    except FileNotFoundError:
        return None


def test_attach_and_detach_a_vm_without_a_hook():
    with bare_node() as node:
        ready(node, daemon=False)
        node.vm(105, imported(), hook=False)
        result = root(node, "attach", "105", "--dry-run")
        equal((result.returncode, node.conf(105).get("hookscript")), (3, None), "dry run")
        contains(root(node, "attach", "105").stdout, "VM 105: attached: it has no fingerprint", "attach")
        equal(node.conf(105)["hookscript"], "local:snippets/pve-hwid", "hookscript")
        equal((note(node), root(node, "attach", "105").stdout), (None, "VM 105: attached already\n"), "again")
        equal(root(node, "detach", "105").stdout, "VM 105: detached\n", "detach")
        equal((node.conf(105).get("hookscript"), root(node, "detach", "105").stdout),
              (None, "VM 105: detached already\n"), "detached")


def test_former_hook_runs_once_a_phase_also_where_a_start_is_held():
    with bare_node() as node:
        ready(node, early=0)
        old_hook(node)
        node.vm(105, imported(hookscript=OLD), hook=False)
        node.fingerprint(105, fingerprint(), cluster=True)
        contains(root(node, "attach", "105").stdout, f"'{OLD}' goes on being run", "attach")
        equal((note(node), node.conf(105)["hookscript"]), (OLD + "\n", "local:snippets/pve-hwid"),
              "the note")
        held = node.qm("start", 105)
        lacks(held.stdout, "old 105", "the start that was held")
        wait_for("it was started again", lambda: "105 post-start" in old_calls(node))
        differs_no_more(node, 105)
        node.qm("stop", 105, check=True)
        equal(old_calls(node), [f"105 {phase}" for phase in (
            "pre-start", "post-start", "pre-stop", "post-stop")], "calls of the former hook")


def test_former_hook_that_fails_aborts_the_start_with_its_own_code():
    with bare_node() as node:
        ready(node)
        old_hook(node, code="3")
        node.vm(105, imported(hookscript=OLD), hook=False)
        node.fingerprint(105, small_fingerprint(), cluster=True)
        root(node, "attach", "105", check=True)
        wait_for("rewritten early", lambda: "base64=1" in node.conf(105)["smbios1"])
        result = node.qm("start", 105)
        contains(result.stdout + result.stderr, "pre-start' failed: exit code 3", "the start")
        contains(result.stdout, "old 105 pre-start", "its output")
        assert not node.running(105)
        old_hook(node, code="'$([ $2 = post-start ] && echo 7 || echo 0)'".strip("'"))
        result = node.qm("start", 105)
        assert node.running(105), result.stdout + result.stderr
        contains(result.stdout, "post-start' failed: exit code 7", "a warning, as with PVE")


def test_former_hook_with_a_dead_daemon():
    with bare_node() as node:
        ready(node, daemon=False)
        old_hook(node)
        node.vm(105, imported(hookscript=OLD), hook=False)
        node.fingerprint(105, fingerprint(), cluster=True)
        root(node, "attach", "105", check=True)
        out = node.qm("start", 105).stdout
        assert node.running(105), out
        assert out.index("no answer from pve-hwidd") < out.index("old 105 pre-start"), out


def test_former_hook_at_migration_and_resume():
    """Starts that are none of ours: the former hook is called as if we were not there."""
    with bare_node() as node:
        ready(node)
        old_hook(node)
        node.vm(105, imported(hookscript=OLD), hook=False)
        root(node, "attach", "105", check=True)
        node.fingerprint(105, fingerprint(policy={"on_drift": "refuse"}), cluster=True)
        node.set_conf(105, node.read(node.conf_path(105)) + "lock: suspended\n")
        contains(node.qm("start", 105).stdout, "pve-hwid: VM 105:", "resume")
        equal(old_calls(node), ["105 pre-start", "105 post-start"], "resume")
        node.qm("stop", 105, check=True)
        os.unlink(node.path("old.log"))
        os.makedirs(node.path("etc/pve/nodes/pve2/qemu-server"))
        os.rename(node.path(node.conf_path(105)), node.path("etc/pve/nodes/pve2/qemu-server/105.conf"))
        node.qm("start", 105, "--migratedfrom", "pve2", "--skiplock")
        equal(old_calls(node)[:1], ["105 pre-start"], "incoming migration")


def test_detach_gives_the_former_hook_back():
    with bare_node() as node:
        ready(node, daemon=False)
        old_hook(node)
        node.vm(105, imported(hookscript=OLD), hook=False)
        root(node, "attach", "105", check=True)
        contains(root(node, "detach", "105").stdout, f"it has its hookscript '{OLD}' again", "detach")
        equal((node.conf(105)["hookscript"], note(node)), (OLD, None), "hookscript")


def test_former_hook_that_is_gone():
    with bare_node() as node:
        ready(node, daemon=False)
        script = old_hook(node)
        node.vm(105, imported(hookscript=OLD), hook=False)
        os.chmod(script, 0o644)
        result = root(node, "attach", "105")
        equal((result.returncode, note(node)), (5, None), "attach")
        contains(result.stdout, "is not executable", "the reason")
        os.chmod(script, 0o755)
        root(node, "attach", "105", check=True)
        os.unlink(script)
        out = node.qm("start", 105)
        contains(out.stdout, f"ERROR: VM 105: the hookscript it had before, '{OLD}', cannot be run",
                 "the task log")
        assert not node.running(105)
        result = root(node, "detach", "105")
        equal((result.returncode, node.conf(105)["hookscript"]), (5, "local:snippets/pve-hwid"), "detach")
        contains(result.stdout, "pve-hwid detach --drop-former 105", "the cure")
        equal(root(node, "detach", "--drop-former", "105").returncode, 0, "the cure")
        equal((node.conf(105).get("hookscript"), note(node)), (None, None), "hookscript")
        node.qm("start", 105, check=True)


def test_all_means_this_node_and_those_with_a_fingerprint():
    with bare_node() as node:
        ready(node, daemon=False)
        for vmid in (105, 106, 107):
            node.vm(vmid, imported(vmid), hook=False)
        for vmid in (105, 107, 200):
            node.fingerprint(vmid, small_fingerprint(), cluster=True)
        join(node, "pve2", hook=True)
        os.rename(node.path(node.conf_path(107)), node.path("etc/pve/nodes/pve2/qemu-server/107.conf"))
        result = root(node, "attach", "--all")
        equal(result.stdout, "VM 105: attached\n\n1 VM: 1 attached\n", "attach --all")
        contains(result.stderr, "VM 107 is on node pve2; run there: pve-hwid attach --all", "stderr")
        result = root(node, "attach", "106", "107", "300")
        equal(result.returncode, 1, "exit code")
        contains(result.stdout, "VM 106: attached", "one that is named")
        contains(result.stdout, "VM 107: failed: it is on node pve2; run there: pve-hwid attach 107", "107")
        contains(result.stdout, "VM 300: failed: there is no such VM", "300")
        answer, code = root_json(node, "detach", "--all")
        equal((code, [(v["vmid"], v["state"]) for v in answer["vms"]]),
              (0, [(105, "done"), (106, "done")]), "detach --all")
        equal(root(node, "detach", "--all").stdout, "There is no VM on this node to detach.\n", "again")


def test_locked_vm_is_left_alone():
    with bare_node() as node:
        ready(node, daemon=False)
        node.vm(105, imported(lock="backup"), hook=False)
        result = root(node, "attach", "105")
        equal((result.returncode, result.stdout),
              (4, "VM 105: busy: VM is locked (backup), nothing was done; try again later\n"), "attach")


def test_hook_must_be_there_first():
    with bare_node() as node:
        node.vm(105, imported(), hook=False)
        result = root(node, "attach", "105")
        equal(result.returncode, 1, "exit code")
        contains(result.stderr, "no VM that names it would start; nothing was done: pve-hwid setup", "stderr")
        setup(node)
        join(node, "pve2")
        join(node, "pve3", "--offline")
        err = root(node, "attach", "105").stderr
        contains(err, "node pve2 does not have the hook", "stderr")
        contains(err, "whether node pve3 has the hook is not known (it is offline)", "stderr")


def test_attached_vm_is_rewritten_early():
    with bare_node() as node:
        ready(node)
        node.vm(105, imported(), hook=False)
        node.fingerprint(105, small_fingerprint(), cluster=True)
        wait_for("it was seen", lambda: "its hookscript is not pve-hwid" in node.log_text())
        told = root(node, "attach", "105", check=True).stdout
        contains(told, "VM 105: attached: it differs from its fingerprint (smbios1", "attach")
        contains(told, "started again, unless on_drift says otherwise", "attach")
        wait_for("it is rewritten", lambda: "base64=1" in node.conf(105)["smbios1"])


def test_old_note_is_never_taken_for_a_former_hook():
    """Of an attach that was interrupted, or of a VM that has been deleted since."""
    with bare_node() as node:
        ready(node, daemon=False)
        old_hook(node)
        node.vm(105, imported(), hook=False)
        node.write("etc/pve/pve-hwid/105.hook", OLD + "\n")
        root(node, "attach", "105", check=True)
        equal(note(node), None, "the note")
        node.qm("start", 105, check=True)
        equal(old_calls(node), [], "calls")
        root(node, "detach", "105", check=True)
        node.write("etc/pve/pve-hwid/105.hook", OLD + "\n")
        contains(root(node, "detach", "105").stdout, "an old note of ours", "detach")
        equal((node.conf(105).get("hookscript"), note(node)), (None, None), "after it")


def test_killed_between_any_two_steps_a_vm_keeps_a_hook_that_runs():
    """qm is replaced by one that does nothing, or everything, and dies with its parent."""
    for what in ("attach", "detach"):
        for when in ("before", "after"):
            with bare_node() as node:
                ready(node, daemon=False)
                old_hook(node)
                node.vm(105, imported(hookscript=OLD), hook=False)
                if what == "detach":
                    root(node, "attach", "105", check=True)
                os.makedirs(node.path("bin"))
                real = os.path.join(environment(node)["PATH"].split(":")[0], "qm")
                node.write("bin/qm", "#!/bin/sh\n" + (f"{real} \"$@\"\n" if when == "after" else "") +
                           "kill -9 $PPID\n", 0o755)
                env = environment(node)
                env["PATH"] = node.path("bin") + ":" + env["PATH"]
                died = node.run(node.path("usr/bin/pve-hwid"), what, "105", "--root", node.root, env=env,
                                check=False)
                equal(died.returncode, -9, f"{what} {when}")
                node.qm("start", 105, check=True)
                equal(old_calls(node), ["105 pre-start", "105 post-start"], f"{what} {when}: calls")
                node.qm("stop", 105, check=True)
                equal(root(node, what, "105").returncode, 0, f"{what} again")
                root(node, "detach", "105", check=True)
                equal((node.conf(105)["hookscript"], note(node)), (OLD, None), f"{what} {when}: the end")


def test_daemon_ignores_the_notes():
    with bare_node() as node:
        ready(node)
        node.vm(105, imported(), hook=False)
        node.write("etc/pve/pve-hwid/105.hook", OLD + "\n")
        node.write("etc/pve/pve-hwid/105.hold", "x\n")
        node.fingerprint(106, small_fingerprint(), cluster=True)
        wait_for("it was seen", lambda: node.hwid_json("status")["fingerprints"] == 1)
        equal([v["vmid"] for v in node.hwid_json("list")["vms"]], [106], "VMs with a fingerprint")
        lacks(node.log_text(), "105", "the log")


def test_usage():
    with bare_node() as node:
        for argv in (("attach",), ("detach",), ("attach", "105", "--all"), ("attach", "x"),
                     ("setup", "105"), ("doctor", "105")):
            equal(root(node, *argv).returncode, 2, " ".join(argv))
        answer, code = root_json(node, "attach", "105")
        equal((code, answer["error"]["exit"]), (1, 1), "error as JSON")
        json.dumps(tool(node, "pvesh", "get", "/version", "--output-format", "json").stdout)


tap.run(globals(), "attach")
