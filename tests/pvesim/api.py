"""The HTTPS side: pveproxy of the simulated node, with PVE's way of telling errors.

 - The text of an error is the HTTP reason phrase; JSON bodies repeat it as `message`; a 401 has no
   body and comes after 3 seconds; every answer but 200 closes the connection.
 - In form bodies only the part of a value up to a raw `=` survives: `a=b=c` is `a` = `b`.
 - pveproxy answers plain reads of files itself and hands the rest to pvedaemon (daemons.py).
 - faults.py is the one seam for misbehaviour.
"""
import contextlib
import http.server
import json
import os
import re
import select
import signal
import socketserver
import ssl
import threading
import time
import urllib.parse

import access
import adminroutes  # noqa: F401  (registers its routes)
import daemons
import ending
import faults
import powerroutes  # noqa: F401  (likewise)
import routes
from node import PveError, write_file

PREFIX = "/api2/json"
BODY_MAX = 512 * 1024
METHODS = ("GET", "POST", "PUT", "DELETE")
PERL = "/usr/share/perl5/PVE/APIServer/AnyEvent.pm"


# -- requests ------------------------------------------------------------------------------------

def parse_form(text):
    """As PVE's own parser: a raw `=` in a value cuts it, a name that comes twice is a list."""
    found = {}
    for part in re.split(r"[&;]", text):
        if not part:
            continue
        name, value = (part.split("=") + [""])[:2]
        name, value = (urllib.parse.unquote_plus(t, errors="replace") for t in (name, value))
        if name in found:
            old = found[name]
            found[name] = (old if isinstance(old, list) else [old]) + [value]
        else:
            found[name] = value
    return found


def parse_body(kind, raw):
    kind = (kind or "").split(";")[0].strip().lower()
    if not raw and kind in ("", "application/x-www-form-urlencoded", "application/json"):
        return {}
    if kind == "application/json":
        return parse_json(raw)
    if kind == "application/x-www-form-urlencoded":
        return parse_form(raw.decode("utf-8", "replace"))
    raise PveError(f"upload 'Content-Type '{kind}' not implemented", 506, plain=True)


