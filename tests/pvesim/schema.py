"""What PVE accepts as a value, and the exact words with which it refuses one.

Two readers with two voices: a parameter of the API (`check_params`: `errors` per key, prefixed
with key and sub key) and a line of a configuration file (`check_file_value`: ValueError without
prefix). Words and limits are those of recordings 03d, 04, 05, 06e*, 06h*, 09c6 and 12b; options
that no recording touches are checked loosely or not at all.
"""
import re

UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
NO_MATCH = "value does not match the regex pattern"
MISSING = "property is missing and it is not optional"
TRUE, FALSE = ("1", "on", "yes", "true"), ("0", "off", "no", "false")

NIC_MODELS = ("e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er "
              "ne2k_isa ne2k_pci pcnet rtl8139 virtio vmxnet3").split()
MAC = re.compile(r"[0-9A-F][02468ACE](:[0-9A-F]{2}){5}", re.I)
MACHINE = (r"(pc|pc(-i440fx)?-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?"
           r"|q35|pc-q35-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?"
           r"|virt(?:-\d+(\.\d+)+)?(\+pve\d+)?)")
SLOTS = {"ide": 4, "sata": 6, "scsi": 31, "virtio": 16, "unused": 256, "efidisk": 1, "tpmstate": 1}
BOOT_DEVICE = re.compile(r"(ide[0-3]|sata[0-5]|scsi(30|[12]?\d)|virtio(1[0-5]|\d)"
                         r"|net(3[01]|[12]?\d)|hostpci(1[0-5]|\d)|usb(1[0-3]|\d))")
DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
                      r"(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.I)


# -- kinds of values: each is a function text -> None or the sentence that refuses it -------------

def boolean(value):
    if str(value) not in TRUE + FALSE:
        return f"type check ('boolean') failed - got '{value}'"
    return None


def integer(low=None, high=None):
    def check(value):
        if not re.fullmatch(r"[+-]?\d+", str(value)):
            return f"type check ('integer') failed - got '{value}'"
        if low is not None and int(value) < low:
            return f"value must have a minimum value of {low}"
        if high is not None and int(value) > high:
            return f"value must have a maximum value of {high}"
        return None
    check.number = True
    return check


def number(value):
    if not re.fullmatch(r"\d+(\.\d+)?", str(value)):
        return f"type check ('number') failed - got '{value}'"
    return None


def text(longest=None, pattern=None):
    compiled = re.compile(pattern) if pattern else None

    def check(value):
        if longest is not None and len(value) > longest:
            return f"value may only be {longest} characters long"
        if compiled and not compiled.fullmatch(value.removesuffix("\n")):    # as Perl's `$`
            return NO_MATCH
        return None
    return check


def enum(*values):
    def check(value):
        if value not in values:
            return f"value '{value}' does not have a value in the enumeration '{', '.join(values)}'"
        return None
    return check


def form(test, sentence):
    def check(value):
        return None if test(value) else f"invalid format - {sentence}\n"
    return check


class Properties:
    """A comma separated list of sub keys; with `default` as the key of a value without one."""

    def __init__(self, keys, default=None, required=(), longest=None, aliases=()):
        self.keys, self.default, self.required = keys, default, required
        self.longest, self.aliases = longest, aliases

    def split(self, value):
        """Sub key -> text; ValueError for what is no such list."""
        found = {}
        for part in value.split(","):
            if not part.strip():
                continue
            name, sep, rest = part.partition("=")
            if not sep:
                if self.default is None:
                    raise ValueError("value without key, but schema does not define a default key")
                name, rest = self.default, part
            elif not name or not rest:
                raise ValueError("missing key in comma-separated list property")
            for key, sub in self._alias(name, rest, bool(sep)):
                if key in found:
                    raise ValueError(f"duplicate key in comma-separated list property: {key}")
                found[key] = sub
        return found

    def _alias(self, name, rest, with_key):
        if with_key and name in self.aliases:       # e1000e=MAC is model=e1000e,macaddr=MAC
            return ((self.default, name), ("macaddr", rest))
        return ((name, rest),)

    def problems(self, value):
        """Sub key -> sentence, for those that are wrong."""
        found = self.split(value)
        wrong = {key: MISSING for key in self.required if key not in found}
        for key, sub in found.items():
            sentence = self.keys[key](sub) if key in self.keys else UNKNOWN
            if sentence:
                wrong[key] = sentence
        return wrong

    def refuse(self, value, prefix=""):
        """The sentence for a value that is wrong, None for a good one."""
        if self.longest and len(value) > self.longest:
            return f"value may only be {self.longest} characters long"
        try:
            wrong = self.problems(value)
        except ValueError as e:
            return f"invalid format - {e}\n" if prefix else f"{e}\n"
        if not wrong:
            return None
        lines = "".join(f"{prefix}{key}: {wrong[key]}\n" for key in sorted(wrong))
        return ("invalid format - format error\n" if prefix else "format error\n") + lines


