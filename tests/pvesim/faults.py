"""Misbehaviour on purpose: what a rule in ROOT/pvesim/faults.json makes of a request.

Rules are objects in a list, read anew whenever the file changes:

    method, path  regular expressions; default: all
    form          parameter -> regular expression that its value must match ("" also where it is
                  absent: then the rule is for requests without it)
    token         regular expression: whose requests; default: everybody's
    nth           1 = the first request that matches, or a list of such numbers; default: every one
    action        what happens:

    delay         (seconds) then it goes on
    hang          (until: a name) it goes on once ROOT/pvesim/NAME is there, at the latest after
                  HANG_MAX seconds: for a test in which something has to come before it
    status        (status, message) instead of handling it
    drop          the connection is closed, nothing is done
    applied-then-lost  handled, then closed without an answer
    truncated     handled, the answer ends in the middle of its body
    cut           handled, the answer ends in the middle of its head
    garbage       handled, the body is no JSON
    wrong-shape   handled, the body is JSON of another shape (`data`, default: a number)
    not-http      handled, what comes is no HTTP at all
    endless       handled, the body is longer than anybody should read
    half-applied  (writes, message) a change of a configuration fails after so many writes of the
                  file, which is what a real node does where a volume is away (06n)
    hold-lock     (seconds) somebody takes the VM's flock before the request is handled
    kill          (when: before, handled, answered) SIGKILL for the process whose pid is in
                  ROOT/pvesim/victim

Each fault that took effect is a line in ROOT/pvesim/injected.jsonl.
"""
import contextlib
import fcntl
import json
import os
import re
import signal
import threading
import time

from node import PveError

ENDLESS = 8 << 20
HANG_MAX = 60
SPOILED = {"truncated", "cut", "garbage", "wrong-shape", "not-http", "endless"}


class Drop(Exception):
    """Close the connection without an answer."""


class Faults:
    def __init__(self, node):
        self.node, self.path = node, node.path("pvesim/faults.json")
        self.lock = threading.Lock()
        self.stamp, self.rules, self.seen = None, [], {}

    def matching(self, method, path, params, token):
        with self.lock:
            self._reload()
            found = []
            for i, rule in enumerate(self.rules):
                if not _fits(rule, method, path, params, token):
                    continue
                self.seen[i] = self.seen.get(i, 0) + 1
                nth = rule.get("nth")
                if nth is None or self.seen[i] in (nth if isinstance(nth, list) else [nth]):
                    found.append((i, rule))
        for i, rule in found:
            self.node.record("injected", {"t": time.monotonic(), "action": rule["action"], "rule": i,
                                          "until": rule.get("until"), "method": method, "path": path})
        return [rule for _, rule in found]

    def _reload(self):
        try:
            with open(self.path, encoding="utf-8") as f:
                stat = os.fstat(f.fileno())     # of that very file: it may be replaced meanwhile
                stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
                if stamp != self.stamp:
                    self.rules, self.stamp, self.seen = json.load(f), stamp, {}
        except FileNotFoundError:
            self.stamp, self.rules = None, []


def _fits(rule, method, path, params, token):
    return bool(re.fullmatch(rule.get("method", ".*"), method)
                and re.search(rule.get("path", ""), path)
                and re.search(rule.get("token", ""), token)
                and all(re.search(pattern, str(params[name])) if name in params else pattern == ""
                        for name, pattern in rule.get("form", {}).items()))


# -- before a request is handled -------------------------------------------------------------------

def before(node, faults, path):
    """Delays, refusals and whoever is quicker with the lock. What is to be done differently in
    handling it is returned: the request's `fault`, or None."""
    inside = None
    for fault in faults:
        action = fault["action"]
        if action == "delay":
            time.sleep(fault["seconds"])
        elif action == "hang":
            hang(node, fault["until"])
        elif action == "hold-lock":
            hold_lock(node, path, fault["seconds"])
        elif action == "kill" and fault.get("when", "before") == "before":
            kill(node)
        elif action == "status":
            raise PveError(fault.get("message", "fault") + "\n", fault["status"])
        elif action == "drop":
            raise Drop
        elif action == "half-applied":
            inside = {"writes": fault.get("writes", 1),
                      "message": fault.get("message", "storage 'local' is not online")}
    return inside


def hang(node, until):
    end = time.monotonic() + HANG_MAX
    while not os.path.exists(node.path(f"pvesim/{until}")) and time.monotonic() < end:
        time.sleep(0.01)


def hold_lock(node, path, seconds):
    """As another task would: it has the flock when this returns, if it was free."""
    found = re.search(r"/qemu/(\d+)", path)
    if not found:
        return
    fd = os.open(node.path(f"var/lock/qemu-server/lock-{found[1]}.conf"),
                 os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return
    timer = threading.Timer(seconds, os.close, [fd])
    timer.daemon = True
    timer.start()


def kill(node):
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        with open(node.path("pvesim/victim"), encoding="ascii") as f:
            os.kill(int(f.read()), signal.SIGKILL)


# -- afterwards ------------------------------------------------------------------------------------

def after(node, faults):
    """Once it is handled: the one fault that spoils the answer, or None."""
    spoiled = None
    for fault in faults:
        if fault["action"] == "kill" and fault.get("when") == "handled":
            kill(node)
        elif fault["action"] == "applied-then-lost":
            raise Drop
        elif fault["action"] in SPOILED:
            spoiled = fault
    return spoiled


def answered(node, faults):
    if any(f["action"] == "kill" and f.get("when") == "answered" for f in faults):
        kill(node)


def spoil(fault, head, body):
    """The bytes that go out instead of head and body."""
    action = fault["action"]
    if action == "cut":
        return head[:len(head) // 2]
    if action == "truncated":
        return head + body[:len(body) // 2]
    if action == "not-http":
        return b"\0\1\2 this is no HTTP at all \r\n\r\n\377\376"
    return head + body


def spoiled_body(fault, body):
    """The body that the head's Content-Length is made for."""
    if fault["action"] == "garbage":
        return b"<html><body>It works!</body></html>\n"
    if fault["action"] == "wrong-shape":
        return json.dumps({"data": fault.get("data", 17)}).encode()
    if fault["action"] == "endless":
        return b'{"data":"' + b"x" * ENDLESS + b'"}'
    return body
