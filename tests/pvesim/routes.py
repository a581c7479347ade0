"""The calls of the API: which there are, who may make them, what they answer.

Each route says where a real node handles it: `daemon=True` in one of the three pvedaemon workers
(which a PUT that waits for a flock occupies), else in pveproxy itself (08g). `execute` runs in
either place and knows nothing of HTTP.
"""
import functools
import hashlib
import json
import os
import re

import config
import schema
import tasks
import update
import vmstatus
from node import PveError, backend, write_file

VERSION = {"release": "9.2", "repoid": "14a22df35955d97d", "version": "9.2.11"}
CONFIG_ANY = [f"VM.Config.{n}" for n in
              "Disk CDROM CPU Memory Network HWType Options Cloudinit".split()]
TEXT, FLAG, COUNT = schema.text(), schema.boolean, schema.integer(0)
ROUTES = []


class Call:
    """One request, authenticated: where it goes, who asks, with which parameters."""

    def __init__(self, node, auth, params, uri, background=None, fault=None):
        self.node, self.auth, self.params, self.uri = node, auth, params, uri
        self.fault = fault                  # of faults.py: where a change shall fail half-way
        self.background = background        # keeps account of the workers that this process forked

    @property
    def vmid(self):
        return int(self.uri["vmid"])

    @property
    def source(self):
        """The node that the path names; None: this one."""
        name = self.uri.get("node")
        return None if name in (self.node.name, "localhost") else name

    def flag(self, name, default=False):
        return str(self.params[name]) in schema.TRUE if name in self.params else default

    def worker(self, kind, work, ident=None):
        ident = self.uri.get("vmid", "") if ident is None else ident
        upid, pid = tasks.spawn(self.node, kind, ident, self.auth.name, work)
        if self.background is not None:
            self.background.add(pid)
        return upid


