# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/test_hook* share: a directory that looks like a node, fake daemons, faked ancestors, and the
runner. One line per case: `ok NAME`, `not ok NAME - why`, `ok NAME # SKIP why`. The build folder is the
first argument, or PVE_HWID_BUILD."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PVE_HWID_BUILD", "build"))
HOOK = os.path.join(BUILD, "pve-hwid-hook")
UUID = "9b1a4d56-1100-3322-4455-66778899aabb"
OTHER = "11111111-1100-3322-4455-66778899aabb"
ASAN = b"asan" in open(HOOK, "rb").read() if os.path.exists(HOOK) else False
SLACK = 1.0 if ASAN else 0.0  # a sanitizer's own start-up


class Node:
    """A directory that looks like a PVE node to the hook."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="hook", dir="/tmp")
        for d in ("etc/pve/pve-hwid", "etc/pve/qemu-server", "etc/pve-hwid/fingerprints",
                  "run/pve-hwid"):
            os.makedirs(os.path.join(self.root, d))
        self.socket = os.path.join(self.root, "run/pve-hwid/socket")
        self.calls = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.root)

    def put(self, path, content):
        with open(os.path.join(self.root, path), "w", encoding="utf-8") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))

    def fingerprint(self, uuid=UUID, place="etc/pve/pve-hwid", **policy):
        fp = {"format": 1, "smbios": {"uuid": uuid}}
        if policy:
            fp["policy"] = policy
        self.put(place + "/105.json", fp)

    def config(self, uuid=UUID, extra=""):
        self.put("etc/pve/qemu-server/105.conf",
                 extra + "boot: order=scsi0\nmachine: pc-q35-9.2\nname: vm105\nostype: win10\n"
                 "smbios1: uuid=%s\n" % uuid)

    def former(self, script, volid="local:snippets/old", where="var/lib/vz/snippets/old", mode=0o755):
        """The VM had another hookscript before ours was attached."""
        os.makedirs(os.path.dirname(os.path.join(self.root, where)), exist_ok=True)
        self.put("etc/pve/pve-hwid/105.hook", volid + "\n")
        self.put(where, script)
        os.chmod(os.path.join(self.root, where), mode)

    @contextlib.contextmanager
    def daemon(self, answer, backlog=16):
        """answer: bytes, None (never answers), or a function of (connection, call)."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.socket)
        listener.listen(backlog)
        open_connections = []

        def serve(conn):
            data = b""
            with contextlib.suppress(OSError):
                while not data.endswith(b"\0"):
                    chunk = conn.recv(65536)
                    if not chunk:
                        return
                    data += chunk
                self.calls.append(json.loads(data[:-1]))
                if callable(answer):
                    answer(conn, self.calls[-1])
                elif answer is not None:
                    conn.sendall(answer)
            if answer is not None:
                conn.close()

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    conn, _ = listener.accept()
                    open_connections.append(conn)
                    threading.Thread(target=serve, args=(conn,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            for conn in open_connections:
                conn.close()
            os.unlink(self.socket)

    def command(self, phase, worker="qmstart", vmid="105"):
        """argv and executable of a shell that is titled like a PVE worker and runs the hook."""
        args = [HOOK, "--root", self.root, vmid, phase]
        if worker is None:
            return args, None
        title = "task UPID:pve-lab:000009E1:0006FD0F:6B03A1E9:%s:105:root@pam:" % worker
        return [title, "-c", '"$@"; exit $?', "sh"] + args, "/bin/sh"

    def run(self, phase="pre-start", worker="qmstart", vmid="105", env=None, former=False,
            **kwargs):
        argv, executable = self.command(phase, worker, vmid)
        env = dict({"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PVE_MIGRATED_FROM": ""}, **(env or {}))
        kwargs.setdefault("stdout", subprocess.PIPE)
        before = time.monotonic()
        p = subprocess.run(argv, executable=executable, env=env, stdin=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, timeout=20, check=False, **kwargs)
        if former:
            return p
        p.seconds = time.monotonic() - before
        assert p.stderr == b"", "stderr: %r" % p.stderr
        if p.stdout:
            assert all(b in b"\n" or 0x20 <= b < 0x7f for b in p.stdout), p.stdout
            assert p.stdout.endswith(b"\n") and len(p.stdout) <= 4096, p.stdout
            for line in p.stdout.decode().splitlines():
                assert line.startswith("pve-hwid: "), line
        return p


def reply(code, *lines):
    return json.dumps({"parameters": {"exit_code": code, "lines": list(lines)}}).encode() + b"\0"


def in_time(run, limit):
    """What is seen from outside has the start of two programs in it, on a machine that may be busy: of a
    few runs the first one within `limit` seconds. One that waits too long by itself always does."""
    for _ in range(6):
        p = run()
        if p.seconds < limit + SLACK:
            return p
    raise AssertionError("never within %g s; at last %.2f s" % (limit + SLACK, p.seconds))


def expect(p, code, *words):
    out = (p.stdout or b"").decode()
    assert p.returncode == code, "exit %d, not %d: %s" % (p.returncode, code, out)
    for word in words:
        assert word in out, "no '%s' in: %s" % (word, out)
    return out


CASES = []


def case(f):
    CASES.append(f)
    return f


def main():
    failed = 0
    if not os.path.exists(HOOK):
        print("ok hook # SKIP %s is not built" % HOOK)
        return 0
    for f in CASES:
        name = "hook/" + f.__name__.replace("_", "-")
        try:
            f()
            print("ok " + name, flush=True)
        except Exception as e:  # pylint: disable=broad-except
            failed = 1
            print("not ok %s - %s" % (name, str(e).replace("\n", "\\n")[:400] or repr(e)), flush=True)
    return failed
