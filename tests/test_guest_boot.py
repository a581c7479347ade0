#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a guest really see the hardware identity which the configuration gives it?

Boots the tiny guest of tests/guest through the simulator's own way of starting QEMU, in the combinations that
decide the design: SeaBIOS and OVMF, machines before and after the SMBIOS entry point changed, and the devices
VMware's guests know.  This is also the test of the guest itself: reset, power button, switching itself off.

HWID_GUEST_CACHE names the directory for a downloaded kernel, HWID_GUEST_DIR one with a guest already built.
"""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest"))

import tap  # noqa: E402
from tap import IDENTITY, SERIAL, UUID, Skip, equal, qemu, running, temporary_node  # noqa: E402

GUEST = os.path.join(tap.TESTS, "guest")
VMID = 105
BOOT_TIMEOUT = 50      # seconds; 3 to 10 are usual, but machines that run tests are busy
END_TIMEOUT = 15
VMXNET3, E1000, E1000E = "00:50:56:8A:01:02", "00:50:56:8A:01:03", "00:50:56:8A:01:04"


def build():
    """Directory with the guest; built once for all tests."""
    given = os.environ.get("HWID_GUEST_DIR")
    if given:
        return given
    outdir = NODE.path("guest")
    if os.path.isdir(outdir):
        return outdir
    command = [GUEST + "/build", outdir]
    if "HWID_GUEST_CACHE" in os.environ:
        command += ["--cache", os.environ["HWID_GUEST_CACHE"]]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise Skip("no guest: " + (built.stderr.strip().splitlines() or ["build failed"])[-1])
    print(f"# {built.stdout.strip()}", flush=True)
    return outdir


def config(kernel="vmlinux", append="", **changes):
    """The common part; SeaBIOS may start the unpacked kernel, which saves half of the time."""
    outdir = build()
    if not os.path.exists(f"{outdir}/{kernel}"):
        kernel = "vmlinuz"
    conf = {"memory": "256", "cpu": "host", "name": "vm105", "ostype": "l26", "smbios1": IDENTITY,
            "vmgenid": "e24baae3-3b90-4331-90c2-4c7b19607e84", "serial0": "socket",
            "args": f"-kernel {outdir}/{kernel} -initrd {outdir}/initrd.img "
                    f"-append 'console=ttyS0 quiet{append}'"}
    conf.update(changes)
    return conf


def report(blocks=1):
    """What the guest says; waits for it."""
    log = NODE.path(f"var/log/pvesim/{VMID}.serial0.log")
    began = time.monotonic()
    read = subprocess.run([GUEST + "/read", log, "--timeout", str(BOOT_TIMEOUT), "--blocks", str(blocks)],
                          capture_output=True, text=True, check=False)
    if read.returncode:
        raise AssertionError(read.stderr.strip() + f"; the log ends with {tail(log)!r}")
    print(f"# report after {time.monotonic() - began:.1f} s", flush=True)
    return json.loads(read.stdout)


def tail(path):
    try:
        with open(path, "rb") as f:
            return f.read()[-300:].decode(errors="replace")
    except OSError:
        return ""


def check_identity(seen, firmware="bios", entry_point="_SM_"):
    equal(seen["product_uuid"], UUID, "product_uuid")
    equal(seen["product_serial"], SERIAL, "product_serial")
    equal(seen["sys_vendor"], "VMware, Inc.", "sys_vendor")
    equal(seen["product_name"], "VMware7,1", "product_name")
    equal(seen["product_version"], "None", "product_version")
    equal(seen["firmware"], firmware, "firmware")
    equal(seen["smbios_entry_point"], entry_point, "entry point")


def nics(seen):
    return {nic["mac"].upper(): (nic["id"], nic["driver"]) for nic in seen["nics"]}


def disk(seen, marker):
    """The disk by its content: the names depend on which controller was scanned first."""
    found = [entry for entry in seen["disks"] if entry["marker"] == marker]
    equal(len(found), 1, f"disks with the marker {marker}")
    return found[0]


def controllers(seen):
    return {entry["id"] for entry in seen["controllers"]}


def wait_for_end(what):
    deadline = time.monotonic() + END_TIMEOUT
    while qemu.pid(NODE, VMID) is not None:
        assert time.monotonic() < deadline, f"QEMU still runs {END_TIMEOUT} s after {what}"
        time.sleep(0.05)


def pc_q35_9_0_with_pvscsi_and_vmxnet3():
    """The main case: a VMware guest's own devices; with its reset and its power button."""
    conf = config(machine="pc-q35-9.0", scsihw="pvscsi", boot="order=scsi0;net0",
                  scsi0=f"{DISK_A},size=16M,vendor=VMware,product=Virtual disk,serial=6000c29aabb",
                  net0=f"vmxnet3={VMXNET3},bridge=vmbr0", net1=f"e1000-82545em={E1000},bridge=vmbr0")
    with running(NODE, VMID, conf):
        seen = report()
        check_identity(seen)
        equal(nics(seen), {VMXNET3: ("15ad:07b0", "vmxnet3"), E1000: ("8086:100f", "e1000")}, "NICs")
        assert "15ad:07c0" in controllers(seen), seen["controllers"]
        found = disk(seen, "DISK A")
        equal([found[key] for key in ("bus", "driver", "vendor", "model", "serial", "size")],
              ["scsi", "vmw_pvscsi", "VMware", "Virtual disk", "6000c29aabb", 16 << 20], "disk")
        qemu.reset(NODE, VMID)
        check_identity(report(blocks=2))
        qemu.powerdown(NODE, VMID)
        wait_for_end("the power button")


