# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system tests share: the TAP lines, a node that is judged when a test is done with it, and
one VM as an import from VMware leaves it, with the fingerprint it must become.

A test is a function test_* without arguments; it raises to fail, Skip where it cannot run here.
`checked_node()` is how a test gets its node: whatever the test looked at, afterwards the simulator must
have seen nothing forbidden (force, an image attached twice, disks or NICs of a running VM changed),
the daemon must still be alive, and no sanitizer must have said anything.
"""
import base64
import concurrent.futures
import contextlib
import os
import re
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from node import (BUILD, MAC, SERIAL, UUID, Node, machine_of, read_lines,  # noqa: E402  (the path had to be set first)
                  wait_for)

# Leaks and undefined behaviour end a program with a code of their own, so that a test fails.
os.environ.setdefault("ASAN_OPTIONS", "exitcode=99")
os.environ.setdefault("UBSAN_OPTIONS", "halt_on_error=1:exitcode=99:print_stacktrace=1")

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:")

# VM 105, as an import that takes the text for the bytes writes it.
UUID_RFC = "564d1a9b-0011-2233-4455-66778899aabb"


# What a hook may take as it is seen from outside, in seconds: the two that it has, and what a busy
# machine needs to start programs. That the two are kept exactly is for tests/test_hook; what the system
# tests hold back would take longer than this.
HOOK_LIMIT = 5.0


class Skip(Exception):
    """The reason why a test cannot run here."""


def fingerprint(**more):
    """What the VM was on VMware; more=None takes a part away."""
    value = {
        "format": 1,
        "source": {"kind": "vmx", "name": "VMWS2019", "hardware_version": 19},
        "smbios": {"uuid": UUID, "manufacturer": "VMware, Inc.", "product": "VMware7,1",
                   "version": "None", "serial": SERIAL},
        "machine": {"type": "q35", "min_version": "8.2"},
        "nics": [{"model": "vmxnet3", "mac": MAC}],
        "disks": [{"controller": "lsisas1068", "bus": 0, "unit": 0}],
    }
    value.update(more)
    return {key: part for key, part in value.items() if part is not None}


def disks(count, controller="lsisas1068"):
    return [{"controller": controller, "bus": 0, "unit": i} for i in range(count)]


# Only the identity: quick to rewrite, no disk moves.
def small_fingerprint(**more):
    return fingerprint(nics=None, disks=None, machine=None, **more)


def imported(vmid=105, **more):
    """The lines of the configuration as an import leaves them."""
    return {"machine": "pc", "scsihw": "virtio-scsi-pci", "smbios1": f"uuid={UUID_RFC}",
            "net0": f"virtio=BC:24:11:00:{vmid // 256:02X}:{vmid % 256:02X},bridge=vmbr0", **more}


def smbios(text):
    """smbios1 as a dict, decoded."""
    found = dict(part.split("=", 1) for part in text.split(","))
    if found.pop("base64", "0") == "1":
        for key in found:
            if key != "uuid":
                found[key] = base64.b64decode(found[key]).decode()
    return found


def equal(found, expected, what):
    assert found == expected, f"{what}: {found!r} instead of {expected!r}"


def contains(text, part, what):
    assert part in text, f"{what} lacks {part!r}: {text!r}"


def lacks(text, part, what):
    assert part not in text, f"{what} has {part!r}: {text!r}"


def differs_no_more(node, vmid):
    """The VM's file is as fingerprint() says."""
    conf = node.conf(vmid)
    found = smbios(conf["smbios1"])
    uuid, serial, mac = machine_of(vmid)
    equal((found["uuid"], found.get("serial")), (uuid, serial), "identity")
    assert re.match(r"pc-q35-(9\.\d|1\d\.\d)", conf["machine"]), f"machine: {conf['machine']}"
    contains(conf["net0"].lower(), f"vmxnet3={mac}", "net0")
    assert "sata0" in conf and "scsi0" not in conf, f"disks: {sorted(conf)}"
    return conf


def has_identity(node, vmid):
    return smbios(node.conf(vmid)["smbios1"]).get("uuid") == machine_of(vmid)[0]


def changing(node, vmid=None):
    """The requests that change something, in order of their arrival."""
    found = [r for r in node.requests() if r["method"] != "GET" and
             (vmid is None or f"/qemu/{vmid}/" in r["path"])]
    return sorted(found, key=lambda r: r["t_start"])


def puts(node, vmid=None):
    return [r["form"] for r in changing(node, vmid) if r["method"] == "PUT"]