# -- the options ---------------------------------------------------------------------------------

BASE64 = text(pattern=r"[A-Za-z0-9+/]+={0,2}")
SMBIOS = Properties({
    "uuid": text(pattern=r"[a-fA-F0-9]{8}(-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}"),
    "base64": boolean, "version": BASE64, "serial": BASE64, "manufacturer": BASE64,
    "product": BASE64, "sku": BASE64, "family": BASE64}, longest=512)
MACHINE_STRING = Properties({
    "type": text(40, MACHINE), "viommu": enum("intel", "virtio"), "aw-bits": number,
    "enable-s3": boolean, "enable-s4": boolean}, default="type")
NET = Properties({
    "model": enum(*NIC_MODELS), "bridge": text(), "firewall": boolean, "link_down": boolean,
    "macaddr": form(MAC.fullmatch, "value does not look like a valid unicast MAC address"),
    "mtu": integer(1, 65520), "queues": integer(0, 64), "rate": number, "tag": integer(1, 4094),
    "host_mtu": integer(1), "trunks": text()}, default="model", required=("model",),
                 aliases=NIC_MODELS)


def boot_order(value):
    for name in value.split(";"):
        if not BOOT_DEVICE.fullmatch(name):
            return f"invalid format - invalid boot device '{name}'\n"
    return None


BOOT = Properties({"order": boot_order, "legacy": text(4, "[acdn]{1,4}")}, default="legacy")
SIZE = text(pattern=r"\d+(\.\d+)?[KMGT]?")
DRIVE = {
    "file": text(), "aio": enum("native", "threads", "io_uring"), "backup": boolean,
    "bps": integer(), "bps_rd": integer(), "bps_wr": integer(), "media": enum("cdrom", "disk"),
    "cache": enum("none", "writethrough", "writeback", "unsafe", "directsync"),
    "cyls": integer(), "heads": integer(), "secs": integer(), "trans": enum("none", "lba", "auto"),
    "detect_zeroes": boolean, "discard": enum("ignore", "on"), "format": text(),
    "iops": integer(), "iops_max": integer(), "iops_rd": integer(), "iops_wr": integer(),
    "mbps": number, "mbps_max": number, "mbps_rd": number, "mbps_wr": number,
    "import-from": text(), "replicate": boolean, "rerror": enum("ignore", "report", "stop"),
    "werror": enum("enospc", "ignore", "report", "stop"), "serial": text(60), "shared": boolean,
    "size": SIZE, "snapshot": boolean}
WWN = text(pattern=r"0x[0-9a-fA-F]{16}")
BUS_KEYS = {
    "ide": {"model": text(120), "ssd": boolean, "wwn": WWN},
    "sata": {"ssd": boolean, "wwn": WWN},
    "scsi": {"iothread": boolean, "ro": boolean, "queues": integer(2), "scsiblock": boolean,
             "product": text(16, r"[A-Za-z0-9\-_\s]{,16}"), "ssd": boolean,
             "vendor": text(8, r"[A-Za-z0-9\-_\s]{,8}"), "wwn": WWN},
    "virtio": {"iothread": boolean, "ro": boolean},
    "efidisk": {"efitype": enum("2m", "4m"), "pre-enrolled-keys": boolean, "ms-cert": text()},
    "tpmstate": {"version": enum("v1.2", "v2.0")}}


def drive(bus):
    return Properties({**DRIVE, **BUS_KEYS[bus]}, default="file", required=("file",))


CPU_TYPES = ("host max kvm32 kvm64 qemu32 qemu64 486 pentium pentium2 pentium3 core2duo "
             "coreduo athlon phenom Conroe Penryn Nehalem Nehalem-IBRS Westmere SandyBridge "
             "IvyBridge Haswell Broadwell Skylake-Client Skylake-Server Cascadelake-Server "
             "Icelake-Server Opteron_G5 EPYC EPYC-Rome EPYC-Milan EPYC-Genoa x86-64-v2 "
             "x86-64-v2-AES x86-64-v3 x86-64-v4").split()


def cpu(value):
    kind = value.split(",")[0].removeprefix("cputype=")
    if kind not in CPU_TYPES and not kind.startswith("custom-"):
        return (f"invalid format - Built-in cputype '{kind}' is not defined "
                "(missing 'custom-' prefix?)\n")
    return None


