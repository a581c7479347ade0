#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inside of tests/playground: run as the first process of new namespaces, with $PLAYGROUND as an
empty directory. Makes the node, puts its files where a node has them, and runs the command or a shell.

Bind mounts, and no chroot: what is no file of PVE's (libraries, QEMU, this source tree) stays where it is.
"""
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PLACE = os.environ["PLAYGROUND"]
ROOT = os.path.join(PLACE, "node")
BUILD = os.environ.get("PVE_HWID_BUILD", "build")
PVESIM = os.path.join(TOP, "tests", "pvesim", "pvesim")
NODE = "pve1"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
GUEST_DIR = os.environ["GUEST_DIR"]
# What the installer of PVE 9 writes: no snippets yet.
STORAGES = ("dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup,images\n\n"
            "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n")
# As PVE's importer leaves it: the text of the UUID instead of its bytes, no serial number, hardware
# that somebody chose because it is fast.
IMPORTED = {"name": "win2019", "smbios1": "uuid=421f245c-7fa8-60fa-6af6-a46351ced0eb", "machine": None,
            "scsihw": "virtio-scsi-single", "net0": "virtio=BC:24:11:5E:00:01,bridge=vmbr0,firewall=1",
            "ostype": "win10", "memory": "256", "cpu": "host", "vga": "none", "serial0": "socket"}


def run(*argv, **more):
    return subprocess.run([str(a) for a in argv], check=True, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, **more).stdout


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def loopback_up():
    """No ip(8) needed: SIOCGIFFLAGS, SIOCSIFFLAGS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(s, 0x8913, request))[1]
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))


def bind(source, target):
    os.makedirs(source, exist_ok=True)
    os.makedirs(target, exist_ok=True)
    run("mount", "--bind", source, target)


def make_node():
    run(PVESIM, "init", ROOT, "--node", NODE)
    write(f"{ROOT}/etc/pve/storage.cfg", STORAGES)
    shutil.rmtree(f"{ROOT}/etc/pve/pve-hwid")


def mounts():
    """The host's /etc with PVE's in it; /run, /var/lib and /usr/local of our own."""
    shutil.copytree("/etc", f"{PLACE}/etc", symlinks=True, ignore_dangling_symlinks=True)
    bind(f"{PLACE}/etc", "/etc")
    shutil.rmtree("/etc/pve-hwid", ignore_errors=True)      # in the copy: of an installation here
    bind(f"{ROOT}/etc/pve", "/etc/pve")
    for target in ("/run", "/var/lib", "/usr/local", "/root"):
        bind(PLACE + "/own" + target, target)
    bind(f"{ROOT}/var/lib/vz", "/var/lib/vz")
    bind(f"{ROOT}/run/qemu-server", "/run/qemu-server")
    bind(f"{ROOT}/var/lock/qemu-server", "/run/lock/qemu-server")
    os.makedirs("/var/lib/prometheus/node-exporter")
    with open("/etc/hosts", "a", encoding="ascii") as f:
        f.write(f"127.0.0.1 localhost {NODE} vc1.example.org\n")


def install():
    run("make", "-s", "install", f"BUILD={BUILD}", "PREFIX=/usr/local", cwd=TOP)
    for folder in (f"{TOP}/tests/pvesim/bin", f"{HERE}/bin"):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            os.symlink(f"{folder}/{name}", f"/usr/local/bin/{name}")


def make_vm():
    conf = dict(IMPORTED)
    kernel = next((f"{GUEST_DIR}/{k}" for k in ("vmlinux", "vmlinuz")
                   if os.path.exists(f"{GUEST_DIR}/{k}")), None)
    if kernel is not None:
        conf["args"] = f"-kernel {kernel} -initrd {GUEST_DIR}/initrd.img -append 'console=ttyS0 quiet'"
    else:
        conf["freeze"] = "1"    # nothing to boot: QEMU waits at the first instruction
    run(PVESIM, "vm", ROOT, "105", "--disk", "scsi0=64M", "--format", "raw")
    path = f"{ROOT}/etc/pve/nodes/{NODE}/qemu-server/105.conf"
    with open(path, encoding="utf-8") as f:
        lines = dict(line.rstrip("\n").split(": ", 1) for line in f if ": " in line)
    lines.update(conf)
    write(path, "".join(f"{k}: {v}\n" for k, v in sorted(lines.items()) if v is not None))


def start_server():
    with open(f"{PLACE}/server.log", "w", encoding="utf-8") as log:
        subprocess.Popen([PVESIM, "serve", ROOT, "--port", "8006"], stdin=subprocess.DEVNULL, stdout=log,
                         stderr=log)
        subprocess.Popen(["/usr/bin/python3", f"{HERE}/vcenter.py", PLACE], stdin=subprocess.DEVNULL,
                         stdout=log, stderr=log)
    for port in (8006, 443):
        for attempt in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise RuntimeError(f"nobody listens on port {port}: {PLACE}/server.log")


def move_files():
    """What lies on the table before the move: what VMware and the guest have told."""
    os.makedirs("/root/move")
    shutil.copy(f"{TOP}/conf/examples/win2019.vmx", "/root/move/win2019.vmx")
    shutil.copy(f"{HERE}/WIN2019-hwid.json", "/root/move/WIN2019-hwid.json")
    sys.path.insert(0, os.path.join(TOP, "tests", "helpers"))
    from mock_vcenter import PASSWORD   # pylint: disable=import-outside-toplevel
    write("/root/move/vcenter-password", PASSWORD + "\n", 0o600)
    run(os.path.join(TOP, "tests/helpers/make_certs"), PLACE)
    shutil.copy(f"{PLACE}/ca.pem", "/root/move/vcenter-ca.pem")


GREETING = """
A Proxmox VE node named pve1, simulated. pve-hwid is installed and not yet set up; VM 105 was imported
from VMware; what VMware and the guest told lies in /root/move. Follow docs/TUTORIAL.md in {top}.
Leave with `exit`; then all of it is gone.
"""


def main():
    socket.sethostname(NODE)
    loopback_up()
    make_node()
    mounts()
    install()
    move_files()
    make_vm()
    start_server()
    env = {"PATH": PATH, "HOME": "/root", "TERM": os.environ.get("TERM", "dumb"), "LC_ALL": "C.UTF-8",
           "PVESIM_ROOT": ROOT, "PLAYGROUND": PLACE, "GUEST_DIR": GUEST_DIR, "USER": "root",
           "PS1": "root@pve1:\\w# ", "NO_COLOR": os.environ.get("NO_COLOR", ""), "TOP": TOP}
    env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "TZ"})
    os.chdir("/root")
    argv = sys.argv[1:]
    if not argv:
        print(GREETING.format(top=TOP))
        argv = ["/bin/bash", "--norc", "--noprofile", "-i"]
    code = subprocess.run(argv, env=env, check=False).returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
