"""PUT and POST of a VM's configuration: checks, pending, hotplug, and what is left after an error.

The order of steps is the behaviour that clients trip over, and recorded (04, 06*, 07*, 11*):
 1. checks that change nothing: parameters, privileges, storages, digest, lock;
 2. with the flock held, every deletion becomes a pending deletion, one write each (a deleted disk
    also leaves a pending `boot` without it);
 3. every option becomes a pending value, one write each. A missing volume is found here, so an
    error leaves the deletions and a random part of the options in [PENDING];
 4. pending changes are carried out: all of them for a stopped VM, so also those that an earlier
    call left behind; for a running one what can be plugged.
`revert=X` means "set X to its present value" (or delete a value that is only pending), no more.
"""
import contextlib
import os
import random
import re

import config
import schema
from node import PveError, backend, param_error

ROOT_ONLY = "args hookscript lock vmgenid".split()
PRIVILEGE = {
    "VM.Config.CPU": "cores cpu cpulimit cpuunits sockets vcpus numa smp affinity".split(),
    "VM.Config.Memory": "memory balloon shares hugepages keephugepages".split(),
    "VM.Config.HWType": "smbios1 machine scsihw vga watchdog rng0 audio0 arch ivshmem".split(),
    "VM.Config.Disk": "boot bootdisk".split(),
    "VM.Config.Cloudinit":
        "cipassword citype ciuser ciupgrade nameserver searchdomain sshkeys".split(),
}
FAST = ("name description tags onboot protection startup hotplug shares autostart hookscript "
        "lock").split()
CONTROL = "digest delete revert force skiplock background_delay import-working-storage".split()
NET_IDENTITY = ("model", "macaddr", "queues", "mtu")
PATH_ERROR = ("Only root can pass arbitrary filesystem paths. "
              "at /usr/share/perl5/PVE/Storage.pm line 651.\n")


# -- values --------------------------------------------------------------------------------------

def has_image(slot, value):
    """Whether a main section's value names a volume of a storage that must exist for a start."""
    volid = config.volume_of(value) or ""
    return schema.is_drive(slot) and not schema.is_unused(slot) and ":" in volid


def is_cdrom(value):
    return "media=cdrom" in str(value).split(",") or config.volume_of(value) in ("none", "cdrom")


def format_size(size):
    for unit in ("", "K", "M", "G"):
        if not size or size % 1024:
            return f"{size}{unit}"
        size //= 1024
    return f"{size}T"


def normal_drive(node, slot, value):
    """The value as PVE stores it: volume first, sub keys sorted, size looked up."""
    keys = schema.OPTIONS[slot].split(value)
    volid = keys.pop("file")
    if ":" in volid and not is_cdrom(value):
        keys["size"] = format_size(node.volume_size(volid))
    return ",".join([volid] + [f"{k}={v}" for k, v in sorted(keys.items())])


def normal_net(value):
    keys = schema.NET.split(value)
    model = keys.pop("model")
    mac = keys.pop("macaddr", None) or "BC:24:11:%02X:%02X:%02X" % tuple(random.randbytes(3))
    return ",".join([f"{model}={mac}"] + [f"{k}={v}" for k, v in sorted(keys.items())])


def split_list(text):
    items = text if isinstance(text, list) else re.split(r"[,;\s\0]+", text or "")
    return [item for item in items if item]


# -- 1. what is checked before anything changes ---------------------------------------------------

class Change:
    """One call, split up: options to set, names to delete and to revert, and the rest."""

    def __init__(self, node, vmid, params, auth):
        self.node, self.vmid, self.auth = node, vmid, auth
        self.digest = params.get("digest")
        self.delete = split_list(params.get("delete"))
        self.revert = split_list(params.get("revert"))
        self.force = str(params.get("force", "0")) in schema.TRUE
        self.skiplock = str(params.get("skiplock", "0")) in schema.TRUE
        self.set = {k: v for k, v in params.items() if k not in CONTROL}
        self.fault = None           # of faults.py: fail after so many writes of the file

    def options(self):
        return list(self.set) + self.delete + self.revert


def prepare(node, vmid, params, auth):
    """All checks that need no lock; a Change that is ready to be executed."""
    change = Change(node, vmid, params, auth)
    if change.skiplock and not auth.is_root:
        raise param_error(skiplock="Only root may use this option.")
    if "hookscript" in change.set:
        _check_hookscript(node, change.set["hookscript"])
    if not change.options():
        raise PveError("no options specified\n")
    _check_names(change)
    _check_storages(change)
    _check_privileges(change)
    conf = config.load(node, vmid)
    config.check_digest(conf, change.digest)
    if not change.skiplock:
        config.check_lock(conf)
    _check_boot(change, conf)
    return change


