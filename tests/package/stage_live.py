# SPDX-License-Identifier: GPL-3.0-or-later
"""The package at work on a node: VMs, reload, watchdog, upgrade; and what a boot of the node is like."""
import os
import re
import shutil
import signal
import time

from life import (COPY, HOOK, NODE, NEW_DEB, step, sh, apt, show, is_active, journal, message_id, put_hook,
                  attach, bytes_of, settings, is_in_sync)
from node import wait_for
from tap import (contains, differs_no_more, disks, equal, faults, fingerprint, has_identity, imported, lacks,
                 small_fingerprint, starts_by_us)


@step("live")
def an_attached_vm_is_rewritten_early_as_soon_as_it_has_a_fingerprint():
    NODE.vm(104, imported(104), hook=False)
    attach(104)
    NODE.fingerprint(104, fingerprint())
    wait_for("the rewrite", lambda: is_in_sync(104), 60)
    differs_no_more(NODE, 104)


@step("live")
def its_start_goes_through_the_hook_that_setup_placed():
    started = NODE.qm("start", "104")
    equal(started.returncode, 0, f"start: {started.stdout}{started.stderr}")
    equal([(h["phase"], h["exit"]) for h in NODE.hook_calls() if h["vmid"] == 104],
          [("pre-start", 0), ("post-start", 0)], "calls of the hook")
    NODE.qm("stop", "104", check=True)


@step("live")
def detach_gives_back_the_hookscript_from_before():
    NODE.write("var/lib/vz/snippets/former", "#!/bin/sh\necho \"former $*\" >>/tmp/former\n", 0o755)
    NODE.vm(109, {"hookscript": "local:snippets/former"})
    attach(109)
    started = NODE.qm("start", "109")
    equal(started.returncode, 0, f"start: {started.stdout}{started.stderr}")
    NODE.qm("stop", "109", check=True)
    contains(NODE.read("tmp/former"), "former 109 pre-start\n", "what the former hookscript saw")
    done = NODE.hwid("detach", "109")
    equal((done.returncode, NODE.conf(109)["hookscript"]), (0, "local:snippets/former"), f"detach: {done.stderr}")
    os.unlink("/tmp/former")


@step("live")
def the_journal_has_its_fields():
    found = journal("PVE_HWID_VMID=104", "MESSAGE_ID=" + message_id("CHANGE_APPLIED"))
    options = {m["PVE_HWID_OPTION"]: m for m in found}
    assert {"smbios1", "machine", "net0"} <= set(options), sorted(options)
    told = options["machine"]
    equal(told["PVE_HWID_OLD"], "pc", "PVE_HWID_OLD")
    contains(told["PVE_HWID_NEW"], "pc-q35-", "PVE_HWID_NEW")
    equal(told["PVE_HWID_TXN"], NODE.journal(104)[-1]["txn"], "PVE_HWID_TXN")
    equal((told["_SYSTEMD_UNIT"], told["SYSLOG_IDENTIFIER"], told["PRIORITY"]),
          ("pve-hwidd.service", "pve-hwidd", "5"), "whose it is")


@step("live")
def journalctl_x_explains():
    out = sh("journalctl", "-x", "--no-pager", "PVE_HWID_VMID=104", "MESSAGE_ID=" + message_id("CHANGE_APPLIED"))
    contains(out, "Defined-By: pve-hwid", "journalctl -x")
    contains(out, "Subject: machine of VM 104 was changed", "journalctl -x")
    lacks(out, "@PVE_HWID", "journalctl -x")


@step("live")
def reload_takes_new_settings_and_a_start_that_differs_is_held():
    pid = show("MainPID")
    settings("early: 0\n")
    equal(show("MainPID"), pid, "the daemon's pid")
    NODE.vm(106, imported(106), hook=False)
    attach(106)
    NODE.fingerprint(106, small_fingerprint(), cluster=True)
    started = NODE.qm("start", "106")
    contains(started.stderr, "exit code 75", "the first start")
    wait_for("the second start", lambda: NODE.running(106), 60)
    equal(len(starts_by_us(NODE, 106)), 1, "starts by the daemon")
    assert has_identity(NODE, 106), "it was started as it was"
    settings("")
    equal(NODE.qm("stop", "106").returncode, 0, "stop")


