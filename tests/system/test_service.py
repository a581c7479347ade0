#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon as a service: sd_notify, watchdog, socket activation, reload, a clean end."""
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BUILD
from tap import (Skip, at_rest, changing, checked_node, contains, equal, fingerprint, has_identity,
                 imported, lacks, run, small_fingerprint, wait_for)


class Notify:
    """A NOTIFY_SOCKET of our own."""

    def __init__(self, node):
        self.path = node.path("run/notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.05)
        self.seen = []

    def lines(self):
        try:
            while True:
                self.seen += self.socket.recv(65536).decode().splitlines()
        except TimeoutError:
            return self.seen

    def wait(self, start):
        wait_for(f"{start} is notified", lambda: any(x.startswith(start) for x in self.lines()))


def notified(node, extra=(), **settings):
    notify = Notify(node)
    node.start_daemon(wrapper=["env", f"NOTIFY_SOCKET={notify.path}", *extra], **settings)
    return notify


def reload(node, **settings):
    node.write("etc/pve-hwid/pve-hwid.conf", node.config_text(**settings))
    node.daemon.send_signal(signal.SIGHUP)


def test_ready_and_status_are_notified():
    with checked_node() as node:
        notify = notified(node)
        notify.wait("READY=1")
        notify.wait("STATUS=0 fingerprints")


def test_ready_waits_for_early_rewriting():
    """pve-guests.service is ordered after us: no VM starts before its first rewrite is done."""
    with checked_node() as node:
        from tap import faults
        for vmid in (105, 106):
            node.vm(vmid, imported(vmid))
            node.fingerprint(vmid, small_fingerprint())
        faults(node, {"method": "PUT", "path": "config", "action": "delay", "seconds": 0.7})
        notify = notified(node)
        notify.wait("STATUS=looking at all VMs")
        assert any(x.startswith("EXTEND_TIMEOUT_USEC=60") for x in notify.lines()), notify.lines()
        notify.wait("READY=1")
        for vmid in (105, 106):
            assert has_identity(node, vmid), f"ready before VM {vmid} was rewritten"
            equal(node.records(vmid)[-1:], ["end"], f"last record of VM {vmid}")


def test_ready_does_not_wait_for_vms_that_are_not_rewritten_early():
    with checked_node() as node:
        node.vm(105, imported(), hook=False)
        node.fingerprint(105, small_fingerprint())
        notified(node).wait("READY=1")
        assert not has_identity(node, 105), "it was rewritten"
        lacks(node.log_text(), "ready_patience_s", "the daemon's log")


def test_ready_comes_without_an_api_too():
    with checked_node(serve=False) as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        notify = notified(node, ready_patience_s=1)
        contains(node.log_text(), "is ready", "the daemon's log")    # it listens
        assert "READY=1" not in notify.lines(), notify.lines()
        node.daemon.send_signal(signal.SIGHUP)
        wait_for("reloaded", lambda: "read again" in node.log_text())
        notify.wait("READY=1")
        contains(node.log_text(), "ready_patience_s", "the daemon's log")
        assert not any(x.startswith("RELOADING") for x in notify.lines()), notify.lines()


def test_reload_is_notified_with_its_time():
    with checked_node() as node:
        notify = notified(node)
        notify.wait("READY=1")
        notify.lines().clear()
        before = time.monotonic() * 1e6
        node.daemon.send_signal(signal.SIGHUP)
        notify.wait("RELOADING=1")
        notify.wait("READY=1")
        stamp = [x for x in notify.lines() if x.startswith("MONOTONIC_USEC=")]
        assert stamp and int(stamp[0].split("=")[1]) >= before - 1e4, (before, stamp)


def test_end_is_notified_and_clean():
    with checked_node() as node:
        notify = notified(node)
        notify.wait("READY=1")
        equal(node.stop_daemon(), 0, "exit code")
        notify.wait("STOPPING=1")


def test_watchdog_is_fed():
    with checked_node() as node:
        # `env` execs, so its pid is the daemon's: WATCHDOG_PID is not set here on purpose.
        notify = notified(node, extra=["WATCHDOG_USEC=1000000"])
        notify.wait("WATCHDOG=1")


def test_failure_to_start_is_notified():
    with checked_node() as node:
        os.unlink(node.path("etc/pve-hwid/token"))
        notify = Notify(node)
        node.start_daemon(wait=False, wrapper=["env", f"NOTIFY_SOCKET={notify.path}"])
        equal(node.daemon.wait(15), 1, "exit code")
        node.daemon = None
        notify.wait("STATUS=")
        assert "READY=1" not in notify.lines(), notify.lines()


def test_reload_with_other_policy_takes_effect():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, fingerprint())
        node.start_daemon(early=0, on_drift="refuse")
        contains(node.qm("start", "105").stderr, "exit code 78", "start")
        reload(node, early=0, on_drift="start")
        wait_for("reloaded", lambda: "read again" in node.log_text())
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "on_drift: start", "task log")