OSTYPES = "other wxp w2k w2k3 w2k8 wvista win7 win8 win10 win11 l24 l26 solaris".split()
LOCKS = "backup clone create migrate rollback snapshot snapshot-delete suspending suspended".split()
ANY = text()
OPTIONS = {
    "smbios1": SMBIOS, "machine": MACHINE_STRING, "boot": BOOT, "cpu": cpu,
    "scsihw": enum("lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas",
                   "pvscsi"),
    "ostype": enum(*OSTYPES), "bios": enum("seabios", "ovmf"), "lock": enum(*LOCKS),
    "name": form(DNS_NAME.fullmatch, "value does not look like a valid DNS name"),
    "description": text(8192), "arch": enum("x86_64", "aarch64"), "meta": ANY, "bootdisk": ANY,
    "memory": Properties({"current": integer(16)}, default="current"),
    "cores": integer(1), "sockets": integer(1), "vcpus": integer(1), "smp": integer(1),
    "balloon": integer(0), "shares": integer(0, 50000), "cpulimit": number, "cpuunits": integer(1),
    "migrate_speed": integer(0), "migrate_downtime": number, "snaptime": integer(0)}
for _name in ("acpi autostart freeze kvm localtime numa onboot protection reboot tablet tdf "
              "template keephugepages ciupgrade allow-ksm").split():
    OPTIONS[_name] = boolean
for _name in ("affinity agent args amd-sev audio0 cicustom cipassword citype ciuser hookscript "
              "hotplug hugepages intel-tdx ivshmem keyboard nameserver rng0 searchdomain "
              "spice_enhancements sshkeys startdate startup tags vga vmgenid vmstatestorage "
              "watchdog parent vmstate runningmachine runningcpu running-nets-host-mtu "
              "snapstate").split():
    OPTIONS[_name] = ANY
for _bus, _count in SLOTS.items():
    for _i in range(_count):
        OPTIONS[f"{_bus}{_i}"] = ANY if _bus == "unused" else drive(_bus)
for _name, _count in (("net", 32), ("ipconfig", 32), ("serial", 4), ("parallel", 3), ("usb", 14),
                      ("hostpci", 16), ("numa", 8), ("virtiofs", 10)):
    for _i in range(_count):
        OPTIONS[f"{_name}{_i}"] = NET if _name == "net" else ANY
INTERNAL = ("parent snaptime vmstate runningmachine runningcpu running-nets-host-mtu snapstate "
            "meta").split()
PARAMETERS = {"vmid": form(lambda v: re.fullmatch(r"[1-9]\d{2,8}", v),
                           "value does not look like a valid VM ID")}


def is_option(name):
    return name in OPTIONS and name not in INTERNAL


def is_drive(name):
    kinds = r"(ide|sata|scsi|virtio|unused|efidisk|tpmstate)\d+"
    return bool(re.fullmatch(kinds, name)) and name in OPTIONS


def is_disk(name):
    """A slot with a controller: what a guest sees as a drive of its own."""
    return bool(re.fullmatch(r"(ide|sata|scsi|virtio)\d+", name)) and name in OPTIONS


def is_unused(name):
    return bool(re.fullmatch(r"unused\d+", name))


def is_nic(name):
    return bool(re.fullmatch(r"net\d+", name))


def refuse(kind, key, value):
    if isinstance(value, list) and getattr(kind, "takes_list", False):
        return None
    if isinstance(value, (list, dict)):
        kind_of = "ARRAY" if isinstance(value, list) else "HASH"
        return f"type check ('string') failed - got {kind_of}"
    if value is None:
        return None
    if isinstance(kind, Properties):
        return kind.refuse(str(value), f"{key}.")
    return kind(value if kind is boolean or hasattr(kind, "number") else str(value))


def check_params(params, kinds):
    """Parameter -> sentence for all that is wrong with them; `kinds` says which there are."""
    errors = {}
    for key, value in params.items():
        sentence = refuse(kinds[key], key, value) if key in kinds else UNKNOWN
        if sentence:
            errors[key] = sentence
    return errors


def check_file_value(key, value):
    """The value of a file's line, as number where PVE takes it for one."""
    if key not in OPTIONS:
        raise ValueError(f"unknown setting '{key}'\n")
    kind = OPTIONS[key]
    sentence = kind.refuse(value) if isinstance(kind, Properties) else kind(value)
    if sentence:
        raise ValueError(sentence.rstrip("\n") + "\n")
    if kind is boolean:
        return 1 if value in TRUE else 0
    return int(value) if hasattr(kind, "number") else value
