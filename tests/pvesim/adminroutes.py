"""The part of the API that root uses through `pveum`, `pvesm` and `pvesh` (cli.py): roles, users,
tokens, ACLs, storages and their snippets. What is kept here is what access.py enforces.

Words of errors and shapes of answers are those of the API's own description and of pve-access-control
9.1; nothing here has a recording.
"""
import os
import re
import secrets
import time
import uuid

import access
import schema
from node import DEFAULT_STORAGES, PveError, param_error, write_file
from routes import AUDIT, FLAG, TEXT, check_node, route

MODIFY = ("/access", "Sys.Modify")
STORE = ("/storage", "Datastore.Allocate")
COUNT = schema.integer(0)
ACL_PATH = re.compile(r"/|/(access|nodes|pool|sdn|storage|vms)|/vms/[1-9][0-9]{2,}|/(nodes|pool|storage)"
                      r"/[\w.-]+|/sdn/zones(/[\w.-]+(/[\w.-]+(/[1-9][0-9]{0,3})?)?)?|/access/\w+(/[\w.-]+)?")
TOKEN_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]+")
USER_ID = re.compile(r"[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+")


def split(text):
    return [part for part in re.split(r"[,;\s\0]+", text or "") if part]


def need_params(call, *wanted):
    missing = {name: schema.MISSING for name in wanted if name not in call.params}
    if missing:
        raise param_error(**missing)


# -- roles -----------------------------------------------------------------------------------------

def role_privileges(text, before=()):
    found = set(before)
    for name in split(text):
        if name not in access.PRIVILEGES:
            raise PveError(f"invalid privilege '{name}'\n")
        found.add(name)
    return sorted(found)


@route("GET", "/access/roles")
def roles(call):
    known = access.all_roles(access.load(call.node))
    return [{"roleid": name, "privs": ",".join(sorted(privs)),
             "special": int(name in access.SPECIAL_ROLES)} for name, privs in known.items()]


@route("POST", "/access/roles", need=MODIFY, params={"roleid": TEXT, "privs": TEXT})
def role_add(call):
    need_params(call, "roleid")
    name = call.params["roleid"]
    if re.match("pve", name, re.I):
        raise param_error(
            roleid="cannot use role ID starting with the (case-insensitive) 'PVE' namespace")
    data = access.load(call.node)
    if name in access.all_roles(data):
        raise PveError(f"create role failed: role '{name}' already exists\n")
    data.setdefault("roles", {})[name] = role_privileges(call.params.get("privs"))
    access.save(call.node, data)


@route("PUT", "/access/roles/{roleid}", need=MODIFY, params={"privs": TEXT, "append": FLAG})
def role_change(call):
    name, data = call.uri["roleid"], access.load(call.node)
    if name in access.SPECIAL_ROLES:
        raise PveError(f"auto-generated role '{name}' cannot be modified\n")
    if name not in data.get("roles", {}):
        raise PveError(f"update role failed: role '{name}' does not exist\n")
    before = data["roles"][name] if call.flag("append") else ()
    data["roles"][name] = role_privileges(call.params.get("privs"), before)
    access.save(call.node, data)


@route("DELETE", "/access/roles/{roleid}", need=MODIFY)
def role_delete(call):
    name, data = call.uri["roleid"], access.load(call.node)
    if name in access.SPECIAL_ROLES:
        raise PveError(f"auto-generated role '{name}' cannot be deleted\n")
    if name not in data.get("roles", {}):
        raise PveError(f"delete role failed: role '{name}' does not exist\n")
    del data["roles"][name]             # its entries in the ACL stay, as with PVE
    access.save(call.node, data)


# -- users and tokens ------------------------------------------------------------------------------

def user_of(data, userid):
    if userid not in data["users"]:
        raise PveError(f"no such user ('{userid}')\n")
    return data["users"][userid]


def token_of(data, userid, tokenid):
    user_of(data, userid)
    full = f"{userid}!{tokenid}"
    if full not in data["tokens"]:
        raise PveError(f"no such token '{tokenid}' for user '{userid}'\n")
    return data["tokens"][full]


@route("GET", "/access/users", params={"enabled": FLAG, "full": FLAG})
def users(call):
    known = {"root@pam": {"enable": 1, "expire": 0}, **access.load(call.node)["users"]}
    return [{"userid": name, "realm-type": name.split("@")[1], **entry}
            for name, entry in known.items()]


@route("POST", "/access/users", need=MODIFY,
       params={"userid": TEXT, "comment": TEXT, "enable": FLAG, "expire": COUNT})