def test_reload_switches_early_rewriting_on():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(early=0)
        at_rest(node)
        equal(changing(node), [], "requests that change something")
        reload(node, early=1)
        wait_for("the rewrite", lambda: has_identity(node, 105))


def test_reload_reads_the_token_again():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        good = node.read("etc/pve-hwid/token")
        node.write("etc/pve-hwid/token", good.split("=")[0] + "=00000000-bad\n", 0o600)
        node.start_daemon()
        wait_for("a 401", lambda: [r for r in node.requests() if r["status"] == 401])
        node.write("etc/pve-hwid/token", good, 0o600)
        node.daemon.send_signal(signal.SIGHUP)
        wait_for("the rewrite", lambda: has_identity(node, 105), 30)


def test_reload_in_the_middle_of_a_rewrite_does_not_disturb_it():
    with checked_node() as node:
        from tap import disks, faults
        node.vm(105, imported(), disks=("scsi0=64M", "scsi1=32M"))
        node.fingerprint(105, fingerprint(disks=disks(2)))
        faults(node, {"method": "PUT", "path": "config", "action": "delay", "seconds": 0.4})
        node.start_daemon()
        for _ in range(4):
            time.sleep(0.5)
            node.daemon.send_signal(signal.SIGHUP)
        wait_for("the rewrite", lambda: node.records(105)[-1:] == ["end"], 25)
        equal(node.journal(105)[-1]["outcome"], "done", "outcome")


def test_state_dir_cannot_change_by_reload():
    with checked_node() as node:
        node.start_daemon()
        reload(node, state_dir=node.path("elsewhere"))
        wait_for("a sentence", lambda: "old settings stay in force" in node.log_text())
        contains(node.log_text(), "state_dir", "the daemon's log")


def test_socket_activation_by_fd():
    with checked_node() as node:
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(node.path("run/pve-hwid/socket"))
        listener.listen()
        node.write("etc/pve-hwid/pve-hwid.conf", node.config_text())
        shell = 'exec 3<&"$0"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        with open(node.daemon_log, "w", encoding="utf-8") as log:
            node.daemon = subprocess.Popen(
                ["/bin/bash", "-c", shell, str(listener.fileno()),
                 os.path.join(BUILD, "pve-hwidd"), "--config",
                 node.path("etc/pve-hwid/pve-hwid.conf"), "--socket", "/nonexistent/socket"],
                pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        listener.close()
        wait_for("the daemon is ready", lambda: "is ready" in node.log_text())
        equal(node.hwid("list").returncode, 0, "list")
        wait_for("the rewrite", lambda: has_identity(node, 105))
        node.stop_daemon()
        assert os.path.exists(node.path("run/pve-hwid/socket")), "systemd's socket was removed"


def test_socket_activation_by_systemd():
    with checked_node() as node:
        tool = "/usr/bin/systemd-socket-activate"
        if not os.path.exists(tool):
            raise Skip("no systemd-socket-activate here")
        node.write("etc/pve-hwid/pve-hwid.conf", node.config_text())
        with open(node.daemon_log, "w", encoding="utf-8") as log:
            node.daemon = subprocess.Popen(
                [tool, "-l", node.path("run/pve-hwid/socket"), os.path.join(BUILD, "pve-hwidd"),
                 "--config", node.path("etc/pve-hwid/pve-hwid.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        # It is bound before it is listened at.
        wait_for("an answer", lambda: node.hwid("list").returncode == 0)
        contains(node.log_text(), "is ready", "the daemon's log")


def test_varlink_introspection():
    with checked_node() as node:
        import json
        node.start_daemon()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(node.path("run/pve-hwid/socket"))
            client.sendall(b'{"method":"org.varlink.service.GetInfo"}\0')
            data = b""
            while not data.endswith(b"\0"):
                data += client.recv(65536)
        info = json.loads(data[:-1])["parameters"]
        contains(info["interfaces"], "io.pvehwid", "interfaces")


def test_clients_that_misbehave_harm_nobody():
    with checked_node() as node:
        node.start_daemon()
        clients = []
        for garbage in (b"", b"\0\0\0", b"{" * 100000, b'{"method":5}\0', b"x" * (3 << 20),
                        b'{"method":"io.pvehwid.Hook","parameters":{"vmid":"x"}}\0',
                        b'{"method":"io.pvehwid.Log","parameters":{"vmid":-1}}\0'):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(2)
            client.connect(node.path("run/pve-hwid/socket"))
            try:
                client.sendall(garbage)
            except OSError:
                pass
            clients.append(client)
        equal(node.hwid("list").returncode, 0, "list")
        for client in clients:
            client.close()


if __name__ == "__main__":
    run(globals(), "service")
