"""A simulated PVE node with the real daemon, the real hook and the real command line on it.

    with Node() as node:
        node.vm(105, {...}); node.fingerprint(105, {...}); node.start_daemon()
        task = node.qm("start", 105)

Everything lies in a directory of its own below /tmp and is gone afterwards; servers bind to
loopback; only processes started here are ended, by their pid; every wait has a limit.
"""
import atexit
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("PVE_HWID_BUILD", "build"))
PVESIM = os.path.join(TOP, "tests", "pvesim", "pvesim")
TOKEN = "pve-hwid@pve!daemon"
ROOT_TOKEN = "root@pam!test"
PRIVS = "VM.Audit,VM.Config.HWType,VM.Config.Disk,VM.Config.Network,VM.Config.Options,VM.PowerMgmt"


# The bytes 56 4d 1a 9b 00 11 22 33 44 55 66 77 88 99 aa bb, as VMware's guest read them: VM 105.
UUID = "9b1a4d56-1100-3322-4455-66778899aabb"
SERIAL = "VMware-56 4d 1a 9b 00 11 22 33-44 55 66 77 88 99 aa bb"
MAC = "00:50:56:8a:01:02"


def machine_of(vmid):
    """(uuid, serial, MAC) of the machine that VM is: no identity is given to two of them."""
    if vmid == 105:
        return UUID, SERIAL, MAC
    tail = f"{vmid:08x}"
    return (UUID[:-8] + tail, SERIAL[:-11] + " ".join(tail[i:i + 2] for i in range(0, 8, 2)),
            f"00:50:56:{vmid >> 16 & 63:02x}:{vmid >> 8 & 255:02x}:{vmid & 255:02x}")


def as_machine_of(vmid, value):
    """A fingerprint as VM 105 has it, for another VM: that one's own identity, all else the same."""
    text = json.dumps(value)
    for common, own in zip((UUID, SERIAL, MAC), machine_of(vmid)):
        text = text.replace(common, own)
    return json.loads(text)


class Timeout(AssertionError):
    pass