def user_add(call):
    need_params(call, "userid")
    name, data = call.params["userid"], access.load(call.node)
    if not USER_ID.fullmatch(name):
        raise param_error(userid=f"value '{name}' does not look like a valid user name\n")
    if name in data["users"]:
        raise PveError(f"create user failed: user '{name}' already exists\n")
    data["users"][name] = {"enable": 1, "expire": 0, **{
        k: int(v) if k != "comment" else v for k, v in call.params.items() if k != "userid"}}
    access.save(call.node, data)


@route("PUT", "/access/users/{userid}", need=MODIFY,
       params={"comment": TEXT, "enable": FLAG, "expire": COUNT})
def user_change(call):
    data = access.load(call.node)
    user_of(data, call.uri["userid"]).update(
        {k: int(v) if k != "comment" else v for k, v in call.params.items()})
    access.save(call.node, data)


@route("DELETE", "/access/users/{userid}", need=MODIFY)
def user_delete(call):
    """With its tokens and what the ACL has of it."""
    name, data = call.uri["userid"], access.load(call.node)
    user_of(data, name)
    del data["users"][name]
    for full in [t for t in data["tokens"] if t.split("!")[0] == name]:
        del data["tokens"][full]
    data["acl"] = [e for e in data.get("acl", ()) if e["ugid"].split("!")[0] != name]
    access.save(call.node, data)


def token_info(entry):
    return {k: entry[k] for k in ("comment", "expire", "privsep") if k in entry}


@route("GET", "/access/users/{userid}/token", need=AUDIT)
def tokens(call):
    data, userid = access.load(call.node), call.uri["userid"]
    user_of(data, userid)
    return [{"tokenid": full.split("!")[1], **token_info(entry)}
            for full, entry in data["tokens"].items() if full.split("!")[0] == userid]


@route("POST", "/access/users/{userid}/token/{tokenid}", need=MODIFY,
       params={"privsep": FLAG, "expire": COUNT, "comment": TEXT})
def token_add(call):
    data, full = access.load(call.node), f"{call.uri['userid']}!{call.uri['tokenid']}"
    user_of(data, call.uri["userid"])
    if not TOKEN_ID.fullmatch(call.uri["tokenid"]):
        raise param_error(tokenid=schema.NO_MATCH)
    if full in data["tokens"]:
        raise param_error(tokenid="Token already exists.")
    entry = {"privsep": int(call.flag("privsep", True))}
    entry.update({k: int(v) if k == "expire" else v for k, v in call.params.items()
                  if k in ("expire", "comment")})
    value = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
    data["tokens"][full] = {**entry, "secret": value}
    access.save(call.node, data)
    return {"full-tokenid": full, "info": entry, "value": value}


@route("PUT", "/access/users/{userid}/token/{tokenid}", need=MODIFY,
       params={"privsep": FLAG, "expire": COUNT, "comment": TEXT})
def token_change(call):
    data = access.load(call.node)
    entry = token_of(data, call.uri["userid"], call.uri["tokenid"])
    entry.update({k: v if k == "comment" else int(v) for k, v in call.params.items()})
    access.save(call.node, data)
    return token_info(entry)


@route("DELETE", "/access/users/{userid}/token/{tokenid}", need=MODIFY)
def token_delete(call):
    data, full = access.load(call.node), f"{call.uri['userid']}!{call.uri['tokenid']}"
    token_of(data, call.uri["userid"], call.uri["tokenid"])
    del data["tokens"][full]
    data["acl"] = [e for e in data.get("acl", ()) if e["ugid"] != full]
    access.save(call.node, data)


# -- the ACL ---------------------------------------------------------------------------------------

@route("GET", "/access/acl", need=AUDIT)
def acl(call):
    return access.load(call.node).get("acl", [])


@route("PUT", "/access/acl", need=MODIFY,
       params={"path": TEXT, "users": TEXT, "groups": TEXT, "tokens": TEXT, "roles": TEXT,
               "propagate": FLAG, "delete": FLAG})
