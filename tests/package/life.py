# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stages of the package's life share (inside.py): the node that `/` is, commands, and what is asked
of systemd, dpkg and the journal."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))

from node import Node, wait_for  # noqa: E402  (the path had to be set first)
from tap import equal, has_identity  # noqa: E402

COPY = "/var/lib/vz/snippets/pve-hwid"
HOOK = "/usr/libexec/pve-hwid/pve-hwid-hook"
STUB = "/usr/libexec/pve-hwid/removed-hook"
STEPS = {"arrive": [], "live": [], "boot": [], "upkeep": [], "leave": []}
OLD_DEB, NEW_DEB = (sys.argv[2:4] + [None, None])[:2]
SLOW = 4        # seconds; told, since all of this is waited for


def step(stage):
    def add(function):
        STEPS[stage].append(function)
        return function
    return add


class Installed(Node):
    """node.py's view of a node, with the package's own places and nothing to start or to throw away."""

    def __init__(self):     # pylint: disable=super-init-not-called
        self.name, self.root, self.daemon, self.server = "pve1", "/", None, None

    def hwid(self, *argv, check=False, timeout=90):
        return self.run("pve-hwid", *argv, check=check, timeout=timeout)


NODE = Installed()


def sh(*argv, check=True, timeout=180):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=timeout, check=False,
                          env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout}")
    return done.stdout


def apt(*argv):
    return sh("apt-get", "-y", "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0",
              "-o", "Dpkg::Options::=--force-confold", *argv)      # nobody answers: our settings stay


def show(prop, unit="pve-hwidd.service"):
    return sh("systemctl", "show", "-P", prop, unit).strip()


def is_active(unit="pve-hwidd.service"):
    return show("ActiveState", unit)


def failed_units():
    """Of ours: a container has some of its own, without a kernel to load modules into."""
    return re.findall(r"pve-[\w.-]+", sh("systemctl", "--failed", "--no-legend", "--plain"))


def journal(*match):
    lines = sh("journalctl", "-o", "json", "--no-pager", *match, check=False).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def message_id(name):
    with open(os.path.join(HERE, "..", "..", "daemon", "message_ids.h"), encoding="ascii") as f:
        return re.search(rf'MESSAGE_{name}\s+"(\w+)"', f.read()).group(1)


def put_hook():
    shutil.copy(HOOK, COPY)
    os.chmod(COPY, 0o755)


def access():
    """(users, roles of ours) that the simulated PVE has."""
    found = json.loads(NODE.read("pvesim/access.json"))
    return sorted(found["users"]), sorted(r for r in found["roles"] if r.startswith("Hwid"))


def attach(vmid):
    done = NODE.hwid("attach", str(vmid))
    equal((done.returncode, done.stdout[:12]), (0, f"VM {vmid}: done"), f"attach: {done.stdout}{done.stderr}")
    equal(NODE.conf(vmid)["hookscript"], "local:snippets/pve-hwid", f"hookscript of VM {vmid}")


def bytes_of(path):
    with open(path, "rb") as f:
        return f.read()


def settings(text):
    NODE.write("etc/pve-hwid/pve-hwid.conf", text)
    since = time.time()
    sh("systemctl", "reload", "pve-hwidd.service")
    wait_for("the settings are read again", lambda: [
        m for m in journal("MESSAGE_ID=" + message_id("SETTINGS_RELOADED"))
        if int(m["__REALTIME_TIMESTAMP"]) / 1e6 >= since - 1])


def is_in_sync(vmid):
    return has_identity(NODE, vmid) and NODE.records(vmid)[-1:] == ["end"]
