#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with the node rather than with a request: the journal's disk is full or read-only, the
cluster has no quorum, /etc/pve is gone, the clock jumps, the token expires, a privilege is missing.
In each case no disk is lost, and the VM runs or it was said why not, and all is made up for later."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fleet import (api_start, at_most_one_start, disks_are_whole, in_threads, journal, ok_starts,
                   quick_vm, say, settled, shim, wait_task)
from node import PRIVS, TOKEN
from tap import (Skip, all_logs, at_rest, changing, checked_node, contains, disks, equal, faults,
                 fingerprint, gate, has_identity, lacks, run, wait_for)

FINGERPRINT = fingerprint(disks=disks(2), nics=None)
SETTINGS = {"lock_patience_s": 3, "start_patience_s": 5}
LIMIT = 60


def prepare(node, vmid=105, **settings):
    quick_vm(node, vmid)
    node.fingerprint(vmid, FINGERPRINT)
    node.start_daemon(**{"early": 0, **SETTINGS, **settings})


def start_until(node, records):
    """A start is held and made up for until so many records are in the journal; the Gate at which the
    daemon then stands (after the hold it asks for the digest once, and before each step again), and the
    start's UPID."""
    digest = gate(node, method="GET", path="/105/config", nth=records)
    upid = api_start(node, 105)
    digest.reached()
    equal(len(journal(node, 105)), records, "records")
    return digest, upid


def start(node, vmid=105):
    """The task log and its last line."""
    upid = api_start(node, vmid)
    end = wait_task(node, upid)
    return node.read(f"pvesim/tasks/{upid}"), end


def ends_rewritten(node, vmid=105):
    wait_for("it is rewritten and runs", lambda: node.running(vmid) and settled(node, vmid) and
             has_identity(node, vmid) and "sata1" in node.conf(vmid), LIMIT)
    disks_are_whole(node, vmid)
    at_most_one_start(node, vmid)


def starts_loudly(node, *sentences, vmid=105):
    text, end = start(node, vmid)
    equal(end, "TASK OK", text)
    for sentence in ("WARNING", *sentences):
        contains(text, sentence, "task log")
    disks_are_whole(node, vmid)
    equal(ok_starts(node, vmid), [], "starts by us")


# --- the disk of the journal ------------------------------------------------------------------------

class SmallDisk:
    """A file system of 64 KiB of its own for the daemon's state."""

    def __init__(self, node):
        self.path, self.ballast = node.path("var/lib/pve-hwid"), node.path("var/lib/pve-hwid/ballast")
        if os.getuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "hwid-test", self.path],
                capture_output=True, check=False).returncode != 0:
            raise Skip("a tmpfs cannot be mounted here")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 512)
            except OSError:
                pass

    def fill_after(self, node, vmid):
        """Also the rest of the journal's last page, by a record of a type that nobody knows: the next
        one finds room for a few bytes only."""
        path = node.path(f"var/lib/pve-hwid/journal/{vmid}.jsonl")
        head, tail = b'{"v":1,"type":"pad","text":"', b'"}\n'
        room = (-os.stat(path).st_size - 7 - len(head) - len(tail)) % 4096
        with open(path, "ab", buffering=0) as f:
            f.write(head + b"x" * room + tail)
        self.fill()

    def empty(self):
        os.truncate(self.ballast, 0)

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.path], check=True)


def test_full_disk_lets_the_start_go_and_is_made_up_for():
    with checked_node(qemu="stub") as node, SmallDisk(node) as disk:
        prepare(node)
        wait_for("the journal's folder", lambda: os.path.isdir(node.path("var/lib/pve-hwid/journal")))
        disk.fill()
        starts_loudly(node, "No space left on device")
        equal(changing(node), [x for x in changing(node) if x["path"].endswith("status/start")],
              "requests that change something")
        disk.empty()
        node.api("POST", f"/nodes/{node.name}/qemu/105/status/stop")
        wait_for("it stops", lambda: not node.running(105))
        wait_task(node, api_start(node, 105))
        ends_rewritten(node)


