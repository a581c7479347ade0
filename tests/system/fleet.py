# SPDX-License-Identifier: GPL-3.0-or-later
"""Many VMs, each with a trouble of its own, side by side: nearly all of such a test is waiting.

What must hold for every one of them when all has settled (`Judge`), whatever it was:

 - every volume is in exactly one slot, none is an unusedN, no snapshot or foreign key is touched;
 - the VM runs, or the daemon has said that it is down, and why;
 - at most one start was made by us that went through, and none while it ran;
 - the journal is whole: nothing begins within another change set, nothing is open, nothing is owed.

That the simulator saw nothing forbidden (force, a disk attached twice, a change of a running VM) is
for checked_node().
"""
import atexit
import concurrent.futures
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import traceback
import uuid

from node import TOP, read_lines, wait_for
from tap import UUID_RFC, start_tasks

_spec = importlib.util.spec_from_file_location("pvesim_node", os.path.join(TOP, "tests/pvesim/node.py"))
pvesim_node = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pvesim_node)

PARALLEL = int(os.environ.get("PVE_HWID_FAULT_NODES", "6"))


def quick_vm(node, vmid, **more):
    """A VM with two disks as an import leaves it, written by hand: no program is started."""
    conf = {"boot": "order=scsi0;scsi1;net0", "cores": "1", "cpu": "host", "freeze": "1",
            "hookscript": "local:snippets/pve-hwid", "machine": "pc", "memory": "64",
            "meta": "creation-qemu=10.0.2,ctime=1795397075", "name": f"vm{vmid}",
            "net0": f"virtio=BC:24:11:00:{vmid // 256:02X}:{vmid % 256:02X},bridge=vmbr{vmid}",
            "onboot": "1", "ostype": "win11", "scsihw": "virtio-scsi-pci",
            "smbios1": f"uuid={UUID_RFC}", "vmgenid": str(uuid.uuid4())}
    for i in range(2):
        name = f"vm-{vmid}-disk-{i}.qcow2"
        pvesim_node.create_image(node.path(f"var/lib/vz/images/{vmid}/{name}"), 32 << 20)
        conf[f"scsi{i}"] = f"local:{vmid}/{name},size=32M"
    conf.update(more)
    node.set_conf(vmid, "".join(f"{k}: {conf[k]}\n" for k in sorted(conf) if conf[k] is not None))


def api_start(node, vmid):
    """Start it as an administrator in the web interface; the UPID. Does not wait for the task."""
    status, upid = node.api("POST", f"/nodes/{node.name}/qemu/{vmid}/status/start")
    assert status == 200, f"start of VM {vmid}: {status} {upid}"
    return upid


def exit_of(node, upid):
    """How a task ended, or None while it runs."""
    text = node.read(f"pvesim/tasks/{upid}").rstrip("\n").rpartition("\n")[2]
    return text if text.startswith(("TASK OK", "TASK ERROR")) else None


def wait_task(node, upid, limit=60):
    return wait_for(f"the end of {upid}", lambda: exit_of(node, upid), limit)


def ok_starts(node, vmid, by="pve-hwid@pve!daemon"):
    return [t for t in start_tasks(node, vmid) if by in t and exit_of(node, t) == "TASK OK"]


def journal(node, vmid):
    """The records that count: a line that a crash cut off, or that was closed as torn, does not."""
    try:
        lines = node.read(f"var/lib/pve-hwid/journal/{vmid}.jsonl").split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line and not line.endswith("#torn")]


def fold(records):
    """(open, owed) of the records; AssertionError where they contradict each other."""
    is_open = owed = False
    for record in records:
        kind = record["type"]
        if kind == "held":
            owed = True
        elif kind == "begin":
            assert not is_open, "a change set begins within another"
            is_open = True
        elif kind == "step":
            assert is_open, "a step outside of a change set"
        elif kind == "end":
            is_open = False
        elif kind in ("started", "dropped"):
            owed = False
    return is_open, owed


def settled(node, vmid):
    return fold(journal(node, vmid)) == (False, False)


def disks_are_whole(node, vmid, count=2):
    text, _, sections = node.read(node.conf_path(vmid)).partition("\n[")
    for i in range(count):
        volume = f"local:{vmid}/vm-{vmid}-disk-{i}.qcow2"
        lines = [line for line in text.splitlines() if volume in line]
        assert len(lines) == 1, f"VM {vmid}: {volume} is in {lines}"
        assert re.match(r"(scsi|sata)\d+: ", lines[0]), f"VM {vmid}: {lines[0]}"
        assert os.path.exists(node.path(f"var/lib/vz/images/{vmid}/vm-{vmid}-disk-{i}.qcow2"))
    assert not sections.startswith("PENDING]"), f"VM {vmid}: something is pending: {sections}"
    boot = re.search(r"^boot: order=(.*)$", text, re.M)[1].split(";")
    for slot in boot:
        assert re.search(rf"^{slot}: ", text, re.M), f"VM {vmid}: boot names {slot}: {text}"
    assert len(boot) == 3, f"VM {vmid}: boot is {boot}"


def at_most_one_start(node, vmid):
    made = ok_starts(node, vmid)
    assert len(made) <= 1, f"VM {vmid}: {len(made)} starts by us: {made}"


def injected(node):
    return len(read_lines(node.path("pvesim/injected.jsonl")))


def in_threads(jobs, parallel=PARALLEL):
    """Runs callables side by side; AssertionError with what all of them have to say."""
    troubles, lock = [], threading.Lock()

    def run(job):
        try:
            job()
        except Exception as why:
            with lock:
                troubles.append(str(why) if isinstance(why, AssertionError) else traceback.format_exc(limit=4))

    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        list(pool.map(run, jobs))
    assert not troubles, f"{len(troubles)} of {len(jobs)} failed:\n" + "\n".join(troubles[:8])


def say(text):
    print(f"# {text}", flush=True)


# --- a daemon that dies at an exact instant, or whose clock is wrong --------------------------------

SHIM = {}
SHIM_LOCK = threading.Lock()


def shim(**env):
    """The wrapper for start_daemon() that preloads tests/helpers/crash_shim.c."""
    with SHIM_LOCK:
        if "path" not in SHIM:
            folder = tempfile.mkdtemp(prefix="hwid-shim-", dir="/tmp")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            path = os.path.join(folder, "shim.so")
            subprocess.run([os.environ.get("CC", "gcc").split()[-1], "-shared", "-fPIC", "-O1", "-o",
                            path, os.path.join(TOP, "tests/helpers/crash_shim.c"), "-ldl"],
                           check=True)
            SHIM["path"] = path
    asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return ("env", f"LD_PRELOAD={SHIM['path']}", f"ASAN_OPTIONS={asan}",
            *(f"HWID_{key}={value}" for key, value in env.items()))
