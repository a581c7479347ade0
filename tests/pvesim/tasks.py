"""Tasks: real worker processes with the process titles, UPIDs and logs of PVE.

A worker is forked by whoever wants it (a pvedaemon worker, `qm`, `qm cleanup`), so its parents in
/proc are those of a real node. Its title starts with `task UPID:`; pid and pstart in the UPID are
its own, and a task runs as long as such a process lives. The log is ROOT/pvesim/tasks/UPID, its
last line (`TASK OK`, `TASK ERROR: ...`) is the exit status, as on a real node.

Titles are written over the process's own argument area; titleroom.py makes room in it.
"""
import contextlib
import ctypes
import os
import re
import signal
import sys
import time
import traceback

from node import PveError, param_error

UPID = re.compile(r"UPID:([A-Za-z0-9][A-Za-z0-9-]*):([0-9A-F]{8}):([0-9A-F]{8,9}):([0-9A-F]{8}):"
                  r"([^:\s]+):([^:\s]*):([^:\s]+):")
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15


# -- process titles ------------------------------------------------------------------------------

def set_title(title):
    """Make /proc/PID/cmdline exactly `title` (and NULs), comm its first 15 bytes."""
    with open("/proc/self/stat", "rb") as f:
        fields = f.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start - 1
    data = title.encode()[:room]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, data, len(data))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NAME, ctypes.c_char_p(data[:15]), 0, 0, 0)


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def fork(work, title):
    """A child with a title of its own that runs work() and ends when its parent does; the pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        die_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        set_title(title)
        status = work() or 0
    except BaseException:       # never back into the parent's code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def start_time(pid):
    """Start time in clock ticks, with the pid a process's identity; None for a dead one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def close_inherited(keep=()):
    """A worker must not hold the connection or the listening socket of the daemon it came from."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))


# -- workers -------------------------------------------------------------------------------------

class Log:
    """A task's log; with `echo` (command line) every line goes to stdout too."""

    def __init__(self, path, echo):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self.echo = echo

    def __call__(self, text, echo=True):
        data = (text if isinstance(text, bytes) else text.encode()).removesuffix(b"\n") + b"\n"
        os.write(self.fd, data)
        if self.echo and echo:
            os.write(1, data)


def spawn(node, kind, vmid, user, work, cli=False):
    """Fork a worker that runs work(log); (UPID, pid). The caller reaps the pid."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_end)
        with os.fdopen(read_end) as f:
            upid = f.read()
        if not upid:
            raise PveError("fork failed\n")
        return upid, pid
    status = 255
    try:
        status = _worker(node, kind, vmid, user, work, cli, write_end)
    except BaseException as e:      # a worker must never return into its parent's code
        print(f"pvesim: worker {kind}:{vmid}: {e!r}", file=sys.stderr)
    finally:
        os._exit(status)


def _worker(node, kind, vmid, user, work, cli, write_end):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not cli:
        os.setsid()
    close_inherited(keep=(write_end,))
    pid = os.getpid()
    upid = (f"UPID:{node.name}:{pid:08X}:{start_time(pid):08X}:{int(time.time()):08X}:"
            f"{kind}:{vmid}:{user}:")
    set_title(f"task {upid}")
    log = Log(node.path(f"pvesim/tasks/{upid}"), cli)
    os.write(write_end, upid.encode())
    os.close(write_end)
    try:
        work(log)
    except PveError as e:
        message = e.text().removesuffix("\n").replace("\n", " ")
        log(f"TASK ERROR: {message}", echo=False)
        if cli:
            print(message, file=sys.stderr, flush=True)
        return 255
    except Exception as e:          # an error of QEMU's module, or our own: the task's either way
        log(f"TASK ERROR: {e}", echo=False)
        if cli:
            print(e, file=sys.stderr, flush=True)
        return 255
    log("TASK OK", echo=False)
    return 0


def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# -- what the API tells about tasks --------------------------------------------------------------

def parse(upid):
    found = UPID.fullmatch(upid)
    if not found:
        raise param_error(upid="unable to parse worker upid")
    name, pid, pstart, start, kind, ident, user = found.groups()
    info = {"upid": upid, "node": name, "pid": int(pid, 16), "pstart": int(pstart, 16),
            "starttime": int(start, 16), "type": kind, "id": ident, "user": user.split("!")[0]}
    if "!" in user:
        info["tokenid"] = user.split("!", 1)[1]
    return info


def log_path(node, upid):
    path = node.path(f"pvesim/tasks/{upid}")
    return path if "/" not in upid and os.path.exists(path) else None


def running(info):
    return start_time(info["pid"]) == info["pstart"]


def exit_status(node, upid):
    with open(node.path(f"pvesim/tasks/{upid}"), "rb") as f:
        last = f.read().decode("utf-8", "replace").rstrip("\n").rpartition("\n")[2]
    if last == "TASK OK":
        return "OK"
    return last[len("TASK ERROR: "):] if last.startswith("TASK ERROR: ") else "unexpected status"


def status(node, upid):
    info = parse(upid)
    if not log_path(node, upid):
        raise param_error(upid="no such task")
    if running(info):
        info["status"] = "running"
    else:
        info.update(status="stopped", exitstatus=exit_status(node, upid))
    return info


def log_lines(node, upid, start=0, limit=50):
    path = log_path(node, upid)
    if not path:
        return [{"n": 1, "t": "no content"}], 1
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = f.read().split("\n")[:-1]
    shown = lines[start:start + limit] if limit else lines[start:]
    return [{"n": start + i + 1, "t": line} for i, line in enumerate(shown)], len(lines)


def listing(node, want):
    """Tasks for which want(info) holds: those that run, then the others with endtime and status, the
    newest first. Of one that runs, PVE does not take the token apart from the user."""
    found = []
    for name in os.listdir(node.path("pvesim/tasks")):
        if not UPID.fullmatch(name):
            continue
        info = parse(name)
        if running(info):
            info["status"] = "RUNNING"
            if "tokenid" in info:
                info["user"] += "!" + info.pop("tokenid")
        else:
            info["status"] = exit_status(node, name)
            info["endtime"] = int(os.stat(node.path(f"pvesim/tasks/{name}")).st_mtime)
        if want(info):
            found.append(info)
    return sorted(found, key=lambda i: (i["status"] == "RUNNING", i["starttime"], i["pstart"]), reverse=True)


def end_all(node):
    """End every worker of this node, hooks included: each has a session of its own."""
    for name in os.listdir(node.path("pvesim/tasks")):
        if not UPID.fullmatch(name):
            continue
        info = parse(name)
        if running(info):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getpgid(info["pid"]) == info["pid"]:
                    os.killpg(info["pid"], signal.SIGKILL)
                else:
                    os.kill(info["pid"], signal.SIGKILL)
