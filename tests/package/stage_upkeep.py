# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator does to units and packages while it is installed, between `boot` and `leave`."""
import contextlib
import json
import os
import shutil

from life import COPY, HOOK, NODE, NEW_DEB, apt, bytes_of, is_active, sh, show, step
from node import wait_for
from tap import contains, equal, lacks

UNITS = ("pve-hwidd.socket", "pve-hwidd.service")
PROM = "/var/lib/prometheus/node-exporter/pve-hwid.prom"


def reinstall():
    return apt("install", "--reinstall", NEW_DEB)


def doctor():
    """{id: finding} of all that is not well, but for the clock, which nobody sets in a container."""
    done = NODE.hwid("doctor", "--json")
    found = json.loads(done.stdout)["findings"]
    return {f["id"]: f for f in found if f["severity"] != "ok" and f["id"] != "clock"}


def cure(finding):
    """Types the command that doctor told, in a shell."""
    return sh("sh", "-ec", finding["cure"])


@contextlib.contextmanager
def given_up():
    """As after many crashes: systemd starts the daemon no more, and has closed its socket. What made it
    crash is mended. The limit is a low one, to save time."""
    folder = "/run/systemd/system/pve-hwidd.service.d"
    os.makedirs(folder, exist_ok=True)
    NODE.write(f"{folder[1:]}/test.conf", "[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=20ms\n")
    sh("systemctl", "daemon-reload")
    sh("systemctl", "reset-failed", *UNITS)
    NODE.write("etc/pve-hwid/pve-hwid.conf", "nonsense\n")
    sh("systemctl", "restart", "pve-hwidd.service", check=False)
    wait_for("systemd gives up", lambda: is_active() == "failed" and is_active(UNITS[0]) != "active", 60, 0.2)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        sh("systemctl", "daemon-reload")


def mend_settings():
    NODE.write("etc/pve-hwid/pve-hwid.conf", "")


@step("upkeep")
def an_upgrade_leaves_the_timer_of_the_metrics_running():
    os.makedirs(os.path.dirname(PROM), exist_ok=True)
    sh("systemctl", "enable", "--now", "pve-hwid-metrics.timer")
    reinstall()
    equal((is_active("pve-hwid-metrics.timer"), sh("systemctl", "is-enabled", "pve-hwid-metrics.timer").strip()),
          ("active", "enabled"), "the timer")
    sh("systemctl", "start", "pve-hwid-metrics.service")
    contains(NODE.read(PROM[1:]), "\npve_hwid_up 1\n", "the numbers")
    equal(os.stat(PROM).st_mode & 0o7777, 0o644, "their mode")
    equal(os.listdir(os.path.dirname(PROM)), ["pve-hwid.prom"], "what lies beside them")


@step("upkeep")
def an_upgrade_starts_what_systemd_had_given_up():
    with given_up():
        mend_settings()
        reinstall()
        equal([is_active(unit) for unit in UNITS], ["active", "active"], "the units")


@step("upkeep")
def an_upgrade_starts_nothing_that_was_disabled():
    sh("systemctl", "disable", "--now", *UNITS)
    reinstall()
    equal([(is_active(unit), show("UnitFileState", unit)) for unit in UNITS], [("inactive", "disabled")] * 2,
          "the units")
    equal(NODE.hwid("setup").returncode, 0, "setup")
    equal([(is_active(unit), show("UnitFileState", unit)) for unit in UNITS], [("active", "enabled")] * 2,
          "the units after setup")


@step("upkeep")
def what_systemd_gave_up_is_mended_by_what_doctor_tells():
    with given_up():
        found = doctor()["settings"]
        contains(found["cure"], "mend the file, then: ", "cure of bad settings")
        mend_settings()
        sh("sh", "-ec", found["cure"].partition("then: ")[2])
        equal((doctor(), is_active()), ({}, "active"), "after the cure of the settings")
    with given_up():
        mend_settings()
        cure(doctor()["daemon"])
        equal(doctor(), {}, "after the cure of the daemon")


@step("upkeep")
def setup_starts_what_systemd_gave_up():
    with given_up():
        mend_settings()
        done = NODE.hwid("setup")
        equal(done.returncode, 0, f"setup: {done.stdout}{done.stderr}")
        equal([is_active(unit) for unit in UNITS], ["active", "active"], "the units")


@step("upkeep")
def a_masked_unit_is_told_with_what_unmasks_it():
    sh("systemctl", "stop", *UNITS)
    sh("systemctl", "mask", *UNITS)
    reinstall()
    equal(sh("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "pve-hwid"), "ii ", "the package")
    done = NODE.hwid("setup")
    equal(done.returncode, 1, f"setup: {done.stdout}{done.stderr}")
    contains(done.stdout, "systemctl unmask pve-hwidd.socket pve-hwidd.service", "setup")
    found = doctor()
    contains(found["unit"]["what"], "masked", "doctor")
    cure(found["unit"])
    equal(doctor(), {}, "after the cure")
    equal([(is_active(unit), show("UnitFileState", unit)) for unit in UNITS], [("active", "enabled")] * 2,
          "the units")


@step("upkeep")
def the_hook_is_kept_in_step_where_the_storage_has_its_snippets():
    storages = NODE.read("etc/pve/storage.cfg")
    moved = "/var/lib/vz/moved/pve-hwid"
    sh("pvesm", "set", "local", "--content-dirs", "snippets=moved")
    try:
        equal(NODE.hwid("setup").returncode, 0, "setup")
        with open(moved, "ab") as f:        # as an older version's; no VM names it yet
            f.write(b"older\n")
        reinstall()
        assert bytes_of(moved) == bytes_of(HOOK), "the moved copy is not the hook"
        sh("/usr/libexec/pve-hwid/place-hook", "leave")
        contains(NODE.read(moved[1:]), "pve-hwid was removed", "what is left, while VM 105 names it")
        sh("/usr/libexec/pve-hwid/place-hook", "refresh")
        assert bytes_of(moved) == bytes_of(HOOK), "the moved copy is not the hook again"
    finally:
        NODE.write("etc/pve/storage.cfg", storages)
        shutil.rmtree("/var/lib/vz/moved", ignore_errors=True)


@step("upkeep")
def a_purge_tells_what_pve_still_has_and_leaves_no_old_numbers():
    out = apt("remove", "pve-hwid")
    lacks(out, "triggering unit", "apt remove")
    lacks(out, "can still be activated", "apt remove")
    assert not os.path.exists(PROM), "node_exporter would tell the last numbers for ever"
    out = apt("purge", "pve-hwid")
    for text in ("pveum user token remove pve-hwid@pve daemon-pve1\n", "pveum user delete pve-hwid@pve",
                 "pveum role delete HwidDaemon"):
        contains(out, text, "apt purge")
    apt("install", NEW_DEB)
    equal(NODE.hwid("setup").returncode, 0, "setup")
    assert bytes_of(COPY) == bytes_of(HOOK), "the copy is not the hook"
    equal(doctor(), {}, "doctor at the end")