@step("live")
def bad_settings_leave_the_old_ones_in_force():
    NODE.write("etc/pve-hwid/pve-hwid.conf", "earlie: 0\n")
    sh("systemctl", "reload", "pve-hwidd.service")
    wait_for("a word of it", lambda: [m for m in journal("MESSAGE_ID=" + message_id("SETTINGS_RELOADED"))
                                      if "old settings stay" in m["MESSAGE"]])
    settings("")
    equal(is_active(), "active", "the service")


@step("live")
def a_hung_daemon_is_ended_and_started_again():
    os.makedirs("/run/systemd/system/pve-hwidd.service.d", exist_ok=True)
    NODE.write("run/systemd/system/pve-hwidd.service.d/test.conf",
               "[Service]\nWatchdogSec=2\nRestartSec=500ms\n")
    sh("systemctl", "daemon-reload")
    sh("systemctl", "restart", "pve-hwidd.service")
    pid = int(show("MainPID"))
    os.kill(pid, signal.SIGSTOP)
    wait_for("a new daemon", lambda: int(show("NRestarts")) >= 1 and show("SubState") == "running" and
             int(show("MainPID")) != pid, 60, 0.2)
    contains(sh("journalctl", "--no-pager", "-u", "pve-hwidd.service"), "Watchdog timeout", "the journal")
    equal(NODE.hwid("status").returncode, 0, "status")
    shutil.rmtree("/run/systemd/system/pve-hwidd.service.d")
    sh("systemctl", "daemon-reload")


@step("live")
def an_upgrade_in_the_middle_of_a_rewrite_loses_nothing():
    NODE.vm(107, imported(107), disks=tuple(f"scsi{i}=16M" for i in range(5)))
    with open(COPY, "ab") as f:     # as an older version's
        f.write(b"older\n")
    pid, opened = show("MainPID"), show("ActiveEnterTimestampMonotonic", "pve-hwidd.socket")
    # Before each step the daemon asks for the digest: so the rewrite takes longer than the upgrade.
    slow = {"method": "GET", "path": "qemu/107/config", "action": "delay", "seconds": 1}
    faults(NODE, slow)
    NODE.fingerprint(107, fingerprint(disks=disks(5)))
    wait_for("the first change", lambda: "step" in NODE.records(107), 90)
    faults(NODE, dict(slow, seconds=12))
    out = apt("install", NEW_DEB)
    assert NODE.records(107)[-1] != "end" or NODE.journal(107)[-1]["outcome"] != "done", \
        f"the rewrite had ended before the upgrade: {NODE.records(107)}"
    faults(NODE)
    assert show("MainPID") != pid, f"the daemon was not restarted: {out}"
    equal(show("ActiveEnterTimestampMonotonic", "pve-hwidd.socket"), opened, "when the socket was opened")
    wait_for("the rewrite", lambda: is_in_sync(107) and NODE.journal(107)[-1]["outcome"] == "done", 120)
    contains([r.get("outcome") for r in NODE.journal(107)], "interrupted", "outcomes")
    found = differs_no_more(NODE, 107)
    equal(sorted(k for k in found if re.fullmatch(r"sata\d", k)), [f"sata{i}" for i in range(5)], "disks")
    equal([r for r in journal("PRIORITY=0..3") if "pve-hwid" in r["MESSAGE"] and "Watchdog" not in r["MESSAGE"]
           and "old settings" not in r["MESSAGE"]], [], "errors in the journal")


@step("live")
def an_upgrade_brings_the_hook_along():
    equal(sh("dpkg-query", "-W", "-f", "${Version}", "pve-hwid"),
          sh("dpkg-deb", "-f", NEW_DEB, "Version").strip(), "version")
    assert bytes_of(COPY) == bytes_of(HOOK), "the copy of the hook is not the new one"


@step("live")
def a_snippet_that_is_not_ours_is_left_alone():
    NODE.write(COPY[1:], "#!/bin/sh\nexit 0\n", 0o755)
    contains(sh("/usr/libexec/pve-hwid/place-hook", "refresh"), "somebody's own", "place-hook refresh")
    equal(NODE.read(COPY[1:]), "#!/bin/sh\nexit 0\n", "the snippet")
    put_hook()


