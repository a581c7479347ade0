# SPDX-License-Identifier: GPL-3.0-or-later
"""From the configuration of a PVE virtual machine to the command line of a real QEMU; qemu.py runs it.

Purpose: the simulator of a PVE node must not only say that a VM "runs with the new hardware"; a guest must
be able to see that hardware.  So this module maps a configuration to the devices, ids, buses and PCI addresses
a PVE node would use (recording 11k), for Debian's qemu-system-x86_64 under TCG.  It reads, and changes nothing.

What differs from a PVE node on purpose, and why:
- `-netdev user,restrict=on` instead of a tap: no bridge is needed and no packet ever leaves the process;
- no `-no-shutdown`: PVE has qmeventd to end a QEMU whose guest powered off, here QEMU ends by itself;
- no `-id`, no `+pveN`: those are PVE's patches of QEMU, Debian's build does not know them;
- no boot menu (it waits for a key), no VNC, no io_uring and no O_DIRECT (containers and tmpfs lack them);
- memory and translation buffer are capped, since a test machine runs several of these at once.
Devices that a test of hardware identity cannot meet (host PCI, USB, TPM, Spice, audio) are left out.  PCI
addresses that no recording shows (bridges of q35, NICs above net5, controllers above 1) follow what is known
of PVE in general; no test should depend on them.
"""

import base64
import binascii
import functools
import os
import re
import shlex
import shutil
import subprocess
import urllib.parse

BINARY = "qemu-system-x86_64"
OVMF_DIR = "/usr/share/OVMF"
ASK_TIMEOUT = 30        # seconds for a QEMU that only prints what it has
MAX_MEMORY = int(os.environ.get("PVESIM_MAX_MEMORY", "1024"))   # MiB
TRANSLATION_MIB = 128   # TCG would otherwise take up to a quarter of the machine's memory per VM

NIC_DEVICES = {
    "e1000": "e1000", "e1000-82540em": "e1000-82540em", "e1000-82544gc": "e1000-82544gc",
    "e1000-82545em": "e1000-82545em", "e1000e": "e1000e", "i82551": "i82551", "i82557b": "i82557b",
    "i82559er": "i82559er", "ne2k_isa": "ne2k_isa", "ne2k_pci": "ne2k_pci", "pcnet": "pcnet",
    "rtl8139": "rtl8139", "virtio": "virtio-net-pci", "vmxnet3": "vmxnet3",
}
# scsihw -> QEMU device; virtio-scsi-single is virtio-scsi-pci once per disk.
SCSI_DEVICES = {
    "lsi": "lsi", "lsi53c810": "lsi53c810", "megasas": "megasas", "pvscsi": "pvscsi",
    "virtio-scsi-pci": "virtio-scsi-pci", "virtio-scsi-single": "virtio-scsi-pci",
}
VGA_DEVICES = {"std": "VGA", "vmware": "vmware-svga", "cirrus": "cirrus-vga", "virtio": "virtio-vga"}
SLOTS = (("ide", 4), ("sata", 6), ("scsi", 31), ("virtio", 16))
MACHINE_RE = re.compile(r"(pc-(?:i440fx|q35))-(\d+)\.(\d+)(?:\.\d+)?(?:\+pve(\d+))?(?:\.pxe)?\Z")


class QemuError(Exception):
    """str() is what PVE prints after "TASK ERROR: "; `output` holds the lines QEMU wrote to stderr."""

    def __init__(self, message, output=()):
        super().__init__(message)
        self.output = list(output)


# --- what this machine has -------------------------------------------------------------------------------

def available():
    """Whether there is a QEMU to start at all; tests skip themselves otherwise."""
    return shutil.which(BINARY) is not None


def _ask_qemu(*args):
    try:
        return subprocess.run((BINARY,) + args, check=True, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=ASK_TIMEOUT).stdout
    except (OSError, subprocess.SubprocessError) as e:
        raise QemuError(f"cannot run {BINARY}: {e}") from e


@functools.lru_cache(maxsize=None)
def version():
    """Version of the installed QEMU, e.g. "10.0.2"."""
    found = re.search(r"version (\d+(?:\.\d+)+)", _ask_qemu("--version"))
    if not found:
        raise QemuError(f"cannot read the version of {BINARY}")
    return found.group(1)


