#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the first package that there ever was (tests/test_package builds it from its commit) to this one, while a
VM is being rewritten: set up by hand, as there was no `pve-hwid setup` then, with settings of its administrator's.
Run as inside.py is, in a tree of its own:

    upgrade.py upgrade OLD.deb NEW.deb
"""
import os
import re
import shutil
import sys

import inside
from inside import COPY, HOOK, NODE, apt, bytes_of, is_in_sync, journal, put_hook, sh, show, step
from node import PVESIM, TOKEN, wait_for      # inside has set the path
from tap import contains, differs_no_more, disks, equal, faults, fingerprint, imported, lacks

inside.STEPS.update(upgrade=[])
OLD_HOOK = "/root/old-hook"
SETTINGS = "# this node's own\nrescan_s: 2\n"


@step("upgrade")
def the_first_package_that_ever_was_runs_here():
    apt("install", inside.OLD_DEB)
    secret = sh(PVESIM, "token", "/", TOKEN).split()[-1]
    NODE.write("etc/pve-hwid/token", f"{TOKEN}={secret}\n", 0o600)
    NODE.write("etc/pve-hwid/pve-hwid.conf", SETTINGS)
    os.makedirs("/etc/pve/pve-hwid", exist_ok=True)
    put_hook()
    shutil.copy(COPY, OLD_HOOK)
    sh("systemctl", "start", "pve-hwidd.socket", "pve-hwidd.service")
    equal(sh("pve-hwidd", "--version").split()[1], sh("dpkg-deb", "-f", inside.OLD_DEB, "Version").strip(), "version")
    lacks(NODE.hwid("help").stdout, "setup", "its verbs")       # so it is no other name for this package


@step("upgrade")
def it_rewrites_a_vm():
    NODE.vm(104, imported(104))
    NODE.fingerprint(104, fingerprint())
    wait_for("the rewrite", lambda: is_in_sync(104), 60)


@step("upgrade")
def an_upgrade_in_the_middle_of_a_rewrite_loses_nothing():
    NODE.vm(107, imported(107), disks=tuple(f"scsi{i}=16M" for i in range(5)))
    pid, opened = show("MainPID"), show("ActiveEnterTimestampMonotonic", "pve-hwidd.socket")
    # Before each step the daemon asks for the digest: so the rewrite takes longer than the upgrade.
    faults(NODE, {"method": "GET", "path": "qemu/107/config", "action": "delay", "seconds": 12})
    NODE.fingerprint(107, fingerprint(disks=disks(5)))
    wait_for("the first change", lambda: "step" in NODE.records(107), 90)
    # The settings were changed on both sides: an administrator keeps his own.
    out = apt("-o", "Dpkg::Options::=--force-confold", "install", inside.NEW_DEB)
    assert NODE.records(107)[-1] != "end" or NODE.journal(107)[-1]["outcome"] != "done", \
        f"the rewrite had ended before the upgrade: {NODE.records(107)}"
    faults(NODE)
    assert show("MainPID") != pid, f"the daemon was not restarted: {out}"
    equal(show("ActiveEnterTimestampMonotonic", "pve-hwidd.socket"), opened, "when the socket was opened")
    wait_for("the rewrite", lambda: is_in_sync(107) and NODE.journal(107)[-1]["outcome"] == "done", 120)
    contains([r.get("outcome") for r in NODE.journal(107)], "interrupted", "outcomes")
    found = differs_no_more(NODE, 107)
    equal(sorted(k for k in found if re.fullmatch(r"sata\d", k)), [f"sata{i}" for i in range(5)], "disks")
    equal([r for r in journal("PRIORITY=0..3") if "pve-hwid" in r["MESSAGE"]], [], "errors in the journal")


@step("upgrade")
def it_is_the_new_one_with_the_settings_of_before():
    version = sh("dpkg-deb", "-f", inside.NEW_DEB, "Version").strip()
    for program in ("pve-hwid", "pve-hwidd"):
        equal(sh(program, "--version").split()[1], version, program)
    equal(NODE.read("etc/pve-hwid/pve-hwid.conf"), SETTINGS, "the settings")
    assert bytes_of(OLD_HOOK) != bytes_of(HOOK), "the hook did not change at all"
    assert bytes_of(COPY) == bytes_of(HOOK), "the copy of the hook is not the new one"


@step("upgrade")
def it_reads_the_journal_of_before():
    contains(NODE.hwid("log", "104").stdout, "machine", "log of a VM that the old daemon rewrote")
    undo = NODE.hwid("undo", "104", "--dry-run")
    contains(undo.stdout, "machine", f"what an undo would bring back: {undo.stderr}")
    done = NODE.hwid("check")
    equal(done.returncode, 0, f"check: {done.stdout}{done.stderr}")


@step("upgrade")
def both_hooks_get_on_with_the_new_daemon():
    for hook in (COPY, OLD_HOOK):
        done = NODE.run(hook, "104", "pre-start", check=False)
        equal(done.returncode, 0, f"{hook}: {done.stdout}{done.stderr}")
        lacks(done.stdout, "WARNING", hook)
    equal(NODE.qm("start", "104").returncode, 0, "a start")
    NODE.qm("stop", "104", check=True)


@step("upgrade")
def setup_keeps_what_was_made_by_hand():
    token = NODE.read("etc/pve-hwid/token")
    done = NODE.hwid("setup")
    equal(done.returncode, 0, f"setup: {done.stdout}{done.stderr}")
    contains(done.stdout, f"already so  token {TOKEN} in", "setup")
    equal(NODE.read("etc/pve-hwid/token"), token, "the token")
    answer = NODE.hwid("doctor")
    lacks(answer.stdout, "FAIL", "doctor")
    equal(NODE.violations(), [], "violations")


if __name__ == "__main__":
    sys.exit(inside.main())