@step("live")
def nothing_forbidden_was_done():
    equal(NODE.violations(), [], "violations")
    # For the next boot: VM 105 differs, and nobody has looked at it yet.
    sh("systemctl", "stop", "pve-hwidd.service", "pve-hwidd.socket")
    NODE.vm(105, imported())
    NODE.fingerprint(105, fingerprint())
    faults(NODE, {"method": "PUT", "path": "qemu/105/config", "action": "delay", "seconds": 1})
    sh("systemctl", "enable", "pve-guests.service")


# --- boot -----------------------------------------------------------------------------------------

@step("boot")
def at_boot_a_vm_is_rewritten_before_the_node_starts_it():
    equal(show("Result", "pve-guests.service"), "success", "pve-guests.service")
    assert NODE.running(105), "VM 105 does not run"
    equal(len(starts_by_us(NODE, 105)), 0, "starts by the daemon: its start was held")
    equal([h["exit"] if "exit" in h else h.get("code") for h in NODE.hook_calls()
           if h["vmid"] == 105 and h["phase"] == "pre-start"], [0], "its pre-start")
    differs_no_more(NODE, 105)
    ready = int(show("ActiveEnterTimestampMonotonic"))
    assert ready <= int(show("ExecMainStartTimestampMonotonic", "pve-guests.service")), "ready came later"
    faults(NODE)


@step("boot")
def at_boot_without_an_api_the_vms_start_after_ready_patience():
    sh("systemctl", "stop", "pve-guests.service")
    sh("systemctl", "stop", "pve-hwidd.service", "pveproxy.service")
    NODE.set_conf(105, re.sub("(?m)^smbios1: .*", "smbios1: uuid=" + "1" * 8 + "-0000-0000-0000-000000000000",
                              NODE.read(NODE.conf_path(105))))
    NODE.write("etc/pve-hwid/pve-hwid.conf", "ready_patience_s: 3\n")
    before = len(journal("-b", "MESSAGE_ID=" + message_id("NOT_SETTLED")))
    began = time.monotonic()
    sh("systemctl", "start", "pve-hwidd.service")
    took = time.monotonic() - began
    assert 2.5 < took < 40, f"ready after {took:.1f} s"
    equal(len(journal("-b", "MESSAGE_ID=" + message_id("NOT_SETTLED"))), before + 1, "words about it")
    sh("systemctl", "start", "pveproxy.service")
    NODE.write("etc/pve-hwid/pve-hwid.conf", "")
    sh("systemctl", "restart", "pve-hwidd.service")
    wait_for("the rewrite", lambda: is_in_sync(105), 60)


@step("boot")
def what_cannot_start_is_not_tried_for_ever():
    os.makedirs("/run/systemd/system/pve-hwidd.service.d", exist_ok=True)
    NODE.write("run/systemd/system/pve-hwidd.service.d/test.conf", "[Service]\nRestartSec=20ms\n")
    sh("systemctl", "daemon-reload")
    NODE.write("etc/pve-hwid/pve-hwid.conf", "nonsense\n")
    sh("systemctl", "restart", "pve-hwidd.service", check=False)
    wait_for("systemd gives up", lambda: is_active() == "failed" and
             is_active("pve-hwidd.socket") in ("failed", "inactive"), 60, 0.2)
    print(f"# gave up after {show('NRestarts')} restarts", flush=True)
    started = NODE.qm("start", "105")
    equal(started.returncode, 0, f"a start meanwhile: {started.stdout}{started.stderr}")
    NODE.write("etc/pve-hwid/pve-hwid.conf", "")
    shutil.rmtree("/run/systemd/system/pve-hwidd.service.d")
    sh("systemctl", "daemon-reload")
    sh("systemctl", "reset-failed", "pve-hwidd.service", "pve-hwidd.socket")
    sh("systemctl", "start", "pve-hwidd.socket", "pve-hwidd.service")
    equal(NODE.hwid("status").returncode, 0, "status")
    NODE.qm("stop", "105", check=True)
