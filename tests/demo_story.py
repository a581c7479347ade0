#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story that tests/demo tells: a VM comes from VMware with the hardware an import leaves it, is
started, and the guest reads out of its own firmware the identity it had on VMware.

Nothing is pretended: real daemon, hook and command line; a simulated node that starts a real QEMU;
what the guest prints on its serial console is compared with what VMware showed. Any difference ends
the demo with exit 1. Without QEMU the guest is left out, and that is said.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "system"))
from node import BUILD, Node, TOP, wait_for  # noqa: E402

VMX = os.path.join(TOP, "conf", "examples", "win2019.vmx")
VMID = 105
MARKER = "the disk of win2019"
# What the guest saw on VMware, worked out by hand from the .vmx above (facts: docs/DESIGN.md).
ON_VMWARE = {
    "product_uuid": "5c241f42-a87f-fa60-6af6-a46351ced0eb",
    "product_serial": "VMware-42 1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0 eb",
    "sys_vendor": "VMware, Inc.",
    "product_name": "VMware Virtual Platform",
    "NIC, PCI id": "15ad:07b0",
    "NIC, MAC": "00:50:56:8a:01:02",
    "SCSI adapter, PCI id": "15ad:07c0",
    "disk, bus": "scsi",
    "disk, what it holds": MARKER,
}
# As Proxmox' own importer leaves such a VM: the UUID's text instead of its bytes, no serial, and the
# hardware somebody chose because it is fast.
IMPORTED = {
    "smbios1": "uuid=421f245c-7fa8-60fa-6af6-a46351ced0eb",
    "machine": None,
    "scsihw": "virtio-scsi-single",
    "net0": "virtio=BC:24:11:5E:00:01,bridge=vmbr0,firewall=1",
    "name": "win2019",
    "ostype": "win10",
    "memory": "256",
    "cpu": "host",
    "freeze": None,
    "vga": "none",
    "serial0": "socket",
}
failures = []


def title(text):
    print(f"\n\033[1m--- {text}\033[0m" if sys.stdout.isatty() else f"\n--- {text}", flush=True)


def show(text, indent="    "):
    for line in text.rstrip().splitlines():
        print(indent + line)
    sys.stdout.flush()


def check(what, right):
    if not right:
        failures.append(what)
        print(f"    NOT SO: {what}", flush=True)


def build_guest():
    """The directory with kernel and initrd, or None where there can be no guest."""
    if subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True,
                      check=False).returncode != 0:
        print("    QEMU is not installed: the guest is left out")
        return None
    where = os.environ.get("HWID_GUEST_DIR") or tempfile.mkdtemp(prefix="hwid-guest-", dir="/tmp")
    if not os.path.exists(os.path.join(where, "initrd.img")):
        done = subprocess.run([os.path.join(TOP, "tests/guest/build"), where], text=True,
                              capture_output=True, timeout=300, check=False)
        if done.returncode != 0:
            show("no guest can be built here, it is left out:\n" + done.stderr[-600:])
            return None
    return where


def serial_log(node):
    return node.path(f"var/log/pvesim/{VMID}.serial0.log")


def guest_report(node):
    done = node.run(os.path.join(TOP, "tests/guest/read"), "--timeout", "60", serial_log(node),
                    timeout=70)
    seen = json.loads(done.stdout)
    nic = (seen.get("nics") or [{}])[0]
    disk = next((d for d in seen.get("disks", []) if d.get("marker")), {})
    scsi = [c["id"] for c in seen.get("controllers", []) if c.get("class", "").startswith("0100") or
            c["id"].startswith("1af4:")]
    return {
        "product_uuid": seen.get("product_uuid"),
        "product_serial": seen.get("product_serial"),
        "sys_vendor": seen.get("sys_vendor"),
        "product_name": seen.get("product_name"),
        "NIC, PCI id": nic.get("id"),
        "NIC, MAC": nic.get("mac"),
        "SCSI adapter, PCI id": scsi[0] if scsi else None,
        "disk, bus": disk.get("bus"),
        "disk, what it holds": disk.get("marker"),
    }


def make_vm(node, guest):
    conf = dict(IMPORTED)
    if guest:
        kernel = os.path.join(guest, "vmlinux")
        kernel = kernel if os.path.exists(kernel) else os.path.join(guest, "vmlinuz")
        conf["args"] = f"-kernel {kernel} -initrd {guest}/initrd.img -append 'console=ttyS0 quiet'"
    else:
        conf["freeze"] = "1"
    node.run(os.path.join(TOP, "tests/pvesim/pvesim"), "vm", node.root, VMID, "--disk", "scsi0=64M",
             "--format", "raw")
    keys = node.conf(VMID)
    keys.update(conf)
    node.set_conf(VMID, "".join(f"{k}: {v}\n" for k, v in sorted(keys.items()) if v is not None))
    image = node.path(f"var/lib/vz/images/{VMID}/vm-{VMID}-disk-0.raw")
    with open(image, "r+b") as f:
        f.write(MARKER.encode() + b"\n")


