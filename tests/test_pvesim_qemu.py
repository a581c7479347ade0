#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the simulator give QEMU what a PVE node gives it, and does QEMU then really have it?

The first half compares command lines, the expected words being those recorded on a PVE node (11k).  The second
half starts each device once with its CPUs stopped and asks QEMU by QMP, since a device that is on the command
line only proves that we wrote it there.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest"))

import tap  # noqa: E402
from tap import IDENTITY, Skip, equal, qemu, running, temporary_node  # noqa: E402

MAC = "BC:24:11:9A:A3:C1"
# What each NIC model of PVE is on the PCI bus; ne2k_isa is on none.
NICS = {
    "e1000": "8086:100e", "e1000-82540em": "8086:100e", "e1000-82544gc": "8086:100c",
    "e1000-82545em": "8086:100f", "e1000e": "8086:10d3", "i82551": "8086:1209", "i82557b": "8086:1229",
    "i82559er": "8086:1209", "ne2k_pci": "10ec:8029", "pcnet": "1022:2000", "rtl8139": "10ec:8139",
    "virtio": "1af4:1000", "vmxnet3": "15ad:07b0",
}
CONTROLLERS = {
    "lsi": "1000:0012", "lsi53c810": "1000:0001", "megasas": "1000:0060", "pvscsi": "15ad:07c0",
    "virtio-scsi-pci": "1af4:1004", "virtio-scsi-single": "1af4:1004",
}
MACHINES = ["pc-q35-8.2", "pc-q35-9.0", "pc-q35-9.2+pve1", "q35", "pc-i440fx-8.2", "pc-i440fx-9.0", "pc"]

CASES = []


def case(function):
    CASES.append((function.__name__.replace("_", "-"), function))
    return function


def config(**changes):
    """The VM of the recordings, with changes; None removes a key."""
    conf = {"boot": "order=scsi0;net0", "cores": "1", "cpu": "host", "freeze": "1", "machine": "pc-q35-9.0",
            "memory": "128", "meta": "creation-qemu=10.0.13,ctime=1795397075", "name": "vm105",
            "net0": f"vmxnet3={MAC},bridge=vmbr0", "ostype": "l26", "scsi0": f"{DISK},size=1G",
            "scsihw": "pvscsi", "smbios1": IDENTITY, "vmgenid": "e24baae3-3b90-4331-90c2-4c7b19607e84"}
    conf.update(changes)
    return {key: value for key, value in conf.items() if value is not None}


def argv(**changes):
    return qemu.command(NODE, 105, config(**changes))


def option(words, name):
    """All values of an option."""
    return [words[i + 1] for i, word in enumerate(words[:-1]) if word == name]


def device(words, name):
    """The -device whose id is `name`."""
    found = [value for value in option(words, "-device") if f",id={name}," in value + ","]
    equal(len(found), 1, f"number of devices {name}")
    return found[0]


# --- the command line ------------------------------------------------------------------------------------

@case
def recorded_devices_of_pvscsi_and_vmxnet3():
    devices = option(argv(), "-device")
    for wanted in ("vmgenid,guid=e24baae3-3b90-4331-90c2-4c7b19607e84", "usb-tablet,id=tablet,bus=ehci.0,port=1",
                   "VGA,id=vga,bus=pcie.0,addr=0x1",
                   "virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x3,free-page-reporting=on",
                   "pvscsi,id=scsihw0,bus=pci.0,addr=0x5",
                   "scsi-hd,bus=scsihw0.0,scsi-id=0,drive=drive-scsi0,id=scsi0,bootindex=100",
                   f"vmxnet3,mac={MAC},netdev=net0,bus=pci.0,addr=0x12,id=net0,bootindex=101"):
        assert wanted in devices, f"{wanted} is not among {devices}"


@case
def recorded_devices_of_sata():
    devices = option(argv(scsi0=None, sata0=DISK, scsihw="virtio-scsi-single", boot="order=sata0;net0",
                          net0=f"e1000e={MAC},bridge=vmbr0"), "-device")
    for wanted in ("ahci,id=ahci0,multifunction=on,bus=pci.0,addr=0x7",
                   "ide-hd,bus=ahci0.0,drive=drive-sata0,id=sata0,bootindex=100",
                   f"e1000e,mac={MAC},netdev=net0,bus=pci.0,addr=0x12,id=net0,bootindex=101"):
        assert wanted in devices, f"{wanted} is not among {devices}"


