#!/usr/bin/python3
"""Is the simulated node faithful? Every recording of a real node is played against a fresh one.

A recording gives a configuration, requests in order, and what a real node answered. Compared are
status, reason phrase, headers, body, the configuration file byte by byte after each call, pending
values, task logs, and for hook-context-* who called the hook and how. Since both start from the
same bytes, digests need no mapping: a wrong one here is a wrong file.

What recordings say varies (README of the recordings) is removed from both sides in `neutral`; what
the simulator does not do is listed, with the reason, in NOT_PLAYED, NOT_COMPARED and NOT_STEPPED.
Nothing else is skipped.

    test_pvesim_replay.py [NAME...]     NAME: beginning of a recording's file name
"""
import concurrent.futures
import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "pvesim"))

import node as nodes
import stubqemu
from neutral import UPID, compare, neutral, neutral_text
from replayhooks import CONTEXT, HOOK, REFUSES, SHOW, sleeps
from replaynode import DAEMON, NODE, PVESIM, Sim

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "data/pve-transcripts")
QEMU = shutil.which("qemu-system-x86_64")
LAB = "root@pam!lab"
BRIDGE = "/sdn/zones/localnetwork/vmbr0"
PARALLEL = 8            # most of the time is spent in 3 s and 10 s waits

NOT_PLAYED = {          # whole recordings
    "13-guest-agent": "there is no guest agent in the simulator",
    "17-pmxcfs": "about the file system /etc/pve, not about calls",
    "18-tls": "about certificates of a real node, not about calls",
}
NOT_COMPARED = (        # recording, method, end of path: exchanges left out
    ("01", "GET", "/capabilities/qemu/cpu", "list of CPU models is not simulated"),
    ("01", "GET", "/capabilities/qemu/machines", "the list is that of the QEMU installed here"),
    ("01", "GET", "machines?arch=x86_64", "the list is that of the QEMU installed here"),
    ("01", "GET", "/tasks?limit=3", "tasks of scenarios that ran before on the real node"),
    ("02", "GET", "/agent", "there is no guest agent in the simulator"),
)
NOT_STEPPED = (         # beginning of a hook-context step, why
    ("qm template", "recorded of a clone that had ended before; the test begins with a template"),
    ("delete snapshots", "deleting snapshots is not simulated"),
    ("state after", "output of listsnapshot and grep"),
)
# What a step leaves behind: step, key of the recording, VM.
LEAVES = (("qm clone 105 106", "clone_config", 106), ("start of the clone", "clone_config_after_start", 106),
          ("qmrestore to 107", "restored_107", 107), ("start of 107", "restored_107_after_start", 107),
          ("qmrestore to 108", "restored_108_unique", 108),
          ("start of 108", "restored_108_unique_after_start", 108),
          ("restore over", "restored_107_force", 107), ("linked clone", "linked_clone_config", 107))
SLOW = "08e 10-authentication 08a 08g 08f 08b".split()

# PVE takes the options of one PUT in the random order of a hash; the one a recording shows (06n*).
OPTION_ORDER = {"06n-": ["sata0", "sata1"], "06n2": ["boot", "sata1", "scsi1"], "06n3": ["sata0"],
                "06q": ["sata0", "boot", "scsi0"]}
RESET_AT_END = ("10c",)     # the recorder put the first file back

HOOKS = {"08a": sleeps(15), "08b": sleeps(5), "08f": sleeps(15), "08g": sleeps(15),
         "09b2": sleeps(4),
         "08d": sleeps(3, "exit 1", ":"), "09b-": REFUSES, "08c": REFUSES}


# -- a node to play against -----------------------------------------------------------------------

def fresh_node(template, recording, qemu):
    """A running node with the images of VM 105 and 104, and the hooks that the recording needs."""
    sim = Sim(template)
    sim.settings(option_order=pick(OPTION_ORDER, recording) or [], qemu=qemu,
                 stub_obeys=recording.startswith("hook-"))      # only those had a guest
    sim.hook("hook", pick(HOOKS, recording) or HOOK)
    sim.hook("show.sh", SHOW % sim.root)
    sim.hook("ctx", CONTEXT % sim.root)
    sim.hook("notexec", HOOK, 0o644)
    sim.serve()
    return sim