def route(method, path, need=None, params=None, daemon=False, cluster=False):
    """`need`: (path, privilege, ...), any of them; `params`: name -> kind of value; `cluster`: also
    for the VMs of other nodes."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))

    def register(handler):
        ROUTES.append({"method": method, "pattern": pattern, "handler": handler, "need": need,
                       "params": params or {}, "daemon": daemon, "cluster": cluster})
        return handler
    return register


def find(method, path):
    """(route, uri parameters) or 501."""
    path = path.rstrip("/") or "/"
    for entry in ROUTES:
        found = entry["pattern"].fullmatch(path)
        if found and entry["method"] == method:
            return entry, found.groupdict()
    raise PveError(f"Method '{method} {path}' not implemented", 501)


def execute(node, method, path, params, auth, background=None, fault=None):
    """The `data` of the answer; PveError for everything else."""
    entry, uri = find(method, path)
    check_node(node, uri, entry)
    if entry["need"]:
        where, *privileges = entry["need"]
        auth.need_any(where.format(**{**uri, "node": node.name}), *privileges)
    errors = schema.check_params({k: v for k, v in params.items() if k not in uri}, entry["params"])
    if "vmid" in uri:
        if sentence := vmid_problem(uri["vmid"]):
            errors["vmid"] = sentence
    if errors:
        raise PveError("Parameter verification failed.\n", 400, errors)
    return entry["handler"](Call(node, auth, params, uri, background, fault))


def check_node(node, uri, entry):
    """Reading a VM of another node: pveproxy asks that node. Its files are in the same /etc/pve, so
    the answer is made here; a node whose directory holds a file `offline` does not answer."""
    name = uri.get("node")
    if name not in (None, node.name, "localhost"):
        if entry["cluster"] and name in node.nodes():
            if os.path.exists(node.path(f"etc/pve/nodes/{name}/offline")):
                raise PveError("No route to host", 595, plain="empty")
            return
        raise PveError(f"hostname lookup '{name}' failed - failed to get address info for: {name}: "
                       "Temporary failure in name resolution\n")


def vmid_problem(text):
    return schema.integer()(text) or schema.PARAMETERS["vmid"](text)


# -- the node ------------------------------------------------------------------------------------

def fixed(method, path, data, **more):
    route(method, path, **more)(lambda call: data)


def names(key, text):
    return [{key: name} for name in text.split()]


fixed("GET", "/version", VERSION)
fixed("GET", "/nodes/{node}/version", VERSION)
fixed("GET", "/", names("subdir", "version cluster nodes storage access pools"))
fixed("GET", "/nodes/{node}/capabilities/qemu", names("name", "cpu cpu-flags machines migration"))
fixed("GET", "/nodes/{node}/qemu/{vmid}", names(
    "subdir", "config cloudinit pending status unlink vncproxy termproxy migrate resize move rrd "
    "rrddata monitor agent snapshot spiceproxy sendkey firewall mtunnel remote_migrate"))
fixed("GET", "/nodes/{node}/qemu/{vmid}/status", names(
    "subdir", "current start stop reset shutdown suspend reboot"))
fixed("GET", "/nodes/{node}/qemu/{vmid}/cloudinit", [], need=("/vms/{vmid}", "VM.Audit"))
fixed("GET", "/nodes/{node}/storage", [])


@route("GET", "/nodes")
def nodes(call):
    return [{"id": f"node/{call.node.name}", "node": call.node.name, "status": "unknown",
             "type": "node",
             "ssl_fingerprint": fingerprint(call.node)}]


@functools.lru_cache
def fingerprint(node):
    import ssl
    with open(node.path(f"etc/pve/nodes/{node.name}/pve-ssl.pem"), encoding="ascii") as f:
        der = ssl.PEM_cert_to_DER_cert(f.read())
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[i:i + 2] for i in range(0, len(digest), 2))


@route("GET", "/nodes/{node}/status", need=("/nodes/{node}", "Sys.Audit"), daemon=True)
def node_status(_call):
    with open("/proc/uptime", encoding="ascii") as f:
        return {"uptime": int(float(f.read().split()[0])), "pveversion": "pve-manager/9.2.11"}


@route("GET", "/nodes/{node}/capabilities/qemu/machines",
       params={"arch": schema.enum("x86_64", "aarch64")})
def machines(call):
    return backend(call.node).machines()


@route("GET", "/cluster/nextid")
def nextid(call):
    used = set(call.node.vmids())
    return str(next(i for i in range(100, 1000000) if i not in used))


@route("GET", "/cluster/resources", params={"type": schema.enum("vm", "storage", "node", "sdn")})
def resources(call):
    kind, node = call.params.get("type"), call.node
    found = []
    if kind in (None, "vm"):
        found += [{"id": f"qemu/{vmid}", "node": name, "status": "unknown", "type": "qemu",
                   "vmid": vmid} for name in node.nodes() for vmid in node.vmids(name)
                  if call.auth.may(f"/vms/{vmid}", "VM.Audit")]
    if kind in (None, "node"):
        found.append({"id": f"node/{node.name}", "node": node.name, "status": "unknown",
                      "type": "node"})
    return found


@route("GET", "/access/permissions", params={"path": TEXT, "userid": TEXT})
def permissions(call):
    path, acl = call.params.get("path"), call.auth.acl
    if acl is None:
        return {path or "/": {"Sys.Audit": 1, "VM.Audit": 1, "VM.PowerMgmt": 1}}
    if path:
        return {path: dict.fromkeys(sorted(call.auth.privileges(path)), 1)}
    return {entry: dict.fromkeys(privileges, 1) for entry, privileges in acl.items()}


# -- HA: the resource file only, there is no manager -----------------------------------------------

def ha_read(node):
    """vmid -> state, and the file's digest."""
    try:
        with open(node.path("etc/pve/ha/resources.cfg"), encoding="utf-8") as f:
            text = f.read()
    except FileNotFoundError:
        text = ""
    found, vmid = {}, None
    for line in text.splitlines():
        if m := re.match(r"vm:\s*(\d+)", line):
            vmid = int(m[1])
            found[vmid] = "started"
        elif vmid and (m := re.match(r"\s+state\s+(\S+)", line)):
            found[vmid] = m[1]
    return found, hashlib.sha1(text.encode()).hexdigest()