@functools.lru_cache(maxsize=None)
def machine_types():
    return frozenset(line.split()[0] for line in _ask_qemu("-machine", "help").splitlines()[1:] if line.strip())


# PVE lists revisions of its own next to QEMU's versions; to this QEMU they are the same machine.
PVE_REVISIONS = {(10, 0): "Always sets the MTU of virtual NICs.", (9, 2): "S3 and S4 are off by default."}


def machines():
    """What GET /nodes/N/capabilities/qemu/machines answers: newest first, i440fx before q35."""
    listed = []
    for name in machine_types():
        found = MACHINE_RE.match(name)
        if not found:
            continue
        number = tuple(int(n) for n in name.rsplit("-", 1)[1].split("."))
        kind = found.group(1)[3:]
        listed.append((number, 0, kind, name, None))
        if number in PVE_REVISIONS:
            listed.append((number, 1, kind, name + "+pve1", PVE_REVISIONS[number]))
    listed.sort(key=lambda m: (tuple(-n for n in m[0]), -m[1], m[2]))
    result = []
    for _, _, kind, name, changes in listed:
        entry = {"id": name, "type": kind, "version": name[len(f"pc-{kind}-"):]}
        if changes:
            entry["changes"] = changes
        result.append(entry)
    return result


# --- reading values --------------------------------------------------------------------------------------

def _options(value, default_key=None):
    """Splits PVE's "first,key=value,..." into a dict; the part without a key goes to default_key."""
    result = {}
    for part in str(value).split(","):
        key, equals, text = part.partition("=")
        if equals:
            result[key.strip()] = text
        elif part.strip():
            result[default_key] = part.strip()
    return result


def _is_on(value):
    return str(value).lower() in ("1", "on", "yes", "true")


def _number(conf, key, default):
    try:
        return max(1, int(conf.get(key, default)))
    except ValueError:
        return default


def _quote(value):
    """A value inside QEMU's comma separated options: a comma is written twice."""
    return str(value).replace(",", ",,")


def _slots(conf):
    """(slot, bus, index, options) of every drive of the VM, in PVE's order of buses."""
    for bus, count in SLOTS:
        for index in range(count):
            slot = f"{bus}{index}"
            if slot in conf:
                yield slot, bus, index, _options(conf[slot], "file")


def _nics(conf):
    for index in range(32):
        if f"net{index}" in conf:
            yield index, _options(conf[f"net{index}"], "model")


class _Machine:
    """The machine line: type to give QEMU, chipset, and the version that decides about details."""

    def __init__(self, node, conf):
        self.options = _options(conf.get("machine", "pc"), "type")
        asked = self.options.get("type") or "pc"
        if str(conf.get("ostype", "")).startswith("w"):
            asked = self._pin(asked, conf)
        self.is_q35 = "q35" in asked
        self.type = re.sub(r"\+pve\d+", "", asked)
        found = MACHINE_RE.match(asked)
        installed = tuple(int(n) for n in version().split(".")[:2])
        if not found:
            self.version = installed + (99,)
            return
        self.version = (int(found.group(2)), int(found.group(3)), int(found.group(4) or 0))
        if self.version[:2] > installed:
            named = asked if "+pve" in asked else asked + "+pve0"
            raise QemuError(f"Installed QEMU version '{version()}' is too old to run machine type "
                            f"'{named}', please upgrade node '{node.name}'")

    @staticmethod
    def _pin(asked, conf):
        """Windows does not follow the newest machine: it keeps that of its creation (facts/pve.md 5)."""
        if asked not in ("pc", "q35"):
            return asked
        created = _options(conf.get("meta", "")).get("creation-qemu", "5.1")
        kind = "pc-q35" if asked == "q35" else "pc-i440fx"
        return kind + "-" + ".".join(created.split(".")[:2])

    def args(self):
        return ["-machine", f"type={self.type}"]

    def sleep_args(self):
        """Since 9.2+pve1 PVE switches S3 and S4 off unless the machine line asks for them."""
        if self.version < (9, 2, 1):
            return []
        chip = "ICH9-LPC" if self.is_q35 else "PIIX4_PM"
        return [arg for state in ("s3", "s4") if not _is_on(self.options.get(f"enable-{state}", 0))
                for arg in ("-global", f"{chip}.disable_{state}=1")]