def test_read_only_disk_lets_the_start_go_and_is_made_up_for():
    with checked_node(qemu="stub") as node, SmallDisk(node) as disk:
        prepare(node)
        disk.remount("ro")
        starts_loudly(node, "Read-only file system")
        disk.remount("rw")
        node.api("POST", f"/nodes/{node.name}/qemu/105/status/stop")
        wait_for("it stops", lambda: not node.running(105))
        wait_task(node, api_start(node, 105))
        ends_rewritten(node)


def full_from(when):
    """The disk becomes full (or read-only) when so many records are in the journal: the hold is
    written, and what was begun is carried through; or nothing is begun, and the VM is started."""
    with checked_node(qemu="stub") as node, SmallDisk(node) as disk:
        prepare(node)
        digest, upid = start_until(node, when)
        disk.fill_after(node, 105)
        digest.open()
        wait_task(node, upid)
        wait_for("it runs", lambda: node.running(105), LIMIT)
        disks_are_whole(node, 105)
        contains(all_logs(node), "No space left on device", "the daemon's log")
        at_most_one_start(node, 105)
        disk.empty()
        faults(node)
        node.stop_daemon()      # what it could not write it looks up
        node.start_daemon(early=0, **SETTINGS)
        wait_for("nothing is open or owed", lambda: settled(node, 105), LIMIT)
        assert node.running(105), "it does not run any more"
        disks_are_whole(node, 105)
        at_most_one_start(node, 105)


def test_disk_that_fills_up_in_the_middle():
    in_threads([lambda n=n: full_from(n) for n in (1, 2, 3, 4)])


# --- the cluster ------------------------------------------------------------------------------------

def set_quorum(node, quorum):
    settings = json.loads(node.read("pvesim/settings.json"))
    node.write("pvesim/settings.json", json.dumps({**settings, "quorum": quorum}))


def test_quorum_lost_after_the_hold():
    """Nothing can be written, nor started: that is told, and made up for once there is quorum."""
    with checked_node(qemu="stub") as node:
        prepare(node)
        digest, upid = start_until(node, 1)
        set_quorum(node, False)
        digest.open()
        wait_task(node, upid)
        wait_for("it is told", lambda: "VM 105 is DOWN" in node.log_text(), LIMIT)
        contains(node.log_text(), "no quorum", "the daemon's log")
        disks_are_whole(node, 105)
        set_quorum(node, True)
        wait_for("it runs and nothing is owed", lambda: node.running(105) and settled(node, 105),
                 LIMIT)
        ends_rewritten(node)


def test_no_quorum_when_a_fingerprint_is_dropped():
    with checked_node(qemu="stub") as node:
        set_quorum(node, False)
        quick_vm(node, 105)
        node.start_daemon(**SETTINGS)
        node.fingerprint(105, FINGERPRINT)
        wait_for("it was tried", lambda: changing(node, 105), LIMIT)
        at_rest(node)
        disks_are_whole(node, 105)
        set_quorum(node, True)
        node.fingerprint(105, FINGERPRINT)
        wait_for("it is rewritten", lambda: "sata1" in node.conf(105) and settled(node, 105), LIMIT)
        disks_are_whole(node, 105)


def refused_requests(node):
    return [r for r in node.requests() if r["status"] != 200]


def test_etc_pve_gone_for_a_while_forgets_nothing():
    """pmxcfs is restarted in the middle of a rewrite: /etc/pve is an empty folder meanwhile."""
    with checked_node(qemu="stub") as node:
        prepare(node, lock_patience_s=60)
        digest, upid = start_until(node, 2)
        ca = node.read("etc/pve/pve-root-ca.pem")
        os.rename(node.path("etc/pve"), node.path("etc/pve.away"))
        os.mkdir(node.path("etc/pve"))
        digest.open()
        before = len(refused_requests(node))
        wait_for("it was tried a few times", lambda: len(refused_requests(node)) >= before + 3, LIMIT)
        assert journal(node, 105)[-1]["type"] not in ("dropped", "started"), journal(node, 105)[-1]
        os.rmdir(node.path("etc/pve"))
        os.rename(node.path("etc/pve.away"), node.path("etc/pve"))
        equal(node.read("etc/pve/pve-root-ca.pem"), ca, "the CA")
        wait_task(node, upid)
        ends_rewritten(node)


