#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings, token, certificate and journal that are wrong: the daemon says which file, which line, and
changes nothing."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (at_rest, changing, checked_node, contains, equal, fingerprint, has_identity,
                 imported, lacks, run, small_fingerprint, wait_for)


def does_not_start(node, *parts):
    """The daemon ends by itself with exit code 1 and a sentence."""
    node.start_daemon(wait=False)
    code = node.daemon.wait(15)
    text = node.log_text()
    node.daemon = None
    equal(code, 1, f"exit code ({text})")
    for part in parts:
        contains(text, part, "the daemon's log")


def test_settings_with_an_unknown_key_name_file_and_line():
    with checked_node() as node:
        node.settings["on_drif"] = "restart"
        line = node.config_text().splitlines().index("on_drif: restart") + 1
        does_not_start(node, "pve-hwid.conf", f"{line}", "on_drif")


def test_settings_with_a_bad_value_name_file_and_line():
    with checked_node() as node:
        node.settings["max_reads"] = "many"
        line = node.config_text().splitlines().index("max_reads: many") + 1
        does_not_start(node, "pve-hwid.conf", f"{line}", "max_reads")


def test_reload_with_a_wrong_key_keeps_the_old_settings():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0, on_drift="refuse")
        node.write("etc/pve-hwid/pve-hwid.conf", node.config_text(on_drift="start", nonsense=1))
        node.daemon.send_signal(signal.SIGHUP)
        wait_for("the sentence", lambda: "old settings stay in force" in node.log_text())
        contains(node.log_text(), "nonsense", "the daemon's log")
        contains(node.qm("start", "105").stderr, "exit code 78", "start")


def test_token_that_cannot_be_read():
    with checked_node() as node:
        os.unlink(node.path("etc/pve-hwid/token"))
        does_not_start(node, "etc/pve-hwid/token")


def test_token_that_others_may_read_is_refused():
    with checked_node() as node:
        os.chmod(node.path("etc/pve-hwid/token"), 0o644)
        does_not_start(node, "etc/pve-hwid/token", "0600")
        lacks(node.log_text(), node.secret, "the daemon's log")


def test_token_that_makes_no_sense():
    with checked_node() as node:
        node.write("etc/pve-hwid/token", "hunter2\n", 0o600)
        does_not_start(node, "etc/pve-hwid/token")
        lacks(node.log_text(), "hunter2", "the daemon's log")


def test_ca_that_is_missing_is_said():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.settings["ca_file"] = node.path("etc/pve/no-such-ca.pem")
        node.start_daemon(wait=False)
        wait_for("a sentence", lambda: "no-such-ca.pem" in node.log_text())
        if node.daemon.poll() is not None:
            node.daemon = None


def test_wrong_ca_is_not_trusted():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        other = node.path("other.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/null", "-out",
                        other, "-subj", "/CN=somebody else"], check=True, capture_output=True)
        node.start_daemon(ca_file=other)
        wait_for("a sentence", lambda: "PVE's API:" in node.log_text())
        equal(node.requests(), [], "requests")


def test_bad_line_in_the_journal_is_left_out():
    with checked_node() as node:
        node.vm(105, imported())
        os.makedirs(node.path("var/lib/pve-hwid/journal"), 0o700, exist_ok=True)
        node.write("var/lib/pve-hwid/journal/105.jsonl", '{"type":"he\n\0\0garbage\n', 0o600)
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        wait_for("the rewrite", lambda: has_identity(node, 105))
        contains(node.log_text(), "cannot be read", "the daemon's log")


def test_journal_that_cannot_be_written_means_nothing_is_changed():
    with checked_node() as node:
        node.vm(105, imported())
        os.makedirs(node.path("var/lib/pve-hwid/journal/105.jsonl"))     # a directory in its place
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(wait=False)
        wait_for("a sentence", lambda: "105" in node.log_text() and
                 ("journal" in node.log_text()))
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        if node.daemon.poll() is not None:
            node.daemon = None
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "WARNING", "task log")


if __name__ == "__main__":
    run(globals(), "settings")
