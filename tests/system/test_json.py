#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each verb writes with --json is what conf/schemas says, in every form that a schema has: the
real command line with the real daemon. And: what is there for people only stays on terminals."""
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (BUILD, Skip, checked_node, equal, fingerprint, imported, run, small_fingerprint,
                 wait_for)
from admin import bare_node, join, root
from schemas import TOP, Draft7Validator, Schemas, load

sys.path.insert(0, os.path.join(TOP, "tests", "helpers"))

PROGRAM = os.path.join(BUILD, "pve-hwid")
ALL = Schemas()


def needed():
    if Draft7Validator is None:
        raise Skip("python3-jsonschema is not installed")


def offline(verb, *words, code=0):
    done = subprocess.run([PROGRAM, verb, *words, "--json"], capture_output=True, text=True,
                          timeout=60, check=False, stdin=subprocess.DEVNULL)
    equal(done.returncode, code, f"exit of {verb} {words}: {done.stdout} {done.stderr}")
    return ALL.check(verb, done.stdout)


def told(node, verb, *words, code=0):
    done = node.hwid(verb, *words, "--json")
    equal(done.returncode, code, f"exit of {verb} {words}: {done.stdout} {done.stderr}")
    return ALL.check(verb, done.stdout)


def verbs():
    done = subprocess.run([PROGRAM, "help", "--json"], capture_output=True, text=True, timeout=30,
                          check=True)
    return [v["name"] for v in json.loads(done.stdout)["verbs"]]


def test_every_verb_has_a_schema_and_every_schema_a_verb():
    equal(sorted(load()), sorted(verbs()), "conf/schemas")


def test_schemas_are_schemas():
    needed()
    for verb, schema in load().items():
        Draft7Validator.check_schema(schema)
        equal(schema["title"], f"pve-hwid {verb} --json", "title")


def test_usage_errors_of_all_verbs():
    needed()
    for verb in verbs():
        error = offline(verb, "--no-such-option", code=2)["error"]
        equal(error["exit"], 2, verb)
    # Here --json is the value of an option, and what is behind -- is no option.
    for words in (("status", "--socket", "--json"), ("check", "x", "--", "--json")):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30, check=False)
        equal(done.stdout, "", f"stdout of {words}")


def test_verbs_without_a_daemon():
    needed()
    examples = os.path.join(TOP, "conf", "examples")
    offline("version")
    offline("help")
    equal(offline("help", "apply")["name"], "apply", "help of a verb")
    equal(json.loads(subprocess.run([PROGRAM, "apply", "--help", "--json"], capture_output=True, text=True,
                                    check=True, timeout=30).stdout),
          offline("help", "apply"), "apply --help")
    for words in (("nosuchverb", "--json"), ("--json", "help"), ("help", "nosuchverb", "--json")):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30, check=False)
        equal((done.returncode, ALL.check("help", done.stdout)["error"]["exit"]), (2, 2), words)
    offline("capture", os.path.join(examples, "win2019.vmx"))
    plan = os.path.join(TOP, "tests", "golden", "cli", "plan-differs")
    files = ("--config", f"{plan}/105.conf", "--fingerprint", f"{plan}/105.json")
    offline("plan", *files, code=3)
    offline("plan", *files, "--report", code=3)
    two = os.path.join(TOP, "tests", "golden", "ovf", "two-vms", "input.ovf")
    with tempfile.TemporaryDirectory(prefix="hwid-json-") as out:
        equal(len(offline("capture", two, "-o", out)["vms"]), 2, "VMs in one file")


def test_commands_of_root():
    needed()
    if os.geteuid() != 0:
        raise Skip("only root sets up a node")
    with bare_node() as node:
        def check(verb, *words, code=0):
            done = root(node, verb, *words, "--json")
            equal(done.returncode, code, f"exit of {verb} {words}: {done.stdout} {done.stderr}")
            return ALL.check(verb, done.stdout)
        check("setup", "--no-start", "--dry-run", code=3)
        check("doctor", code=1)
        join(node, "pve2")
        check("setup", "--no-start")
        node.start_daemon()
        node.vm(105, imported(105), hook=False)
        node.fingerprint(105, small_fingerprint(), cluster=True)
        check("attach", "105", "106", code=1)
        check("doctor", code=1)
        check("setup", "--no-start", "--remove", code=5)
        check("detach", "--all")
        check("detach", "105")


def test_capture_from_vcenter():
    needed()
    if shutil.which("openssl") is None:
        raise Skip("openssl is not installed")
    from mock_vcenter import MockVcenter, PASSWORD, USER  # pylint: disable=import-outside-toplevel
    with tempfile.TemporaryDirectory(prefix="hwid-json-") as top:
        subprocess.run([os.path.join(TOP, "tests", "helpers", "make_certs"), top], check=True)
        vc = MockVcenter(top, vms=3)
        password = os.path.join(top, "pw")
        with open(password, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(PASSWORD + "\n")
        try:
            offline("capture", "--vcenter", vc.host, "--user", USER, "--password-file", password,
                    "--all", "-o", os.path.join(top, "out"), "--cacert", os.path.join(top, "ca.pem"))
        finally:
            vc.close()


def named(number):
    """A fingerprint that nobody else has."""
    return {"format": 1, "smbios": {"uuid": f"9b1a4d56-1100-3322-4455-667788{number:06d}"}}


def test_verbs_with_a_daemon():
    needed()
    with checked_node() as node:
        node.vm(105, imported(105))
        node.fingerprint(105, fingerprint())
        node.vm(106, imported(106, smbios1="uuid=421a4d56-1100-3322-4455-667788990106"), hook=False)
        node.fingerprint(106, named(106), cluster=True)
        node.vm(107, imported(107))
        node.fingerprint(107, "{ this is none")
        node.fingerprint(108, named(108))
        for vmid in (109, 110):     # one identity for two: refused
            node.vm(vmid, imported(vmid))
            node.fingerprint(vmid, named(109))
        node.start_daemon(early=0)
        wait_for("all are looked at",
                 lambda: "unknown" not in json.loads(node.hwid("status", "--json").stdout)["by_state"])
        told(node, "list")
        told(node, "check", code=1)
        told(node, "check", "105", code=3)
        told(node, "check", "109", code=5)
        told(node, "check", "105", "109", "120", code=1)
        told(node, "check", "105", "106", "--report", code=3)
        told(node, "check", "105", "--report", code=3)
        told(node, "plan", "105", code=3)
        told(node, "plan", "105", "--report", code=3)
        told(node, "plan", "120", code=1)
        told(node, "plan", "105", "120", code=1)
        told(node, "apply", "105", "--dry-run", code=3)
        hold = ("--config", node.path("etc/pve-hwid/pve-hwid.conf"))
        told(node, "hold", "105", "--why", "the licence server is away", *hold)
        told(node, "list")
        equal([v.get("outcome") for v in told(node, "apply", "--all", "--dry-run", code=1)["vms"]][:2],
              ["on-hold", "differs"], "outcomes")
        told(node, "hold", "106", "107", *hold)
        told(node, "resume", "106", "107", *hold)
        told(node, "resume", "105", *hold)
        told(node, "resume", "105", *hold)
        node.qm("start", "105")
        wait_for("105 was started again", lambda: "started" in node.records(105), 30)
        told(node, "apply", "106")
        told(node, "apply", "106")
        told(node, "apply", "107", code=1)
        told(node, "verify", "106")
        told(node, "verify", "--all", code=1)
        told(node, "undo", "106", "--dry-run", *hold, code=3)
        told(node, "undo", "106", *hold)
        told(node, "undo", "106", *hold, code=1)
        told(node, "undo", "105", "120", "--dry-run", *hold, code=1)
        told(node, "resume", "106", *hold)
        told(node, "metrics")
        told(node, "status", code=1)
        node.vm(121, imported(121))
        told(node, "move", "108", "121", "--dry-run", *hold, code=3)
        told(node, "move", "108", "121", *hold)
        told(node, "adopt", "121", *hold)
        kinds = {r["type"] for r in told(node, "log", "105")["records"]}
        kinds |= {r["type"] for r in told(node, "log", "106")["records"]}
        assert kinds >= {"held", "begin", "step", "end", "start", "started", "hold", "resume"}, kinds
        told(node, "log", "99", code=2)


def test_verbs_without_their_daemon_fail_alike():
    needed()
    for verb, words in (("status", ()), ("list", ()), ("check", ()), ("log", ("105",)),
                        ("apply", ("105",)), ("metrics", ())):
        done = subprocess.run([PROGRAM, verb, *words, "--socket", "/nonexistent/socket", "--json"],
                              capture_output=True, text=True, timeout=30, check=False)
        value = ALL.check(verb, done.stdout)
        equal((done.returncode, value["error"]["exit"]), (1, 1), verb)


def test_match():
    needed()
    with tempfile.TemporaryDirectory(prefix="hwid-json-") as top:
        place = os.path.join(top, "nodes", "pve1", "qemu-server")
        os.makedirs(place)
        os.mkdir(os.path.join(top, "pve-hwid"))
        fps = os.path.join(top, "fps")
        os.mkdir(fps)
        with open(os.path.join(place, "105.conf"), "w", encoding="ascii") as f:
            f.write("name: VMWS2019\n" + f"smbios1: uuid={small_fingerprint()['smbios']['uuid']}\n")
        for name, value in (("a", small_fingerprint()),
                            ("b", {"format": 1, "machine": {"type": "q35"},
                                   "source": {"kind": "vmx", "name": "another"}})):
            with open(os.path.join(fps, f"{name}.json"), "w", encoding="ascii") as f:
                json.dump(value, f)
        offline("match", fps, "--pve-dir", top, "--write", code=3)


def test_every_form_was_seen():
    """Of the tests above; a form that nothing writes has no place in a schema."""
    needed()
    if len(sys.argv) > 1:
        raise Skip("only some tests were run")
    equal(ALL.unseen(), [], "forms that were not seen")


# --- what is for people ---------------------------------------------------------------------------

def on_terminal(argv, **env):
    """What it writes to a terminal, as bytes."""
    leader, follower = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    environment.update({"TERM": "xterm", **env})
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower,
                               env=environment)
    os.close(follower)
    seen = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:     # the terminal is gone once nobody holds it
            break
        if not part:
            break
        seen += part
    os.close(leader)
    process.wait(30)
    return seen


def test_colours_are_for_terminals_without_no_color():
    with checked_node() as node:
        node.vm(105, imported(105))
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(early=0)
        for verb, words in (("list", ()), ("status", ()), ("check", ("105",)), ("help", ()),
                            ("plan", ("105",)), ("check", ("105", "--report"))):
            argv = [PROGRAM, verb, *words]
            if verb != "help":
                argv += ["--socket", node.path("run/pve-hwid/socket")]
            piped = subprocess.run(argv, capture_output=True, timeout=60, check=False)
            assert b"\x1b" not in piped.stdout + piped.stderr, f"{verb}: colours in a pipe"
            assert b"\x1b" not in on_terminal(argv, NO_COLOR="1"), f"{verb}: NO_COLOR"
            assert b"\x1b" not in on_terminal(argv, TERM="dumb"), f"{verb}: TERM=dumb"
            assert b"\x1b" not in on_terminal([*argv, "--json"]), f"{verb}: --json"
            if verb in ("list", "status", "help"):
                assert re.search(rb"\x1b\[\d+m", on_terminal(argv)), f"{verb}: no colour at all"
                assert re.search(rb"\x1b\[\d+m", on_terminal(argv, NO_COLOR="")), \
                    f"{verb}: an empty NO_COLOR says nothing"


if __name__ == "__main__":
    run(globals(), "json")
