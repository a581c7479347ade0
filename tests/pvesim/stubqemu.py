#!/usr/bin/python3
"""A stand-in for QEMU with the interface of qemu.py: a process with a pid file and a QMP socket.

For machines without QEMU, for fast tests, and for a guest that obeys the power button (setting
`stub_obeys`). It sees no hardware: what a guest would see needs qemu.py.
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

VERSION = (10, 0, 2)


class QemuError(Exception):
    def __init__(self, message, output=()):
        super().__init__(message)
        self.output = list(output)


def _number(text):
    return tuple(int(n) for n in text.split("+")[0].split("-")[-1].split("."))


def _machine(node, conf):
    """The full machine type; QemuError for one that a QEMU of this version would not have."""
    kind = str(conf.get("machine", "pc")).split(",")[0].removeprefix("type=").strip() or "pc"
    if kind in ("pc", "q35"):
        return f"pc-{'q35' if kind == 'q35' else 'i440fx'}-10.0"
    if "-" in kind and _number(kind) > VERSION:
        shown = kind if "+pve" in kind else kind + "+pve0"
        raise QemuError(f"Installed QEMU version '{version()}' is too old to run machine type "
                        f"'{shown}', please upgrade node '{node.name}'")
    return kind.split("+")[0]


def version():
    return ".".join(str(n) for n in VERSION)


def available():
    return True


def command(node, vmid, conf):
    return [sys.executable, "-SE", os.path.abspath(__file__), node.root, str(vmid),
            "stopped" if conf.get("freeze") else "run",
            "obeys" if node.settings()["stub_obeys"] else "deaf", _machine(node, conf)]


def machines():
    found = []
    for number in ("10.0", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0", "7.2", "6.2", "5.2"):
        for kind in ("i440fx", "q35"):
            found.append({"id": f"pc-{kind}-{number}", "type": kind, "version": number})
    return found


def start(node, vmid, conf):
    argv = command(node, vmid, conf)
    node.check_socket_paths()
    ready, far = os.pipe()
    subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=far, stderr=subprocess.DEVNULL,
                     start_new_session=True, cwd="/")
    os.close(far)
    with os.fdopen(ready, "rb") as f:
        f.read()
    running = pid(node, vmid)
    if not running:
        raise QemuError("start failed: the QEMU stub ended early")
    return running


def pid(node, vmid):
    try:
        with open(node.run_file(vmid, "pid"), encoding="ascii") as f:
            number = int(f.read())
        with open(f"/proc/{number}/cmdline", "rb") as f:
            argv = f.read().split(b"\0")
        with open(f"/proc/{number}/stat", "rb") as f:
            state = f.read().rpartition(b")")[2].split()[0]
    except (OSError, ValueError):
        return None
    return number if os.fsencode(node.root) in argv and state not in (b"Z", b"X") else None


def qmp(node, vmid, execute, **arguments):
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(10)
            s.connect(node.run_file(vmid, "qmp"))
            with s.makefile("rwb") as stream:
                stream.readline()
                for name, args in (("qmp_capabilities", {}), (execute, arguments)):
                    stream.write(json.dumps({"execute": name, "arguments": args}).encode() + b"\n")
                    stream.flush()
                    answer = json.loads(stream.readline())
    except (OSError, ValueError) as e:
        raise QemuError(f"VM {vmid} qmp command '{execute}' failed - {e}") from e
    if "error" in answer:
        raise QemuError(f"VM {vmid} qmp command '{execute}' failed - {answer['error']['desc']}")
    return answer["return"]


def stop(node, vmid, timeout=10):
    _end(node, vmid, signal.SIGTERM, timeout)


def kill(node, vmid):
    _end(node, vmid, signal.SIGKILL, 5)


def _end(node, vmid, number, timeout):
    deadline = time.monotonic() + timeout
    if running := pid(node, vmid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(running, number)
    while pid(node, vmid) and time.monotonic() < deadline:
        time.sleep(0.02)
    for kind in ("pid", "qmp"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(node.run_file(vmid, kind))


def powerdown(node, vmid):
    qmp(node, vmid, "system_powerdown")


def reset(node, vmid):
    qmp(node, vmid, "system_reset")


# -- the process itself --------------------------------------------------------------------------

class Vm:
    def __init__(self, root, vmid, frozen, obeys, machine):
        self.base = os.path.join(root, "run/qemu-server", vmid)
        self.state = "prelaunch" if frozen == "stopped" else "running"
        self.obeys, self.machine = obeys == "obeys", machine

    def answer(self, name, _arguments):
        if name == "query-status":
            return {"status": self.state, "running": self.state == "running"}
        if name == "query-version":
            return {"qemu": dict(zip(("major", "minor", "micro"), VERSION)), "package": "stub"}
        if name == "qom-get":
            return self.machine + "-machine"
        if name == "cont":
            self.state = "running"
        elif name == "stop" and self.state == "running":
            self.state = "paused"
        return {}

    def serve(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.base + ".qmp")
        listener.bind(self.base + ".qmp")
        listener.listen(5)
        with open(self.base + ".pid", "w", encoding="ascii") as f:
            f.write(f"{os.getpid()}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)     # tells the parent that we are ready
        while True:
            client, _ = listener.accept()
            with client, client.makefile("rwb") as stream, contextlib.suppress(OSError, ValueError):
                self.talk(stream)

    def talk(self, stream):
        stream.write(b'{"QMP": {"version": {}, "capabilities": []}}\n')
        stream.flush()
        while line := stream.readline():
            request = json.loads(line)
            name = request["execute"]
            reply = {"return": self.answer(name, request.get("arguments"))}
            stream.write(json.dumps(reply).encode() + b"\n")
            stream.flush()
            if name == "quit" or name == "system_powerdown" and self.hears():
                sys.exit(0)

    def hears(self):
        """Whether the guest obeys the power button; the file VMID.deaf makes it deaf meanwhile."""
        return self.obeys and self.state == "running" and not os.path.exists(self.base + ".deaf")

    def forget(self):
        for kind in (".pid", ".qmp"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.base + kind)


def main():
    vm = Vm(*sys.argv[1:6])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        vm.serve()
    finally:
        vm.forget()


if __name__ == "__main__":
    main()
