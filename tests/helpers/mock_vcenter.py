#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vCenter of ours for tests: both dialects of its REST API (`/api` of 7.0, `/rest` of 6.5 and 6.7)
over real TLS, loopback only, any number of VMs made from their numbers alone, and faults on request.

    vc = MockVcenter(directory, vms=1000, dialect="rest", cap=1000); vc.url; vc.close()

or by hand: tests/helpers/mock_vcenter.py DIRECTORY '{"vms": 20}'   (ends with its stdin).

Shapes and limits: facts/vmware.md 4. DIRECTORY has server.pem and server.key (tests/helpers/make_certs).
"""
import base64
import hashlib
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse

USER, PASSWORD = "admin@vsphere.local", "S3CRET-\u00e4-pass:word"
MAPS = ("nics", "disks", "cdroms", "scsi_adapters", "sata_adapters", "nvme_adapters", "floppies",
        "parallel_ports", "serial_ports")
SCSI = ("PVSCSI", "LSILOGICSAS", "LSILOGIC", "BUSLOGIC")
FOLDERS = {"group-v1": ("vm", None), "group-v2": ("prod", "group-v1"), "group-v3": ("web", "group-v2"),
           "group-v4": ("test", "group-v1")}


def vm_id(i):
    return f"vm-{1000 + i}"


def bios_uuid(i):
    digits = "42" + hashlib.sha256(f"vm {i}".encode()).hexdigest()[:30]
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def mac(i, n=0):
    return f"00:50:56:{0x80 + (i >> 12) % 64:02x}:{(i >> 4) & 255:02x}:{(i & 15) << 4 | n:02x}"


def power(i):
    return ("POWERED_ON", "POWERED_OFF", "SUSPENDED")[i % 3]


def summary(i):
    return {"vm": vm_id(i), "name": f"vm{i:05d}", "power_state": power(i), "cpu_count": 2,
            "memory_size_MiB": 4096}


def details(i):
    """One VM as `/api` tells it."""
    kind = i % 4
    disks = {}
    if kind < 2:
        disks["2000"] = {"label": "Hard disk 1", "type": "SCSI", "scsi": {"bus": 0, "unit": 0},
                         "capacity": 1 << 35,
                         "backing": {"type": "VMDK_FILE", "vmdk_file": f"[ds1] vm{i}/vm{i}.vmdk"}}
    elif kind == 2:
        disks["16000"] = {"label": "Hard disk 1", "type": "SATA", "sata": {"bus": 0, "unit": 0}}
    else:
        disks["31000"] = {"label": "Hard disk 1", "type": "NVME", "nvme": {"bus": 0, "unit": 0}}
    scsi = {"1000": {"label": "SCSI controller 0", "type": SCSI[i % 8 // 4 + kind % 2 * 2 if kind < 2 else 0],
                     "scsi": {"bus": 0, "unit": 7}, "sharing": "NONE"}} if kind < 2 else {}
    text = mac(i)
    return {
        "boot": {"type": "EFI" if i % 2 else "BIOS", "delay": 0}, "boot_devices": [],
        "cdroms": {"3000": {"label": "CD/DVD drive 1", "type": "IDE", "state": "NOT_CONNECTED",
                            "ide": {"primary": True, "master": True},
                            "backing": {"type": "CLIENT_DEVICE"}}},
        "cpu": {"count": 4, "cores_per_socket": 2, "hot_add_enabled": False}, "disks": disks,
        "floppies": {}, "guest_OS": "WINDOWS_9_64" if i % 5 else "RHEL_7_64",
        "hardware": {"version": f"VMX_{8 + i % 14:02d}", "upgrade_policy": "NEVER"},
        "identity": {"bios_uuid": bios_uuid(i), "instance_uuid": bios_uuid(i + 1000000),
                     "name": f"vm{i:05d}"},
        "memory": {"size_MiB": 4096, "hot_add_enabled": False}, "name": f"vm{i:05d}",
        "nics": {"4000": {"label": "Network adapter 1", "mac_type": "ASSIGNED", "type": "VMXNET3",
                          "mac_address": text.upper() if i % 3 == 0 else text,
                          "backing": {"type": "STANDARD_PORTGROUP"}}},
        "nvme_adapters": {}, "parallel_ports": {}, "power_state": power(i), "sata_adapters": {},
        "scsi_adapters": scsi, "serial_ports": {},
    }


def old(vm, tells_uuid):
    """The same as `/rest` tells it: maps are arrays of key and value."""
    vm = {k: [{"key": key, "value": value} for key, value in v.items()] if k in MAPS else v
          for k, v in vm.items()}
    if not tells_uuid:
        del vm["identity"]
    return vm


class Cut(Exception):
    """The connection is to be closed without another word."""


class MockVcenter:
    """Options: vms, dialect, cap, hosts, tells_uuid, slow_ms (each VM's answer), busy (so many VM
    requests are answered 503 first), busy_login, cut_every (n-th VM request is cut), garbage (ids),
    weird ({id: body}), forbidden (ids), gone (ids), expire_after (VM requests of one session), locked,
    session (what the login answers), pem/key (names of files), port (0: any)."""

    def __init__(self, directory, address="127.0.0.1", **options):
        self.o = {"vms": 10, "dialect": "api", "cap": 4000, "hosts": 4, "tells_uuid": True,
                  "slow_ms": 0, "busy": 0, "busy_login": 0, "cut_every": 0, "garbage": (), "weird": {},
                  "forbidden": (), "gone": (), "expire_after": 0, "locked": False, "session": None,
                  "pem": "server.pem", "key": "server.key", "port": 0, **options}
        self.lock = threading.Lock()
        self.sessions, self.log, self.bodies = {}, [], []
        self.logins = self.logouts = self.now = self.most = self.connections = self.asked = 0
        self.vms = [summary(i) for i in range(self.o["vms"])]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{directory}/{self.o['pem']}", f"{directory}/{self.o['key']}")
        self.listener = socket.create_server((address, self.o["port"]), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.host = f"{address}:{self.port}"
        threading.Thread(target=self.accept, args=(context,), daemon=True).start()

    def close(self):
        """Nobody listens any more: shutdown() also ends the accept() that is waiting."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def count(self, start):
        with self.lock:
            return sum(line.startswith(start) for line in self.log)

    def vm_requests(self):
        """How often each VM was asked for."""
        counts = {}
        with self.lock:
            for line in self.log:
                method, path, _ = line.split(" ", 2)
                tail = path.rsplit("/", 1)[-1]
                if method == "GET" and tail.startswith("vm-"):
                    counts[tail] = counts.get(tail, 0) + 1
        return counts

    def accept(self, context):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(raw, context), daemon=True).start()

    def serve(self, raw, context):
        raw.settimeout(60)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn = raw
        try:
            conn = context.wrap_socket(raw, server_side=True)
            self.connections += 1
            stream = conn.makefile("rb")
            while True:
                self.one(conn, stream)
        except (Cut, OSError, ValueError):
            pass
        finally:
            conn.close()

    def one(self, conn, stream):
        line = stream.readline(65536).decode("latin-1").split()
        if len(line) != 3:
            raise Cut
        headers = {}
        while (text := stream.readline(65536).decode("latin-1").strip()) != "":
            key, value = text.split(":", 1)
            headers[key.lower()] = value.strip()
        stream.read(int(headers.get("content-length", 0)))
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        status, body = 0, b""
        try:
            status, body = self.answer(line[0], line[1], headers)
        finally:
            with self.lock:
                self.now -= 1
                self.log.append(f"{line[0]} {line[1]} {status}")
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        conn.sendall(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    # --- what it says ---

    def value(self, value):
        return value if self.o["dialect"] == "api" else {"value": value}

    def error(self, status, kind, text):
        messages = [{"args": [], "default_message": text, "id": "com.vmware.test"}]
        if self.o["dialect"] == "api":
            return status, {"error_type": kind.upper(), "messages": messages}
        return status, {"type": "com.vmware.vapi.std.errors." + kind, "value": {"messages": messages}}

    def answer(self, method, target, headers):
        path, _, query = target.partition("?")
        root = "/" + self.o["dialect"] + "/"
        session_path = root + ("session" if self.o["dialect"] == "api" else "com/vmware/cis/session")
        if not path.startswith(root):
            return 404, b"<html>not here</html>"
        if path == session_path and method == "POST":
            return self.login(headers)
        session = headers.get("vmware-api-session-id")
        if session not in self.sessions:
            return self.error(401, "unauthenticated", "Authentication required.")
        if path == session_path and method == "DELETE":
            with self.lock:
                del self.sessions[session]
                self.logouts += 1
            return 204 if self.o["dialect"] == "api" else 200, b""
        if method != "GET" or not path.startswith(root + "vcenter/"):
            return self.error(404, "not_found", "Not found.")
        rest = path[len(root + "vcenter/"):]
        filters = {}
        for key, value in urllib.parse.parse_qsl(query):
            if self.o["dialect"] == "rest" and not key.startswith("filter."):
                return self.error(400, "invalid_argument", "unknown " + key)
            filters.setdefault(key.removeprefix("filter."), []).append(value)
        if rest.startswith("vm/"):
            return self.one_vm(rest[3:], session)
        return getattr(self, "list_" + rest)(filters)

    def login(self, headers):
        with self.lock:
            self.logins += 1
            if self.o["busy_login"] > 0:
                self.o["busy_login"] -= 1
                return self.error(503, "service_unavailable", "Service unavailable.")
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.o["locked"]:
            return self.error(401, "unauthenticated", "User account is locked.")
        if headers.get("authorization") != wanted:
            return self.error(401, "unauthenticated", "Authentication required.")
        session = hashlib.sha256(f"session {self.logins}".encode()).hexdigest()[:32]
        self.sessions[session] = 0
        answer = self.o["session"] if self.o["session"] is not None else session
        return (201 if self.o["dialect"] == "api" else 200), self.value(answer)

    def host_of(self, i):
        return f"host-{10 + i % self.o['hosts']}"

    @staticmethod
    def folder_of(i):
        return list(FOLDERS)[i % 4]

    @staticmethod
    def cluster_of(host):
        return f"domain-c{int(host[5:]) % 2}"

    def list_vm(self, filters):
        found = []
        for i, vm in enumerate(self.vms):
            host = self.host_of(i)
            mine = {"names": vm["name"], "hosts": host, "clusters": self.cluster_of(host),
                    "folders": self.folder_of(i), "power_states": vm["power_state"]}
            if all(mine[key] in values for key, values in filters.items()):
                found.append(vm)
        if len(found) > self.o["cap"]:
            return self.error(400, "unable_to_allocate_resource",
                              "Too many virtual machines. Add more filter criteria to reduce the number.")
        return 200, self.value(found)

    def list_host(self, filters):
        hosts = [f"host-{10 + n}" for n in range(self.o["hosts"])]
        return 200, self.value([{"host": h, "name": h + ".example", "power_state": "POWERED_ON"}
                                for h in hosts
                                if self.cluster_of(h) in filters.get("clusters", [self.cluster_of(h)])])

    def list_cluster(self, filters):
        clusters = [{"cluster": f"domain-c{n}", "name": f"cluster {n}"} for n in range(2)]
        return 200, self.value([c for c in clusters if c["name"] in filters.get("names", [c["name"]])])

    def list_folder(self, filters):
        found = [{"folder": key, "name": name, "type": "VIRTUAL_MACHINE"}
                 for key, (name, parent) in FOLDERS.items()
                 if name in filters.get("names", [name])
                 and parent in filters.get("parent_folders", [parent])]
        return 200, self.value(found)

    def one_vm(self, wanted, session):
        with self.lock:
            self.asked += 1
            asked = self.asked
            self.sessions[session] = self.sessions.get(session, 0) + 1
            if self.o["busy"] > 0:
                self.o["busy"] -= 1
                return self.error(503, "service_unavailable", "Service unavailable.")
            if self.o["expire_after"] and self.sessions[session] > self.o["expire_after"]:
                self.sessions.pop(session, None)
                return self.error(401, "unauthenticated", "Authentication required.")
        if self.o["cut_every"] and asked % self.o["cut_every"] == 0:
            raise Cut
        time.sleep(self.o["slow_ms"] / 1000)
        if wanted in self.o["gone"]:
            return self.error(404, "not_found", "Virtual machine with identifier gone.")
        if wanted in self.o["forbidden"]:
            return self.error(403, "unauthorized", "Access denied.")
        if wanted in self.o["garbage"]:
            return 200, b"{\"value\": {\"nics\": <html>"
        if wanted in self.o["weird"]:
            return 200, self.o["weird"][wanted]
        i = int(wanted[3:]) - 1000
        vm = details(i)
        return 200, self.value(vm if self.o["dialect"] == "api" else old(vm, self.o["tells_uuid"]))


def main():
    vc = MockVcenter(sys.argv[1], **json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))
    print(f"https://{vc.host} user {USER} password {PASSWORD}", flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