def test_etc_pve_gone_at_pre_start_lets_it_go():
    """PVE itself would not come so far; a hook that finds nothing must not be in the way."""
    with checked_node(qemu="stub") as node:
        prepare(node)
        os.rename(node.path("etc/pve"), node.path("etc/pve.away"))
        result = node.run(node.path("var/lib/vz/snippets/pve-hwid"), "105", "pre-start", check=False)
        equal(result.returncode, 0, f"exit code ({result.stdout})")
        os.rename(node.path("etc/pve.away"), node.path("etc/pve"))
        equal(changing(node), [], "requests that change something")


# --- the clock --------------------------------------------------------------------------------------

def clock_jumps(before, after):
    with checked_node(qemu="stub") as node:
        clock = node.write("clock", f"{before}\n")
        quick_vm(node, 105)
        node.fingerprint(105, FINGERPRINT)
        node.start_daemon(early=0, wrapper=shim(CLOCK_FILE=clock))
        digest, upid = start_until(node, 1)
        node.write("clock", f"{after}\n")
        digest.open()
        wait_task(node, upid)
        ends_rewritten(node)
        times = [r["time"] for r in journal(node, 105)]
        assert (times[0] < times[-1]) == (before < after), times


def test_clock_that_jumps_in_the_middle_of_a_rewrite():
    """Every wait is by the monotonic clock, and nothing is decided by the times in the journal. (All
    within the validity of the node's certificate, which is not older than this test.)"""
    in_threads([lambda b=b, a=a: clock_jumps(b, a)
                for b, a in ((0, 3600), (7200, 3600), (0, 180 * 86400), (180 * 86400, 60))])


def debt_across(before, after, started):
    """The daemon dies with a start owed; meanwhile the clock jumps."""
    with checked_node(qemu="stub") as node:
        clock = node.write("clock", f"{before}\n")
        quick_vm(node, 105)
        node.fingerprint(105, FINGERPRINT)
        node.start_daemon(early=0, wrapper=shim(CLOCK_FILE=clock, CRASH_RECORD=2,
                                                CRASH_WHEN="synced"))
        wait_task(node, api_start(node, 105))
        wait_for("the crash", lambda: node.daemon.poll() is not None)
        assert not node.running(105), "it runs"
        node.stop_daemon()
        node.write("clock", f"{after}\n")
        node.start_daemon(early=0, wrapper=shim(CLOCK_FILE=clock))
        # The change set that was cut off ends first; for a moment nothing is open then.
        wait_for("the rewrite ends", lambda: any(r.get("outcome") == "done" for r in journal(node, 105)) and
                 settled(node, 105), LIMIT)
        disks_are_whole(node, 105)
        if started:
            ends_rewritten(node)
        else:
            contains(node.log_text(), "If it should run: qm start 105", "the daemon's log")
            wait_task(node, api_start(node, 105))
            wait_for("it runs", lambda: node.running(105) and settled(node, 105), LIMIT)


def test_clock_that_jumps_while_the_daemon_is_dead():
    """Backwards: the debt is paid. Forwards by an hour it looks old, backwards by days nobody knows how old
    it is: the VM is not started by us, which is told at the highest priority."""
    in_threads([lambda: debt_across(7200, 3600, True), lambda: debt_across(0, 3600, False),
                lambda: debt_across(3 * 86400, 3600, False)])


# --- token and privileges ---------------------------------------------------------------------------

def change_token(node, change):
    access = json.loads(node.read("pvesim/access.json"))
    change(access["tokens"][TOKEN])
    node.write("pvesim/access.json", json.dumps(access), 0o600)


def expire(node):
    change_token(node, lambda token: token.update(expire=1))


def grant(node, privileges):
    change_token(node, lambda token: token["acl"].update({"/vms": privileges}))


