"""Plays one recording of a real node against a simulated one: exchanges in order, or each at its moment."""
import contextlib
import os
import re
import threading
import time

from neutral import UPID, compare, neutral, neutral_text
from replayhooks import HOOK
from replaynode import DAEMON, NODE

LAB = "root@pam!lab"
BRIDGE = "/sdn/zones/localnetwork/vmbr0"
NOT_COMPARED = (        # recording, method, end of path: exchanges left out
    ("01", "GET", "/capabilities/qemu/cpu", "list of CPU models is not simulated"),
    ("01", "GET", "/capabilities/qemu/machines", "the list is that of the QEMU installed here"),
    ("01", "GET", "machines?arch=x86_64", "the list is that of the QEMU installed here"),
    ("01", "GET", "/tasks?limit=3", "tasks of scenarios that ran before on the real node"),
    ("02", "GET", "/agent", "there is no guest agent in the simulator"),
)
RESET_AT_END = ("10c",)     # the recorder put the first file back


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
        if exchange.get("note") == "root only parameter?":      # the next one met its flock
            self.until_the_flock_is_held()
        elif not polled and exchange.get("started_at_ms") is None:
            self.wait(ours)

    def until_the_flock_is_held(self):
        """By a worker that was forked just now: the next call must not come by it first."""
        inode = os.stat(self.sim.path("var/lock/qemu-server/lock-105.conf")).st_ino
        deadline = time.monotonic() + 20
        while not lock_holders(inode):
            if time.monotonic() > deadline:
                raise RuntimeError("the worker does not come by the flock")
            time.sleep(0.005)

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