def wait_for(what, condition, limit=15.0, every=0.02):
    """The first true value of condition(); Timeout naming `what` after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f"not within {limit:g} s: {what}")
        time.sleep(every)


def read_lines(path):
    """Of JSON lines those that are whole: the last one may be on its way to the disk."""
    try:
        with open(path, encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.strip() and line.endswith("\n")]
    except FileNotFoundError:
        return []


class Templates:
    """One node of each kind a program, made once and copied: certificates take their time."""

    def __init__(self):
        self.lock, self.made = threading.Lock(), {}

    def copy_to(self, root, name, qemu):
        """(secret of the daemon's token, secret of a token of root)."""
        with self.lock:
            if (name, qemu) not in self.made:
                self.made[name, qemu] = self.make(name, qemu)
        template, *secrets = self.made[name, qemu]
        shutil.copytree(template, root, symlinks=True, dirs_exist_ok=True)
        return secrets

    @staticmethod
    def make(name, qemu):
        template = tempfile.mkdtemp(prefix="hwid-template-", dir="/tmp")
        atexit.register(shutil.rmtree, template, ignore_errors=True)
        Node.run(PVESIM, "init", template, "--node", name, "--qemu", qemu)
        return template, *(Node.run(PVESIM, "token", template, who).stdout.split()[-1]
                           for who in (TOKEN, ROOT_TOKEN))


TEMPLATES = Templates()


class Node:
    def __init__(self, name="pve1", qemu="auto", settings=None, serve=True):
        self.name = name
        self.root = tempfile.mkdtemp(prefix="hwid-", dir="/tmp")
        self.settings = dict(settings or {})
        self.server = self.daemon = None
        self.gates = []
        self.daemon_ends = 0
        self.daemon_log = os.path.join(self.root, "daemon.log")
        self.secret, self.root_secret = TEMPLATES.copy_to(self.root, name, qemu)
        for rel in ("etc/pve-hwid/fingerprints", "run/pve-hwid", "var/lib/pve-hwid",
                    "etc/pve/pve-hwid"):
            os.makedirs(self.path(rel), exist_ok=True)
        self.write("etc/pve-hwid/token", f"{TOKEN}={self.secret}\n", 0o600)
        self.install_hook()
        if serve:
            self.start_server()

    # --- places ---------------------------------------------------------------------------------
    def path(self, rel):
        return os.path.join(self.root, rel)

    def write(self, rel, text, mode=0o644):
        path = self.path(rel)
        temporary = path + ".new"
        with open(temporary, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(temporary, mode)
        os.rename(temporary, path)
        return path

    def read(self, rel):
        with open(self.path(rel), encoding="utf-8") as f:
            return f.read()

    def conf_path(self, vmid):
        return f"etc/pve/nodes/{self.name}/qemu-server/{vmid}.conf"

    def conf(self, vmid):
        """The main section as a dict."""
        keys = {}
        for line in self.read(self.conf_path(vmid)).splitlines():
            if line.startswith("["):
                break
            if ": " in line and not line.startswith("#"):
                key, value = line.split(": ", 1)
                keys[key] = value
        return keys

    # --- processes ------------------------------------------------------------------------------
    @staticmethod
    def run(*argv, check=True, timeout=60, env=None, **more):
        result = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, text=True,
                                capture_output=True, timeout=timeout, env=env, check=False, **more)
        if check and result.returncode != 0:
            raise AssertionError(f"{argv}: exit {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def start_server(self):
        port_file = self.path("pvesim/port")
        if os.path.exists(port_file):
            os.unlink(port_file)
        with open(self.path("server.log"), "a", encoding="utf-8") as log:
            self.server = subprocess.Popen([PVESIM, "serve", self.root, "--with-parent"],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("pvesim serves", lambda: os.path.exists(port_file), 60)
        self.port = int(self.read("pvesim/port"))

    def stop_server(self):
        self.end(self.server)
        self.server = None

    @staticmethod
    def end(process, sig=signal.SIGTERM):
        if process is None:
            return None
        process.send_signal(sig)
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
            raise

    def config_text(self, **more):
        values = {
            "api_url": f"https://127.0.0.1:{getattr(self, 'port', 1)}",
            "ca_file": self.path("etc/pve/pve-root-ca.pem"),
            "token_file": self.path("etc/pve-hwid/token"),
            "node": self.name,
            "pve_dir": self.path("etc/pve"),
            "fingerprint_dir": self.path("etc/pve-hwid/fingerprints"),
            "state_dir": self.path("var/lib/pve-hwid"),
            "lock_dir": self.path("var/lock/qemu-server"),
            "rescan_s": 1,
        }
        values.update(self.settings)
        values.update(more)
        return "".join(f"{key}: {value}\n" for key, value in values.items())

    def start_daemon(self, wait=True, wrapper=(), **settings):
        self.write("etc/pve-hwid/pve-hwid.conf", self.config_text(**settings))
        with open(self.daemon_log, "a", encoding="utf-8") as log:
            self.daemon = subprocess.Popen(
                [*wrapper, os.path.join(BUILD, "pve-hwidd"), "--config",
                 self.path("etc/pve-hwid/pve-hwid.conf"), "--socket", self.path("run/pve-hwid/socket")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            wait_for("the daemon is ready", lambda: "is ready" in self.log_text() or
                     self.daemon.poll() is not None)
            assert self.daemon.poll() is None, self.log_text()

    def stop_daemon(self, sig=signal.SIGTERM):
        code = self.end(self.daemon, sig)
        self.daemon = None
        # Kept for those who look for sanitizer reports; a new file, so that "is ready" is a new one too.
        self.daemon_ends += 1
        os.rename(self.daemon_log, f"{self.daemon_log}.{self.daemon_ends}")
        return code

    def log_text(self):
        try:
            with open(self.daemon_log, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def install_hook(self):
        # On a node the snippet is the program; here it is told where its root lies, and replaced by
        # exec, so that the hook has PVE's environment, arguments and ancestors all the same.
        hook = os.path.join(BUILD, "pve-hwid-hook")
        self.write("var/lib/vz/snippets/pve-hwid",
                   f'#!/bin/sh\nexec {hook} --root {self.root} "$@"\n', 0o755)

    def hwid(self, *argv, check=False, timeout=90):
        """The command line on this node."""
        return self.run(os.path.join(BUILD, "pve-hwid"), argv[0], "--socket",
                        self.path("run/pve-hwid/socket"), *argv[1:], check=check, timeout=timeout)

    def hwid_json(self, *argv, **more):
        result = self.hwid(*argv, "--json", **more)
        return json.loads(result.stdout)

    # --- VMs ------------------------------------------------------------------------------------
    def vm(self, vmid, conf=None, disks=("scsi0=64M",), hook=True):
        """A VM as an import leaves it; conf overrides and adds lines, None takes one away."""
        argv = [PVESIM, "vm", self.root, str(vmid)]
        for disk in disks:
            argv += ["--disk", disk]
        self.run(*argv)
        keys = self.conf(vmid)
        keys.update({"freeze": "1", "memory": "64"})
        if hook:
            keys["hookscript"] = "local:snippets/pve-hwid"
        keys.update(conf or {})
        self.set_conf(vmid, "".join(f"{k}: {keys[k]}\n" for k in sorted(keys)
                                    if keys[k] is not None))

    def vm_elsewhere(self, vmid, conf, node="pve2"):
        """A VM on another node of the cluster, by its configuration alone."""
        os.makedirs(self.path(f"etc/pve/nodes/{node}/qemu-server"), exist_ok=True)
        return self.write(f"etc/pve/nodes/{node}/qemu-server/{vmid}.conf",
                          "".join(f"{k}: {conf[k]}\n" for k in sorted(conf)))

    def set_conf(self, vmid, text):
        return self.write(self.conf_path(vmid), text)

    def fingerprint(self, vmid, value, cluster=False, twin=False):
        """An object becomes that VM's own machine, unless it shall be the twin of VM 105."""
        if not isinstance(value, str) and not twin:
            value = as_machine_of(vmid, value)
        text = value if isinstance(value, str) else json.dumps(value, indent=2) + "\n"
        where = "etc/pve/pve-hwid" if cluster else "etc/pve-hwid/fingerprints"
        return self.write(f"{where}/{vmid}.json", text)

    def qm(self, *argv, check=False, timeout=90):
        return self.run(PVESIM, "qm", self.root, *argv, check=check, timeout=timeout)

    def running(self, vmid):
        try:
            pid = int(self.read(f"run/qemu-server/{vmid}.pid"))
            os.kill(pid, 0)
            return True
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return False

    def qemu_argv(self, vmid):
        pid = int(self.read(f"run/qemu-server/{vmid}.pid"))
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().decode().split("\0")[:-1]

    def api(self, method, path, form=None, token=None, secret=None):
        """One call of PVE's API as somebody else: (status, data or message). Default: a token of root."""
        if token is None:
            token, secret = ROOT_TOKEN, self.root_secret
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/api2/json{path}", method=method,
            data=urllib.parse.urlencode(form or {}).encode() if method != "GET" else None,
            headers={"Authorization": f"PVEAPIToken={token}={secret}"})
        context = ssl.create_default_context(cafile=self.path("etc/pve/pve-root-ca.pem"))
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as reply:
                return reply.status, json.load(reply)["data"]
        except urllib.error.HTTPError as e:
            return e.code, e.reason

    # --- what was seen --------------------------------------------------------------------------
    def requests(self, method=None):
        return [r for r in read_lines(self.path("pvesim/requests.jsonl"))
                if method in (None, r["method"])]

    def violations(self):
        return read_lines(self.path("pvesim/violations.jsonl"))

    def hook_calls(self):
        return read_lines(self.path("pvesim/hook-calls.jsonl"))

    def journal(self, vmid):
        return read_lines(self.path(f"var/lib/pve-hwid/journal/{vmid}.jsonl"))

    def records(self, vmid):
        return [r["type"] for r in self.journal(vmid)]

    # --- end ------------------------------------------------------------------------------------
    def close(self):
        for process in (self.daemon, self.server):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(5)
        self.run(PVESIM, "stop-all", self.root)
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and issubclass(kind, Exception):
            sys.stderr.write(f"--- daemon log of {self.root}\n{self.log_text()[-6000:]}\n")
        self.close()