def acl_change(call):
    need_params(call, "path", "roles")
    data, path, delete = access.load(call.node), call.params["path"], call.flag("delete")
    if not any(call.params.get(kind) for kind in ("users", "groups", "tokens")):
        raise param_error(**{kind: "either 'users', 'groups' or 'tokens' is required."
                             for kind in ("users", "groups", "tokens")})
    if not ACL_PATH.fullmatch(path):
        raise param_error(path=f"invalid ACL path '{path}'")
    for role in split(call.params["roles"]):
        if role not in access.all_roles(data):
            raise PveError(f"ACL update failed: role '{role}' does not exist\n")
        for kind in ("user", "token"):
            for ugid in split(call.params.get(kind + "s")):
                if kind == "user" and ugid not in data["users"]:
                    raise PveError(f"ACL update failed: user '{ugid}' does not exist\n")
                entry = {"path": path, "type": kind, "ugid": ugid, "roleid": role}
                kept = [e for e in data.get("acl", ())
                        if {k: e[k] for k in entry} != entry]
                more = [] if delete else [{**entry, "propagate": int(call.flag("propagate", True))}]
                data["acl"] = kept + more
    access.save(call.node, data)


# -- storages --------------------------------------------------------------------------------------

CONTENT = "backup images import iso none rootdir snippets vztmpl".split()


def sections(node):
    """[(header, {key: value})] of storage.cfg, in order."""
    try:
        with open(node.path("etc/pve/storage.cfg"), encoding="utf-8") as f:
            text = f.read()
    except FileNotFoundError:
        text = DEFAULT_STORAGES
    found = []
    for line in text.splitlines():
        if line[:1] not in ("", "#", " ", "\t"):
            found.append((line.strip(), {}))
        elif line.strip() and found:
            key, _, value = line.strip().partition(" ")
            found[-1][1][key] = value.strip()
    return found


def storage_of(node, name):
    for header, keys in sections(node):
        kind, _, ident = header.partition(":")
        if ident.strip() == name:
            content = ",".join(sorted(split(keys.get("content"))))
            return {"storage": name, "type": kind, **keys, "content": content}
    raise PveError(f"storage '{name}' does not exist\n")


@route("GET", "/storage", need=STORE)
def storages(call):
    return [storage_of(call.node, header.partition(":")[2].strip())
            for header, _ in sections(call.node)]


@route("GET", "/storage/{storage}", need=STORE)
def storage(call):
    return storage_of(call.node, call.uri["storage"])


@route("PUT", "/storage/{storage}", need=STORE, params={"content": TEXT, "content-dirs": TEXT})
def storage_change(call):
    name, found = call.uri["storage"], sections(call.node)
    kind = storage_of(call.node, name)["type"]
    for item in split(call.params.get("content")):
        if item not in CONTENT:
            raise param_error(content=f"invalid format - invalid content type '{item}'\n")
    for header, keys in found:
        if header == f"{kind}: {name}":
            keys.update(call.params)
    write_file(call.node.path("etc/pve/storage.cfg"), "".join(
        f"{header}\n" + "".join(f"\t{k} {v}\n" for k, v in keys.items()) + "\n"
        for header, keys in found))
    return {"storage": name, "type": kind}


def snippets_of(node, name):
    keys = storage_of(node, name)
    dirs = dict(part.split("=", 1) for part in split(keys.get("content-dirs")))
    return node.path(os.path.join(keys["path"], dirs.get("snippets", "snippets").lstrip("/")))


def snippet_path(node, volume):
    """`pvesm path`, for snippets: that is all anybody here asks for."""
    found = re.fullmatch(r"([A-Za-z][\w.-]*):snippets/([^/\s]+)", volume)
    if not found:
        raise PveError(f"unable to parse volume ID '{volume}'\n\n")
    return os.path.join(snippets_of(node, found[1]), found[2])


@route("GET", "/nodes/{node}/storage/{storage}/content", params={"content": TEXT, "vmid": COUNT},
       need=("/storage/{storage}", "Datastore.Audit"))
def content(call):
    """Snippets only: that is all anybody here asks for."""
    name, kind = call.uri["storage"], call.params.get("content")
    allowed = split(storage_of(call.node, name)["content"])
    if kind not in (None, "snippets") or "snippets" not in allowed:
        return []
    where = snippets_of(call.node, name)
    return snippet_list(name, where)


def snippet_list(storage_name, where):
    files = sorted(os.listdir(where)) if os.path.isdir(where) else []
    return [{"content": "snippets", "ctime": int(os.stat(os.path.join(where, f)).st_ctime),
             "format": "snippet", "size": os.stat(os.path.join(where, f)).st_size,
             "volid": f"{storage_name}:snippets/{f}"} for f in files]


@route("GET", "/nodes/{node}/time", need=AUDIT)
def node_time(call):
    check_node(call.node, call.uri)
    now = int(time.time())
    return {"time": now, "localtime": now, "timezone": "UTC"}
