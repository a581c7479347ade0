# SPDX-License-Identifier: GPL-3.0-or-later
"""The QEMU process of a simulated VM: start, ask, stop.

Purpose: the rest of the simulator only knows these verbs.  What QEMU is given is decided in qemu_argv.py,
whose names that others need are passed on here.  State is what the kernel and the pid file say, nothing is kept
in memory: every task of the simulator may be a process of its own.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

from qemu_argv import (BINARY, QemuError, available, command, firmware_template, machines, pid_path, qmp_path,
                       version)

__all__ = ["QemuError", "available", "command", "kill", "machines", "pid", "powerdown", "qmp", "reset", "start",
           "stop", "version"]

START_TIMEOUT = 60      # seconds; building the devices takes well below one on an idle machine
QMP_TIMEOUT = 10        # seconds for one QMP exchange
SOCKET_PATH_MAX = 107   # sun_path of Linux without the final NUL


def _prepare(node, vmid, conf):
    for directory in ("run/qemu-server", "var/log/pvesim"):
        os.makedirs(node.path(directory), exist_ok=True)
    longest = node.path(f"run/qemu-server/{vmid}.serial0")
    if len(os.fsencode(longest)) > SOCKET_PATH_MAX:
        raise QemuError(f"the simulator's root is too deep for a unix socket: {longest}")
    _forget(node, vmid)
    if conf.get("bios") == "ovmf":
        template = firmware_template(conf)[1]
        own = node.path(f"run/qemu-server/{vmid}.efivars.fd")
        # The variables of a VM with an efidisk outlive a stop, those of one without do not.
        keep = "efidisk0" in conf and os.path.exists(own) and os.path.getsize(own) == os.path.getsize(template)
        if not keep:
            shutil.copyfile(template, own)


def _forget(node, vmid):
    """Removes what a QEMU that did not end by itself leaves behind."""
    for suffix in ("pid", "qmp", "serial0", "serial1", "serial2", "serial3"):
        try:
            os.unlink(node.path(f"run/qemu-server/{vmid}.{suffix}"))
        except FileNotFoundError:
            pass


def start(node, vmid, conf):
    """Starts the VM and returns the pid of its QEMU, once QMP listens."""
    if pid(node, vmid) is not None:
        raise QemuError(f"VM {vmid} already running")
    argv = command(node, vmid, conf)
    _prepare(node, vmid, conf)
    messages = node.path(f"var/log/pvesim/{vmid}.qemu.log")
    with open(messages, "wb") as log:
        try:
            # A file, not a pipe: the daemon's own copy of a pipe could keep us waiting for its end.
            code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=node.root,
                                  env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                                  timeout=START_TIMEOUT, check=False).returncode
        except OSError as e:
            raise QemuError(f"cannot run {BINARY}: {e}") from e
        except subprocess.TimeoutExpired as e:
            raise QemuError("start failed: QEMU did not get ready in time") from e
    running = pid(node, vmid)
    if code != 0 or running is None:
        with open(messages, encoding="utf-8", errors="replace") as log:
            raise QemuError(f"start failed: QEMU exited with code {code}", log.read().splitlines())
    return running


def pid(node, vmid):
    """The pid of the VM's QEMU, None when it does not run.  A reused pid does not fool it."""
    path = pid_path(node, vmid)
    try:
        with open(path, encoding="ascii") as f:
            number = int(f.read())
        with open(f"/proc/{number}/cmdline", "rb") as f:
            argv = f.read().split(b"\0")
        with open(f"/proc/{number}/stat", "rb") as f:
            state = f.read().rpartition(b")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return None
    return number if os.fsencode(path) in argv and state not in (b"Z", b"X") else None


def qmp(node, vmid, execute, **arguments):
    """One QMP command to the VM's QEMU; its `return` value, QemuError when it answers with an error."""
    request = {"execute": execute, **({"arguments": arguments} if arguments else {})}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(QMP_TIMEOUT)
        try:
            s.connect(qmp_path(node, vmid))
            with s.makefile("rwb") as stream:
                json.loads(stream.readline())   # the greeting
                for command_ in ({"execute": "qmp_capabilities"}, request):
                    stream.write(json.dumps(command_).encode() + b"\n")
                    stream.flush()
                    answer = _qmp_answer(stream)
        except (OSError, ValueError) as e:
            raise QemuError(f"VM {vmid} qmp command '{execute}' failed - {e}") from e
    if "error" in answer:
        raise QemuError(f"VM {vmid} qmp command '{execute}' failed - {answer['error'].get('desc')}")
    return answer["return"]


def _qmp_answer(stream):
    while True:
        message = json.loads(stream.readline())   # ValueError at the end of the stream
        if "event" not in message:
            return message


def _wait_gone(node, vmid, seconds):
    deadline = time.monotonic() + seconds
    while pid(node, vmid) is not None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def stop(node, vmid, timeout=10):
    """Ends the VM hard, as `qm stop` does: asks QEMU to quit, then SIGTERM, then SIGKILL."""
    if pid(node, vmid) is not None:
        try:
            qmp(node, vmid, "quit")
        except QemuError:
            pass   # it may close the connection before the answer; the signals below decide
        if not _wait_gone(node, vmid, timeout):
            _signal(node, vmid, signal.SIGTERM)
            if not _wait_gone(node, vmid, timeout):
                _signal(node, vmid, signal.SIGKILL)
                _wait_gone(node, vmid, timeout)
    _forget(node, vmid)


def powerdown(node, vmid):
    """Presses the ACPI power button; the guest may take its time or ignore it, pid() tells when it is gone."""
    qmp(node, vmid, "system_powerdown")


def reset(node, vmid):
    """The reset button: same process, same hardware."""
    qmp(node, vmid, "system_reset")


def kill(node, vmid):
    """SIGKILL, as when the host kills QEMU."""
    _signal(node, vmid, signal.SIGKILL)
    _wait_gone(node, vmid, 5)
    _forget(node, vmid)


def _signal(node, vmid, number):
    running = pid(node, vmid)
    if running is not None:
        try:
            os.kill(running, number)
        except ProcessLookupError:
            pass