@case
def recorded_devices_of_virtio_scsi_single():
    devices = option(argv(machine="q35", scsihw="virtio-scsi-single",
                          scsi0=f"{DISK},size=1G,vendor=VMware,product=Virtual_disk,serial=S1"), "-device")
    for wanted in ("virtio-scsi-pci,id=virtioscsi0,bus=pci.3,addr=0x1",
                   "scsi-hd,bus=virtioscsi0.0,channel=0,scsi-id=0,lun=0,drive=drive-scsi0,id=scsi0,"
                   "device_id=drive-scsi0,vendor=VMware,product=Virtual_disk,bootindex=100,serial=S1,write-cache=on"):
        assert wanted in devices, f"{wanted} is not among {devices}"


@case
def smbios_is_decoded_and_commas_are_doubled():
    equal(option(argv(), "-smbios"),
          ["type=1,manufacturer=VMware,, Inc.,product=VMware7,,1,serial=VMware-56 4d 1a 9b 00 11 22 33,"
           "uuid=9b1a4d56-1100-3322-4455-66778899aabb,version=None"], "-smbios")


@case
def smbios_without_base64_is_taken_as_it_is():
    equal(option(argv(smbios1="uuid=9b1a4d56-1100-3322-4455-66778899aabb,serial=Tm9uZQ==,sku=S,family=0"), "-smbios"),
          ["type=1,serial=Tm9uZQ==,sku=S,uuid=9b1a4d56-1100-3322-4455-66778899aabb"], "-smbios")


@case
def smbios_that_cannot_be_read_is_ignored():
    for line in ("type=1,serial=x", "serial=not base64!,base64=1", "nonsense"):
        equal(option(argv(smbios1=line), "-smbios"), [], line)


@case
def machine_missing_in_this_qemu_is_refused_in_pve_words():
    for asked, named in (("pc-q35-99.0", "pc-q35-99.0+pve0"), ("pc-i440fx-99.1+pve2", "pc-i440fx-99.1+pve2")):
        try:
            argv(machine=asked)
        except qemu.QemuError as e:
            equal(str(e), f"Installed QEMU version '{qemu.version()}' is too old to run machine type '{named}', "
                          "please upgrade node 'lab'", asked)
        else:
            raise AssertionError(f"{asked} was accepted")


@case
def windows_keeps_the_machine_of_its_creation():
    equal(option(argv(ostype="win11", machine="q35", meta="creation-qemu=9.0.2"), "-machine"),
          ["type=pc-q35-9.0"], "created by 9.0")
    equal(option(argv(ostype="w2k19", machine=None, meta=None), "-machine"), ["type=pc-i440fx-5.1"], "no meta")
    equal(option(argv(ostype="l26", machine="q35"), "-machine"), ["type=q35"], "Linux")


@case
def drive_options_reach_the_device():
    words = argv(machine="pc-i440fx-9.0",
                 ide1=f"{DISK},serial=A%20B%2CC,model=VMware%20Disk,ssd=1,wwn=0x5000c50015ea71aa",
                 ide2="none,media=cdrom", virtio7=f"{DISK},serial=V1", sata3=DISK)
    equal(device(words, "ide1"), "ide-hd,bus=ide.0,unit=1,drive=drive-ide1,id=ide1,model=VMware Disk,"
          "rotation_rate=1,wwn=0x5000c50015ea71aa,serial=A B,,C", "ide1")
    equal(device(words, "ide2"), "ide-cd,bus=ide.1,unit=0,drive=drive-ide2,id=ide2", "ide2")
    equal(device(words, "virtio7"), "virtio-blk-pci,drive=drive-virtio7,id=virtio7,bus=pci.2,addr=0x2,serial=V1",
          "virtio7")
    equal(device(words, "sata3"), "ide-hd,bus=ahci0.3,drive=drive-sata3,id=sata3", "sata3")


@case
def lsi_has_seven_disks_per_controller():
    words = argv(scsihw="lsi", scsi8=DISK)
    equal(device(words, "scsihw1"), "lsi,id=scsihw1,bus=pci.0,addr=0x6", "scsihw1")
    equal(device(words, "scsi8"), "scsi-hd,bus=scsihw1.0,scsi-id=1,drive=drive-scsi8,id=scsi8", "scsi8")


@case
def boot_order_becomes_bootindex():
    words = argv(boot="order=net0;ide2;scsi0;gone", ide2="none,media=cdrom", sata0=DISK)
    for name, index in (("net0", 100), ("ide2", 101), ("scsi0", 102)):
        assert f",bootindex={index}" in device(words, name), device(words, name)
    assert "bootindex" not in device(words, "sata0")
    assert ",bootindex=100" in device(argv(boot=None, bootdisk=None), "scsi0")
    assert ",bootindex=100" in device(argv(boot="cdn", bootdisk="sata0", sata0=DISK), "sata0")