def make_template(root):
    """What every node here begins with; copied, since making certificates takes its time."""
    def run(*args):
        subprocess.run([PVESIM, args[0], root, *args[1:]], check=True, stdout=subprocess.DEVNULL)
    run("init", "--node", NODE)
    run("token", DAEMON)
    run("token", LAB)
    for vmid in (104, 105):
        run("vm", str(vmid), "--disk", "scsi0=1G", "--disk", "scsi1=64M", "--disk", "sata0=4M")
        os.unlink(os.path.join(root, f"etc/pve/nodes/{NODE}/qemu-server/{vmid}.conf"))
        with open(os.path.join(root, f"var/lib/vz/images/{vmid}/vm-{vmid}-disk-3.raw"), "wb") as f:
            f.truncate(4 << 20)


def pick(table, recording):
    return next((v for k, v in table.items() if recording.startswith(k)), None)


# -- playing exchanges -----------------------------------------------------------------------------

class Player:
    def __init__(self, name, recording, sim):
        self.name, self.recording, self.sim = name, recording, sim
        self.problems, self.skipped, self.played = [], [], 0
        self.upids = {}                         # recorded -> ours
        self.last_failure = None                # the last exchange that was answered by 500
        self.lock = threading.Lock()

    def play(self):
        before = self.recording["config_before"] if "config_before" in self.recording else None
        if before is not None:
            self.sim.put_text(before)
        if self.recording.get("state_before") == "running":
            code, _, text = self.sim.run("qm", "start", "105")
            if code:
                raise RuntimeError(f"cannot start: {text}")
        exchanges = self.recording["exchanges"]
        timed = [e for e in exchanges if e.get("started_at_ms") is not None]
        if self.name.startswith("08e"):
            self.play_cleanup_race(timed)
        elif timed:
            self.play_timed(timed)
        for i, exchange in enumerate(exchanges):
            if exchange.get("started_at_ms") is None:
                self.play_one(exchange, exchanges[i + 1:i + 2])
        self.check_end()

    def play_timed(self, timed):
        """Several clients at once, each request at its recorded moment."""
        begin = time.monotonic()
        threads = []
        for exchange in timed:
            moment = exchange["started_at_ms"]
            if self.name.startswith("08a") and exchange.get("note") == "second start":
                moment += 10000     # chance gave it to a busy worker: sent when that took it up
            delay = begin + moment / 1000 - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            self.before_timed(exchange)
            thread = threading.Thread(target=self.play_one, args=(exchange, [exchange]))
            thread.start()
            threads.append(thread)
            if self.name.startswith("08c"):     # this client sends one after the other
                thread.join()
        for thread in threads:
            thread.join()

    def before_timed(self, exchange):
        if self.name.startswith("08c") and exchange["started_at_ms"] > 60:
            self.sim.hook("hook", HOOK)

    def play_cleanup_race(self, timed):
        """08e by what happened before what, not by the clock: a busy machine is late, and a stop that
        comes by the flock after the start that follows it is another story. Each task had ended before the
        next call was made, but for the last stop, which came while `qm cleanup` held the flock."""
        second_try, stop, start, put, put_again, last_stop = timed[-6:]
        for exchange in timed[:-6]:
            self.play_to_the_end(exchange)
        self.sim.run("qm", "stop", "105")       # the recorder's second try begins afresh
        self.sim.put_text(self.recording["config_before"])
        self.play_to_the_end(second_try)
        self.sim.settings(cleanup_race=self.sim.pid())
        self.play_to_the_end(stop)
        self.play_to_the_end(start)
        held = self.cleanup_holds_the_flock()
        self.play_to_the_end(put)
        self.play_to_the_end(put_again)
        # It holds it for 30 s and a stop waits for 10: in the middle of what makes it wait and succeed.
        time.sleep(max(0.0, held + 25 - time.monotonic()))
        self.play_one(last_stop, [last_stop])

    def play_to_the_end(self, exchange):
        before = set(self.upids)
        self.play_one(exchange, [exchange])
        for recorded in set(self.upids) - before:
            self.wait(self.upids[recorded])

    def cleanup_holds_the_flock(self):
        """The moment when it is seen to."""
        inode = os.stat(self.sim.path("var/lock/qemu-server/lock-105.conf")).st_ino
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for pid in lock_holders(inode):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as f:
                    if b"qm cleanup 105" in f.read():
                        return time.monotonic()
            time.sleep(0.02)
        raise RuntimeError("qm cleanup does not come by the flock")

    def play_one(self, exchange, following):
        if "event" in exchange:
            self.event(exchange)
            return
        for prefix, method, end, why in NOT_COMPARED:
            if self.name.startswith(prefix) and (method, True) == (
                    exchange["method"], exchange["path"].endswith(end)):
                self.skipped.append(f"{method} {end}: {why}")
                return
        self.before(exchange, following)
        found = self.send(exchange)
        if found[0] == 500:
            self.last_failure = exchange
        self.check(exchange, found)
        self.settle(exchange, found, following)

    def event(self, exchange):
        event = exchange["event"]
        if event.startswith("file: "):
            self.sim.put_text(exchange["config"])
            return
        if event.startswith("after qm stop"):
            self.sim.run("qm", "stop", "105")
        if "privileges" in exchange:
            def change(access):
                acl = access["tokens"][DAEMON]["acl"]
                acl["/vms"] = exchange["privileges"]
                if "no SDN.Use" in event:
                    del acl[BRIDGE]
            self.sim.access(change)
        if "config" in exchange:
            compare(self.problems, f"file, {event}", exchange["config"], self.sim.text())
        if "running" in exchange:
            compare(self.problems, f"running, {event}", exchange["running"], self.sim.running())

    def before(self, exchange, following):
        """What the recorder did outside the API before this request; its note says so."""
        note, form = exchange.get("note") or "", exchange.get("form") or {}
        if self.name.startswith("05-") and "digest" in form or self.name.startswith("10b") \
                or self.name.startswith("04") and exchange["method"] != "GET":
            self.sim.put_text(self.recording["config_before"])
        if self.name.startswith("09d") and note in ("empty JSON object", "root only parameter?"):
            self.sim.run("qm", "stop", "105")
        if self.name.startswith("11k") and exchange["method"] == "POST":
            self.sim.run("qm", "stop", "105")
            self.sim.put_text(following[0]["config"])
        if note.startswith("the other way"):
            self.sim.put_text(self.last_failure["config_before"])
            self.send(self.last_failure)
        if "config_before" in exchange:
            self.sim.put_text(exchange["config_before"])
        if note.startswith("after touch"):
            os.utime(self.sim.conf())
        if note.startswith("an empty line appended"):
            self.sim.put_text(self.recording["config_before"] + "\n")
        if note.startswith("with SDN.Use on vmbr0 only"):
            self.sim.access(lambda a: a["tokens"][DAEMON]["acl"].update({BRIDGE: ["SDN.Use"]}))
        user = {"user disabled": {"enable": 0}, "user expired": {"enable": 1, "expire": 1},
                "user in order again": {"enable": 1, "expire": 0}}.get(note)
        if user:
            self.sim.access(lambda a: a["users"]["pve-hwid@pve"].update(user))

    def authorization(self, exchange):
        who, note = exchange["as"], exchange.get("note") or ""
        if who in ("daemon", "root"):
            name = DAEMON if who == "daemon" else LAB
            return f"PVEAPIToken={name}={self.sim.secrets[name]}"
        if who == "none":
            return None
        secret = self.sim.secrets[DAEMON]
        if note.startswith("expired"):
            name = "pve-hwid@pve!old"
            secret = self.sim.token(name, "--expire", "1")
        elif note.startswith(("privilege-separated", "...")):
            name = "pve-hwid@pve!none"
            secret = self.sim.token(name, "--privs", "", "--path", "/nothing")
        elif note.startswith("user "):
            name = DAEMON
        else:
            name, secret = {
                "unknown token id": ("pve-hwid@pve!nosuch", secret),
                "unknown user": ("nosuch@pve!daemon", secret),
                "unknown realm": ("pve-hwid@nosuch!daemon", secret),
                "token id without !": ("pve-hwid@pve", secret), "empty secret": (DAEMON, ""),
                "secret too long": (DAEMON, secret + "0"),
                "secret in upper case": (DAEMON, secret.upper() + "A"),
            }.get(note, (DAEMON, "00000000-0000-0000-0000-000000000000"))
        return f"PVEAPIToken={name}={secret}"

    def send(self, exchange):
        path = exchange["path"]
        if found := UPID.search(path):
            with self.lock:
                path = path.replace(found[0], self.upids.get(found[0], found[0]))
        form = exchange.get("form") or {}
        if "shortened in this file" in (exchange.get("note") or ""):
            exchange = {**exchange, "form": {k: "x" * 600000 for k in form}}
        waits = isinstance(exchange["body"], dict) and isinstance(exchange["body"].get("data"),
                                                                  dict) \
            and exchange["body"]["data"].get("status") == "stopped" and "/tasks/" in path
        deadline = time.monotonic() + 45
        while True:
            started = time.monotonic()
            found = self.sim.request(exchange, path, self.authorization(exchange))
            self.check_time(exchange, time.monotonic() - started)
            if not waits or time.monotonic() > deadline or found[0] != 200 \
                    or found[3]["data"]["status"] == "stopped":
                return found
            time.sleep(0.1)

    def check_time(self, exchange, seconds):
        recorded = exchange["elapsed_ms"] / 1000
        if recorded > 2.9 and not (self.name.startswith("08a")
                                   and exchange.get("note") == "second start") \
                and seconds < recorded - 1.2:
            self.problems.append(
                f"{where(exchange)}: took {seconds:.1f} s, recorded {recorded:.1f} s")

    def check(self, exchange, found):
        status, reason, headers, body = found
        at = where(exchange)
        self.played += 1
        problems = self.problems
        compare(problems, f"{at} status", exchange["status"], status)
        if "reason" in exchange:
            compare(problems, f"{at} reason", exchange["reason"].strip(), reason.strip())
        for name, value in (exchange.get("headers_of_interest") or {}).items():
            if name != "content-length":
                compare(problems, f"{at} header {name}", value, headers.get(name))
        expected, got = neutral(exchange["body"]), neutral(body)
        if "/tasks/" in at and isinstance(expected, dict) and isinstance(expected.get("data"),
                                                                         dict) \
                and expected["data"].get("status") == "running":
            for side in (expected, got):        # ours may have ended already
                side["data"].pop("status", None)
                side["data"].pop("exitstatus", None)
        if "/tasks?" in at:                     # older tasks are those of scenarios before
            expected, got = ({"data": s["data"][:1] and [max(s["data"], key=newest)]} for s in
                             (exchange["body"], body))
            expected, got = neutral(expected), neutral(got)
        compare(problems, f"{at} body", expected, got)
        if "config_file_after" in exchange and not exchange.get("started_at_ms"):
            compare(problems, f"{at} file", exchange["config_file_after"], self.sim.text())
        if "pending_section_after" in exchange:
            section = (self.sim.text().partition("[PENDING]\n")[2]).strip() or None
            expected = exchange["pending_section_after"]
            if "(both were seen)" in str(expected):
                expected = section if "delete: scsi0" in section else expected
            compare(problems, f"{at} pending section", expected, section)
        for line in exchange.get("stored") or []:
            if line not in self.sim.text():
                problems.append(f"{at}: '{line}' is not in the file")

    def settle(self, exchange, found, following):
        """Remember the UPID; wait for the task where the recorder did not ask for it."""
        recorded = exchange["body"].get("data") if isinstance(exchange["body"], dict) else None
        if not (isinstance(recorded, str) and UPID.fullmatch(recorded) and found[0] == 200):
            return
        ours = found[3]["data"]
        with self.lock:
            self.upids[recorded] = ours
        polled = following and recorded in str(following[0].get("path", ""))
        overlaps = exchange.get("note") == "root only parameter?"      # the next one met its flock
        if not polled and not overlaps and exchange.get("started_at_ms") is None:
            self.wait(ours)

    def wait(self, upid):
        path = f"/nodes/{NODE}/tasks/{upid}/"
        root = f"PVEAPIToken={LAB}={self.sim.secrets[LAB]}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            data = self.sim.request({"method": "GET"}, path + "status", root)[3]["data"]
            if data["status"] == "stopped":
                lines = self.sim.request({"method": "GET"}, path + "log?limit=0", root)[3]["data"]
                return data["exitstatus"], [line["t"] for line in lines]
            time.sleep(0.05)
        raise RuntimeError(f"task {upid} does not end")

    def check_end(self):
        recording = self.recording
        if recording.get("state_after") == "stopped" and self.sim.running():
            self.sim.run("qm", "stop", "105")   # so did the recorder, to clean up
        ours = [[f"[{UPID.fullmatch(upid)[1]}]"] + self.wait(upid)[1]
                for upid in self.upids.values()]
        for task in blocks(recording.get("task_log") or []):
            if neutral_log(task) not in [neutral_log(o) for o in ours]:
                self.problems.append(f"task_log: {task} is not among {ours}")
        if self.name.startswith(RESET_AT_END):
            self.sim.put_text(recording["config_before"])
        if "config_after" in recording:
            compare(self.problems, "config_after", recording["config_after"], self.sim.text())
        if recording.get("state_after") and not self.name.startswith("08e"):
            compare(self.problems, "state_after", recording["state_after"] == "running",
                    self.sim.running())
        if recording.get("pending_after") is not None:
            found = self.sim.request({"method": "GET"}, f"/nodes/{NODE}/qemu/105/pending",
                                     f"PVEAPIToken={LAB}={self.sim.secrets[LAB]}")[3]["data"]
            same = [neutral(without_random(recording["pending_after"])),
                    neutral(without_random(found))]
            compare(self.problems, "pending_after", *same)