def ha_write(node, found):
    text = "".join(f"vm: {vmid}\n\tstate {state}\n\n" for vmid, state in sorted(found.items()))
    write_file(node.path("etc/pve/ha/resources.cfg"), text)


def ha_entry(node, sid):
    found, digest = ha_read(node)
    vmid = int(sid.partition(":")[2]) if re.fullmatch(r"vm:\d+", sid) else None
    if vmid not in found:
        raise PveError(f"no such resource '{sid}'\n")
    return {"sid": sid, "state": found[vmid], "type": "vm", "digest": digest}


AUDIT, CONSOLE = ("/", "Sys.Audit"), ("/", "Sys.Console")


@route("GET", "/cluster/ha/resources", need=AUDIT)
def ha_list(call):
    return [ha_entry(call.node, f"vm:{vmid}") for vmid in sorted(ha_read(call.node)[0])]


@route("GET", "/cluster/ha/resources/{sid}", need=AUDIT)
def ha_get(call):
    return ha_entry(call.node, call.uri["sid"])


@route("POST", "/cluster/ha/resources", need=CONSOLE, params={"sid": TEXT, "state": TEXT},
       daemon=True)
def ha_add(call):
    found = ha_read(call.node)[0]
    found[int(call.params["sid"].partition(":")[2])] = call.params.get("state", "started")
    ha_write(call.node, found)


@route("DELETE", "/cluster/ha/resources/{sid}", need=CONSOLE, daemon=True)
def ha_delete(call):
    ha_entry(call.node, call.uri["sid"])
    found = ha_read(call.node)[0]
    del found[int(call.uri["sid"].partition(":")[2])]
    ha_write(call.node, found)


@route("GET", "/cluster/ha/status/current", need=AUDIT)
def ha_status(call):
    return [{"id": "quorum", "node": call.node.name, "quorate": 1, "status": "OK",
             "type": "quorum"},
            {"armed-state": "standby", "id": "fencing", "node": call.node.name,
             "status": "standby (CRM watchdog standby)", "type": "fencing"}]


@route("GET", "/cluster/ha/groups", need=AUDIT)
def ha_groups(_call):
    raise PveError("cannot index groups: ha groups have been migrated to rules\n")


@route("GET", "/cluster/status", need=AUDIT)
def cluster_status(call):
    if found := members(call.node):
        return found
    return [{"id": f"node/{call.node.name}", "ip": "127.0.0.1", "level": "", "local": 1,
             "nodeid": 0,
             "name": call.node.name, "online": 1, "type": "node"}]


def members(node):
    """The cluster as pmxcfs tells it, for a node that is in one."""
    try:
        with open(node.path("etc/pve/.members"), encoding="utf-8") as f:
            found = json.load(f)
    except FileNotFoundError:       # a node that the replay made
        return []
    if "cluster" not in found:
        return []
    cluster = found["cluster"]
    return [{"id": "cluster", "type": "cluster", "name": cluster["name"], "nodes": cluster["nodes"],
             "quorate": cluster["quorate"], "version": cluster["version"]}] + [
        {"id": f"node/{name}", "type": "node", "name": name, "nodeid": entry["id"], "level": "",
         "ip": entry["ip"], "local": int(name == node.name), "online": entry["online"]}
        for name, entry in found["nodelist"].items()]


fixed("GET", "/cluster/config/nodes", [], need=AUDIT)


@route("GET", "/cluster/options")
def cluster_options(call):
    more = {"description": "", "mac_prefix": "BC:24:11"} if call.auth.may("/", "Sys.Audit") else {}
    return {"allowed-tags": [], **more}