# --- pieces of the command line --------------------------------------------------------------------------

def _smbios_args(conf):
    """-smbios type=1 with every field; a line that cannot be parsed is ignored, as PVE does."""
    if "smbios1" not in conf:
        return []
    given = _options(conf["smbios1"])
    encoded = _is_on(given.pop("base64", 0))
    fields = {}
    for key, value in given.items():
        if key not in ("uuid", "version", "serial", "manufacturer", "product", "sku", "family"):
            return []
        if encoded and key != "uuid":
            try:
                # QEMU gets bytes: what is not UTF-8 must survive the way through argv.
                value = os.fsdecode(base64.b64decode(value, validate=True))
            except (binascii.Error, ValueError):
                return []
        if value not in ("", "0"):
            fields[key] = value
    if not fields:
        return []
    return ["-smbios", ",".join(["type=1"] + [f"{k}={_quote(v)}" for k, v in sorted(fields.items())])]


def _cpu_args(conf):
    sockets, cores = _number(conf, "sockets", 1), _number(conf, "cores", 1)
    total = sockets * cores
    now = min(total, _number(conf, "vcpus", total))
    given = _options(conf.get("cpu", "kvm64"), "cputype")
    model = given.get("cputype", "kvm64")
    if model in ("host", "max") or model.startswith(("x86-64-v", "custom-")):
        model = "max"   # host needs KVM; the others are models of PVE's own
    flags = [f for f in given.get("flags", "").split(";") if f]
    memory = _options(conf.get("memory", 512), "current").get("current", "512")
    memory = min(int(memory), MAX_MEMORY)
    return ["-smp", f"{now},sockets={sockets},cores={cores},maxcpus={total}",
            "-cpu", ",".join([model] + flags), "-m", str(memory)]


def firmware_template(conf):
    """Code and variables image of OVMF; Debian 13 has only the 4 MiB build, Debian 12 both."""
    want_2m = _options(conf.get("efidisk0", ""), "file").get("efitype", "4m") == "2m"
    for suffix in (("", "_4M") if want_2m and "efidisk0" in conf else ("_4M", "")):
        code, variables = (f"{OVMF_DIR}/OVMF_{kind}{suffix}.fd" for kind in ("CODE", "VARS"))
        if os.path.exists(code) and os.path.exists(variables):
            return code, variables
    raise QemuError("EFI base image not found: install the package 'ovmf'")


def _firmware_variables(node, vmid, conf, template):
    """The variable store to use: efidisk0 when it holds one, else a copy that start() makes.

    A simulated efidisk is mostly an empty file of some size; QEMU would refuse that, and filling it would
    change an image which a test may want to find untouched.
    """
    if "efidisk0" in conf:
        path = node.volume_path(_options(conf["efidisk0"], "file").get("file", ""))
        if _image_format(path) == "raw" and os.path.isfile(path) \
                and os.path.getsize(path) == os.path.getsize(template):
            with open(path, "rb") as f:
                if f.read(44)[40:] == b"_FVH":
                    return path
    return node.path(f"run/qemu-server/{vmid}.efivars.fd")


def _firmware_args(node, vmid, conf):
    if conf.get("bios", "seabios") != "ovmf":
        return []
    code, template = firmware_template(conf)
    variables = _firmware_variables(node, vmid, conf, template)
    return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_quote(code)}",
            "-drive", f"if=pflash,unit=1,id=drive-efidisk0,format=raw,file={_quote(variables)}"]