@case
def no_guest_reaches_a_network():
    words = argv(net1=f"e1000={MAC},bridge=vmbr1", net7=f"virtio={MAC},bridge=vmbr0,queues=4")
    equal(option(words, "-netdev"), [f"user,id=net{n},restrict=on" for n in (0, 1, 7)], "-netdev")
    assert "bus=pci.1,addr=0x2" in device(words, "net7"), device(words, "net7")


@case
def args_come_last_and_are_split_like_a_shell():
    words = argv(args="-kernel /x/vmlinuz -append 'console=ttyS0 quiet'")
    equal(words[-4:], ["-kernel", "/x/vmlinuz", "-append", "console=ttyS0 quiet"], "end of argv")


@case
def memory_is_bounded():
    equal(option(argv(memory="262144"), "-m"), ["1024"], "-m")


@case
def missing_volume_is_reported_by_the_node():
    try:
        argv(scsi1="local:105/gone.qcow2")
    except FileNotFoundError as e:
        equal(str(e), "volume 'local:105/gone.qcow2' does not exist", "text")
    else:
        raise AssertionError("accepted")


@case
def machines_are_listed_newest_first():
    listed = qemu.machines()
    ids = [entry["id"] for entry in listed]
    for wanted in ({"id": "pc-i440fx-9.0", "type": "i440fx", "version": "9.0"},
                   {"id": "pc-q35-9.0", "type": "q35", "version": "9.0"}):
        assert wanted in listed, f"{wanted} is not listed"
    assert ids.index("pc-i440fx-9.2+pve1") < ids.index("pc-q35-9.2+pve1") < ids.index("pc-i440fx-9.2")
    assert ids.index("pc-q35-9.2") < ids.index("pc-q35-9.1") < ids.index("pc-q35-8.2")


# --- a real QEMU -----------------------------------------------------------------------------------------

def ask(name, prop):
    return qemu.qmp(NODE, 105, "qom-get", path="/machine/peripheral/" + name, property=prop)


def pci_ids(name):
    """"vendor:device" of a device on the first bus of an i440fx.

    Behind a bridge query-pci sees nothing before the firmware has given the bridges their numbers, and here no
    firmware runs; so on q35, where all of PVE's devices are behind one, place() is all there is to ask.
    """
    for bus in qemu.qmp(NODE, 105, "query-pci"):
        for entry in bus["devices"]:
            if entry["qdev_id"] == name:
                return f"{entry['id']['vendor']:04x}:{entry['id']['device']:04x}"
    return None


def place(name):
    """(bus, slot) of a PCI device, behind bridges too."""
    return ask(name, "parent_bus").rpartition("/")[2], ask(name, "addr") >> 3


def nic_case(model, ids):
    def check():
        with running(NODE, 105, config(machine="pc-i440fx-9.0", net0=f"{model}={MAC},bridge=vmbr0")):
            equal(pci_ids("net0"), ids, "PCI ids")
            equal(ask("net0", "mac").upper(), MAC, "MAC")
    CASES.append((f"qemu-has-nic-{model}", check))


def controller_case(hardware, ids):
    def check():
        disks = {"scsi0": DISK, "scsi2": f"{DISK2},serial=SERIAL2"}
        with running(NODE, 105, config(scsihw=hardware, machine="pc-i440fx-9.0", **disks)):
            if hardware == "virtio-scsi-single":
                equal([place("virtioscsi0"), place("virtioscsi2")], [("pci.3", 1), ("pci.3", 3)], "places")
            else:
                equal(pci_ids("scsihw0"), ids, "PCI ids")
        with running(NODE, 105, config(scsihw=hardware, machine="pc-q35-9.0", **disks)):
            single = hardware == "virtio-scsi-single"
            equal(place("virtioscsi0" if single else "scsihw0"), ("pci.3", 1) if single else ("pci.0", 5), "q35")
            equal(ask("scsi2", "serial"), "SERIAL2", "serial")
            equal(ask("scsi0", "bootindex"), 100, "bootindex")
    CASES.append((f"qemu-has-controller-{hardware}", check))


def machine_case(machine):
    def check():
        expected = machine.replace("+pve1", "")
        if expected in ("pc", "q35"):
            newest = ".".join(qemu.version().split(".")[:2])
            expected = ("pc-q35-" if expected == "q35" else "pc-i440fx-") + newest
        if expected not in {entry["id"] for entry in qemu.machines()}:
            raise Skip(f"QEMU {qemu.version()} has no {expected}")
        with running(NODE, 105, config(machine=machine, ide2="none,media=cdrom", sata0=DISK2)):
            equal(qemu.qmp(NODE, 105, "qom-get", path="/machine", property="type"), expected + "-machine", "type")
            equal((ask("ahci0", "type"), *place("ahci0")), ("ich9-ahci", "pci.0", 7), "AHCI")
            equal((ask("net0", "type"), *place("net0")), ("vmxnet3", "pci.0", 18), "NIC")
            equal(qemu.qmp(NODE, 105, "query-status")["status"], "prelaunch", "state")
    CASES.append((f"qemu-runs-machine-{machine.replace('+', '-')}", check))


