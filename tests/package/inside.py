#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of the package on one node, from apt install to purge: run as root INSIDE a Debian with a real
systemd that may be thrown away afterwards. `/` is the simulator's node, the API is on port 8006, the units
and paths are the package's own.

    inside.py STAGE [OLD.deb NEW.deb]     STAGE: arrive, live, boot, leave

Prints TAP lines; the next stage goes on where the one before ended (between live and boot the machine is
booted). Where something cannot be had no test passes: it fails.
"""
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))

from admin import STORAGES  # noqa: E402  (the path had to be set first)
from node import PVESIM, Node, wait_for  # noqa: E402  (the path had to be set first)
from tap import (contains, differs_no_more, disks, equal, faults, fingerprint, has_identity,  # noqa: E402
                 imported, lacks, small_fingerprint, starts_by_us)

COPY = "/var/lib/vz/snippets/pve-hwid"
HOOK = "/usr/libexec/pve-hwid/pve-hwid-hook"
STUB = "/usr/libexec/pve-hwid/removed-hook"
STEPS = {"arrive": [], "live": [], "boot": [], "leave": []}
NEW_DEB = OLD_DEB = None
SLOW = 4        # seconds; told, since all of this is waited for


def step(stage):
    def add(function):
        STEPS[stage].append(function)
        return function
    return add


class Installed(Node):
    """node.py's view of a node, with the package's own places and nothing to start or to throw away."""

    def __init__(self):     # pylint: disable=super-init-not-called
        self.name, self.root, self.daemon, self.server = "pve1", "/", None, None

    def hwid(self, *argv, check=False, timeout=90):
        return self.run("pve-hwid", *argv, check=check, timeout=timeout)


NODE = Installed()


def sh(*argv, check=True, timeout=180):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=timeout, check=False,
                          env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout}")
    return done.stdout


def apt(*argv):
    return sh("apt-get", "-y", "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0",
              "-o", "Dpkg::Options::=--force-confold", *argv)      # nobody answers: our settings stay


def show(prop, unit="pve-hwidd.service"):
    return sh("systemctl", "show", "-P", prop, unit).strip()


def is_active(unit="pve-hwidd.service"):
    return show("ActiveState", unit)


def failed_units():
    """Of ours: a container has some of its own, without a kernel to load modules into."""
    return re.findall(r"pve-[\w.-]+", sh("systemctl", "--failed", "--no-legend", "--plain"))


def journal(*match):
    lines = sh("journalctl", "-o", "json", "--no-pager", *match, check=False).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def message_id(name):
    with open(os.path.join(HERE, "..", "..", "daemon", "message_ids.h"), encoding="ascii") as f:
        return re.search(rf'MESSAGE_{name}\s+"(\w+)"', f.read()).group(1)


def put_hook():
    shutil.copy(HOOK, COPY)
    os.chmod(COPY, 0o755)


def access():
    """(users, roles of ours) that the simulated PVE has."""
    found = json.loads(NODE.read("pvesim/access.json"))
    return sorted(found["users"]), sorted(r for r in found["roles"] if r.startswith("Hwid"))


def attach(vmid):
    done = NODE.hwid("attach", str(vmid))
    equal((done.returncode, done.stdout[:12]), (0, f"VM {vmid}: done"), f"attach: {done.stdout}{done.stderr}")
    equal(NODE.conf(vmid)["hookscript"], "local:snippets/pve-hwid", f"hookscript of VM {vmid}")


def bytes_of(path):
    with open(path, "rb") as f:
        return f.read()


def settings(text):
    NODE.write("etc/pve-hwid/pve-hwid.conf", text)
    since = time.time()
    sh("systemctl", "reload", "pve-hwidd.service")
    wait_for("the settings are read again", lambda: [
        m for m in journal("MESSAGE_ID=" + message_id("SETTINGS_RELOADED"))
        if int(m["__REALTIME_TIMESTAMP"]) / 1e6 >= since - 1])


def is_in_sync(vmid):
    return has_identity(NODE, vmid) and NODE.records(vmid)[-1:] == ["end"]


# --- arrive ---------------------------------------------------------------------------------------

@step("arrive")
def installs_where_nothing_is_set_up_yet():
    apt("install", OLD_DEB)
    equal(sh("dpkg-query", "-W", "-f", "${db:Status-Status}", "pve-hwid"), "installed", "status")
    for unit in ("pve-hwidd.service", "pve-hwidd.socket"):
        equal(sh("systemctl", "is-enabled", unit).strip(), "enabled", unit)
        equal((is_active(unit), show("Result", unit)), ("inactive", "success"), f"{unit} without a token")
    equal(failed_units(), [], "failed units")


@step("arrive")
def the_daemon_has_its_user():
    user = pwd.getpwnam("pve-hwid")
    assert 0 < user.pw_uid < 1000 and user.pw_shell.endswith("nologin"), user


@step("arrive")
def settings_are_a_conffile_and_nothing_of_ours_is_writable_by_others():
    contains(sh("dpkg-query", "-W", "-f", "${Conffiles}", "pve-hwid"), "/etc/pve-hwid/pve-hwid.conf", "conffiles")
    for path in sh("dpkg", "-L", "pve-hwid").splitlines():
        mode = os.lstat(path).st_mode
        assert os.path.islink(path) or mode & 0o022 == 0, f"{path}: {mode:o}"


@step("arrive")
def no_hook_is_put_anywhere_unasked():
    assert not os.path.exists(COPY), "a copy of the hook"


@step("arrive")
def units_verify():
    files = [show("FragmentPath", unit) for unit in ("pve-hwidd.service", "pve-hwidd.socket")]
    out = sh("systemd-analyze", "verify", "--man=no", *files, check=False)
    ours = [line for line in out.splitlines() if "pve-hwid" in line]
    equal(ours, [], "systemd-analyze verify")


@step("arrive")
def setup_shows_first_what_it_would_do():
    sh("systemctl", "disable", "pve-hwidd.socket", "pve-hwidd.service")     # somebody may have
    done = NODE.hwid("setup", "--dry-run")
    equal(done.returncode, 3, f"setup --dry-run: {done.stdout}{done.stderr}")
    for command in ("pveum user token add pve-hwid@pve daemon-pve1", "pvesm set local --content",
                    "systemctl enable pve-hwidd.socket pve-hwidd.service",
                    "systemctl start pve-hwidd.socket pve-hwidd.service"):
        contains(done.stdout, command, "setup --dry-run")
    for path in ("/etc/pve-hwid/token", COPY, "/etc/pve/pve-hwid", "/pvesim/access.json"):
        assert not os.path.exists(path), f"setup --dry-run made {path}"
    equal((is_active(), sh("systemctl", "is-enabled", "pve-hwidd.service", check=False).strip()),
          ("inactive", "disabled"), "the service")


@step("arrive")
def setup_makes_all_of_it_and_starts_the_units():
    done = NODE.hwid("setup")
    equal(done.returncode, 0, f"setup: {done.stdout}{done.stderr}")
    equal(os.stat("/etc/pve-hwid/token").st_mode & 0o7777, 0o600, "mode of the token file")
    equal(NODE.read("etc/pve-hwid/token").partition("=")[0], "pve-hwid@pve!daemon-pve1", "token")
    equal(access(), (["pve-hwid@pve"], ["HwidBridge", "HwidDaemon"]), "users and roles")
    contains(NODE.read("etc/pve/storage.cfg"), "snippets", "storage.cfg")
    equal((bytes_of(COPY), os.stat(COPY).st_mode & 0o7777), (bytes_of(HOOK), 0o755), "the hook")
    for unit in ("pve-hwidd.socket", "pve-hwidd.service"):
        equal((sh("systemctl", "is-enabled", unit).strip(), is_active(unit)), ("enabled", "active"), unit)
    status = json.loads(NODE.hwid("status", "--json").stdout)
    equal(status["api"]["ok"], True, "the API, asked with the token of setup")


@step("arrive")
def setup_again_changes_nothing():
    pid, token = show("MainPID"), NODE.read("etc/pve-hwid/token")
    answer = json.loads(NODE.hwid("setup", "--json").stdout)
    equal((answer["result"], {s["state"] for s in answer["steps"]}), ("already", {"already"}), "setup")
    equal((show("MainPID"), NODE.read("etc/pve-hwid/token")), (pid, token), "daemon and token")


@step("arrive")
def doctor_finds_nothing_wrong_after_setup():
    answer = json.loads(NODE.hwid("doctor", "--json").stdout)
    # Nobody sets the clock of a container.
    wrong = [f for f in answer["findings"] if f["severity"] != "ok" and f["id"] != "clock"]
    equal(wrong, [], "doctor")


@step("arrive")
def doctor_sees_a_unit_that_does_not_start_at_boot():
    sh("systemctl", "disable", "pve-hwidd.socket")
    done = NODE.hwid("doctor")
    sh("systemctl", "enable", "pve-hwidd.socket")
    equal(done.returncode, 3, f"doctor: {done.stdout}")
    contains(done.stdout, "pve-hwidd.socket does not start at boot", "doctor")
    contains(done.stdout, "systemctl enable --now pve-hwidd.socket", "doctor")


@step("arrive")
def the_daemon_starts_by_its_socket():
    sh("systemctl", "stop", "pve-hwidd.service", "pve-hwidd.socket")
    sh("systemctl", "start", "pve-hwidd.socket")
    equal(is_active(), "inactive", "the service before anybody asked")
    status = NODE.hwid("status")
    equal(status.returncode, 0, f"status: {status.stdout}{status.stderr}")
    equal(is_active(), "active", "the service")


@step("arrive")
def systemd_calls_it_confined():
    out = sh("systemd-analyze", "security", "--no-pager", "pve-hwidd.service", check=False)
    score = float(re.search(r"exposure level for pve-hwidd.service: ([\d.]+)", out).group(1))
    print(f"# systemd-analyze security: {score}", flush=True)
    assert score <= 1.5, out


@step("arrive")
def it_is_confined():
    pid = show("MainPID")
    status = NODE.read(f"proc/{pid}/status")
    for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        contains(status, line, "/proc/PID/status")
    equal(os.stat(f"/proc/{pid}").st_uid, pwd.getpwnam("pve-hwid").pw_uid, "its user")
    inside = ("nsenter", "-m", "-t", pid, "--")
    equal(sorted(sh(*inside, "ls", "/etc/pve").split()), ["pve-hwid", "qemu-server"], "its /etc/pve")
    for path in ("/etc/pve/pve-hwid/x", "/usr/x", "/etc/x"):
        contains(sh(*inside, "touch", path, check=False), "Read-only file system", path)


# --- live -----------------------------------------------------------------------------------------

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


# --- leave ----------------------------------------------------------------------------------------

def add_namers():
    """Beside the VMs here: one on another node, a snapshot, a pending change, one with a former hook."""
    NODE.write("etc/pve/nodes/pve1/qemu-server/108.conf",
               "memory: 64\n\n[before]\nhookscript: local:snippets/pve-hwid\nmemory: 64\n")
    os.makedirs("/etc/pve/nodes/pve2/qemu-server", exist_ok=True)
    NODE.write("etc/pve/nodes/pve2/qemu-server/200.conf", "hookscript: local:snippets/pve-hwid\nmemory: 64\n")
    NODE.write("etc/pve/nodes/pve2/qemu-server/201.conf", "hookscript: local:snippets/other\nmemory: 64\n")
    NODE.write("var/lib/vz/snippets/former", "#!/bin/sh\necho \"former $*\" >>/tmp/former\nexit 7\n", 0o755)
    NODE.write("etc/pve/pve-hwid/107.hook", "local:snippets/former\n")


@step("leave")
def removal_tells_which_vms_name_the_hook_and_leaves_a_stub():
    add_namers()
    out = apt("remove", "pve-hwid")
    for text in ("VM 105 on pve1: qm set 105 --delete hookscript", "VM 200 on pve2",
                 "VM 107 on pve1: qm set 107 --hookscript local:snippets/former",
                 "VM 108 on pve1, snapshot before"):
        contains(out, text, "apt remove")
    lacks(out, "VM 201", "apt remove")
    assert not os.path.exists(STUB), "the package's files are there"
    contains(NODE.read(COPY[1:]), "pve-hwid was removed", "what is left")
    assert os.access(COPY, os.X_OK), "it cannot be run"
    equal(os.path.exists("/run/pve-hwid"), False, "/run/pve-hwid")
    equal(failed_units(), [], "failed units")


@step("leave")
def a_vm_still_starts_after_the_removal():
    started = NODE.qm("start", "105")
    equal(started.returncode, 0, f"start: {started.stdout}{started.stderr}")
    contains(started.stdout, "pve-hwid was removed: VM 105 starts as it is", "its task log")
    contains(started.stdout, "qm set 105 --delete hookscript", "its task log")
    assert NODE.running(105), "VM 105 does not run"
    NODE.qm("stop", "105", check=True)


@step("leave")
def the_former_hookscript_is_run_and_its_word_counts():
    started = NODE.qm("start", "107")
    contains(started.stderr, "exit code 7", "start")
    contains(started.stdout, "qm set 107 --hookscript local:snippets/former", "its task log")
    equal(NODE.read("tmp/former"), "former 107 pre-start\n", "arguments")


@step("leave")
def a_former_hookscript_that_is_gone_keeps_no_vm_down():
    for volume in ("local:snippets/gone", "local:snippets/pve-hwid", "other:snippets/x", "$(touch /tmp/bad)",
                   "local:snippets/../../../../../bin/false", "local:snippets/a/b", ""):
        NODE.write("etc/pve/pve-hwid/107.hook", volume)     # without a newline
        done = NODE.run(COPY, "107", "pre-start", check=False)
        equal(done.returncode, 0, f"'{volume}': {done.stdout}{done.stderr}")
        contains(done.stdout, "VM 107 starts as it is", volume)
    assert not os.path.exists("/tmp/bad"), "a word of the file was carried out"
    os.unlink("/etc/pve/pve-hwid/107.hook")


@step("leave")
def installing_again_brings_hook_and_daemon_back():
    apt("install", NEW_DEB)
    assert bytes_of(COPY) == bytes_of(HOOK), "the copy is not the hook"
    equal(NODE.hwid("status").returncode, 0, "status")
    equal(NODE.qm("start", "105").returncode, 0, "start")
    NODE.qm("stop", "105", check=True)


@step("leave")
def a_removal_that_fails_puts_the_hook_back():
    sh("/usr/libexec/pve-hwid/place-hook", "leave")
    contains(NODE.read(COPY[1:]), "pve-hwid was removed", "after place-hook leave")
    sh("/var/lib/dpkg/info/pve-hwid.postinst", "abort-remove")
    assert bytes_of(COPY) == bytes_of(HOOK), "the copy is not the hook"


@step("leave")
def without_etc_pve_the_stub_stays():
    os.rename("/etc/pve", "/etc/pve.away")
    try:
        os.mkdir("/etc/pve")
        contains(sh("/usr/libexec/pve-hwid/place-hook", "leave"), "cannot be read", "place-hook leave")
        contains(NODE.read(COPY[1:]), "pve-hwid was removed", "what is left")
        sh("/usr/libexec/pve-hwid/place-hook", "refresh")
        assert bytes_of(COPY) == bytes_of(HOOK), "the copy is not the hook"
    finally:
        os.rmdir("/etc/pve")
        os.rename("/etc/pve.away", "/etc/pve")


@step("leave")
def a_link_to_the_packages_file_becomes_a_stub_too():
    os.unlink(COPY)
    os.symlink(HOOK, COPY)
    sh("/usr/libexec/pve-hwid/place-hook", "refresh")
    assert os.path.islink(COPY), "the link was replaced"
    sh("/usr/libexec/pve-hwid/place-hook", "leave")
    assert not os.path.islink(COPY) and "pve-hwid was removed" in NODE.read(COPY[1:]), "what is left"
    put_hook()


@step("leave")
def purge_keeps_what_is_the_administrators():
    apt("purge", "pve-hwid")
    contains(NODE.read(COPY[1:]), "pve-hwid was removed", "the hook of VMs that still name it")
    for gone in ("/etc/pve-hwid/pve-hwid.conf", "/etc/pve-hwid/token", "/var/lib/pve-hwid"):
        assert not os.path.exists(gone), f"{gone} is there"
    for kept in ("/etc/pve-hwid/fingerprints/105.json", "/etc/pve/pve-hwid/106.json"):
        assert os.path.exists(kept), f"{kept} is gone"


@step("leave")
def setup_after_a_purge_makes_a_new_token():
    shutil.rmtree("/etc/pve-hwid")
    apt("install", NEW_DEB)
    assert bytes_of(COPY) == bytes_of(HOOK), "the stub was not replaced"
    done = NODE.hwid("setup")
    equal(done.returncode, 0, f"setup: {done.stdout}{done.stderr}")
    equal(json.loads(NODE.hwid("status", "--json").stdout)["api"]["ok"], True, "the API")


@step("leave")
def setup_is_not_taken_back_while_vms_name_the_hook():
    before = access(), bytes_of(COPY), show("MainPID"), bytes_of("/etc/pve-hwid/token")
    done = NODE.hwid("setup", "--remove")
    equal(done.returncode, 5, f"setup --remove: {done.stdout}{done.stderr}")
    for text in ("105 (pve1)", "200 (pve2)", "pve-hwid detach --all"):
        contains(done.stderr, text, "setup --remove")
    equal((access(), bytes_of(COPY), show("MainPID"), bytes_of("/etc/pve-hwid/token")), before, "what it left")


@step("leave")
def detach_all_lets_every_vm_of_the_node_go():
    done = NODE.hwid("detach", "--all")
    equal(done.returncode, 0, f"detach: {done.stdout}{done.stderr}")
    for name in os.listdir("/etc/pve/nodes/pve1/qemu-server"):
        lacks(str(NODE.conf(name.partition(".")[0])), "snippets/pve-hwid", name)
    equal(NODE.qm("start", "105").returncode, 0, "start of VM 105")
    NODE.qm("stop", "105", check=True)


@step("leave")
def setup_is_taken_back_with_its_units():
    # pve2's own administrator detaches there; and somebody deletes the snapshot.
    NODE.write("etc/pve/nodes/pve2/qemu-server/200.conf", "memory: 64\n")
    NODE.write("etc/pve/nodes/pve1/qemu-server/108.conf", "memory: 64\n")
    done = NODE.hwid("setup", "--remove")
    equal(done.returncode, 0, f"setup --remove: {done.stdout}{done.stderr}")
    for unit in ("pve-hwidd.socket", "pve-hwidd.service"):
        equal((sh("systemctl", "is-enabled", unit, check=False).strip(), is_active(unit)),
              ("disabled", "inactive"), unit)
    for gone in (COPY, "/etc/pve-hwid/token", "/etc/pve/pve-hwid/setup.json"):
        assert not os.path.lexists(gone), f"{gone} is there"
    equal(access(), ([], []), "users and roles")
    equal(failed_units(), [], "failed units")


@step("leave")
def a_purge_after_that_leaves_nothing():
    out = apt("purge", "pve-hwid")
    lacks(out, "name its hook", "apt purge")
    lacks(out, "is not empty and stays", "apt purge")
    for gone in (COPY, "/etc/pve-hwid", "/var/lib/pve-hwid", "/run/pve-hwid"):
        assert not os.path.lexists(gone), f"{gone} is there"


@step("leave")
def nothing_forbidden_was_done_at_all():
    equal(NODE.violations(), [], "violations")


def prepare():
    """The node, once, as PVE's installer leaves it; its commands where it has them."""
    if not os.path.exists("/pvesim/settings.json"):
        sh(PVESIM, "init", "/", "--node", "pve1", "--qemu", "stub")
        NODE.write("etc/pve/storage.cfg", STORAGES)
        for rel in ("/pvesim/access.json", COPY):
            if os.path.exists(rel):
                os.unlink(rel)
        shutil.rmtree("/etc/pve/pve-hwid", ignore_errors=True)
        for command in ("usr/sbin/qm", "usr/sbin/pveum", "usr/sbin/pvesm", "usr/bin/pvesh"):
            NODE.write(command, f"#!/bin/sh\nPVESIM_ROOT=/ exec {os.path.dirname(PVESIM)}/bin/"
                                f"{os.path.basename(command)} \"$@\"\n", 0o755)
        for unit in os.listdir(os.path.join(HERE, "units")):
            shutil.copy(os.path.join(HERE, "units", unit), "/etc/systemd/system")
        sh("systemctl", "daemon-reload")
        sh("systemctl", "enable", "--now", "pvedaemon.service", "pveproxy.service")


def main():
    global OLD_DEB, NEW_DEB     # pylint: disable=global-statement
    OLD_DEB, NEW_DEB = sys.argv[2:4]
    prepare()
    failed = 0
    for function in STEPS[sys.argv[1]]:
        name, began = function.__name__.replace("_", " "), time.monotonic()
        try:
            function()
            print(f"ok {name}", flush=True)
            if time.monotonic() - began > SLOW:
                print(f"# took {time.monotonic() - began:.0f} s", flush=True)
        except Exception as why:    # pylint: disable=broad-except  (the others are told all the same)
            failed = 1
            print(f"not ok {name} - {' '.join(str(why).split())[-1500:]}")
            print("".join(f"    # {line}\n" for line in traceback.format_exc().splitlines()[-6:]), flush=True)
    if failed:
        out = sh("journalctl", "--no-pager", "-u", "pve-hwidd.service", "-u", "pve-hwidd.socket", "-n", "30",
                 check=False)
        print("".join(f"    # {line}\n" for line in out.splitlines()), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
