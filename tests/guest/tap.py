# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two tests of the simulator's QEMU share: a node to start VMs on, and the TAP lines.

A test is a function that raises AssertionError (or anything else) when it fails and Skip when it cannot run
here.  The node is a directory of its own below a short path, since unix sockets are limited to 107 bytes.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import traceback

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "pvesim"))

import qemu  # noqa: E402  (the path had to be set first)

IDENTITY = ("uuid=9b1a4d56-1100-3322-4455-66778899aabb,manufacturer=Vk13YXJlLCBJbmMu,product=Vk13YXJlNywx,"
            "version=Tm9uZQ==,serial=Vk13YXJlLTU2IDRkIDFhIDliIDAwIDExIDIyIDMz,base64=1")
SERIAL = "VMware-56 4d 1a 9b 00 11 22 33"
UUID = "9b1a4d56-1100-3322-4455-66778899aabb"


class Skip(Exception):
    """The reason why a test cannot run here."""


class Node:
    """As much of a PVE node as qemu.py asks for."""

    name = "lab"

    def __init__(self, root):
        self.root = root

    def path(self, rel):
        return os.path.join(self.root, rel)

    def volume_path(self, volid):
        path = self.path("images/" + volid.rpartition("/")[2])
        if not os.path.exists(path):
            raise FileNotFoundError(f"volume '{volid}' does not exist")
        return path

    def add_disk(self, name, marker, size=16 << 20):
        """A raw image whose first sector says which one it is; returns its volume id."""
        path = self.path("images/" + name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.truncate(size)
            f.write(marker.encode() + b"\n")
        return "local:105/" + name


@contextlib.contextmanager
def temporary_node():
    root = tempfile.mkdtemp(prefix="hwid-")
    try:
        yield Node(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def running(node, vmid, conf):
    """A VM for the time of a `with`, which never outlives it."""
    try:
        yield qemu.start(node, vmid, conf)
    except qemu.QemuError as e:
        raise AssertionError(" / ".join([str(e)] + e.output)) from e
    finally:
        qemu.kill(node, vmid)


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: {found!r} instead of {expected!r}")


def run(cases, setup=None):
    """Runs (name, function) pairs, prints one TAP line each, returns the exit code."""
    failed = 0
    for name, function in cases:
        try:
            if setup:
                setup()
            function()
            print(f"ok {name}", flush=True)
        except Skip as e:
            print(f"ok {name} # SKIP {e}", flush=True)
        except Exception as e:   # whatever it is: one broken test must not hide the others
            failed += 1
            print(f"not ok {name} - {type(e).__name__}: {' '.join(str(e).split())}", flush=True)
            if not isinstance(e, AssertionError):
                traceback.print_exc(file=sys.stderr)
    return 1 if failed else 0
