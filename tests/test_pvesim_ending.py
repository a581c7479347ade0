#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing of a simulated node stays behind, however its end comes: in order, by SIGKILL in the midst of
starts, with the test that started it, or where there never was a server."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TESTS = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True

sys.path.insert(0, os.path.join(TESTS, "pvesim"))
import ending  # noqa: E402  (the path had to be set first)

# The simulator has a module `node`, and so have the system tests.
sys.path[0] = os.path.join(TESTS, "system")
del sys.modules["node"]
from node import PVESIM, Node, wait_for  # noqa: E402
from tap import report  # noqa: E402

VMS = (105, 106, 107)
BACKENDS = ["stub"] + ["real"] * bool(shutil.which("qemu-system-x86_64"))


@contextlib.contextmanager
def three_vms(qemu, hook=None, **more):
    with Node(qemu=qemu, **more) as node:
        if hook:
            node.write("var/lib/vz/snippets/pve-hwid", hook, 0o755)
        for vmid in VMS:
            node.vm(vmid, disks=("scsi0=1M",), hook=bool(hook))
        yield node


def ask_for_starts(node, wait=True):
    for vmid in VMS:
        status, _ = node.api("POST", f"/nodes/{node.name}/qemu/{vmid}/status/start")
        assert status == 200, f"start of VM {vmid}: {status}"
    if wait:
        wait_for("all run", lambda: len(ending.guests(node.root)) == len(VMS), 60)


def of_this_node(node):
    """Processes with ROOT in their arguments or the title of one of its tasks."""
    tasks = set(os.listdir(node.path("pvesim/tasks")))
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
            line = f.read().replace("\0", " ").strip()
            if node.root in line or line.removeprefix("task ") in tasks:
                found[int(pid)] = line
    return found


def nothing_is_left(node):
    wait_for("nothing is left", lambda: not of_this_node(node), 30)


def killed(process):
    process.kill()
    process.wait(15)


def test_server_that_ends_in_order_has_ended_its_guests():
    for qemu in BACKENDS:
        with three_vms(qemu) as node:
            ask_for_starts(node)
            node.stop_server()
            assert not ending.guests(node.root), of_this_node(node)


def test_server_that_is_killed_leaves_no_guest():
    for qemu in BACKENDS:
        with three_vms(qemu) as node:
            ask_for_starts(node)
            killed(node.server)
            nothing_is_left(node)


def test_server_that_is_killed_in_the_midst_of_starts_leaves_nothing():
    """At several instants: before, while and after workers, hooks and guests come into being."""
    hook = "#!/bin/sh\n[ $2 != pre-start ] || sleep 0.1\n"
    for instant in (0.0, 0.1, 0.2, 0.3):
        with three_vms("stub", hook) as node:
            ask_for_starts(node, wait=False)
            time.sleep(instant)
            killed(node.server)
            nothing_is_left(node)


def test_hook_that_hangs_ends_with_a_killed_server():
    with three_vms("stub", "#!/bin/sh\nexec sleep 1000.5 # $0\n") as node:
        ask_for_starts(node, wait=False)
        wait_for("hooks", lambda: len(os.listdir(node.path("pvesim/tasks"))) == len(VMS))
        killed(node.server)
        nothing_is_left(node)


def test_next_server_waits_and_its_guests_live_on():
    with three_vms("stub") as node:
        ask_for_starts(node)
        old = set(ending.guests(node.root))
        killed(node.server)
        node.start_server()
        assert not old & set(ending.guests(node.root)), "a guest of the killed server runs"
        ask_for_starts(node)
        time.sleep(0.5)         # what the old keeper could still do, it would have done
        assert len(ending.guests(node.root)) == len(VMS), of_this_node(node)


TEST_THAT_DIES = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from node import Node, wait_for
node = Node(qemu="stub")
node.vm(105, disks=("scsi0=1M",), hook=False)
node.api("POST", "/nodes/pve1/qemu/105/status/start")
wait_for("the VM", lambda: node.running(105))
print(node.root, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_test_that_is_killed_takes_server_and_guests_along():
    done = subprocess.run([sys.executable, "-c", TEST_THAT_DIES, os.path.join(TESTS, "system")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    root = done.stdout.strip()
    assert os.path.isdir(root), done.stdout
    try:
        wait_for("no guest", lambda: not ending.guests(root), 30)
        wait_for("no server", lambda: not os.path.exists(os.path.join(root, "pvesim/port")), 30)
    finally:
        shutil.rmtree(root)


def test_stop_all_ends_what_was_started_without_a_server():
    for qemu in BACKENDS:
        with three_vms(qemu, serve=False) as node:
            for vmid in VMS:
                node.qm("start", str(vmid), check=True)
            # A start that died before it could write the pid file: no one but /proc knows this guest.
            os.unlink(node.path("run/qemu-server/105.pid"))
            assert len(ending.guests(node.root)) == len(VMS)
            node.run(PVESIM, "stop-all", node.root)
            assert not of_this_node(node), of_this_node(node)


def test_stop_all_ends_nobody_elses_guests():
    with three_vms("stub") as node, three_vms("stub") as other:
        ask_for_starts(node)
        ask_for_starts(other)
        node.run(PVESIM, "stop-all", node.root)
        assert not ending.guests(node.root)
        assert len(ending.guests(other.root)) == len(VMS), of_this_node(other)


def test_failing_test_leaves_nothing():
    for serve in (True, False):
        roots = []
        with contextlib.suppress(ZeroDivisionError), three_vms("stub", serve=serve) as node:
            roots.append(node)
            node.qm("start", "105", check=True)
            assert ending.guests(node.root)
            raise ZeroDivisionError
        assert not ending.guests(roots[0].root) and not os.path.exists(roots[0].root)


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")
             and (not sys.argv[1:] or name[5:] in sys.argv[1:])]
    passed = [report(f"pvesim_ending/{name[5:]}", test) for name, test in tests]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