for nic_model, nic_ids in NICS.items():
    nic_case(nic_model, nic_ids)
for scsi_hardware, controller_ids in CONTROLLERS.items():
    controller_case(scsi_hardware, controller_ids)
for machine_type in MACHINES:
    machine_case(machine_type)


@case
def qemu_has_isa_nic():
    with running(NODE, 105, config(machine="pc", net0=f"ne2k_isa={MAC},bridge=vmbr0")):
        equal(ask("net0", "type"), "ne2k_isa", "type")


@case
def qemu_has_every_drive_slot_filled():
    slots = {f"{bus}{n}": DISK for bus, count in (("ide", 4), ("sata", 6), ("virtio", 16)) for n in range(count)}
    slots.update({f"scsi{n}": DISK for n in range(31)})
    nics = {f"net{n}": f"e1000={MAC},bridge=vmbr0" for n in range(32)}
    for machine, hardware in (("pc-q35-9.0", "virtio-scsi-single"), ("pc-i440fx-9.0", "lsi")):
        with running(NODE, 105, config(machine=machine, scsihw=hardware, **slots, **nics)):
            found = {entry["device"] for entry in qemu.qmp(NODE, 105, "query-block")}
            equal({f"drive-{slot}" for slot in slots} - found, set(), f"missing on {machine}")
            for n in range(32):
                equal(place(f"net{n}"), ("pci.0", 18 + n) if n < 6 else ("pci.1", n - 5), f"net{n} on {machine}")


@case
def qemu_starts_with_one_image_in_two_slots():
    with running(NODE, 105, config(sata0=DISK)):
        files = [entry["inserted"]["file"] for entry in qemu.qmp(NODE, 105, "query-block") if "inserted" in entry]
        equal(len(files), 2, "open images")


@case
def qemu_has_ovmf_and_leaves_a_blank_efidisk_alone():
    if not os.path.exists("/usr/share/OVMF"):
        raise Skip("the package ovmf is not installed")
    efidisk = NODE.add_disk("efi.raw", "blank", 540672)
    with running(NODE, 105, config(bios="ovmf", efidisk0=f"{efidisk},efitype=4m,size=528K")):
        files = [entry["inserted"]["file"] for entry in qemu.qmp(NODE, 105, "query-block") if "inserted" in entry]
        assert NODE.path("run/qemu-server/105.efivars.fd") in files, files
    with open(NODE.volume_path(efidisk), "rb") as f:
        equal(f.read(6), b"blank\n", "efidisk")


@case
def qemu_process_is_known_by_its_pid_file():
    equal(qemu.pid(NODE, 105), None, "before")
    number = qemu.start(NODE, 105, config(serial0="socket"))
    try:
        equal(qemu.pid(NODE, 105), number, "pid")
        assert os.path.exists(NODE.path("run/qemu-server/105.serial0")), "no serial socket"
        assert os.path.exists(NODE.path("var/log/pvesim/105.serial0.log")), "no serial log"
        try:
            qemu.start(NODE, 105, config())
        except qemu.QemuError as e:
            equal(str(e), "VM 105 already running", "second start")
        else:
            raise AssertionError("started twice")
        qemu.reset(NODE, 105)
        qemu.powerdown(NODE, 105)
        equal(qemu.pid(NODE, 105), number, "a stopped CPU ignores both")
    finally:
        qemu.stop(NODE, 105, 5)
    equal(qemu.pid(NODE, 105), None, "after")
    with open(NODE.path("run/qemu-server/105.pid"), "w", encoding="ascii") as f:
        f.write(f"{os.getpid()}\n")
    equal(qemu.pid(NODE, 105), None, "a pid that is somebody else's")


@case
def qemu_that_does_not_start_tells_why():
    try:
        qemu.start(NODE, 105, config(machine="pc-q35-1.0"))
    except qemu.QemuError as e:
        equal(str(e), "start failed: QEMU exited with code 1", "text")
        assert "unsupported machine type" in e.output[0], e.output
    else:
        qemu.kill(NODE, 105)
        raise AssertionError("it started")


def need_qemu():
    if not qemu.available():
        raise Skip("qemu-system-x86_64 is not installed")


if __name__ == "__main__":
    with temporary_node() as NODE:
        DISK, DISK2 = NODE.add_disk("vm-105-disk-0.raw", "0"), NODE.add_disk("vm-105-disk-1.raw", "1")
        code = tap.run(CASES, need_qemu)
    sys.exit(code)