def starts_by_us(node, vmid):
    """Start tasks in the name of the daemon's token: setup calls it daemon-NODE."""
    return [t for t in os.listdir(node.path("pvesim/tasks"))
            if f":qmstart:{vmid}:pve-hwid@pve!daemon" in t]


def start_tasks(node, vmid):
    return [t for t in os.listdir(node.path("pvesim/tasks")) if f":qmstart:{vmid}:" in t]


def at_rest(node, seconds=1.0):
    """No new request for so long."""
    def quiet():
        before = len(node.requests())
        time.sleep(seconds)
        return len(node.requests()) == before
    wait_for("no more requests", quiet, 20)


def faults(node, *rules):
    import json
    node.write("pvesim/faults.json", json.dumps(list(rules)))


class Gate:
    """A request that hangs until the test lets it go: what has to come before its answer comes before
    it, however slow the machine is. `rule` is what a fault says; Gates count from 1 in each node.

        gate = Gate(node, method="PUT", path="/105/config", nth=3)
        faults(node, gate.rule)
        ...; gate.reached(); ...; gate.open()

    One that is not opened keeps its request for good: to the daemon it is lost on its way."""

    def __init__(self, node, **rule):
        self.node, self.name = node, f"gate-{len(node.gates) + 1}"
        node.gates.append(self.name)
        self.rule = {"token": "daemon$", "action": "hang", "until": self.name, **rule}

    def reached(self, limit=30):
        wait_for(f"a request that hangs: {self.rule}", lambda: any(
            i["until"] == self.name for i in read_lines(self.node.path("pvesim/injected.jsonl"))), limit,
            every=0.005)

    def open(self):
        self.node.write(f"pvesim/{self.name}", "")


def gate(node, **rule):
    """One Gate and no other fault."""
    made = Gate(node, **rule)
    faults(node, made.rule)
    return made


class WaitingSnippet:
    """Somebody's hookscript local:snippets/NAME, which stays in pre-start until the test lets it go."""

    def __init__(self, node, name):
        self.there, self.go = node.path(f"{name}.there"), node.path(f"{name}.go")
        node.write(f"var/lib/vz/snippets/{name}", f"""#!/bin/sh
[ "$2" = pre-start ] || exit 0
: >{self.there}
n=0
until [ -e {self.go} ] || [ $n = 600 ]; do n=$((n + 1)); sleep 0.05; done
""", 0o755)

    def reached(self):
        wait_for("the hookscript is run", lambda: os.path.exists(self.there), 30)

    def open(self):
        with open(self.go, "w", encoding="ascii"):
            pass


def all_logs(node):
    text = ""
    for name in sorted(os.listdir(node.root)):
        if name.startswith("daemon.log"):
            with open(node.path(name), encoding="utf-8", errors="replace") as f:
                text += f.read()
    return text


@contextlib.contextmanager
def checked_node(daemon_may_end=False, **more):
    with Node(**more) as node:
        yield node
        equal(node.violations(), [], "violations")
        if node.daemon is not None:
            if not daemon_may_end:
                assert node.daemon.poll() is None, f"the daemon ended: {node.daemon.returncode}"
                equal(node.stop_daemon(), 0, "exit code of the daemon")
            else:
                node.stop_daemon()
        found = SANITIZER.search(all_logs(node))
        assert not found, "a sanitizer spoke:\n" + all_logs(node)[-4000:]


def report(label, test):
    """Runs one test and prints its line; False where it failed."""
    try:
        test()
        print(f"ok {label}", flush=True)
    except Skip as why:
        print(f"ok {label} # SKIP {why}", flush=True)
    except Exception as why:   # one broken test must not hide the others
        lines = str(why).splitlines() or [type(why).__name__]
        lines += traceback.format_exc().splitlines()[1:]
        print(f"not ok {label} - " + "\n    # ".join(lines), flush=True)
        return False
    return True


def run(namespace, prefix, parallel=1):
    """Runs every test_* in the order of the file (or those named in argv), `parallel` side by side;
    exits."""
    wanted = sys.argv[1:]
    if not os.path.exists(os.path.join(BUILD, "pve-hwidd")):
        print(f"not ok {prefix} - there is no {BUILD}/pve-hwidd: make it first")
        sys.exit(1)
    tests = [(f"{prefix}/{name[5:]}", test) for name, test in namespace.items()
             if name.startswith("test_") and (not wanted or name[5:] in wanted or name in wanted)]
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        passed = list(pool.map(lambda item: report(*item), tests))
    sys.exit(0 if all(passed) else 1)
