#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command of which nothing stays, however it ends: in namespaces of its own for mounts and processes,
with a directory of its own as $TMPDIR.

    scratch.py COMMAND...

Whatever ends the command, or us (SIGTERM, SIGINT, even SIGKILL), the kernel ends all its processes, booted
containers too, and with them go its mounts. The directory and the cgroups are removed by us or, where we were
killed, by the next one that begins: it belongs to nobody when no process holds its lock. The exit code is the
command's, or 128 + signal.
"""
import contextlib
import ctypes
import fcntl
import glob
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile

TOP = os.environ.get("PVE_HWID_SCRATCH_TOP", "/tmp")
PREFIX = "hwid-scratch-"
PR_SET_PDEATHSIG = 1
END_LIMIT = 15      # seconds for a killed process to be gone


def cgroup_of_ours():
    """The directory of the cgroup that we are in; None: there is none to see."""
    with open("/proc/self/mounts", encoding="ascii") as f:
        tops = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
    with open("/proc/self/cgroup", encoding="ascii") as f:
        here = [line.strip()[3:] for line in f if line.startswith("0::")]
    return os.path.join(tops[0], here[0].lstrip("/")) if tops and here else None


def remove_cgroup(path):
    for folder, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)        # something in it still ends: an empty cgroup costs nothing


def lock(path):
    """A descriptor that holds the directory's lock; None: somebody else does, or it is gone."""
    try:
        fd = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def remove(path):
    for cgroup in glob.glob(f"{cgroup_of_ours()}/{os.path.basename(path)}*"):
        remove_cgroup(cgroup)
    shutil.rmtree(path, ignore_errors=True)


def clear_abandoned():
    for path in glob.glob(f"{TOP}/{PREFIX}*"):
        fd = lock(path)
        if fd is not None:
            remove(path)
            os.close(fd)


def begin():
    """(directory, its lock's descriptor). Between making and locking it another run may clear it: then anew."""
    while True:
        path = tempfile.mkdtemp(prefix=PREFIX, dir=TOP)
        os.chmod(path, 0o755)
        fd = lock(path)
        if fd is not None and os.path.exists(os.path.join(path, "lock")):
            return path, fd


def is_possible():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"], check=False,
        stderr=subprocess.DEVNULL).returncode == 0


def die_with_parent():
    """Between fork and exec: unshare(1) ends with us, and by --kill-child its child with it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_all(process):
    """unshare(1) takes the first process of the namespace along, and that is gone when all others are."""
    firsts = []
    with contextlib.suppress(OSError):
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as f:
            firsts = [os.pidfd_open(int(pid)) for pid in f.read().split()]
    process.kill()
    process.wait()
    for first in firsts:
        select.select([first], [], [], END_LIMIT)
        os.close(first)


class Ended(Exception):
    pass


def on_signal(number, _):
    raise Ended(number)


def run(argv):
    clear_abandoned()
    path, fd = begin()
    process = None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *argv],
            env=dict(os.environ, TMPDIR=path), pass_fds=[fd], preexec_fn=die_with_parent)
        return process.wait()
    except Ended as ended:
        return 128 + ended.args[0]
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)       # what we do now takes no time
        if process is not None and process.poll() is None:
            end_all(process)
        remove(path)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
