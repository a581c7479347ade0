# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing of a simulated node outlives it: its tasks, and every guest, whoever started it.

A guest has a session of its own and is nobody's child, as a real QEMU, so the end of the server says
nothing to it. A server that ends in order calls end_all(). But a server that is killed with SIGKILL cannot end anything any more. So a keeper, a
process of its own session that `serve` makes before all others, waits for the end of the server,
however that comes, and then does the same.

The pid files are not enough to find guests: a worker that is killed in the midst of a start leaves a
QEMU that has not written its own yet. So guests are found in /proc, by the ROOT in their arguments.
"""
import contextlib
import fcntl
import os
import select
import signal
import sys
import time
import traceback

import tasks
from node import PveError

LIMIT = 30              # seconds: nobody waits for ever for a process that cannot be ended
POLL = 0.02             # seconds between two looks
CALM = 3                # looks that found nothing, one after the other, and we believe it
LOCK = "pvesim/keeper.lock"


def _arguments(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().split(b"\0")
    except OSError:
        return []       # it has ended


def _is_guest(root, argv):
    """A stub has ROOT among its arguments, a QEMU its pid file below ROOT."""
    if any(arg.endswith(b"/stubqemu.py") for arg in argv[:4]):
        return root in argv
    if b"-pidfile" in argv[:-1]:
        return argv[argv.index(b"-pidfile") + 1].startswith(root + b"/run/qemu-server/")
    return False


def guests(root):
    """The pids of all guests of the node in `root`."""
    root = os.fsencode(os.path.abspath(root))
    return [int(name) for name in os.listdir("/proc")
            if name.isdigit() and _is_guest(root, _arguments(name))]


def _kill(root, pid):
    """Only if it is still what it was: the pidfd holds the process, then we look again."""
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            if _is_guest(os.fsencode(root), _arguments(pid)):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        finally:
            os.close(fd)


def end_all(node, all_gone=lambda: True):
    """Ends tasks and guests until there are none and all_gone(); False if that was not to be had."""
    end, calm = time.monotonic() + LIMIT, 0
    while calm < CALM:
        if time.monotonic() > end:
            return False
        with contextlib.suppress(FileNotFoundError):        # somebody has removed ROOT meanwhile
            tasks.end_all(node)
        found = guests(node.root)
        for pid in found:
            _kill(node.root, pid)
        calm = calm + 1 if not found and all_gone() else 0
        time.sleep(POLL)
    return True


def _only_we_hold(pipe):
    """The other end of the pipe is with the server and all that it forked: is nobody left?"""
    return bool(select.select([pipe], [], [], 0)[0])


def _keep(node, server, pipe, lock):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)       # it ends when its work is done
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    os.chdir("/")
    tasks.set_title("pvesim keeper")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):       # whoever reads what the server says waits for its end, not for ours
        os.dup2(null, fd)
    tasks.close_inherited(keep=(server, pipe, lock))
    select.select([server], [], [])
    return 0 if end_all(node, lambda: _only_we_hold(pipe)) else 1


class Keeper:
    """Made by the server before it makes any other process or thread.

    The lock makes a server that takes the place of a killed one wait until that one's guests are gone,
    so that its own are not taken for them.
    """

    def __init__(self, node):
        lock = _lock(node.path(LOCK))
        server = os.pidfd_open(os.getpid())
        pipe, self.life = os.pipe()         # kept open here, and by all that is forked, to the end
        if os.fork() == 0:
            status = 1
            try:
                os.close(self.life)
                status = _keep(node, server, pipe, lock)
            except BaseException:       # never back into the server's code
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        for fd in (lock, server, pipe):
            os.close(fd)

    def close(self):
        os.close(self.life)


def _lock(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + LIMIT
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(fd)
                raise PveError("another `pvesim serve` runs for this ROOT, or the guests of one that "
                               "was killed cannot be ended\n") from None
            time.sleep(POLL)