def _check_hookscript(node, volid):
    try:
        exists = os.path.isfile(node.volume_path(str(volid)))
    except PveError as e:
        raise param_error(hookscript=e.message) from None
    if not exists:
        raise param_error(hookscript=f"script '{volid}' does not exist\n")


def _check_names(change):
    for kind, names in (("revert", change.revert), ("delete", change.delete)):
        for name in names:
            if not schema.is_option(name):
                raise param_error(**{kind: f"unknown option '{name}'"})
            if name in change.set:
                raise param_error(
                    delete=f"you can't use '-{name}' and -{kind} {name}' at the same time")


def _check_storages(change):
    for slot, value in change.set.items():
        if not schema.is_drive(slot) or value is None:
            continue
        volid = schema.OPTIONS[slot].split(str(value))["file"] if slot in schema.OPTIONS else ""
        if volid in ("none", "cdrom", "cloudinit"):
            continue
        if volid.startswith("/"):
            if not change.auth.is_root:
                raise PveError(PATH_ERROR)
            continue
        storage, _, name = volid.partition(":")
        if re.fullmatch(r"\d+(\.\d+)?", name):
            change.auth.need(f"/storage/{storage}", "Datastore.AllocateSpace")
        elif is_cdrom(value):
            change.auth.need_any(f"/storage/{storage}", "Datastore.AllocateSpace",
                                 "Datastore.Audit")
        elif ("/" + name).split("/")[-2] != str(change.vmid):       # the owner, also of a linked clone
            change.node.storage_path(storage)
            change.auth.need(f"/storage/{storage}", "Datastore.Audit")
        change.node.storage_path(storage)


def _check_privileges(change):
    present = {}
    with contextlib.suppress(PveError):
        present = config.load(change.node, change.vmid).main
    path = f"/vms/{change.vmid}"
    for name in change.options():
        value = change.set.get(name, present.get(name, ""))
        if name in ROOT_ONLY:
            if not change.auth.is_root:
                raise PveError(f"only root can set '{name}' config\n")
        elif schema.is_unused(name):
            if name in present:
                storage = str(present[name]).partition(":")[0]
                change.auth.need(f"/storage/{storage}", "Datastore.AllocateSpace")
        elif schema.is_drive(name):
            change.auth.need(path, "VM.Config.CDROM" if is_cdrom(value) else "VM.Config.Disk")
        elif schema.is_nic(name):
            change.auth.need(path, "VM.Config.Network")
            _check_bridge(change, value)
        elif re.fullmatch(r"(serial|parallel|usb|hostpci)\d+", name):
            _check_device(change, name, str(value), path)
        else:
            change.auth.need(path, _privilege(name))


def _privilege(name):
    for privilege, names in PRIVILEGE.items():
        if name in names:
            return privilege
    return "VM.Config.Network" if name.startswith("ipconfig") else "VM.Config.Options"


def _check_bridge(change, value):
    if not value:
        return
    keys = schema.NET.split(str(value))
    if "bridge" in keys:
        zone = f"/sdn/zones/localnetwork/{keys['bridge']}"
        change.auth.need(zone if "tag" not in keys else f"{zone}/{keys['tag']}", "SDN.Use",
                         shown=zone)


def _check_device(change, name, value, path):
    if name.startswith("hostpci") and "mapping=" not in value and not change.auth.is_root:
        raise PveError(f"only root can set '{name}' config for non-mapped devices\n")
    if name.startswith("usb") and not value.startswith("spice") and not change.auth.is_root:
        raise PveError(f"only root can set '{name}' config for real devices\n")
    emulated = value in ("socket", "")
    if name.startswith(("serial", "parallel")) and not emulated and not change.auth.is_root:
        raise PveError(f"only root can modify '{name}' config for real devices\n")
    change.auth.need(path, "VM.Config.HWType")


def _check_boot(change, conf):
    value = change.set.get("boot")
    for part in str(value or "").split(","):
        if part.startswith("order="):
            for device in part[6:].split(";"):
                if device not in change.set and device not in conf.effective():
                    raise PveError(f"invalid bootorder: device '{device}' does not exist'\n")


# -- 2. and 3. with the lock held ------------------------------------------------------------------

