# SPDX-License-Identifier: GPL-3.0-or-later
"""What the load tests share: hooks as PVE's workers call them, calls over the socket without a program
for each, a thousand VMs written by hand, and what a process holds.
"""
import base64
import json
import os
import socket
import subprocess
import time

from node import BUILD
from tap import UUID, UUID_RFC

HOOK = os.path.join(BUILD, "pve-hwid-hook")


def b64(text):
    return base64.b64encode(text.encode()).decode()


def own_uuid(vmid):
    return UUID[:-6] + f"{vmid:06x}"


def identity(vmid, **more):
    """A fingerprint of the identity alone: quick to rewrite, no disk moves."""
    return {"format": 1, "smbios": {"uuid": own_uuid(vmid), "manufacturer": "VMware, Inc.",
                                    "product": "VMware7,1"}, **more}


def small_vm(node, vmid, in_sync=True):
    """A VM without disks: for the hook, the daemon and the stub of QEMU that is enough."""
    smbios = (f"uuid={own_uuid(vmid)},manufacturer={b64('VMware, Inc.')},product={b64('VMware7,1')},"
              f"base64=1" if in_sync else f"uuid={UUID_RFC[:-6]}{vmid:06x}")
    node.set_conf(vmid, f"boot: order=net0\nfreeze: 1\nhookscript: local:snippets/pve-hwid\n"
                        f"machine: q35\nmemory: 64\nname: vm{vmid}\n"
                        f"net0: virtio=BC:24:11:00:{vmid // 256:02X}:{vmid % 256:02X},bridge=vmbr0\n"
                        f"ostype: win11\nsmbios1: {smbios}\n")


def has_own_identity(node, vmid):
    return own_uuid(vmid) in node.conf(vmid).get("smbios1", "")


def hook_of_a_start(node, vmid):
    """The hook below a process with the title of a start's worker, as PVE runs it."""
    title = f"task UPID:{node.name}:00000492:00065348:6B03A036:qmstart:{vmid}:root@pam:"
    return subprocess.Popen([title, "-c", f"{HOOK} --root {node.root} {vmid} pre-start; exit $?"],
                            executable="/bin/sh", stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def hooks_at_once(node, vmids):
    """VMID -> (exit code, lines, seconds until its answer was there)."""
    began = {vmid: (time.monotonic(), hook_of_a_start(node, vmid)) for vmid in vmids}
    ended = {}
    while len(ended) < len(began):
        for vmid, (_start, process) in began.items():
            if vmid not in ended and process.poll() is not None:
                ended[vmid] = time.monotonic()
        time.sleep(0.002)
    return {vmid: (process.returncode, process.stdout.read(), ended[vmid] - start)
            for vmid, (start, process) in began.items()}


class Client:
    """Varlink by hand: ten thousand calls without ten thousand programs."""

    def __init__(self, node, limit=15):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(limit)
        self.socket.connect(node.path("run/pve-hwid/socket"))
        self.rest = b""

    def call(self, method, **parameters):
        self.socket.sendall(json.dumps({"method": f"io.pvehwid.{method}",
                                        "parameters": parameters}).encode() + b"\0")
        while b"\0" not in self.rest:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the daemon hung up")
            self.rest += more
        reply, _, self.rest = self.rest.partition(b"\0")
        return json.loads(reply)

    def close(self):
        self.socket.close()


def start_time(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return int(f.read().rpartition(")")[2].split()[19])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def own_memory(pid):
    """KiB that it has written and no file holds."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_Dirty:"))


def most_at_once(requests):
    """Of requests with t_start and t_end: how many were under way at the same time at most."""
    edges = sorted([(r["t_start"], 1) for r in requests] + [(r["t_end"], -1) for r in requests])
    now = most = 0
    for _t, step in edges:
        now += step
        most = max(most, now)
    return most