# -- configuration -------------------------------------------------------------------------------

VM_AUDIT = ("/vms/{vmid}", "VM.Audit")


@route("GET", "/nodes/{node}/qemu/{vmid}/config", need=VM_AUDIT, cluster=True,
       params={"current": FLAG, "snapshot": TEXT})
def get_config(call):
    conf = config.load(call.node, call.vmid, source=call.source)
    name = call.params.get("snapshot")
    if name:
        if name not in conf.snapshots:
            raise PveError(f"snapshot '{name}' does not exist\n")
        return {**conf.snapshots[name], "digest": conf.digest}
    values = dict(conf.main) if call.flag("current") else conf.effective()
    return {**values, "digest": conf.digest}


@route("GET", "/nodes/{node}/qemu/{vmid}/pending", need=VM_AUDIT, cluster=True)
def get_pending(call):
    conf = config.load(call.node, call.vmid, source=call.source)
    found = []
    for key in list(conf.main) + [k for k in conf.pending if k not in conf.main]:
        item = {"key": key}
        if key in conf.main:
            item["value"] = conf.main[key]
        if key in conf.pending:
            item["pending"] = conf.pending[key]
        if key in conf.pending_delete:
            item["delete"] = 2 if conf.pending_delete[key] else 1
        found.append(item)
    return found + [{"key": "digest", "value": conf.digest}]


def option_names(_value):
    return None     # checked by update.prepare, which knows what they shall be used for


option_names.takes_list = True
CHANGE = {**{n: k for n, k in schema.OPTIONS.items() if schema.is_option(n)},
          "digest": schema.text(40), "delete": option_names, "revert": option_names, "force": FLAG,
          "skiplock": FLAG, "background_delay": COUNT, "import-working-storage": TEXT}
CHANGE_NEED = ("/vms/{vmid}", *CONFIG_ANY)


def lists_to_text(params):
    return {k: ",".join(v) if k in ("delete", "revert") and isinstance(v, list) else v
            for k, v in params.items()}


@route("PUT", "/nodes/{node}/qemu/{vmid}/config", need=CHANGE_NEED, params=CHANGE, daemon=True)
def put_config(call):
    change = update.prepare(call.node, call.vmid, lists_to_text(call.params), call.auth)
    change.fault = call.fault
    update.execute(change)


@route("POST", "/nodes/{node}/qemu/{vmid}/config", need=CHANGE_NEED, params=CHANGE, daemon=True)
def post_config(call):
    change = update.prepare(call.node, call.vmid, lists_to_text(call.params), call.auth)
    return call.worker("qmconfig", lambda log: update.execute(change, log, log))


@route("GET", "/nodes/{node}/qemu/{vmid}/snapshot", need=VM_AUDIT, daemon=True)
def snapshots(call):
    conf = config.load(call.node, call.vmid)
    found = []
    for name, section in conf.snapshots.items():
        item = {"name": name, "description": section.get("description", ""),
                "vmstate": int("vmstate" in section)}
        item.update({k: section[k] for k in ("snaptime", "parent") if k in section})
        found.append(item)
    current = {"name": "current", "description": "You are here!", "digest": conf.digest,
               "running": int(bool(backend(call.node).pid(call.node, call.vmid)))}
    if "parent" in conf.main:
        current["parent"] = conf.main["parent"]
    return found + [current]


