# SPDX-License-Identifier: GPL-3.0-or-later
"""A node on which nobody has set up anything yet, and root's commands on it.

`pveum`, `pvesm`, `pvesh` and `qm` are those of the simulator (tests/pvesim/cli.py), found by PATH. The
program lies where an installation has it, so that `setup` finds the hook beside it; that hook is told
its root, as install_hook() does it, because here it is not the root directory.
"""
import contextlib
import json
import os
import shutil

from node import BUILD, PVESIM, TOP
from tap import checked_node

# What the installer of PVE 9 writes.
STORAGES = ("dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup,images\n\n"
            "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n")


@contextlib.contextmanager
def bare_node(**more):
    with checked_node(**more) as node:
        for rel in ("etc/pve-hwid/token", "var/lib/vz/snippets/pve-hwid", "pvesim/access.json"):
            os.unlink(node.path(rel))
        for rel in ("etc/pve/pve-hwid", "etc/pve-hwid/fingerprints"):
            os.rmdir(node.path(rel))
        node.write("etc/pve/storage.cfg", STORAGES)
        for rel in ("usr/bin", "usr/libexec/pve-hwid"):
            os.makedirs(node.path(rel))
        shutil.copy(os.path.join(BUILD, "pve-hwid"), node.path("usr/bin/pve-hwid"))
        hook = os.path.join(BUILD, "pve-hwid-hook")
        node.write("usr/libexec/pve-hwid/pve-hwid-hook",
                   f'#!/bin/sh\nexec {hook} --root {node.root} "$@"\n', 0o755)
        configure(node)
        yield node


def configure(on, **more):
    on.write("etc/pve-hwid/pve-hwid.conf", on.config_text(**more))


def environment(node, verb=None):
    bin_dir = os.path.join(TOP, "tests", "pvesim", "bin")
    # `setup` makes itself undumpable, since it sees a secret, and a leak checker cannot attach then.
    asan = os.environ.get("ASAN_OPTIONS", "") + (":detect_leaks=0" if verb == "setup" else "")
    return {**os.environ, "PATH": f"{bin_dir}:/usr/sbin:/usr/bin:/sbin:/bin", "PVESIM_ROOT": node.root,
            "ASAN_OPTIONS": asan}


def tool(node, *argv, check=True):
    """One of PVE's commands as root types it."""
    return node.run(*argv, env=environment(node), check=check)


def tool_json(node, *argv):
    return json.loads(tool(node, *argv, "--output-format", "json").stdout)


def root(node, verb, *argv, check=False):
    """One of our commands as root types it."""
    more = ["--socket", node.path("run/pve-hwid/socket")] if verb in ("attach", "doctor") else []
    return node.run(node.path("usr/bin/pve-hwid"), verb, "--root", node.root, *more, *argv,
                    env=environment(node, verb), check=check, timeout=120)


def root_json(node, verb, *argv):
    result = root(node, verb, *argv, "--json")
    return json.loads(result.stdout), result.returncode


def setup(node, *argv, check=True):
    return root(node, "setup", "--no-start", *argv, check=check)


def findings(node, *ids):
    """doctor's findings that are not ok, but for the clock of this machine: {id: [finding]}."""
    answer, _ = root_json(node, "doctor")
    found = {}
    for finding in answer["findings"]:
        if finding["severity"] != "ok" and finding["id"] != "clock":
            found.setdefault(finding["id"], []).append(finding)
    return found


def join(node, name, *options, hook=False):
    node.run(PVESIM, "join", node.root, name, *options)
    if hook:
        node.write(f"pvesim/others/{name}/pve-hwid", "hook\n")
