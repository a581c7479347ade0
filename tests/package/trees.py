# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian trees, made by mmdebstrap and kept for the next time, and containers booted from them.

A tree is never changed once it is made: what runs, runs in an overlay above it that is thrown away. Kept
in /var/cache/pve-hwid-tests (PVE_HWID_TEST_CACHE) under a name that has all that it was made from.
"""
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
CACHE = os.environ.get("PVE_HWID_TEST_CACHE", "/var/cache/pve-hwid-tests")
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
# What the package needs and what the simulator needs: so apt installs it without any network.
RUN = ("systemd-sysv dbus python3 openssl procps apt-utils libcurl4 libexpat1 libjansson4 libsystemd0 "
       "libuuid1").split()
BUILD = ("dpkg-dev gcc make debhelper libcurl4-openssl-dev libexpat1-dev libjansson-dev libsystemd-dev "
         "pkgconf uuid-dev lintian").split()
KEPT_FOR = 14 * 24 * 3600       # seconds: security updates come in with the next one
BOOT_LIMIT = 180


class Unable(Exception):
    """Why a tree or a container cannot be had on this machine."""


class Stopped(Exception):
    """A signal asked us to end: whoever runs something unwinds, and takes away what it made."""


RUNNING = set()                 # processes that a signal ends at once, so that everybody unwinds
STOPPING = threading.Event()


def stop(*_):
    STOPPING.set()
    for process in list(RUNNING):
        process.terminate()


def run(*argv, timeout=900, check=True, last=False, **more):
    """`last`: also while we are ending."""
    with subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more) as process:
        if not last:
            RUNNING.add(process)
        try:
            if STOPPING.is_set() and not last:
                process.terminate()
            out, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            RUNNING.discard(process)
    if STOPPING.is_set() and not last:
        raise Stopped
    done = subprocess.CompletedProcess(argv, process.returncode, out)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv[0]}: exit {done.returncode}: {done.stdout[-4000:]}")
    return done


def check_machine():
    if os.geteuid() != 0:
        raise Unable("needs root")
    for tool in ("mmdebstrap", "systemd-nspawn", "nsenter", "unshare", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unable(f"{tool} is not installed")


def mirror():
    """Where this machine's own apt gets Debian from."""
    done = run("apt-get", "indextargets", "--format", "$(REPO_URI)", check=False)
    found = [line.rstrip("/") for line in done.stdout.splitlines() if re.search(r"/debian/?$", line)]
    if not found:
        raise Unable("apt knows no Debian mirror here: apt-get update")
    return found[0]


