#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pve-hwid metrics` with the real daemon: what happened is in the numbers, and the text is what
Prometheus' own parser (python3-prometheus-client, promtool where it is installed) makes of it."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (BUILD, Skip, checked_node, contains, equal, faults, fingerprint, imported, run,
                 small_fingerprint, wait_for)

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    text_string_to_metric_families = None


def parse(text):
    """{(name, labels as a sorted tuple): value}; every family typed and described."""
    if text_string_to_metric_families is None:
        raise Skip("python3-prometheus-client is not installed")
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, f"{family.name}: no HELP"
        assert family.type in ("gauge", "counter", "histogram"), f"{family.name}: {family.type}"
        for s in family.samples:
            key = (s.name, tuple(sorted(s.labels.items())))
            assert key not in found, f"{key}: twice"
            found[key] = s.value
    return found


def value(found, name, **labels):
    key = ("pve_hwid_" + name, tuple(sorted(labels.items())))
    assert key in found, f"no {key} in {sorted(found)}"
    return found[key]


def metrics(node):
    done = node.hwid("metrics")
    equal((done.returncode, done.stderr), (0, ""), "pve-hwid metrics")
    return parse(done.stdout)


def test_what_happened_is_in_the_numbers():
    with checked_node() as node:
        node.vm(105, imported(105))
        node.fingerprint(105, small_fingerprint())
        node.vm(106, imported(106))
        node.fingerprint(106, "{ this is none")
        node.start_daemon(early=0)
        node.qm("start", "105")
        wait_for("105 was started again", lambda: "started" in node.records(105), 30)
        wait_for("it runs", lambda: node.running(105), 30)
        found = metrics(node)
        equal(value(found, "up"), 1, "up")
        equal(value(found, "api_up"), 1, "api_up")
        equal(value(found, "fingerprints"), 2, "fingerprints")
        equal(value(found, "fingerprints_bad"), 1, "fingerprints_bad")
        equal(value(found, "vms", state="in-sync"), 1, "in sync")
        equal(value(found, "vms", state="stuck"), 0, "stuck")
        equal(value(found, "vm_state", vmid="105", state="in-sync"), 1, "state of 105")
        equal(value(found, "vm_state", vmid="106", state="bad-fingerprint"), 1, "state of 106")
        equal(value(found, "starts_stopped_total"), 1, "stopped")
        equal(value(found, "starts_made_total"), 1, "made again")
        equal(value(found, "changes_total", result="applied"),
              len([r for r in node.journal(105) if r["type"] == "step"]), "changes")
        equal(value(found, "change_sets_total", outcome="done"), 1, "change sets")
        hooks = {a: value(found, "hook_calls_total", phase="pre-start", answer=a)
                 for a in ("go", "restart", "refuse", "abandoned")}
        equal(hooks, {"go": 1, "restart": 1, "refuse": 0, "abandoned": 0}, "hook calls")
        equal(value(found, "hook_pre_start_duration_seconds_count"), 2, "answers measured")
        equal(value(found, "hook_pre_start_duration_seconds_bucket", le="+Inf"), 2, "all of them")
        assert 0 < value(found, "hook_pre_start_duration_seconds_sum") < 4, "their sum"
        assert value(found, "api_requests_total", result="ok") >= 5, "requests"


def test_errors_of_the_api_and_warnings_are_counted():
    with checked_node() as node:
        node.vm(105, imported(105))
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(early=0)
        wait_for("the API answered", lambda: value(metrics(node), "api_requests_total", result="ok"))
        faults(node, {"method": "GET", "path": "/qemu/105/status/current", "action": "status",
                      "status": 500, "message": "boom"},
               {"method": "GET", "path": "/access/permissions", "action": "status", "status": 500,
                "message": "boom"})
        node.qm("start", "105")
        found = metrics(node)
        assert value(found, "api_requests_total", result="refused") >= 1, "refused"
        equal(value(found, "starts_with_warning_total"), 1, "started all the same")
        equal(value(found, "starts_stopped_total"), 0, "nothing was stopped")


def test_file_is_whole_readable_for_all_and_replaced():
    with checked_node() as node:
        node.start_daemon()
        path = node.path("pve-hwid.prom")
        with open(path, "w", encoding="ascii") as f:
            f.write("old\n")
        before = os.stat(path).st_ino
        old = os.umask(0o077)
        try:
            done = node.hwid("metrics", "-o", path)
        finally:
            os.umask(old)
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "metrics -o")
        stat = os.stat(path)
        equal(oct(stat.st_mode & 0o7777), "0o644", "mode")
        assert stat.st_ino != before, "written in place: a reader may see half of it"
        equal([n for n in os.listdir(node.root) if "prom" in n], ["pve-hwid.prom"], "leftovers")
        parse(node.read("pve-hwid.prom"))


def test_dead_daemon_is_told_in_the_file_too():
    with checked_node() as node:
        node.start_daemon()
        path = node.path("pve-hwid.prom")
        equal(node.hwid("metrics", "-o", path).returncode, 0, "alive")
        node.stop_daemon()
        done = node.hwid("metrics", "-o", path)
        equal(done.returncode, 1, "exit code")
        contains(done.stderr, "the daemon is not running", "stderr")
        equal(parse(node.read("pve-hwid.prom")), {("pve_hwid_up", ()): 0}, "the file")
        node.start_daemon()


def test_counters_begin_anew_with_the_daemon():
    with checked_node() as node:
        node.vm(105, imported(105))
        node.fingerprint(105, fingerprint())
        node.start_daemon()
        wait_for("rewritten", lambda: "end" in node.records(105), 30)
        equal(value(metrics(node), "change_sets_total", outcome="done"), 1, "before")
        node.stop_daemon()
        node.start_daemon()
        equal(value(metrics(node), "change_sets_total", outcome="done"), 0, "after")


def test_no_directory_is_a_sentence():
    with checked_node() as node:
        node.start_daemon()
        done = node.hwid("metrics", "-o", node.path("nowhere/pve-hwid.prom"))
        equal(done.returncode, 1, "exit code")
        contains(done.stderr, "its directory does not exist", "stderr")


def test_others_than_root_are_told_nothing():
    with checked_node() as node:
        node.vm(105, imported(105))
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(early=0)
        os.chmod(node.root, 0o755)
        os.chmod(node.path("run"), 0o755)
        if os.getuid() != 0 or shutil.which("setpriv") is None:
            raise Skip("needs root and setpriv")
        program = node.path("pve-hwid-for-all")
        shutil.copy(os.path.join(BUILD, "pve-hwid"), program)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program,
                               "metrics", "--socket", node.path("run/pve-hwid/socket")],
                              capture_output=True, text=True, timeout=30, check=False)
        equal(done.returncode, 1, "exit code")
        contains(done.stderr, "run as root", "stderr")
        assert "105" not in done.stdout, done.stdout


def test_promtool_has_nothing_to_say():
    if shutil.which("promtool") is None:
        raise Skip("promtool (package prometheus, 96 MB) is not installed")
    with checked_node() as node:
        node.vm(105, imported(105))
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        text = node.hwid("metrics").stdout
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                              text=True, timeout=60, check=False)
        equal((done.returncode, done.stdout + done.stderr), (0, ""), "promtool")


if __name__ == "__main__":
    run(globals(), "metrics")