def pc_q35_10_0_with_sata_and_e1000():
    """The substitute for LSI controllers; the guest switches itself off."""
    if "pc-q35-10.0" not in {entry["id"] for entry in qemu.machines()}:
        raise Skip(f"QEMU {qemu.version()} has no pc-q35-10.0")
    conf = config(kernel="vmlinuz", append=" hwid.poweroff=1", machine="pc-q35-10.0", boot="order=sata0",
                  sata0=f"{DISK_A},size=16M,serial=6000c29aabbccddeeff0,ssd=1",
                  net0=f"e1000={E1000},bridge=vmbr0", net1=f"e1000e={E1000E},bridge=vmbr0")
    with running(NODE, VMID, conf):
        seen = report()
        check_identity(seen)
        equal(nics(seen), {E1000: ("8086:100e", "e1000"), E1000E: ("8086:10d3", "e1000e")}, "NICs")
        found = disk(seen, "DISK A")
        equal([found[key] for key in ("bus", "driver", "serial", "rotational")],
              ["sata", "ahci", "6000c29aabbccddeeff0", 0], "disk")
        wait_for_end("the guest's poweroff")


def pc_i440fx_9_0_with_ide_and_virtio():
    conf = config(machine="pc-i440fx-9.0", ide0=f"{DISK_A},serial=IDE%201,model=VMware%20Virtual%20IDE%20Hard%20Drive",
                  virtio1=f"{DISK_B},serial=V1", scsihw="virtio-scsi-single", scsi3=f"{DISK_C},serial=S3",
                  net0=f"pcnet={VMXNET3},bridge=vmbr0", net1=f"virtio={E1000},bridge=vmbr0", cores="2")
    with running(NODE, VMID, conf):
        seen = report()
        check_identity(seen)
        equal(seen["cpus"], 2, "CPUs")
        equal(nics(seen), {VMXNET3: ("1022:2000", "pcnet32"), E1000: ("1af4:1000", "virtio-pci")}, "NICs")
        equal([disk(seen, "DISK A")[key] for key in ("bus", "driver", "serial", "model")],
              ["ide", "ata_piix", "IDE 1", "VMware Virtual IDE Hard Drive"], "IDE disk")
        equal([disk(seen, "DISK B")[key] for key in ("bus", "driver", "serial")],
              ["virtio", "virtio_blk", "V1"], "virtio disk")
        equal([disk(seen, "DISK C")[key] for key in ("bus", "driver", "serial")],
              ["scsi", "virtio_scsi", "S3"], "SCSI disk")


def pc_q35_8_2_with_seabios_has_only_the_64_bit_entry_point():
    """Linux reads it all the same; Windows would find no SMBIOS (facts/pve.md 6)."""
    with running(NODE, VMID, config(machine="pc-q35-8.2", scsihw="pvscsi", scsi0=DISK_A)):
        check_identity(report(), entry_point="_SM3_")


def pc_q35_8_2_with_ovmf():
    if not os.path.exists("/usr/share/OVMF"):
        raise Skip("the package ovmf is not installed")
    conf = config(kernel="vmlinuz", machine="pc-q35-8.2", bios="ovmf", scsihw="pvscsi", scsi0=DISK_A,
                  sata0=DISK_B, net0=f"vmxnet3={VMXNET3},bridge=vmbr0")
    with running(NODE, VMID, conf):
        seen = report()
        check_identity(seen, firmware="efi", entry_point="_SM3_")
        equal(nics(seen), {VMXNET3: ("15ad:07b0", "vmxnet3")}, "NICs")
        equal([disk(seen, "DISK A")["bus"], disk(seen, "DISK B")["bus"]], ["scsi", "sata"], "buses")


def need_guest():
    if not qemu.available():
        raise Skip("qemu-system-x86_64 is not installed")
    build()


CASES = [("guest-on-" + function.__name__.replace("_", "-"), function) for function in (
    pc_q35_9_0_with_pvscsi_and_vmxnet3, pc_q35_10_0_with_sata_and_e1000, pc_i440fx_9_0_with_ide_and_virtio,
    pc_q35_8_2_with_seabios_has_only_the_64_bit_entry_point, pc_q35_8_2_with_ovmf)]

if __name__ == "__main__":
    with temporary_node() as NODE:
        DISK_A, DISK_B, DISK_C = (NODE.add_disk(f"vm-105-disk-{n}.raw", f"DISK {n}") for n in "ABC")
        code = tap.run(CASES, need_guest)
    sys.exit(code)