def lock_holders(inode):
    """Pids of /proc/locks that hold, not those that wait for ("->"), a lock on the file."""
    with open("/proc/locks", encoding="ascii") as f:
        fields = [line.split() for line in f]
    return [f[4] for f in fields if f[1] != "->" and f[5].endswith(f":{inode}")]


def newest(task):
    return task["starttime"], task["pstart"]


def without_random(items):
    """A rollback makes vmgenid anew, and the digest covers it; the file itself is compared."""
    return [item for item in items if item["key"] not in ("digest", "vmgenid")]


def blocks(lines):
    """The tasks in a task_log: each begins with its [type]."""
    found = []
    for line in lines:
        if re.fullmatch(r"\[\w+\]", line):
            found.append([])
        found[-1].append(line)
    return found


def neutral_log(lines):
    return [sorted(re.split(r"  +|failed\. ", line.strip())) if "400 Parameter" in line
            else neutral_text(line)
            for line in lines]


def where(exchange):
    body = exchange.get("form") or exchange.get("json") or ""
    return f"{exchange['method']} {exchange['path']} {body}"


# -- playing steps with the hook's context --------------------------------------------------------

class Stepper(Player):
    """hook-context-*: commands and calls, and for each the calls of the hook that it led to."""

    def play(self):
        text = self.recording["config_before"]
        self.vmid = int(re.search(r"local:(\d+)/", text)[1])
        self.sim.put_text(text.replace("local:snippets/hook", "local:snippets/ctx"), self.vmid)
        if "template" in self.name:
            nodes.create_image(self.sim.path("var/lib/vz/images/106/base-106-disk-0.qcow2"), 1 << 30)
        if "migration-target" in self.name:
            self.sim.put_text(text + "lock: migrate\n", self.vmid, "othernode")
            os.unlink(self.sim.conf(self.vmid))
        for step in self.recording["exchanges"]:
            skip = next((why for name, why in NOT_STEPPED if step["step"].startswith(name)), None)
            if skip:
                self.skipped.append(f"{step['step']}: {skip}")
                continue
            self.step(step)

    def step(self, step):
        name, outcome = step["step"], step["outcome"]
        calls = self.sim.path("calls.jsonl")
        with open(calls, "w", encoding="ascii"):
            pass
        self.prepare(name)
        before = len(self.problems)
        if "command" in outcome:
            self.commands(outcome, name)
        else:
            self.call(outcome, name)
        expected = [self.recorded_call(c) for c in step.get("hook_calls") or []]
        deadline = time.monotonic() + 8
        while True:                     # `qm cleanup` and its restart come a moment later
            with open(calls, encoding="utf-8") as f:
                got = [self.our_call(json.loads(line), i, expected) for i, line in enumerate(f)]
            if len(got) >= len(expected) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        # The recorder kept the calls for one VM; those for a copy show in the output only.
        if "hook-phases" not in self.name and (expected or "hook: " not in str(outcome)):
            compare(self.problems, "hook calls", expected, got)
        for prefix, key, vmid in LEAVES:
            if name.startswith(prefix) and key in self.recording:
                compare(self.problems, f"file of VM {vmid}", self.recording[key],
                        self.sim.text(vmid))
        self.problems[before:] = [f"{name}: {p}" for p in self.problems[before:]]
        self.played += 1

    def prepare(self, name):
        deaf = self.sim.path(f"run/qemu-server/{self.vmid}.deaf")
        if "whose hook refuses" in name:        # recorded with another script than the one before
            self.sim.hook("ctx", REFUSES)
        marks = {self.sim.path("refuse"): "refuse" in name and "after the refused" not in name,
                 deaf: "does not obey" in name}
        for path, wanted in marks.items():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            if wanted:
                with open(path, "w", encoding="ascii"):
                    pass
        if "hook fails in" in name:
            phase = name.rpartition(" ")[2]
            self.sim.hook("hook", HOOK + f'[ "$2" != {phase} ] || exit 3\n')
            self.sim.put_text(self.sim.text(self.vmid).replace("snippets/ctx", "snippets/hook"),
                              self.vmid)

    def commands(self, outcome, name):
        out, err, code = "", "", 0
        for command in re.split(r"\s*;\s*", outcome["command"]):
            words = command.split()
            if words[0] in ("qm", "vzdump", "pvesh", "qmrestore"):
                args = [self.archive(word) for word in words[1:]]
                code, one, two = self.sim.run(words[0], *args)
                out, err = out + one, err + two
            elif words[0] == "kill":
                self.kill(9 if "-9" in words else 15)
            elif words[0] == "sleep":
                time.sleep(min(float(words[1]),
                               0.5))       # what follows the command needs a moment
            elif "system_powerdown" in command:
                self.power_button()
        if "vzdump" in outcome["command"] or "sleep 3" in outcome["command"]:
            hook = [line for line in outcome["stdout"].splitlines() if line.startswith("hook: ")]
            compare(self.problems, "lines of the hook", hook,
                    [line for line in out.splitlines() if line.startswith("hook: ")])
            compare(self.problems, "exit code", outcome["exit"] == 0, code == 0)
            return
        text = [line for line in outcome["stdout"].splitlines()
                if not line.startswith(("Formatting", "migration listens", "saving VM",
                                        "completed saving", "allocated target", "transferred ",
                                        "snapshotting", "skipping guest", "internal qemu"))
                and "B in 0s" not in line]
        compare(self.problems, "stdout", text,
                [l for l in out.splitlines() if not l.startswith("Formatting")])
        if "kill" not in outcome["command"]:
            compare(self.problems, "exit code", outcome["exit"], code)
            compare(self.problems, "stderr", outcome["stderr"], err)

    def archive(self, word):
        """The one backup that this node has, for the recorded name of it."""
        if not word.endswith(".vma"):
            return word
        [name] = os.listdir(self.sim.path("var/lib/vz/dump"))
        return word.rpartition("/")[0] + "/" + name

    def kill(self, number):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                open(self.sim.path(f"run/qemu-server/{self.vmid}.pid"), encoding="ascii") as f:
            os.kill(int(f.read()), number)

    def power_button(self):
        stubqemu.powerdown(nodes.Node(self.sim.root), self.vmid)

    def call(self, outcome, name):
        if "machine change pending" in name:
            self.sim.run("qm", "set", str(self.vmid), "--machine", "pc-q35-9.0")
        who = DAEMON if outcome["as"] == "daemon" else LAB
        if "archive" in (outcome.get("form") or {}):
            outcome = {**outcome, "form": {**outcome["form"],
                                           "archive": self.archive(outcome["form"]["archive"])}}
        status, _, _, body = self.sim.request(outcome, outcome["path"],
                                              f"PVEAPIToken={who}={self.sim.secrets[who]}")
        compare(self.problems, "status", outcome["status"], status)
        if status != 200 or "exitstatus" not in outcome:
            if "status/current" not in outcome["path"]:
                compare(self.problems, "body", neutral(outcome["body"]), neutral(body))
            return
        result, lines = self.wait(body["data"])
        compare(self.problems, "exitstatus", neutral(outcome["exitstatus"]), neutral(result))
        if "vzdump" not in outcome["path"] and "archive" not in str(outcome["form"]):
            lines = [line for line in lines if not line.startswith("Formatting")]
            compare(self.problems, "log", neutral_log(outcome["log"]), neutral_log(lines))

    def recorded_call(self, call):
        return {"phase": call["phase"], "argv": call["argv"], "uid": call["uid"],
                "cwd": "/" if call["cwd"] == "/" else "SHELL",
                "path": call["env"]["PATH"], "lc_all": call["env"]["LC_ALL"],
                "migrated": call["env"].get("PVE_MIGRATED_FROM"),
                "stdio": [call["stdin"].split(":")[0], call["stdout"], call["stderr"]],
                "parents": [neutral_text(p["cmdline"]) for p in call["parents"]],
                "lock": call["lock_in_config"], "exists": call["config_file_exists"],
                "held": call["vm_flock_held"], "sections": sorted(call["sections"]),
                "qemu": call["qemu_process_exists"]}

    def our_call(self, call, index, expected):
        call["cwd"] = "/" if call["cwd"] == "/" else "SHELL"
        depth = len(expected[index]["parents"]) if index < len(expected) else 3
        call["parents"] = [neutral_text(p) for p in call["parents"][:depth]]
        return call


