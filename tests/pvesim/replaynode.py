"""A simulated node as the replay test drives it: files, settings, commands and raw requests.

The test speaks to the simulator as everybody does, by its command line, its files and HTTPS; only
whether a QEMU runs is looked up without a program for it.
"""
import contextlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.parse

import node as nodes

PVESIM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pvesim")
NODE, DAEMON = "pve-lab", "pve-hwid@pve!daemon"


class Sim:
    """A node that is a copy of `template`; `serve` runs it, `close` ends and removes it."""

    def __init__(self, template):
        self.root = tempfile.mkdtemp(prefix="pvesim-replay-")
        shutil.copytree(template, self.root, symlinks=True, dirs_exist_ok=True)
        with open(self.path("pvesim/access.json"), encoding="utf-8") as f:
            self.secrets = {name: token["secret"] for name, token in json.load(f)["tokens"].items()}

    def serve(self):
        self.server = subprocess.Popen([PVESIM, "serve", self.root, "--with-parent"], stdout=subprocess.PIPE)
        self.server.stdout.readline()
        with open(self.path("pvesim/port"), encoding="ascii") as f:
            self.port = int(f.read())
        self.tls = ssl.create_default_context(cafile=self.path("etc/pve/pve-root-ca.pem"))

    def close(self):
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(20)
        self.server.stdout.close()
        shutil.rmtree(self.root)

    def path(self, rel):
        return os.path.join(self.root, rel)

    def conf(self, vmid=105, node=NODE):
        return self.path(f"etc/pve/nodes/{node}/qemu-server/{vmid}.conf")

    def text(self, vmid=105):
        with contextlib.suppress(FileNotFoundError), open(self.conf(vmid), "rb") as f:
            return f.read().decode()
        return None

    def put_text(self, text, vmid=105, node=NODE):
        os.makedirs(os.path.dirname(self.conf(vmid, node)), exist_ok=True)
        with open(self.conf(vmid, node), "wb") as f:
            f.write(text.encode())

    def hook(self, name, text, mode=0o755):
        path = self.path(f"var/lib/vz/snippets/{name}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)

    def settings(self, **changed):
        path = self.path("pvesim/settings.json")
        with open(path, encoding="utf-8") as f:
            values = {**json.load(f), **changed}
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(values, f)
        os.rename(path + ".new", path)

    def run(self, verb, *args):
        """A command of pvesim; (exit code, stdout, stderr)."""
        done = subprocess.run([PVESIM, verb, self.root, *args], capture_output=True, text=True,
                              check=False, cwd=self.root)
        return done.returncode, done.stdout, done.stderr

    def token(self, name, *args):
        return self.run("token", name, *args)[1].strip()

    def access(self, change):
        path = self.path("pvesim/access.json")
        with open(path, encoding="utf-8") as f:
            values = json.load(f)
        change(values)
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(values, f)
        os.rename(path + ".new", path)

    def running(self, vmid=105):
        return self.pid(vmid) is not None

    def pid(self, vmid=105):
        """Of its QEMU; what `qm status` looks at, without a program for it."""
        node = nodes.Node(self.root)
        return nodes.backend(node).pid(node, vmid)

    def request(self, exchange, path, authorization):
        """(status, reason, headers, body); the body parsed where it is JSON."""
        headers = {}
        if authorization:
            headers["Authorization"] = authorization
        body = exchange.get("raw_body")
        if exchange.get("content_type_sent"):
            headers["Content-Type"] = exchange["content_type_sent"]
        if "json" in exchange:
            body, headers["Content-Type"] = json.dumps(exchange["json"]), "application/json"
        elif body is None and exchange.get("form") is not None:
            body = urllib.parse.urlencode(exchange["form"])
            if exchange["form"]:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
        for name, value in (exchange.get("request_headers") or {}).items():
            if value is not None:
                headers[name] = value.replace("SECRET", self.secrets[DAEMON])
        link = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=60)
        try:
            link.request(exchange["method"], "/api2/json" + path, body, headers)
            answer = link.getresponse()
            raw = answer.read().decode()
            found = {k.lower(): v for k, v in answer.getheaders()}
            with contextlib.suppress(ValueError):
                raw = json.loads(raw)
            return answer.status, answer.reason, found, raw
        finally:
            link.close()
