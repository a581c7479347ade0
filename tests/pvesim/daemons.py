"""The node's daemons: pvedaemon with its three workers, and qmeventd.

pvedaemon's workers are single processes, one request at a time: a synchronous PUT that waits for a
flock occupies one, and with all three occupied every call they handle waits (08g). Tasks are forked
by the worker that got the request, so that a hook's ancestors are `task UPID:...`, `pvedaemon
worker`, `pvedaemon`.

qmeventd notices that a QEMU has ended and starts `qm cleanup`, which runs post-stop for a guest
that powered off or crashed, and restarts a VM that was to be rebooted.
"""
import contextlib
import json
import os
import re
import select
import signal
import socket
import traceback

import access
import routes
import start
import tasks
from node import PveError

WORKERS = 3
POLL = 0.05         # seconds between two looks at the pid files


def error_reply(error):
    return {"status": error.status, "message": error.message, "errors": error.errors}


def run_call(node, request, background=None):
    """The answer to a request that pveproxy or a pvedaemon worker handles: always a dict."""
    auth = access.by_name(node, request["user"])
    try:
        data = routes.execute(node, request["method"], request["path"], request["params"], auth,
                              background, request.get("fault"))
    except PveError as e:
        return error_reply(e)
    except Exception as e:
        traceback.print_exc()
        return {"status": 500, "message": f"pvesim: {e!r}\n", "errors": None}
    reply = {"status": 200, "data": data}
    if isinstance(data, routes.Total):
        reply["total"] = data.total
    return reply


# -- pvedaemon -----------------------------------------------------------------------------------

def socket_path(node):
    return node.path("run/pvedaemon.sock")


def ask(node, request):
    """From pveproxy: hand a request to whichever worker is free, wait for its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(socket_path(node))
        with s.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            return json.loads(stream.readline())


def pvedaemon(node):
    """Fork the daemon and its workers; the pid of the daemon."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket_path(node))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(socket_path(node))
    listener.listen(128)
    pid = tasks.fork(lambda: _supervise(node, listener), "pvedaemon")
    listener.close()
    return pid


def _supervise(node, listener):
    os.chdir("/")
    workers = {tasks.fork(lambda: _work(node, listener), "pvedaemon worker")
               for _ in range(WORKERS)}
    while workers:
        gone, _ = os.wait()
        if gone in workers:
            workers.discard(gone)
            workers.add(tasks.fork(lambda: _work(node, listener), "pvedaemon worker"))


def _work(node, listener):
    children = set()

    def reap(_signum=None, _frame=None):
        for pid in list(children):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    children.discard(pid)
    signal.signal(signal.SIGCHLD, reap)
    while True:
        client, _ = listener.accept()
        with client, client.makefile("rwb") as stream, contextlib.suppress(OSError):
            line = stream.readline()
            if line:
                reply = run_call(node, json.loads(line), children)
                stream.write(json.dumps(reply).encode() + b"\n")
                stream.flush()
        reap()


# -- qmeventd ------------------------------------------------------------------------------------

def qmeventd(node):
    return tasks.fork(lambda: _watch(node), "/usr/sbin/qmeventd /var/run/qmeventd.sock")


def _watch(node):
    """Follow every pid file; a pidfd tells the end of a process at once and of that one only."""
    os.chdir("/")
    known = {}                          # vmid -> (pid, pidfd)
    directory = node.path("run/qemu-server")
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        for name in os.listdir(directory):
            if found := re.fullmatch(r"(\d+)\.pid", name):
                _follow(os.path.join(directory, name), int(found[1]), known)
        fds = [fd for _, fd in known.values()]
        ended = select.select(fds, [], [], POLL)[0]
        for vmid, (pid, fd) in list(known.items()):
            if fd in ended:
                os.close(fd)
                del known[vmid]
                _start_cleanup(node, vmid, pid)


def _follow(path, vmid, known):
    if vmid in known:
        return
    try:
        with open(path, encoding="ascii") as f:
            pid = int(f.read())
        known[vmid] = (pid, os.pidfd_open(pid))
    except (OSError, ValueError):
        pass        # not yet written, or ended already


def _start_cleanup(node, vmid, pid):
    """A QEMU that ends by itself removes its pid file, one that is killed cannot."""
    clean = not os.path.exists(node.run_file(vmid, "pid"))
    suspended = False
    with contextlib.suppress(PveError):
        suspended = start.config.load(node, vmid).main.get("lock") == "suspended"
    how = "1 0" if suspended else "1 1" if clean else "0 0"

    def restart():
        _, worker = tasks.spawn(node, "qmstart", vmid, "root@pam",
                                lambda log: start.start(node, vmid, log, start.Caller()))
        tasks.wait(worker)
    tasks.fork(lambda: start.cleanup(node, vmid, pid, restart),
               f"/usr/bin/perl /usr/sbin/qm cleanup {vmid} {how}")