def execute(change, log=None, say=None):
    """Carry out a prepared change; `say` gets the line `update VM ...` that a task logs."""
    with change.node.flock(change.vmid, log):
        before = config.load(change.node, change.vmid)
        config.check_digest(before, change.digest)
        if not change.skiplock:
            config.check_lock(before)
        if say:
            say(describe(change))
        running = bool(backend(change.node).pid(change.node, change.vmid))
        try:
            _carry_out(change, before, running)
        finally:
            with contextlib.suppress(PveError):
                _watch(change, before, config.load(change.node, change.vmid), running)


def describe(change):
    words = dict(change.set)
    for name, items in (("delete", change.delete), ("revert", change.revert)):
        if items:
            words[name] = ",".join(items)
    return f"update VM {change.vmid}: " + " ".join(f"-{k} {v}" for k, v in sorted(words.items()))


def _carry_out(change, before, running):
    node, vmid = change.node, change.vmid
    wanted, gone = dict(change.set), list(change.delete)
    for name in change.revert:
        if name in before.main:
            wanted[name] = before.main[name]
        elif name in before.pending:
            gone.append(name)
    for name in gone:
        _fail_if_due(change)
        conf = config.load(node, vmid)
        _delete_option(change, conf, name)
        config.save(node, vmid, conf)
    for name in _ordered(node, wanted):
        _fail_if_due(change)
        conf = config.load(node, vmid)
        _set_option(node, conf, name, wanted[name])
        config.save(node, vmid, conf)
    _fail_if_due(change)
    conf = config.load(node, vmid)
    _drop_idle_pending(conf)
    errors = {}
    if running:
        _hotplug(conf, vmid, errors)
    else:
        apply_pending(node, vmid, conf)
    config.save(node, vmid, conf)
    if errors:
        raise PveError("Parameter verification failed.\n", 400, errors)


def _fail_if_due(change):
    if change.fault:
        if change.fault["writes"] == 0:
            raise PveError(change.fault["message"] + "\n")
        change.fault["writes"] -= 1


def _ordered(node, wanted):
    """PVE walks a hash: any order. Here a settled one, unless the settings say otherwise."""
    order = node.settings()["option_order"]
    if order == "random":
        return random.sample(sorted(wanted), len(wanted))
    first = [name for name in order if name in wanted]
    return first + sorted(set(wanted) - set(first))


def _delete_option(change, conf, name):
    if name not in conf.main and name not in conf.pending:
        return
    if schema.is_unused(name):
        with contextlib.suppress(PveError, FileNotFoundError):
            os.unlink(change.node.volume_path(str(conf.main[name])))
        del conf.main[name]
        return
    if schema.is_drive(name):
        if conf.main.get("protection"):
            raise PveError(f"can't remove drive '{name}' - protection mode enabled\n")
        if name in conf.pending:
            _register_unused(conf, conf.pending[name])
        _leave_boot_order(conf, name)
    conf.pending.pop(name, None)
    if name in conf.main:
        conf.pending_delete[name] = change.force


def _leave_boot_order(conf, name):
    boot = str(conf.pending.get("boot", conf.main.get("boot", "")))
    if not boot.startswith("order="):
        return
    devices = boot[6:].split(";")
    if name in devices:
        devices.remove(name)
        # An order of nothing is an empty value, which reads back as one blank.
        conf.pending["boot"] = "order=" + ";".join(devices) if devices else ""


def _set_option(node, conf, name, value):
    if schema.is_drive(name) and not schema.is_unused(name):
        value = normal_drive(node, name, str(value))
        old = conf.pending.get(name)
        if old is not None and config.volume_of(old) != config.volume_of(value):
            _register_unused(conf, old)
    elif schema.is_nic(name):
        value = normal_net(str(value))
    conf.pending[name] = value
    conf.pending_delete.pop(name, None)


def _drop_idle_pending(conf):
    for name in [n for n, v in conf.pending.items() if conf.main.get(n) == v]:
        del conf.pending[name]
    for name in [n for n in conf.pending_delete if n not in conf.main]:
        del conf.pending_delete[name]


def _register_unused(conf, value):
    """The volume of a slot that lost it becomes unusedN; render() drops those in use elsewhere."""
    volid = config.volume_of(value)
    if is_cdrom(value) or ":" not in volid:
        return
    if volid in (v for k, v in conf.main.items() if schema.is_unused(k)):
        return
    for i in range(256):
        if f"unused{i}" not in conf.main:
            conf.main[f"unused{i}"] = volid
            return


# -- 4. pending changes become real ---------------------------------------------------------------