def test_expired_token_is_named():
    with checked_node(qemu="stub") as node:
        prepare(node)
        # Nobody but this start's hook asks from here on: the survey, too, would find it out.
        wait_for("the survey", lambda: any(r["path"] == "/cluster/resources" and r.get("t_end")
                                           for r in node.requests("GET")))
        expire(node)
        upid = api_start(node, 105)         # its hook is gone before PVE's 3 seconds are over
        equal(wait_task(node, upid), "TASK OK", "the start")
        contains(node.read(f"pvesim/tasks/{upid}"), "WARNING", "task log")
        node.api("POST", f"/nodes/{node.name}/qemu/105/status/stop")
        wait_for("it stops", lambda: not node.running(105))
        wait_for("it is known", lambda: "does not accept the API token" in node.log_text())
        starts_loudly(node, "PVE does not accept the API token of pve-hwid", "it has expired",
                      "pveum user token list pve-hwid@pve")
        lacks(all_logs(node), node.secret, "the daemon's log")


def ends_as_it_was(node):
    wait_for("it runs and nothing is open or owed", lambda: node.running(105) and settled(node, 105), LIMIT)
    contains(node.log_text(), "nothing of it is left", "the daemon's log")
    assert "scsi1" in node.conf(105), node.conf(105)
    disks_are_whole(node, 105)
    at_most_one_start(node, 105)


def expires_before(path, nth, told, ends):
    """The nth GET of `path` is let through; what comes after it meets a token that has expired."""
    with checked_node(qemu="stub") as node:
        prepare(node)
        before = gate(node, method="GET", path=path, nth=nth)
        upid = api_start(node, 105)
        before.reached()
        contains(node.records(105), "begin", "records")
        expire(node)
        before.open()
        wait_task(node, upid)
        wait_for("it is told", lambda: told in node.log_text(), LIMIT)
        contains(node.log_text(), "PVE does not accept the API token", "the daemon's log")
        disks_are_whole(node, 105)
        change_token(node, lambda token: token.update(expire=0))
        ends(node)


def test_token_that_expires_in_the_middle():
    """Before a look: the rewrite goes on when the token is good again. Before a change itself: that one
    was refused, so the VM is started as it is, which is told."""
    in_threads([lambda: expires_before("/105/status/current", 3, "VM 105 is DOWN", ends_rewritten),
                lambda: expires_before("/105/config", 2, "PVE does not tell what is left of it", ends_as_it_was)])


def without(privilege):
    with checked_node(qemu="stub") as node:
        prepare(node)
        grant(node, [p for p in PRIVS.split(",") if p != privilege])
        starts_loudly(node, f"lacks {privilege} on /vms/105",
                      f'pveum role modify HwidDaemon --append 1 --privs "{privilege}"')
        equal(changing(node, 105), [x for x in changing(node, 105)
                                    if x["token"] != TOKEN], "requests that change something")


def test_each_privilege_that_is_missing_is_named_with_the_command():
    privileges = PRIVS.split(",")
    in_threads([lambda p=p: without(p) for p in privileges])
    say(f"{len(privileges)} privileges taken away in turn")


def taken_in_the_middle(privilege):
    """It is there at the hold and gone when it is needed: PVE's own words, and the command."""
    with checked_node(qemu="stub") as node:
        prepare(node)
        digest, upid = start_until(node, 1)
        grant(node, [p for p in PRIVS.split(",") if p != privilege])
        digest.open()
        wait_task(node, upid)
        wait_for("it runs, or it is said why not", lambda: node.running(105) or
                 "VM 105 is DOWN" in node.log_text(), LIMIT)
        if privilege not in ("VM.Config.Options", "VM.Config.Network"):    # not needed here
            contains(node.log_text(), "Permission check failed (/vms/105, ", "the daemon's log")
            contains(node.log_text(), "pveum role modify HwidDaemon --append 1 --privs "
                     f'"{privilege}"', "the daemon's log")
        disks_are_whole(node, 105)
        grant(node, PRIVS.split(","))
        wait_for("it runs and nothing is open or owed",
                 lambda: node.running(105) and settled(node, 105), LIMIT)
        disks_are_whole(node, 105)
        at_most_one_start(node, 105)


def test_each_privilege_that_is_taken_in_the_middle():
    in_threads([lambda p=p: taken_in_the_middle(p) for p in PRIVS.split(",")])


def test_all_privileges_missing_names_the_role():
    with checked_node(qemu="stub") as node:
        prepare(node)
        grant(node, [])
        starts_loudly(node, "pveum acl modify /vms --users pve-hwid@pve --roles HwidDaemon")


if __name__ == "__main__":
    run(globals(), "faults_node", parallel=4)