def _chipset_args(machine, conf):
    """Buses a PVE guest has before its own devices, so that `pci.0` to `pci.4` mean the same."""
    single = conf.get("scsihw") == "virtio-scsi-single" and any(bus == "scsi" for _, bus, _, _ in _slots(conf))
    wanted = {_pci_place(f"net{i}")[0] for i, _ in _nics(conf)}
    wanted |= {_pci_place(slot)[0] for slot, bus, _, _ in _slots(conf) if bus == "virtio"}
    wanted |= {_pci_place(f"scsihw{c}")[0] for c in _scsi_controllers(conf)}
    devices = []
    if machine.is_q35:
        devices += ["ich9-usb-ehci1,id=ehci,bus=pcie.0,multifunction=on,addr=0x1d.0x7"]
        devices += [f"ich9-usb-uhci{n + 1},id=uhci-{n + 1},bus=pcie.0,multifunction=on,addr=0x1d.{n:#x},"
                    f"masterbus=ehci.0,firstport={2 * n}" for n in range(3)]
        devices += [f"pcie-root-port,id=ich9-pcie-port-{n + 1},bus=pcie.0,multifunction=on,addr=0x1c.{n:#x},"
                    f"port={n + 1},chassis={n + 1}" for n in range(4)]
        devices += ["i82801b11-bridge,id=pcidmi,bus=pcie.0,addr=0x1e"]
        devices += [f"pci-bridge,id=pci.{n},bus=pcidmi,addr={n + 1:#x},chassis_nr={n + 1}" for n in range(4)]
    else:
        devices += ["piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2"]
        if wanted & {"pci.1", "pci.4"}:
            devices += ["pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e"]
        if "pci.2" in wanted:
            devices += ["pci-bridge,id=pci.2,chassis_nr=2,bus=pci.0,addr=0x1f"]
        if single:
            devices += ["pci-bridge,id=pci.3,chassis_nr=3,bus=pci.0,addr=0x5"]
    if "pci.4" in wanted:
        devices += ["pci-bridge,id=pci.4,chassis_nr=5,bus=pci.1,addr=0x1c"]
    return _device_args(devices)


def _device_args(devices):
    return [arg for device in devices for arg in ("-device", device)]


def _pci_place(name):
    """(bus, address) of a device, as PVE's fixed table has it."""
    kind, index = re.match(r"(\D+)(\d+)\Z", name).groups()
    index = int(index)
    if kind == "net":
        return ("pci.0", 18 + index) if index < 6 else ("pci.1", index - 5)
    if kind == "virtio":
        return ("pci.0", 10 + index) if index < 6 else ("pci.2", index - 5)
    if kind == "scsihw":
        return ("pci.0", 5 + index) if index < 2 else ("pci.4", index - 1)
    if kind == "virtioscsi":
        return "pci.3", index + 1
    return "pci.0", {"balloon0": 3, "ahci0": 7}[name]


def _pci(name):
    bus, address = _pci_place(name)
    return f"bus={bus},addr={address:#x}"


def _common_device_args(machine, conf):
    devices = []
    generation = str(conf.get("vmgenid", "0"))
    if generation not in ("0", "1"):
        devices.append(f"vmgenid,guid={generation}")
    if _is_on(conf.get("tablet", 1)):
        devices.append("usb-tablet,id=tablet,bus=" + ("ehci.0" if machine.is_q35 else "uhci.0") + ",port=1")
    vga = _options(conf.get("vga", "std"), "type").get("type", "std")
    if vga in VGA_DEVICES:   # none and serialN: no device; the rest needs Spice
        place = "bus=pcie.0,addr=0x1" if machine.is_q35 else "bus=pci.0,addr=0x2"
        devices.append(f"{VGA_DEVICES[vga]},id=vga,{place}")
    if str(conf.get("balloon", "1")) != "0":
        devices.append(f"virtio-balloon-pci,id=balloon0,{_pci('balloon0')},free-page-reporting=on")
    return _device_args(devices)


def _serial_args(node, vmid, conf):
    args = []
    for index in range(4):
        if conf.get(f"serial{index}") != "socket":
            continue
        name = f"serial{index}"
        where = _quote(node.path(f"run/qemu-server/{vmid}.{name}"))
        log = _quote(node.path(f"var/log/pvesim/{vmid}.{name}.log"))
        # The log is what a test reads: nobody has to sit at the socket while the guest boots.
        args += ["-chardev", f"socket,id={name},path={where},server=on,wait=off,logfile={log},logappend=off",
                 "-device", f"isa-serial,chardev={name}"]
    return args