def tree(suite, packages):
    """The directory of a tree with these packages; made at most once at a time."""
    key = hashlib.sha256(" ".join([suite, *packages]).encode()).hexdigest()[:12]
    path = os.path.join(CACHE, f"{suite}-{key}")
    os.makedirs(CACHE, mode=0o755, exist_ok=True)
    with open(path + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(path) and time.time() - os.stat(path).st_mtime < KEPT_FOR:
            return path
        new = path + ".new"
        remove_tree(new)        # of a run that was killed
        done = run("mmdebstrap", "--mode=root", "--variant=apt", "--dpkgopt=force-unsafe-io",
                   "--include=" + ",".join(packages), suite, new, mirror(), check=False)
        if done.returncode != 0:
            remove_tree(new)
            if os.path.isdir(path):
                return path         # old, but there
            raise Unable(f"no tree of {suite}: " + " ".join(done.stdout.strip().splitlines()[-3:]))
        shutil.rmtree(path, ignore_errors=True)
        os.rename(new, path)
        os.utime(path)
    return path


def remove_tree(path):
    """With what is mounted in it taken off first: never into a file system that is not ours to empty."""
    with open("/proc/self/mounts", encoding="utf-8") as f:
        inside = [line.split()[1] for line in f if f"{line.split()[1]}/".startswith(f"{path}/")]
    for place in sorted(inside, reverse=True):
        run("umount", place, check=False, last=True)
    if not any(os.path.ismount(place) for place in inside):
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def folder(kind):
    """A directory in /tmp that tells whose it is, for clear_leftovers()."""
    path = tempfile.mkdtemp(prefix=f"hwid-{kind}-{os.getpid()}-", dir="/tmp")
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        remove_tree(path)


def is_alive(pid):
    """Is it a run of ours? A number may be somebody else's by now."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
            return "test_package" in f.read()
    except OSError:
        return False


def clear_leftovers():
    """What a run left that was killed: containers, mounts, directories, cgroups. Each carries its pid."""
    for name in os.listdir("/tmp"):
        found = re.fullmatch(r"hwid-(tree|pkg)-(\d+)-\w+", name)
        if found and not is_alive(found[2]):
            print(f"# clearing away /tmp/{name}, of a run that was killed", flush=True)
            end_containers(name)
            remove_tree(f"/tmp/{name}")


def end_containers(name):
    """The container of that tree, if it has survived; by its cgroup, or else by its command line."""
    for top in cgroup_tops():
        for path, _, _ in os.walk(top):
            if re.fullmatch(rf"pve-hwid-{re.escape(name)}-\d+", os.path.basename(path)):
                with contextlib.suppress(OSError), open(f"{path}/cgroup.kill", "w", encoding="ascii") as f:
                    f.write("1")
                wait_until_empty(path)
                remove_cgroup(path)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
                words = f.read().split("\0")
            if words[0].endswith("systemd-nspawn") and f"/tmp/{name}/root" in words:
                os.kill(int(pid), signal.SIGKILL)


def wait_until_empty(cgroup):
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with contextlib.suppress(OSError), open(f"{cgroup}/cgroup.events", encoding="ascii") as f:
            if "populated 0" in f.read():
                return
        time.sleep(0.05)


@contextlib.contextmanager
def overlay(lower):
    """A tree to write to, above `lower`."""
    with folder("tree") as top:
        for name in ("upper", "work", "root"):
            os.mkdir(os.path.join(top, name), 0o755)
        root = os.path.join(top, "root")
        done = run("mount", "-t", "overlay", "overlay", "-o",
                   f"lowerdir={lower},upperdir={top}/upper,workdir={top}/work", root, check=False)
        if done.returncode != 0:
            raise Unable(f"no overlay mounts here: {done.stdout.strip()}")
        yield root


NSPAWN = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
          "--capability=all", "--resolv-conf=off", "--timezone=off")


def machine(root):
    """A name of its own for each: containers of one name would share a directory in /run."""
    return "--machine=" + os.path.basename(os.path.dirname(root)).replace("_", "-")


def in_tree(root, *argv, binds=(), timeout=900, check=True):
    """A command in a tree that is not booted, without a network."""
    done = run(*NSPAWN, machine(root), "--as-pid2", "--console=pipe", "-D", root, *binds, *argv, timeout=timeout, check=check,
               env=dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1"))
    # Its own word about its own directory in /run, where that is on a disk.
    done.stdout = re.sub(r"(?m)^Attempted to remove disk file system under .*\n?", "", done.stdout)
    return done


def cgroup_tops():
    with open("/proc/self/mounts", encoding="utf-8") as f:
        return [line.split()[1] for line in f if line.split()[2] == "cgroup2"]


def make_cgroup(name):
    """A cgroup of its own: nspawn takes the one it is called in, so two containers begun side by side
    would have one tree of services between them, and each stop the other's. None: cannot be had."""
    tops = cgroup_tops()
    with open("/proc/self/cgroup", encoding="ascii") as f:
        here = [line.strip()[3:] for line in f if line.startswith("0::")]
    try:
        path = os.path.join(tops[0], here[0].lstrip("/"), f"pve-hwid-{name}-{os.getpid()}")
        os.makedirs(path, exist_ok=True)
    except (IndexError, OSError):
        return None
    return path


def remove_cgroup(path):
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            pass        # something in it still ends; it costs nothing


class Container:
    """A booted tree. Ends with the `with`; restart() boots the same tree again."""

    def __init__(self, root, hostname, binds=()):
        self.root, self.argv = root, [*NSPAWN, machine(root), "--console=read-only", *binds, "-b", "-D", root]
        for name, text in (("hostname", hostname), ("hosts", f"127.0.0.1 localhost {hostname}")):
            with open(f"{root}/etc/{name}", "w", encoding="ascii") as f:
                f.write(text + "\n")       # mmdebstrap leaves those of this machine
        self.process = self.leader = self.cgroup = None
        self.log_path = root + ".boot.log"

    def __enter__(self):
        self.boot()
        return self

    def __exit__(self, *_):
        self.end()

    def boot(self):
        self.cgroup = make_cgroup(os.path.basename(os.path.dirname(self.root)))
        into = ("sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', self.cgroup) if self.cgroup else ()
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*into, *self.argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1"))
        end = time.monotonic() + BOOT_LIMIT
        while not self._is_up():
            if self.process.poll() is not None or time.monotonic() > end:
                with open(self.log_path, encoding="utf-8", errors="replace") as f:
                    text = f.read()
                self.end()
                raise Unable("systemd-nspawn cannot boot a tree here: " + " ".join(text.split())[-400:])
            time.sleep(0.1)

    def _is_up(self):
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
                children = f.read().split()
        except OSError:
            return False
        if not children:
            return False
        self.leader = children[0]
        done = self.call("systemctl", "is-system-running", check=False, timeout=20)
        return done.stdout.strip() in ("running", "degraded")

    def call(self, *argv, check=True, timeout=120):
        return run("nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--",
                   "env", "-i", "--chdir=/", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
                   *argv, check=check, timeout=timeout)

    def restart(self):
        self.call("systemctl", "poweroff", check=False)
        self.process.wait(60)
        self.forget_cgroup()
        self.boot()

    def forget_cgroup(self):
        if self.cgroup:
            remove_cgroup(self.cgroup)
            self.cgroup = None

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5 if STOPPING.is_set() else 20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.forget_cgroup()
