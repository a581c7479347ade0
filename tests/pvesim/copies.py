"""VMs that come from another: clone, template, restore; and the end of one (recordings 16-*,
hook-context-template).

What counts for a hook is kept: a copy has the hookscript and all of smbios1 but the uuid; a clone, or
a restore with `unique`, gets a new uuid and new MACs, a plain restore the same ones; vmgenid is new in
each. Images are empty, so an archive holds the configuration and the sizes only.
"""
import contextlib
import json
import os
import re
import time
import uuid

import config
import schema
import update
from node import PveError, backend, create_image

NOT_COPIED = re.compile(r"lock|parent|snaptime|template|unused\d+|vmstate")


def clone(node, vmid, newid, name, full, log):
    """A template's clone is a linked one unless `full`; any other VM's is full."""
    conf = _load_to_copy(node, vmid)
    _must_be_free(node, newid)
    linked = bool(conf.main.get("template")) and not full
    log(f"creating a clone of VM {vmid} with ID {newid}")
    copy = config.Config()
    copy.main = {k: v for k, v in conf.main.items() if not NOT_COPIED.fullmatch(k)}
    for i, slot in enumerate(_images(conf.main)):
        old = config.volume_of(conf.main[slot])
        kind = "linked" if linked else "full"
        log(f"create {kind} clone of drive {slot} ({old})")
        size = node.volume_size(old)
        volume = _new_image(node, newid, i, size)
        if linked:
            log(f"clone {old.partition(':')[2]}: images, {os.path.basename(volume)}, {newid} to "
                f"{os.path.basename(volume)} (base=../{old.partition(':')[2]})")
            volume = f"{old}/{volume.partition(':')[2]}"
        copy.main[slot] = _with_volume(conf.main[slot], volume)
    copy.main["name"] = name or f"Copy-of-VM-{conf.main.get('name', vmid)}"
    _new_identity(copy.main)
    config.save(node, newid, copy)


def _load_to_copy(node, vmid):
    conf = config.load(node, vmid)
    config.check_lock(conf)
    return conf


def _must_be_free(node, vmid):
    if os.path.exists(node.conf_path(vmid)):
        raise PveError(f"unable to create VM {vmid}: config file already exists\n")


def _images(main):
    return [s for s in sorted(main) if update.has_image(s, main[s]) and schema.is_disk(s)
            and not update.is_cdrom(main[s])]


def _new_image(node, vmid, number, size):
    name = f"vm-{vmid}-disk-{number}.qcow2"
    create_image(node.path(f"var/lib/vz/images/{vmid}/{name}"), size)
    return f"local:{vmid}/{name}"


def _with_volume(value, volume):
    return ",".join([volume] + value.split(",")[1:])


def _new_identity(main):
    for key in [k for k in main if schema.is_nic(k)]:
        main[key] = update.normal_net(re.sub(r"^(\w[\w-]*)=[0-9A-Fa-f:]+", r"\1", main[key]))
    keys = dict(part.split("=", 1) for part in main.get("smbios1", "").split(",") if "=" in part)
    keys["uuid"] = str(uuid.uuid4())
    main["smbios1"] = ",".join(f"{k}={v}" for k, v in sorted(keys.items()))
    main["vmgenid"] = str(uuid.uuid4())


def template(node, vmid):
    with node.flock(vmid):
        conf = _load_to_copy(node, vmid)
        if backend(node).pid(node, vmid):
            raise PveError("you can't convert a vm to template if vm is running\n")
        for slot in _images(conf.main):
            old = config.volume_of(conf.main[slot])
            new = re.sub(r"/vm-(\d+-disk-)", r"/base-\1", old)
            os.rename(node.volume_path(old), node.volume_path(new))
            conf.main[slot] = _with_volume(conf.main[slot], new)
        conf.main["template"] = 1
        config.save(node, vmid, conf)


def destroy(node, vmid, purge=False):
    """The configuration and the images; `purge` changes nothing that is simulated here."""
    del purge
    with node.flock(vmid):
        conf = _load_to_copy(node, vmid)
        if conf.main.get("protection"):
            raise PveError(f"can't remove VM {vmid} - protection mode enabled\n")
        if backend(node).pid(node, vmid):
            raise PveError(f"VM {vmid} is running - destroy failed\n")
        _remove_images(node, vmid, conf)
        os.unlink(node.conf_path(vmid))


def _remove_images(node, vmid, conf):
    own = re.compile(rf"(.*/)?{vmid}/(vm|base)-")
    for key, value in conf.main.items():
        volume = config.volume_of(value) if schema.is_drive(key) else ""
        if ":" in (volume or "") and own.match(volume.partition(":")[2]):
            with contextlib.suppress(OSError, PveError):
                os.unlink(node.volume_path(volume))


# -- backup and restore ----------------------------------------------------------------------------

def archive(node, vmid, conf):
    """What vzdump leaves behind; the path that it is said to have."""
    sizes = {slot: node.volume_size(config.volume_of(conf.main[slot]))
             for slot in _images(conf.main)}
    kept = conf.copy()
    kept.pending, kept.pending_delete, kept.snapshots = {}, {}, {}
    kept.main = {k: v for k, v in kept.main.items() if not NOT_COPIED.fullmatch(k)}
    path = f"/var/lib/vz/dump/vzdump-qemu-{vmid}-{time.strftime('%Y_%m_%d-%H_%M_%S')}.vma"
    os.makedirs(os.path.dirname(node.path(path)), exist_ok=True)
    with open(node.path(path), "w", encoding="utf-8") as f:
        json.dump({"conf": config.render(kept), "sizes": sizes}, f)
    return path


def archive_file(node, name):
    path = node.path(name) if name.startswith("/") else node.volume_path(name)
    if not os.path.exists(path):
        raise PveError(f"unable to find archive '{name}'\n")
    return path


def restore(node, name, vmid, unique, force, log):
    with open(archive_file(node, name), encoding="utf-8") as f:
        content = json.load(f)
    with node.flock(vmid, log):
        if os.path.exists(node.conf_path(vmid)):
            old = config.load(node, vmid)
            if not force:
                raise PveError(f"unable to restore VM {vmid} - VM {vmid} already exists\n")
            if old.main.get("protection"):
                raise PveError(f"unable to restore VM {vmid} - protection mode enabled\n")
            if backend(node).pid(node, vmid):
                raise PveError(f"unable to restore VM {vmid} - VM is running\n")
            _remove_images(node, vmid, old)
        conf = config.parse(content["conf"].encode())
        for i, (slot, size) in enumerate(sorted(content["sizes"].items())):
            conf.main[slot] = _with_volume(conf.main[slot], _new_image(node, vmid, i, size))
        if unique:
            _new_identity(conf.main)
        conf.main["vmgenid"] = str(uuid.uuid4())
        config.save(node, vmid, conf)
    log("rescan volumes...")
