#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line against the real daemon: what it prints, exit codes, --json."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (at_rest, changing, checked_node, contains, differs_no_more, equal, faults,
                 fingerprint, gate, imported, lacks, run, wait_for)


def differing(node, **more):
    node.vm(105, imported())
    node.fingerprint(105, fingerprint(**more))
    node.start_daemon(early=0)


def test_plan_shows_the_changes_and_exits_3():
    with checked_node() as node:
        differing(node)
        result = node.hwid("plan", "105")
        equal(result.returncode, 3, f"exit code: {result.stdout}{result.stderr}")
        for part in ("smbios1", "machine", "net0", "sata0", "boot"):
            contains(result.stdout, part, "plan")
        equal(changing(node), [], "requests that change something")


def test_plan_json_has_the_form_of_the_issue():
    with checked_node() as node:
        differing(node)
        plan = node.hwid_json("plan", "105")
        equal(plan["vmid"], 105, "vmid")
        for change in plan["changes"]:
            equal(sorted(change), ["match", "new", "old", "option", "why"], "keys of a change")
            assert change["match"] in ("exact", "substitute"), change
        by_option = {c["option"]: c for c in plan["changes"]}
        equal(by_option["scsi0"]["new"], None, "scsi0 goes")
        equal(by_option["sata0"]["old"], None, "sata0 is new")
        assert isinstance(plan["notes"], list) and plan["refusals"] == [], plan


def test_plan_of_the_daemon_is_the_plan_of_the_files():
    with checked_node() as node:
        differing(node)
        online = node.hwid_json("plan", "105")
        offline = node.hwid_json("plan", "--config", node.path(node.conf_path(105)),
                                 "--fingerprint", node.path("etc/pve-hwid/fingerprints/105.json"))
        for part in ("vmid", "changes", "notes", "refusals", "result"):
            equal(online[part], offline[part], part)


def test_report_of_the_daemon_is_the_report_of_the_files():
    with checked_node() as node:
        differing(node)
        online = node.hwid_json("check", "105", "--report")
        offline = node.hwid_json("plan", "--config", node.path(node.conf_path(105)), "--fingerprint",
                                 node.path("etc/pve-hwid/fingerprints/105.json"), "--report")
        equal(online, offline, "report")
        equal(node.hwid("plan", "105", "--report").returncode, 3, "exit code")
        equal(changing(node), [], "requests that change something")
        equal(node.hwid("apply", "105").returncode, 0, "apply")
        after = node.hwid_json("plan", "105", "--report")
        equal(after["changes"], 0, "changes")
        equal([(row["attribute"], row["now"]) for row in after["rows"]],
              [(row["attribute"], row["after"]) for row in online["rows"]],
              "what was foretold is what is there")


def test_report_of_no_vm_is_a_sentence():
    with checked_node() as node:
        differing(node)
        result = node.hwid("check", "106", "--report")
        equal(result.returncode, 1, "exit code")
        contains(result.stderr, "106", "sentence")


def test_check_exits_3_then_0():
    with checked_node() as node:
        differing(node)
        equal(node.hwid("check", "105").returncode, 3, "exit code")
        equal(node.hwid("check").returncode, 3, "exit code for all")
        equal(node.hwid("apply", "105").returncode, 0, "apply")
        equal(node.hwid("check", "105").returncode, 0, "exit code after apply")
        state = node.hwid_json("check", "105")["vms"][0]
        equal((state["vmid"], state["state"], state["changes"]), (105, "in-sync", 0), "state")
        assert state["last_change"] and state["txn"], state


def test_apply_shows_progress_and_does_it():
    with checked_node() as node:
        differing(node)
        result = node.hwid("apply", "105")
        equal(result.returncode, 0, f"exit code: {result.stdout}{result.stderr}")
        text = result.stdout + result.stderr
        contains(text, "smbios1", "progress")
        contains(text, "the disk moves to sata0", "progress")
        differs_no_more(node, 105)
        assert not node.running(105), "it was started"
        equal(node.hwid("apply", "105").returncode, 0, "apply again")


def test_apply_json_ends_with_the_outcome():
    with checked_node() as node:
        differing(node)
        answer = node.hwid_json("apply", "105")
        equal(answer["outcome"], "done", "outcome")


def test_apply_dry_run_changes_nothing_and_exits_3():
    with checked_node() as node:
        differing(node)
        result = node.hwid("apply", "105", "--dry-run")
        equal(result.returncode, 3, f"exit code: {result.stdout}{result.stderr}")
        contains(result.stdout, "smbios1", "dry run")
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        equal(node.records(105), [], "journal")


def test_apply_of_a_running_vm_exits_4():
    with checked_node() as node:
        node.vm(105, imported())
        node.qm("start", "105", check=True)
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        result = node.hwid("apply", "105")
        equal(result.returncode, 4, f"exit code: {result.stdout}{result.stderr}")
        contains(result.stdout + result.stderr, "running", "apply")
        equal(changing(node), [], "requests that change something")


def test_apply_of_a_locked_vm_exits_4():
    with checked_node() as node:
        node.vm(105, imported(lock="backup"))
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        result = node.hwid("apply", "105")
        equal(result.returncode, 4, f"exit code: {result.stdout}{result.stderr}")
        equal(changing(node), [], "requests that change something")


def test_apply_works_without_our_hook():
    with checked_node() as node:
        node.vm(105, imported(), hook=False)
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        result = node.hwid("apply", "105")
        equal(result.returncode, 0, f"exit code: {result.stdout}{result.stderr}")
        differs_no_more(node, 105)


