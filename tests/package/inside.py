#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of the package on one node, from apt install to purge: run as root INSIDE a Debian with a real
systemd that may be thrown away afterwards. `/` is the simulator's node, the API is on port 8006, the units
and paths are the package's own.

    inside.py STAGE [OLD.deb NEW.deb]     STAGE: arrive, live, boot, upkeep, leave

Prints TAP lines; the next stage goes on where the one before ended (between live and boot the machine is
booted). Where something cannot be had no test passes: it fails.
"""
import os
import shutil
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
sys.path.insert(0, HERE)

import stage_arrive  # noqa: E402,F401  (the path had to be set first; each adds its steps)
import stage_live  # noqa: E402,F401
import stage_upkeep  # noqa: E402,F401
import stage_leave  # noqa: E402,F401
from admin import STORAGES  # noqa: E402
from life import COPY, NODE, SLOW, STEPS, sh  # noqa: E402
from node import PVESIM  # noqa: E402


def prepare():
    """The node, once, as PVE's installer leaves it; its commands where it has them."""
    if not os.path.exists("/pvesim/settings.json"):
        sh(PVESIM, "init", "/", "--node", "pve1", "--qemu", "stub")
        NODE.write("etc/pve/storage.cfg", STORAGES)
        for rel in ("/pvesim/access.json", COPY):
            if os.path.exists(rel):
                os.unlink(rel)
        shutil.rmtree("/etc/pve/pve-hwid", ignore_errors=True)
        for command in ("usr/sbin/qm", "usr/sbin/pveum", "usr/sbin/pvesm", "usr/bin/pvesh"):
            NODE.write(command, f"#!/bin/sh\nPVESIM_ROOT=/ exec {os.path.dirname(PVESIM)}/bin/"
                                f"{os.path.basename(command)} \"$@\"\n", 0o755)
        for unit in os.listdir(os.path.join(HERE, "units")):
            shutil.copy(os.path.join(HERE, "units", unit), "/etc/systemd/system")
        sh("systemctl", "daemon-reload")
        sh("systemctl", "enable", "--now", "pvedaemon.service", "pveproxy.service")


def main():
    prepare()
    failed = 0
    for function in STEPS[sys.argv[1]]:
        name, began = function.__name__.replace("_", " "), time.monotonic()
        try:
            function()
            print(f"ok {name}", flush=True)
            if time.monotonic() - began > SLOW:
                print(f"# took {time.monotonic() - began:.0f} s", flush=True)
        except Exception as why:    # pylint: disable=broad-except  (the others are told all the same)
            failed = 1
            print(f"not ok {name} - {' '.join(str(why).split())[-1500:]}")
            print("".join(f"    # {line}\n" for line in traceback.format_exc().splitlines()[-6:]), flush=True)
    if failed:
        out = sh("journalctl", "--no-pager", "-u", "pve-hwidd.service", "-u", "pve-hwidd.socket", "-n", "30",
                 check=False)
        print("".join(f"    # {line}\n" for line in out.splitlines()), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