def _image_format(path):
    suffix = os.path.splitext(path)[1]
    return suffix[1:] if suffix in (".qcow2", ".vmdk") else "raw"


def _scsi_per_controller(conf):
    return 7 if str(conf.get("scsihw", "lsi")).startswith("lsi") else 256


def _scsi_controllers(conf):
    """Indexes of the shared SCSI controllers; none when each disk has one of its own."""
    if conf.get("scsihw") == "virtio-scsi-single":
        return []
    return sorted({index // _scsi_per_controller(conf) for _, bus, index, _ in _slots(conf) if bus == "scsi"})


def _controller_args(conf):
    hardware = conf.get("scsihw", "lsi")
    if hardware not in SCSI_DEVICES:
        raise QemuError(f"unknown SCSI controller '{hardware}'")
    devices = [f"{SCSI_DEVICES[hardware]},id=scsihw{c},{_pci(f'scsihw{c}')}" for c in _scsi_controllers(conf)]
    if hardware == "virtio-scsi-single":
        devices += [f"virtio-scsi-pci,id=virtioscsi{index},{_pci(f'virtioscsi{index}')}"
                    for _, bus, index, _ in _slots(conf) if bus == "scsi"]
    if any(bus == "sata" for _, bus, _, _ in _slots(conf)):
        devices.append(f"ahci,id=ahci0,multifunction=on,{_pci('ahci0')}")
    return _device_args(devices)


def _drive_bus(machine, conf, bus, index):
    """Where the disk sits: the part of -device that names bus and unit."""
    if bus == "ide":
        # The IDE ports of q35 are those of its built-in AHCI, which has one unit each.
        return f"bus=ide.{index},unit=0" if machine.is_q35 else f"bus=ide.{index // 2},unit={index % 2}"
    if bus == "sata":
        return f"bus=ahci0.{index}"
    hardware = conf.get("scsihw", "lsi")
    if hardware == "virtio-scsi-single":
        return f"bus=virtioscsi{index}.0,channel=0,scsi-id=0,lun={index}"
    controller, unit = divmod(index, _scsi_per_controller(conf))
    if hardware == "virtio-scsi-pci":
        return f"bus=scsihw{controller}.0,channel=0,scsi-id=0,lun={unit}"
    return f"bus=scsihw{controller}.0,scsi-id={unit}"


def _drive_device(machine, conf, slot, bus, index, options, bootindex):
    cdrom = options.get("media") == "cdrom"
    name = f"drive-{slot}"
    if bus == "virtio":
        parts = ["virtio-blk-pci", f"drive={name}", f"id={slot}", _pci(slot)]
    else:
        kind = ("scsi" if bus == "scsi" else "ide") + ("-cd" if cdrom else "-hd")
        parts = [kind, _drive_bus(machine, conf, bus, index), f"drive={name}", f"id={slot}"]
        if bus == "scsi" and machine.version >= (10, 0):
            parts.append(f"device_id={name}")   # without it QEMU 10 refuses serials of more than 20 bytes
    if bus == "scsi" and not cdrom:
        parts += [f"{key}={_quote(options[key])}" for key in ("vendor", "product") if key in options]
    if bus == "ide" and "model" in options:
        parts.append("model=" + _quote(urllib.parse.unquote(options["model"])))
    if _is_on(options.get("ssd", 0)) and bus != "virtio" and not cdrom:
        parts.append("rotation_rate=1")
    if "wwn" in options and bus != "virtio":
        parts.append(f"wwn={options['wwn']}")
    if bootindex is not None:
        parts.append(f"bootindex={bootindex}")
    if "serial" in options:
        parts.append("serial=" + _quote(urllib.parse.unquote(options["serial"])))
    if machine.version >= (10, 0) and not cdrom:
        parts.append("write-cache=on")
    return ",".join(parts)


def _drive_args(node, machine, conf, boot):
    drives = []
    for slot, bus, index, options in _slots(conf):
        volume = options.get("file", "none")
        path = None if volume in ("none", "cdrom") else node.volume_path(volume)
        drives.append((slot, bus, index, options, path))
    paths = [path for _, _, _, _, path in drives if path]
    args = []
    for slot, bus, index, options, path in drives:
        cdrom = options.get("media") == "cdrom"
        parts = [] if path is None else [f"file={_quote(path)}"]
        parts += ["if=none", f"id=drive-{slot}"]
        parts += ["media=cdrom"] if cdrom else []
        if path is not None:
            parts.append(f"format={_image_format(path)}")
            if paths.count(path) > 1:
                parts.append("file.locking=off")   # on a PVE node one image in two slots does start
        if cdrom or _is_on(options.get("ro", 0)):
            parts.append("readonly=on")
        if _is_on(options.get("snapshot", 0)):
            parts.append("snapshot=on")
        if not cdrom:
            parts.append("detect-zeroes=on")
        args += ["-drive", ",".join(parts),
                 "-device", _drive_device(machine, conf, slot, bus, index, options, boot.get(slot))]
    return args


def _nic_args(conf, boot):
    args = []
    for index, options in _nics(conf):
        name = f"net{index}"
        model = next((m for m in NIC_DEVICES if m in options), options.get("model"))
        if model not in NIC_DEVICES:
            raise QemuError(f"unable to parse network options of '{name}'")
        parts = [NIC_DEVICES[model]]
        address = options.get(model) or options.get("macaddr")
        if address and address != model:
            parts.append(f"mac={address}")
        parts.append(f"netdev={name}")
        if model != "ne2k_isa":
            parts.append(_pci(name))
        parts.append(f"id={name}")
        if name in boot:
            parts.append(f"bootindex={boot[name]}")
        args += ["-netdev", f"user,id={name},restrict=on", "-device", ",".join(parts)]
    return args


def _boot_indexes(conf):
    """slot -> bootindex, from `boot: order=`, its old form with letters, or PVE's default."""
    given = _options(conf.get("boot", ""), "legacy")
    nics = [f"net{index}" for index, _ in _nics(conf)]
    disks = [slot for slot, _, _, o in _slots(conf) if o.get("media") != "cdrom"]
    cdroms = [slot for slot, _, _, o in _slots(conf) if o.get("media") == "cdrom"]
    if "order" in given:
        order = [name for name in given["order"].split(";") if name in conf]
    elif "legacy" in given:
        groups = {"c": [conf.get("bootdisk")] if conf.get("bootdisk") in conf else disks[:1], "d": cdroms, "n": nics}
        order = [name for letter in given["legacy"] for name in groups.get(letter, ())]
    else:
        order = disks[:1] + cdroms[:1] + nics[:1]
    return {name: 100 + position for position, name in enumerate(dict.fromkeys(order))}


def pid_path(node, vmid):
    return node.path(f"run/qemu-server/{vmid}.pid")


def qmp_path(node, vmid):
    return node.path(f"run/qemu-server/{vmid}.qmp")


def command(node, vmid, conf):
    """argv for this VM.  Nothing is started or written; raises QemuError or what node.volume_path() raises."""
    machine = _Machine(node, conf)
    boot = _boot_indexes(conf)
    name = conf.get("name", f"vm{vmid}")
    argv = [BINARY, "-name", f"{_quote(name)},debug-threads=on",
            "-chardev", f"socket,id=qmp,path={_quote(qmp_path(node, vmid))},server=on,wait=off",
            "-mon", "chardev=qmp,mode=control",
            "-pidfile", pid_path(node, vmid), "-daemonize"]
    argv += _smbios_args(conf)
    argv += _firmware_args(node, vmid, conf)
    argv += ["-nodefaults", "-no-user-config", "-display", "none",
             "-boot", "menu=off,strict=on,reboot-timeout=1000"]
    argv += _cpu_args(conf)
    argv += ["-S"] if _is_on(conf.get("freeze", 0)) else []
    argv += machine.sleep_args()
    argv += _chipset_args(machine, conf)
    argv += _common_device_args(machine, conf)
    argv += _serial_args(node, vmid, conf)
    argv += _controller_args(conf)
    argv += _drive_args(node, machine, conf, boot)
    argv += _nic_args(conf, boot)
    argv += machine.args() + ["-accel", f"tcg,tb-size={TRANSLATION_MIB}"]
    return argv + shlex.split(str(conf.get("args", "")))