def first_look(node):
    title("What this VM would show its guest as it is: started once without pve-hwid")
    result = node.qm("start", VMID)
    check("the VM starts", result.returncode == 0)
    before = guest_report(node)
    show(json.dumps(before, indent=2))
    node.qm("stop", VMID, check=True)
    os.unlink(serial_log(node))     # what is read from now on is another start's
    check("the import changed the UUID's bytes", before["product_uuid"] != ON_VMWARE["product_uuid"])
    return before


def start_it(node):
    title(f"qm start {VMID}: the hook finds the difference and stops this start on purpose")
    begin = time.monotonic()
    result = node.qm("start", VMID)
    show(result.stdout + result.stderr)
    check("the first start was stopped by the hook (exit code 75)", result.returncode != 0 and
          "exit code 75" in result.stdout + result.stderr)
    wait_for("the VM runs", lambda: node.running(VMID), 60)
    wait_for("the journal says so", lambda: "started" in node.records(VMID), 60)
    print(f"\n    the VM runs {time.monotonic() - begin:.2f} s after that 'qm start', and nobody did "
          "anything")


def compare(now, before):
    title("What the guest reads out of its own firmware and buses")
    width = max(len(v) for v in ON_VMWARE.values()) + 2
    print(f"    {'':22}{'on VMware':{width}}{'as imported':{width}}{'now':{width}}")
    for key, want in ON_VMWARE.items():
        got = now.get(key)
        same = got == want
        print(f"    {key:22}{want:{width}}{str(before.get(key)):{width}}{str(got):{width}}"
              f"{'' if same else '  <-- DIFFERS'}")
        check(f"{key} is {want!r}, not {got!r}", same)


def in_sync_start(node):
    title("Stopped and started again: in sync now, so the start is not stopped")
    node.qm("stop", VMID, check=True)
    result = node.qm("start", VMID)
    check("a VM in sync starts at once", result.returncode == 0)
    show(result.stdout or "(no word from the hook, as it should be)")


def without_daemon(node):
    title("The daemon killed: a VM in sync starts, one that differs starts with a loud line")
    node.qm("stop", VMID, check=True)
    node.stop_daemon(sig=9)
    check("in sync, it starts without the daemon", node.qm("start", VMID).returncode == 0)
    node.qm("stop", VMID, check=True)
    node.qm("set", VMID, "--net0", "virtio=BC:24:11:5E:00:01,bridge=vmbr0", check=True)
    result = node.qm("start", VMID)
    show(result.stdout)
    check("different, it starts all the same", result.returncode == 0)
    check("... with a loud line", "WARNING" in result.stdout)
    node.qm("stop", VMID, check=True)


def story(node, guest):
    title(f"A fingerprint from the .vmx: pve-hwid capture {os.path.relpath(VMX, TOP)}")
    done = node.run(os.path.join(BUILD, "pve-hwid"), "capture", VMX)
    show(done.stdout + done.stderr)
    title("The VM as an import leaves it")
    make_vm(node, guest)
    show("".join(f"{k}: {v}\n" for k, v in node.conf(VMID).items() if k != "args"))
    before = first_look(node) if guest else {}
    node.start_daemon()
    # The hook is attached by root; the VM is running or not, nothing happens by that alone. The
    # early rewriting is switched off here for once, so that the start itself has something to do.
    node.write("etc/pve-hwid/pve-hwid.conf", node.config_text(early=0))
    node.daemon.send_signal(1)
    node.qm("set", VMID, "--hookscript", "local:snippets/pve-hwid", check=True)
    node.fingerprint(VMID, done.stdout)
    wait_for("the daemon sees the fingerprint", lambda: str(VMID) in node.hwid("list").stdout)
    title(f"pve-hwid plan {VMID}")
    show(node.hwid("plan", VMID).stdout)
    start_it(node)
    if guest:
        compare(guest_report(node), before)
    title(f"pve-hwid log {VMID}")
    show(node.hwid("log", VMID).stdout)
    in_sync_start(node)
    without_daemon(node)
    check("the simulator saw no forbidden call", node.violations() == [])


def main():
    begin = time.monotonic()
    title("A tiny guest that tells what hardware it sees")
    guest = build_guest()
    with Node() as node:
        story(node, guest)
    title("Result")
    print(f"    {time.monotonic() - begin:.0f} s")
    if failures:
        print("    FAILED:\n" + "".join(f"      - {f}\n" for f in failures))
        return 1
    if not guest:
        print("    All as it should be, but no guest was booted: QEMU or a kernel is missing.")
        return 0
    print("    The guest sees the hardware identity that it had on VMware.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