def parse_json(raw):
    text = raw.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as e:
        rest = text[e.pos:] or "(end of string)"
        raise PveError("malformed JSON string, neither tag, array, object, number, string or atom, "
                       f'at character offset {e.pos} (before "{rest}") at {PERL} line 934.\n',
                       plain=True) from None
    if not isinstance(found, dict):
        raise PveError(f"Not a HASH reference at {PERL} line 978.\n", plain=True)
    return {k: int(v) if isinstance(v, bool) else v for k, v in found.items()}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self):
        self.request.settimeout(self.timeout)
        self.request.setsockopt(6, 1, 1)        # TCP_NODELAY
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def log_message(self, *_args):
        pass

    def version_string(self):
        return "pve-api-daemon/3.0"

    def handle_any(self):
        entry = {"t_start": time.monotonic(), "method": self.command, "path": self.path, "form": {},
                 "token": None}
        self.faults, self.spoiled = [], None
        try:
            reply = self.answer(entry)
        except PveError as e:
            reply = {**daemons.error_reply(e), "plain": e.plain}
        except faults.Drop:
            entry.update(t_end=time.monotonic(), status=0, message="dropped by a fault")
            self.server.node.record("requests", entry)
            self.close_connection = True
            return
        entry.update(t_end=time.monotonic(), status=reply["status"],
                     message=reply.get("message", "").rstrip("\n"), errors=reply.get("errors"))
        self.server.node.record("requests", entry)
        self.send(reply)
        faults.answered(self.server.node, self.faults)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = handle_any

    def answer(self, entry):
        node = self.server.node
        if self.command not in METHODS:
            raise PveError(f"method '{self.command}' not available", 501, plain="empty")
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)           # all of it, else the answer may never be seen
        if length > BODY_MAX:
            raise PveError("for data too large", 501, plain=True)
        path, _, query = self.path.partition("?")
        if not path.startswith(PREFIX):
            raise PveError(f"no such file '{path}'", 404, plain=True)
        path = urllib.parse.unquote(path[len(PREFIX):]) or "/"
        entry["path"] = path
        params = {}
        if query:
            params.update(parse_form(query))
        if path == "/access/ticket" and self.command == "POST":
            time.sleep(access.UNAUTHORIZED_DELAY)
            raise PveError("authentication failure\n", 401)
        auth = self.authenticate()
        entry["token"] = auth.name
        params.update(parse_body(self.headers.get("Content-Type"), raw))
        entry["form"] = params
        self.faults = self.server.faults.matching(self.command, path, params, auth.name)
        inside = faults.before(node, self.faults, path)
        reply = self.dispatch(node, path, params, auth, inside)
        self.spoiled = faults.after(node, self.faults)
        return reply

    def authenticate(self):
        if not os.path.isdir(self.server.node.path("etc/pve/nodes")):       # pmxcfs is not there
            raise PveError("Unable to load access control list: Connection refused\n")
        try:
            return access.authenticate(self.server.node, self.headers)
        except PveError as e:
            time.sleep(access.UNAUTHORIZED_DELAY)
            raise PveError(e.message, 401, plain="empty") from None

    def dispatch(self, node, path, params, auth, inside):
        entry, uri = routes.find(self.command, path)
        routes.check_node(node, uri, entry)
        request = {"method": self.command, "path": path, "params": params, "user": auth.name,
                   "fault": inside}
        return daemons.ask(node, request) if entry["daemon"] else daemons.run_call(node, request)

    def send(self, reply):
        status, message = reply["status"], reply.get("message", "OK")
        plain = reply.get("plain")
        if status == 200:
            body = {"data": reply["data"],
                    **({"total": reply["total"]} if "total" in reply else {})}
            body = json.dumps(body).encode()
        elif plain:
            body = b"" if plain == "empty" else message.encode()
        else:
            body = {"data": None, "message": message}
            if reply.get("errors"):
                body["errors"] = reply["errors"]
            body = json.dumps(body).encode()
        self.close_connection = self.close_connection or status != 200 or self.spoiled is not None
        if self.spoiled:
            body = faults.spoiled_body(self.spoiled, body)
        reason = " ".join(message.split("\n")).strip() if status != 200 else "OK"
        self.send_response(status, reason.encode("ascii", "replace").decode())
        self.send_header("Cache-Control", "max-age=0")
        self.send_header("Connection", "close" if self.close_connection else "Keep-Alive")
        self.send_header("Pragma", "no-cache")
        if not plain:
            self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        head = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        with contextlib.suppress(OSError):
            self.wfile.write(faults.spoil(self.spoiled, head, body) if self.spoiled
                             else head + body)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, node, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.node, self.faults = node, faults.Faults(node)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own = node.path(f"etc/pve/nodes/{node.name}/pve-ssl")
        self.tls.load_cert_chain(own + ".pem", own + ".key")

    def handle_error(self, request, client_address):
        pass        # a client that goes away, or that does not speak TLS


# -- the whole node ------------------------------------------------------------------------------

def serve(node, port, say, with_parent=False):
    """Run the node until SIGTERM or SIGINT (or the end of who started it); then end all of it."""
    node.check_socket_paths()
    parent = os.pidfd_open(os.getppid()) if with_parent else None
    keeper = ending.Keeper(node)
    port_file = node.path("pvesim/port")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(port_file)            # of a server that was killed
    daemon_pids = [daemons.pvedaemon(node), daemons.qmeventd(node)]     # before any thread exists
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = Server(node, port)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    write_file(port_file, f"{server.server_address[1]}\n", 0o644)
    say(server.server_address[1])
    try:
        while not ended.wait(0.5):
            if parent is not None and select.select([parent], [], [], 0)[0]:
                break
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(port_file)
        server.shutdown()
        end_daemons(daemon_pids)
        ending.end_all(node)
        keeper.close()


def end_daemons(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
