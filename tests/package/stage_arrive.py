# SPDX-License-Identifier: GPL-3.0-or-later
"""The package comes: installed where nothing is set up, then `pve-hwid setup`, and what it is confined to."""
import json
import os
import pwd
import re

from life import COPY, HOOK, NODE, OLD_DEB, step, sh, apt, show, is_active, failed_units, access, bytes_of
from tap import contains, equal


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
def a_lost_token_is_made_anew_and_the_daemon_started_with_it():
    pid = show("MainPID")
    os.unlink("/etc/pve-hwid/token")
    answer = json.loads(NODE.hwid("setup", "--json").stdout)
    equal(sorted(s["id"] for s in answer["steps"] if s["state"] == "done"), ["old-token", "start", "token"],
          "what was done")
    assert show("MainPID") != pid, "the daemon still has the old token"
    equal(json.loads(NODE.hwid("status", "--json").stdout)["api"]["ok"], True, "the API")


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