def test_apply_that_fails_exits_1_with_the_reason():
    with checked_node() as node:
        differing(node)
        faults(node, {"method": "PUT", "path": "config", "action": "status", "status": 403,
                      "message": "Permission check failed (/vms/105, VM.Config.Disk)"})
        result = node.hwid("apply", "105")
        equal(result.returncode, 1, f"exit code: {result.stdout}{result.stderr}")
        contains(result.stdout + result.stderr, "VM.Config.Disk", "apply")


def test_apply_that_is_broken_off_goes_on():
    """The person at the terminal goes; the change set is finished all the same."""
    with checked_node() as node:
        import signal
        import subprocess
        from node import BUILD
        differing(node)
        identity = gate(node, method="PUT", path="config", form={"smbios1": "."})
        # Where we run in a shell's background, SIGINT is ignored, and that is inherited.
        apply = subprocess.Popen(["env", "--default-signal=INT", os.path.join(BUILD, "pve-hwid"), "apply", "--socket",
                                  node.path("run/pve-hwid/socket"), "105"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        identity.reached()
        apply.send_signal(signal.SIGINT)
        apply.wait(15)
        identity.open()
        wait_for("the end", lambda: node.records(105)[-1:] == ["end"])
        differs_no_more(node, 105)


def test_vm_without_fingerprint_is_an_error():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        for verb in ("plan", "check", "apply"):
            result = node.hwid(verb, "105")
            equal(result.returncode, 1, f"exit code of {verb}: {result.stdout}{result.stderr}")
            contains(result.stdout + result.stderr, "105", verb)


def test_vm_that_does_not_exist_is_an_error():
    with checked_node() as node:
        node.fingerprint(777, fingerprint())
        node.start_daemon()
        result = node.hwid("plan", "777")
        equal(result.returncode, 1, f"exit code: {result.stdout}{result.stderr}")
        contains(result.stdout + result.stderr, "no such VM on this node", "plan")


def test_status_is_well_and_counts():
    with checked_node() as node:
        differing(node)
        node.fingerprint(106, "{}")
        wait_for("two fingerprints", lambda: node.hwid_json("status")["fingerprints"] == 2)
        status = node.hwid_json("status")
        equal(status["node"], "pve1", "node")
        equal(status["api"]["ok"], True, "API")
        equal(status["by_state"].get("differs"), 1, f"by state: {status}")
        result = node.hwid("status")
        contains(result.stdout, "pve1", "status")


def test_status_without_api_is_a_problem():
    with checked_node(serve=False) as node:
        node.start_daemon()
        wait_for("a problem", lambda: node.hwid("status").returncode == 1)
        status = node.hwid_json("status")
        equal(status["api"]["ok"], False, "API")
        assert status["problems"], status


def test_list_has_all_with_their_origin():
    with checked_node() as node:
        node.vm(105, imported())
        node.vm(106, imported(106))
        node.fingerprint(105, fingerprint())
        node.fingerprint(106, fingerprint(), cluster=True)
        node.start_daemon(early=0)
        vms = node.hwid_json("list")["vms"]
        equal([(v["vmid"], v["origin"]) for v in vms], [(105, "local"), (106, "cluster")], "list")
        node.fingerprint(106, fingerprint())
        wait_for("both", lambda: node.hwid_json("list")["vms"][1]["origin"] == "both")
        contains(node.hwid("list").stdout, "106", "list")


def test_log_tells_the_story():
    with checked_node() as node:
        differing(node)
        node.qm("start", "105")
        wait_for("started", lambda: "started" in node.records(105))
        records = node.hwid_json("log", "105")["records"]
        equal([r["type"] for r in records], node.records(105), "records")
        result = node.hwid("log", "105")
        equal(result.returncode, 0, "exit code")
        for part in ("smbios1", "machine", "pre-start"):
            contains(result.stdout, part, "log")


def test_log_of_an_untouched_vm_is_empty():
    with checked_node() as node:
        node.vm(105, imported())
        node.start_daemon()
        result = node.hwid("log", "105")
        contains(result.stdout, "VM 105: nothing was changed so far.", "log")
        equal(result.returncode, 0, f"exit code: {result.stdout}{result.stderr}")


def test_no_daemon_is_said_with_the_cure():
    with checked_node() as node:
        for verb in (("plan", "105"), ("check",), ("status",), ("list",)):
            result = node.hwid(*verb)
            equal(result.returncode, 1, f"exit code of {verb}")
            contains(result.stderr, "pve-hwidd", f"{verb}")


def test_what_changes_or_shows_a_vm_is_for_root():
    with checked_node() as node:
        if os.getuid() != 0 or not os.path.exists("/usr/bin/setpriv"):
            from tap import Skip
            raise Skip("needs root and setpriv")
        from node import BUILD
        differing(node)
        for path in (node.root, node.path("run"), node.path("run/pve-hwid")):
            os.chmod(path, 0o755)
        import shutil
        program = shutil.copy(os.path.join(BUILD, "pve-hwid"), node.path("pve-hwid"))
        nobody = ["/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                  program]
        sock = ["--socket", node.path("run/pve-hwid/socket")]
        result = node.run(*nobody, "apply", *sock, "105", check=False)
        equal(result.returncode, 1, f"exit code: {result.stdout}{result.stderr}")
        contains((result.stdout + result.stderr).lower(), "root", "apply")
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        # What a configuration says is root's; how we are may be known.
        for verb in (["check", *sock, "105"], ["plan", *sock, "105"], ["log", *sock, "105"],
                     ["list", *sock]):
            result = node.run(*nobody, *verb, check=False)
            equal(result.returncode, 1, f"{verb[0]}: {result.stdout}{result.stderr}")
            lacks(result.stdout, "smbios", verb[0])
        contains(node.run(*nobody, "status", *sock, check=False).stdout, "Fingerprints", "status")
        lacks(node.log_text(), "Sanitizer", "log")


if __name__ == "__main__":
    run(globals(), "cli")