# -- running them ----------------------------------------------------------------------------------

def play(name, template):
    """(name, problems, skipped, number of exchanges); in a process of its own."""
    with open(os.path.join(DATA, name + ".json"), encoding="utf-8") as f:
        recording = json.load(f)
    hooks = name.startswith(("hook-", "16-"))
    sim = fresh_node(template, name, "stub" if hooks or not QEMU else "real")
    try:
        player = (Stepper if hooks else Player)(name, recording, sim)
        player.play()
        return name, player.problems, player.skipped, player.played
    except Exception as e:
        return name, [f"{type(e).__name__}: {e}"], [], 0
    finally:
        sim.close()


def main():
    names = sorted(f[:-5] for f in os.listdir(DATA) if f.endswith(".json"))
    wanted = [n for n in sorted([*names, *NOT_PLAYED])
              if not sys.argv[1:] or n.startswith(tuple(sys.argv[1:]))]
    for name in [n for n in wanted if n in NOT_PLAYED]:
        print(f"ok {name} # SKIP {NOT_PLAYED[name]}")
    todo = [n for n in wanted if n not in NOT_PLAYED]
    todo.sort(key=lambda n: next((i for i, s in enumerate(SLOW) if n.startswith(s)), len(SLOW)))
    failed = exchanges = 0
    with tempfile.TemporaryDirectory(prefix="pvesim-replay-") as template, \
            concurrent.futures.ProcessPoolExecutor(PARALLEL) as pool:
        make_template(template)
        for name, problems, skipped, count in pool.map(functools.partial(play, template=template),
                                                       todo):
            exchanges += count
            failed += bool(problems)
            print(f"{'not ok' if problems else 'ok'} {name}"
                  + (f" - {problems[0]}" if problems else ""), flush=True)
            for line in problems[1:]:
                print(f"#   {line}")
            for line in skipped:
                print(f"# left out: {line}")
    print(f"1..{len(wanted)}")
    print(f"# {len(todo) - failed} recordings agree, {failed} differ, "
          f"{len(wanted) - len(todo)} skipped; {exchanges} exchanges played")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
