"""Tokens, privileges and the words with which PVE refuses.

ROOT/pvesim/access.json holds users (`enable`, `expire`), tokens (`secret`, `expire`), `roles` (name ->
privileges) and `acl` (a list of path, type, ugid, roleid, propagate), as `pveum` keeps them
(adminroutes.py). A token that `pvesim token` made has an `acl` of its own instead: path ->
privileges, `null` for a token of root@pam, which may all. Privileges come from the deepest path that
has an entry, as with PVE's propagated roles. A token is never "root", not even root's: what PVE
reserves for the root login stays closed to every request of the API.
"""
import hmac
import json
import re
import secrets
import time
import uuid

from node import PveError, write_file

ROLE = ("VM.Audit", "VM.Config.HWType", "VM.Config.Options", "VM.Config.Disk", "VM.Config.Network",
        "VM.PowerMgmt")
# Those of PVE 9.1, as far as anybody here might name them.
PRIVILEGES = """
    Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit
    Group.Allocate Mapping.Audit Mapping.Modify Mapping.Use Permissions.Modify Pool.Allocate Pool.Audit
    Realm.Allocate Realm.AllocateUser SDN.Allocate SDN.Audit SDN.Use Sys.AccessNetwork Sys.Audit
    Sys.Console Sys.Incoming Sys.Modify Sys.PowerMgmt Sys.Syslog User.Modify VM.Allocate VM.Audit
    VM.Backup VM.Clone VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk
    VM.Config.HWType VM.Config.Memory VM.Config.Network VM.Config.Options VM.Console VM.Migrate
    VM.PowerMgmt VM.Replicate VM.Snapshot VM.Snapshot.Rollback""".split()
SPECIAL_ROLES = {"Administrator": PRIVILEGES, "NoAccess": [], "PVESDNUser": ["SDN.Audit", "SDN.Use"],
                 "PVETemplateUser": ["VM.Audit", "VM.Clone"]}
BRIDGE = "/sdn/zones/localnetwork/vmbr0"
BRIDGE_ROLE = ("SDN.Audit", "SDN.Use")
TOKEN_NAME = re.compile(r"[^\s:/!@]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+")
UNAUTHORIZED_DELAY = 3      # seconds, before every 401


class Auth:
    """Who asks, and what that one may. `acl` None: everything."""

    def __init__(self, name, acl, is_root=False, exact=()):
        self.name, self.acl, self.is_root = name, acl, is_root
        self.exact = exact              # paths whose entry is not propagated to those below
        self.watched = not is_root      # judged are clients of the API, not people at the shell

    def privileges(self, path):
        best = None
        for entry, names in self.acl.items():
            below = entry == "/" or path.startswith(entry + "/")
            inside = path == entry or below and entry not in self.exact
            if inside and (best is None or len(entry) > len(best[0])):
                best = (entry, names)
        return set(best[1]) if best else set()

    def may(self, path, *any_of):
        return self.acl is None or bool(self.privileges(path) & set(any_of))

    def need(self, path, privilege, shown=None):
        if not self.may(path, privilege):
            raise PveError(f"Permission check failed ({shown or path}, {privilege})\n", 403)

    def need_any(self, path, *privileges):
        if not self.may(path, *privileges):
            raise PveError(f"Permission check failed ({path}, {'|'.join(privileges)})\n", 403)


ROOT = Auth("root@pam", None, is_root=True)


def load(node):
    try:
        with open(node.path("pvesim/access.json"), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return {"users": {}, "tokens": {}}


def save(node, access):
    write_file(node.path("pvesim/access.json"), json.dumps(access, indent=1), 0o600)


def add_token(node, name, privileges=None, path=None, expire=0, secret=None):
    """Create or change a token; its secret. Without privileges it gets the role of the daemon."""
    if not TOKEN_NAME.fullmatch(name):
        raise PveError(f"'{name}' is no token name: it must look like user@realm!name")
    access = load(node)
    secret = secret or str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
    token = access["tokens"].setdefault(name, {"secret": secret,
                                               "acl": {}})
    token["expire"] = expire
    if name.startswith("root@pam!"):
        token["acl"] = None
    elif privileges is None and path is None:
        token["acl"] = {"/vms": list(ROLE), BRIDGE: list(BRIDGE_ROLE)}
    else:
        token["acl"][path or "/vms"] = list(ROLE if privileges is None else privileges)
    access["users"].setdefault(name.split("!")[0], {"enable": 1, "expire": 0})
    save(node, access)
    return token["secret"]


def authenticate(node, headers):
    """The Auth of a request; PveError 401 (the caller waits before it answers)."""
    header = headers.get("Authorization") or ""
    found = re.match(r"PVEAPIToken(?:=|\s+)(\S*)\s*$", header)
    if not found:
        if "PVEAuthCookie=" in (headers.get("Cookie") or ""):
            raise _failed()
        raise PveError("No ticket\n", 401)
    name, _, secret = found[1].partition("=")
    access = load(node)
    token = access["tokens"].get(name)
    if not token or not hmac.compare_digest(token["secret"].encode(), secret.encode()):
        raise _failed()
    user = access["users"].get(name.split("!")[0], {})
    for entry in (token, user):
        if entry.get("expire") and entry["expire"] < time.time():
            raise _failed()
    if not user.get("enable", 0):
        raise _failed()
    return by_name(node, name, access)


def by_name(node, name, access=None):
    """The Auth behind a name that has been authenticated already (used by the daemon's workers)."""
    access = access or load(node)
    token = access["tokens"].get(name, {"acl": {}})
    if "acl" in token:
        return Auth(name, token["acl"])
    acl, exact = entries(access, "user", name.split("!")[0])
    if token.get("privsep", 1):         # its own, as far as the user has them too
        user = Auth(name, acl, exact=exact)
        acl, exact = entries(access, "token", name)
        acl = {path: sorted(set(privs) & user.privileges(path)) for path, privs in acl.items()}
    return Auth(name, acl, exact=exact)


def entries(access, kind, ugid):
    """(path -> privileges, paths that are not propagated) of one user or token; no groups here."""
    acl, exact = {}, set()
    for entry in access.get("acl", ()):
        if (entry["type"], entry["ugid"]) == (kind, ugid):
            acl.setdefault(entry["path"], []).extend(all_roles(access).get(entry["roleid"], ()))
            if not entry["propagate"]:
                exact.add(entry["path"])
    return acl, exact


def all_roles(access):
    return {**SPECIAL_ROLES, **access.get("roles", {})}


def _failed():
    return PveError("Authentication failed!\n", 401)
