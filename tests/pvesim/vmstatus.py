"""What the list of VMs and status/current tell about one VM (recordings 02*, 07*, 09a).

Numbers that a real node measures (load, traffic, disk operations) are all zero here; what a client
may decide by is real: status, pid, uptime, lock, machine type and the state that QEMU reports.
"""
import os
import re
import time

import config
import schema
import start
import tasks
import update
from node import backend

ZERO_STATS = dict.fromkeys([f"{a}_{b}" for a in ("rd", "wr", "unmap", "zone_append")
                            for b in ("bytes", "merged", "operations", "total_time_ns")]
                           + [f"{a}_{b}_operations" for a in ("failed", "invalid")
                              for b in ("rd", "wr", "unmap", "zone_append", "flush")]
                           + ["flush_operations", "flush_total_time_ns", "wr_highest_offset"], 0)
SUPPORT = {**dict.fromkeys("backup-access-api pbs-masterkey pbs-dirty-bitmap-migration "
                           "backup-fleecing pbs-dirty-bitmap pbs-dirty-bitmap-savevm "
                           "backup-max-workers "
                           "query-bitmap-info".split(), True), "pbs-library-version": "0.0 (stub)"}


def summary(node, vmid, full):
    """What the list of VMs, or with `full` status/current, tells about one VM."""
    conf = config.load(node, vmid)
    main = conf.main
    memory = int(re.match(r"(?:current=)?(\d+)", str(main.get("memory", "512")))[1]) << 20
    found = {"vmid": vmid, "name": main.get("name", f"VM {vmid}"), "status": "stopped",
             "cpus": int(main.get("sockets", 1)) * int(main.get("cores", 1)), "maxmem": memory,
             "uptime": 0, "cpu": 0, "mem": 0, "memhost": 0,
             "maxdisk": boot_disk_size(main), "disk": 0, "netin": 0, "netout": 0}
    found.update({k: main[k] for k in ("lock", "template", "tags") if k in main})
    pid = backend(node).pid(node, vmid)
    if pid:
        found.update(status="running", pid=pid, uptime=uptime(pid))
        found.update({f"pressure{a}{b}": 0 for a in ("cpu", "io", "memory")
                      for b in ("full", "some")})
    if full:
        found["qmpstatus"] = found["status"]
        if pid:
            found.update(running_details(node, vmid, main, memory))
    return found


def running_details(node, vmid, main, memory):
    module = backend(node)
    try:
        state = module.qmp(node, vmid, "query-status")["status"]
        number = module.qmp(node, vmid, "query-version")["qemu"]
    except module.QemuError:
        return {}
    disks = [slot for slot in main if schema.is_disk(slot) and not update.is_cdrom(main[slot])]
    stats = {**ZERO_STATS, "account_failed": True, "account_invalid": True, "timed_stats": []}
    return {"qmpstatus": state, "running-machine": start.running_machine(node, vmid),
            "running-qemu": f"{number['major']}.{number['minor']}.{number['micro']}",
            "diskread": 0, "diskwrite": 0, "balloon": memory, "proxmox-support": SUPPORT,
            "ballooninfo": {"actual": memory, "max_mem": memory},
            "blockstat": {slot: dict(stats) for slot in disks},
            "nics": {f"tap{vmid}i{name[3:]}": {"netin": 0, "netout": 0}
                     for name in main if schema.is_nic(name)}}


def boot_disk_size(main):
    order = re.match(r"order=(\S+)", str(main.get("boot", "")))
    first = order[1].split(";") if order else [main.get("bootdisk", "")]
    for slot in first:
        found = re.search(r"size=(\d+)([KMGT]?)", str(main.get(slot, "")))
        if found and schema.is_disk(slot):
            return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[found[2]]
    return 0


def uptime(pid):
    started = tasks.start_time(pid) or 0
    return max(0, int(time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")))
