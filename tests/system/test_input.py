#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: a sentence with file, place and cure; nothing changed; other VMs unaffected."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (UUID, at_rest, changing, checked_node, contains, equal, has_identity, imported,
                 lacks, run, small_fingerprint, wait_for)


def bad(text, *parts):
    """VM 105 gets `text` as its fingerprint, VM 106 a good one; `parts` must be said of 105."""
    with checked_node() as node:
        node.vm(105, imported())
        node.vm(106, imported(106))
        node.fingerprint(105, text)
        node.fingerprint(106, small_fingerprint())
        node.start_daemon()
        wait_for("the other VM is rewritten", lambda: node.records(106)[-1:] == ["end"])
        at_rest(node)
        equal(changing(node, 105), [], "requests that change 105")
        for part in ("105.json",) + parts:
            contains(node.log_text(), part, "the daemon's log")
        result = node.hwid("check", "105")
        assert result.returncode not in (0, 3), f"check: {result.returncode} {result.stdout}"
        contains(result.stdout + result.stderr, "105.json", "check")
        equal(node.log_text().count("105.json"), 1, "times it was said")
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "WARNING: VM 105", "task log")
        equal(node.qm("start", "106").returncode, 0, "start of the other VM")


def test_empty_fingerprint():
    bad("")


def test_huge_fingerprint():
    bad(json.dumps(small_fingerprint(source={"kind": "vmx", "name": "x" * 70000})), "65536 bytes")


def test_fingerprint_that_is_not_json():
    bad('{ "format": 1,\n  "smbios": { "uuid": oops } }', "line 2")


def test_fingerprint_with_an_unknown_key():
    value = small_fingerprint()
    value["smbios"]["colour"] = "blue"
    bad(json.dumps(value), "smbios: unknown key", "colour")


def test_fingerprint_that_contradicts_itself():
    value = small_fingerprint()
    value["smbios"]["uuid"] = "564d1a9b-0011-2233-4455-66778899aabb"
    bad(json.dumps(value), "serial", UUID)


def test_fingerprint_of_another_format():
    bad(json.dumps(small_fingerprint(format=2)), "format")


def test_fingerprint_with_binary_bytes():
    with checked_node() as node:
        node.vm(105, imported())
        with open(node.path("etc/pve-hwid/fingerprints/105.json"), "wb") as f:
            f.write(b"\0\xff\xfe{}\0" * 30)
        node.start_daemon()
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        equal(node.qm("start", "105").returncode, 0, "start")


def test_fingerprint_that_others_may_write_is_refused():
    with checked_node() as node:
        node.vm(105, imported())
        os.chmod(node.fingerprint(105, small_fingerprint()), 0o666)
        node.start_daemon()
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        contains(node.log_text(), "105.json", "the daemon's log")


def test_fingerprint_that_is_a_symlink_is_refused():
    with checked_node() as node:
        node.vm(105, imported())
        path = node.fingerprint(999, small_fingerprint())
        os.symlink(path, node.path("etc/pve-hwid/fingerprints/105.json"))
        node.start_daemon()
        at_rest(node)
        equal(changing(node, 105), [], "requests that change something")


def test_names_that_are_no_vmid_are_ignored():
    with checked_node() as node:
        node.vm(105, imported())
        for name in ("abc.json", "0.json", "105.json.bak", "-1.json", "00105.json",
                     "99999999999999.json", "1e3.json"):
            node.write(f"etc/pve-hwid/fingerprints/{name}", json.dumps(small_fingerprint()))
        node.start_daemon()
        at_rest(node)
        equal(changing(node), [], "requests that change something")


def test_good_fingerprint_after_a_bad_one_is_taken():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, "{")
        node.start_daemon()
        at_rest(node)
        node.fingerprint(105, small_fingerprint())
        wait_for("the rewrite", lambda: has_identity(node, 105))


def test_config_line_that_pve_would_drop_is_told_and_nothing_changed():
    """Our PUT would make PVE write the file again, without that line."""
    with checked_node() as node:
        node.vm(105, imported())
        node.vm(106, imported(106))
        text = node.read(node.conf_path(105)) + "this is no line of PVE\n"
        node.set_conf(105, text)
        node.fingerprint(105, small_fingerprint())
        node.fingerprint(106, small_fingerprint(smbios={"uuid": "9b1a4d56-1100-3322-4455-000000000106"}))
        node.start_daemon()
        wait_for("the other VM is rewritten", lambda: node.records(106)[-1:] == ["end"])
        at_rest(node)
        equal(node.read(node.conf_path(105)), text, "configuration")
        result = node.hwid("plan", "105")
        contains(result.stdout + result.stderr, "line", "plan")
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "WARNING: VM 105", "task log")


def test_config_line_whose_key_pve_does_not_know_is_not_lost():
    """Its form is right, so only PVE's own answer tells that it would be gone."""
    with checked_node() as node:
        node.vm(105, imported())
        text = node.read(node.conf_path(105)) + "nosuchkey: 1\n"
        node.set_conf(105, text)
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        wait_for("it is said", lambda: "nosuchkey" in node.hwid("list").stdout)
        refused = node.hwid("apply", "105")
        contains(refused.stderr, "would delete that line: correct or remove it", "apply")
        lacks(refused.stdout, "done", "apply")
        equal(node.read(node.conf_path(105)), text, "configuration")


if __name__ == "__main__":
    run(globals(), "input")
