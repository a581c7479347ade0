#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon is dead, hangs or talks nonsense: the hook decides alone, within two seconds."""
import os
import signal
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import (HOOK_LIMIT, at_rest, changing, checked_node, contains, equal, fingerprint, gate, imported,
                 lacks, run, wait_for)


def in_sync(node):
    node.vm(105, imported())
    node.fingerprint(105, fingerprint())
    node.start_daemon()
    wait_for("the rewrite", lambda: node.records(105)[-1:] == ["end"])


def hook_time(node):
    call = [c for c in node.hook_calls() if c["phase"] == "pre-start"][-1]
    return call["t_end"] - call["t_start"]


def test_in_sync_starts_with_a_killed_daemon():
    with checked_node() as node:
        in_sync(node)
        node.stop_daemon(signal.SIGKILL)
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "hardware as its fingerprint says (checked by the hook alone",
                 "task log")
        lacks(task.stdout, "WARNING", "task log")


def test_differing_starts_loudly_without_a_daemon():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "WARNING: no answer from pve-hwidd", "task log")
        contains(task.stdout, "smbios1, machine, net0, scsi0 -> sata0", "task log")
        contains(task.stdout, "systemctl start pve-hwidd", "task log")


def test_on_error_refuse_refuses_without_a_daemon():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint(policy={"on_error": "refuse"}))
        task = node.qm("start", "105")
        contains(task.stderr, "exit code 78", "error of the task")
        contains(task.stdout, "REFUSED", "task log")


def test_on_error_refuse_of_the_settings_refuses_too():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.write("etc/pve-hwid/pve-hwid.conf", "on_error: refuse\n")
        task = node.qm("start", "105")
        contains(task.stderr, "exit code 78", "error of the task")


def test_bad_fingerprint_starts_loudly_without_a_daemon():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, "[]")
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "cannot be checked", "task log")


def test_guards_hold_without_a_daemon():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint(policy={"on_drift": "refuse", "on_error": "refuse"}))
        from node import PVESIM
        task = node.run(PVESIM, "vzdump", node.root, "105", check=False)
        contains(task.stdout, "finished successfully", "task log")
        contains(task.stdout, "vzdump (backup)", "task log")


def test_stopped_daemon_process_costs_less_than_two_seconds():
    """SIGSTOP: it accepts (the kernel does) and never answers."""
    with checked_node() as node:
        in_sync(node)
        node.daemon.send_signal(signal.SIGSTOP)
        try:
            task = node.qm("start", "105")
        finally:
            node.daemon.send_signal(signal.SIGCONT)
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "checked by the hook alone", "task log")
        assert hook_time(node) < HOOK_LIMIT, f"the hook took {hook_time(node):.2f} s"


def test_daemon_that_talks_nonsense():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(node.path("run/pve-hwid/socket"))
        listener.listen()

        def nonsense():
            with listener.accept()[0] as client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n\0")
        threading.Thread(target=nonsense, daemon=True).start()
        task = node.qm("start", "105")
        listener.close()
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "WARNING: no answer from pve-hwidd", "task log")


def test_daemon_that_comes_back_rewrites_after_the_stop():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        equal(node.qm("start", "105").returncode, 0, "start")
        node.start_daemon()
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        node.qm("stop", "105", check=True)
        wait_for("the rewrite", lambda: "end" in node.records(105))


def test_term_during_a_check_lets_the_start_go():
    """The daemon is stopped while a hook waits for PVE's answer."""
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0)
        privileges = gate(node, path="permissions")
        result = []
        thread = threading.Thread(target=lambda: result.append(node.qm("start", "105")))
        thread.start()
        privileges.reached()
        node.stop_daemon()
        thread.join(30)
        equal(result[0].returncode, 0, f"start: {result[0].stdout}{result[0].stderr}")


if __name__ == "__main__":
    run(globals(), "dead")