def apply_pending(node, vmid, conf):
    """For a stopped VM: all of it, deletions first. The caller saves."""
    for name in sorted(conf.pending_delete):
        _drop_option(node, conf, name)
    for name in sorted(conf.pending):
        _take_option(conf, name)


def _drop_option(node, conf, name):
    force = conf.pending_delete.pop(name)
    value = conf.main.pop(name, None)
    if value is None or not schema.is_drive(name):
        return
    if force and ":" in (config.volume_of(value) or "") and not is_cdrom(value):
        with contextlib.suppress(OSError, PveError):        # `force` destroys the image
            os.unlink(node.volume_path(config.volume_of(value)))
    else:
        _register_unused(conf, value)


def _take_option(conf, name):
    value, old = conf.pending.pop(name), conf.main.get(name)
    if old is not None and schema.is_drive(name):
        if config.volume_of(old) != config.volume_of(value):
            _register_unused(conf, old)
    conf.main[name] = value


def _hotplug(conf, vmid, errors):
    """For a running VM: what PVE plugs at once leaves [PENDING], the rest stays there.

    Only the configuration is changed here, the QEMU process is left alone: no test of ours may come
    here (violations.jsonl says so when one does).
    """
    for name in FAST:
        if name in conf.pending:
            conf.main[name] = conf.pending.pop(name)
        if conf.pending_delete.pop(name, None) is not None:
            conf.main.pop(name, None)
    features = str(conf.main.get("hotplug", "1"))
    features = "network,disk,usb" if features == "1" else features
    boot = re.match(r"order=([^;,]+)", str(conf.main.get("boot", "")))
    for name in sorted(conf.pending_delete):
        if "disk" in features and re.fullmatch(r"(scsi|virtio)\d+", name):
            if boot and boot[1] == name:
                errors[name] = f"hotplug problem - can't unplug bootdisk '{name}'\n"
                continue
            _drop_option(None, conf, name)
        elif "network" in features and schema.is_nic(name):
            _drop_option(None, conf, name)
    for name in sorted(conf.pending):
        _plug(conf, vmid, name, features, errors)


def _plug(conf, vmid, name, features, errors):
    old, new = conf.main.get(name), conf.pending[name]
    if schema.is_nic(name) and "network" in features:
        if old is not None and _net_identity(old) != _net_identity(new):
            errors[name] = (f"hotplug problem - VM {vmid} qmp command 'netdev_add' failed - "
                            f"Duplicate ID '{name}'\n")
        else:
            _take_option(conf, name)
    elif "disk" in features and schema.is_disk(name):
        if old is None and re.match(r"scsi|virtio", name) or old is not None and is_cdrom(old):
            _take_option(conf, name)


def _net_identity(value):
    keys = schema.NET.split(str(value))
    return [keys.get(key) for key in NET_IDENTITY]


# -- the simulator's own eye on what must never be sent -------------------------------------------

def _watch(change, before, after, running):
    def sin(what, **more):
        change.node.violation(what, vmid=change.vmid, by=change.auth.name, set=change.set,
                              delete=change.delete, revert=change.revert, **more)
    if not change.auth.watched:
        return
    if change.force:
        sin("force was sent")
    if unused := [n for n in change.delete if schema.is_unused(n)]:
        sin("unused volume deleted", slots=unused)
    was, now = _places(before), _places(after)
    for volid, slots in now.items():
        if len(slots) > 1 and slots != was.get(volid):
            sin("one volume on several slots", volume=volid, slots=sorted(slots))
    moved = [v for v, slots in now.items() if v in was and slots - was[v]]
    if len(moved) > 1:
        sin("several disks moved in one call", volumes=moved)
    if running:
        names = [n for n in change.delete if n in before.main]
        names += [n for n in change.set if schema.is_disk(n) or schema.is_nic(n)
                  if _differs(change.node, n, change.set[n], before.main.get(n))]
        names = [n for n in names if schema.is_disk(n) or schema.is_nic(n)]
        if names:
            sin("disk or network card of a running VM changed", slots=names)


def _places(conf):
    """Volume -> slots, as they will be once the pending changes are carried out."""
    found = {}
    for slot, value in conf.effective().items():
        if schema.is_disk(slot) and has_image(slot, value) and not is_cdrom(value):
            found.setdefault(config.volume_of(value), set()).add(slot)
    return found


def _differs(node, name, value, present):
    if present is None:
        return True
    if schema.is_nic(name):
        return normal_net(str(value)) != present
    with contextlib.suppress(PveError):
        return normal_drive(node, name, str(value)) != present
    return str(value) != str(present)