@route("GET", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config", need=VM_AUDIT, daemon=True)
def snapshot_config(call):
    conf = config.load(call.node, call.vmid)
    if call.uri["snapname"] not in conf.snapshots:
        raise PveError(f"snapshot '{call.uri['snapname']}' does not exist\n")
    return conf.snapshots[call.uri["snapname"]]


@route("GET", "/nodes/{node}/qemu/{vmid}/feature", need=VM_AUDIT, daemon=True,
       params={"feature": schema.enum("snapshot", "clone", "copy"), "snapname": TEXT})
def feature(call):
    return {"hasFeature": 1, "nodes": [call.node.name]}


# -- tasks ---------------------------------------------------------------------------------------

def is_own_task(call, info):
    """A token sees what was begun with it, a user also what was begun with his tokens."""
    whole = info["user"] + ("!" + info["tokenid"] if "tokenid" in info else "")
    return call.auth.name in (whole, whole.split("!")[0])


def task_allowed(call, info):
    if not is_own_task(call, info):
        call.auth.need(f"/nodes/{call.node.name}", "Sys.Audit")


@route("GET", "/nodes/{node}/tasks/{upid}/status", daemon=True)
def task_status(call):
    info = tasks.status(call.node, call.uri["upid"])
    task_allowed(call, info)
    return info


@route("GET", "/nodes/{node}/tasks/{upid}/log", params={"start": COUNT, "limit": COUNT},
       daemon=True)
def task_log(call):
    task_allowed(call, tasks.parse(call.uri["upid"]))
    lines, total = tasks.log_lines(call.node, call.uri["upid"], int(call.params.get("start", 0)),
                                   int(call.params.get("limit", 50)))
    return Total(lines, total)


class Total(list):
    """A list whose answer carries `total` beside `data`."""

    def __init__(self, items, total):
        super().__init__(items)
        self.total = total


@route("GET", "/nodes/{node}/tasks", daemon=True, params={
    "vmid": COUNT, "limit": COUNT, "start": COUNT, "errors": FLAG, "since": COUNT, "until": COUNT,
    "typefilter": TEXT, "userfilter": TEXT, "statusfilter": TEXT,
    "source": schema.enum("archive", "active", "all")})
def task_list(call):
    source = call.params.get("source", "archive")
    audit = call.auth.may(f"/nodes/{call.node.name}", "Sys.Audit")

    def want(info):
        active = info["status"] == "RUNNING"
        return ((audit or is_own_task(call, info))
                and (source == "all" or active == (source == "active"))
                and (not call.flag("errors") or info["status"] != "OK" and not active)
                and call.params.get("vmid", info["id"]) == info["id"]
                and call.params.get("typefilter", info["type"]) == info["type"]
                and call.params.get("userfilter", "") in info["user"]
                and info["starttime"] >= int(call.params.get("since", 0))
                and info["starttime"] <= int(call.params.get("until", info["starttime"])))
    found = tasks.listing(call.node, want)
    first = int(call.params.get("start", 0))
    return Total(found[first:first + int(call.params.get("limit", 50))], len(found))


# -- status --------------------------------------------------------------------------------------

@route("GET", "/nodes/{node}/qemu", params={"full": FLAG}, daemon=True)
def vm_list(call):
    return [vmstatus.summary(call.node, vmid, call.flag("full")) for vmid in call.node.vmids()
            if call.auth.may(f"/vms/{vmid}", "VM.Audit")]


def elsewhere(call):
    """A VM of another node runs where a file `VMID.running` lies beside its configuration."""
    conf = config.load(call.node, call.vmid, source=call.source)
    mark = call.node.conf_path(call.vmid, call.source).removesuffix(".conf") + ".running"
    return {"vmid": call.vmid, "name": conf.main.get("name", f"VM{call.vmid}"),
            "status": "running" if os.path.exists(mark) else "stopped", "ha": {"managed": 0}}


@route("GET", "/nodes/{node}/qemu/{vmid}/status/current", need=VM_AUDIT, daemon=True,
       cluster=True)
def status_current(call):
    if call.source:
        return elsewhere(call)
    managed = call.vmid in ha_read(call.node)[0]
    ha = {"managed": 1, "state": None} if managed else {"managed": 0}
    return {**vmstatus.summary(call.node, call.vmid, True), "ha": ha}
