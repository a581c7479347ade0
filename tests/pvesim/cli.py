"""`pveum`, `pvesm`, `pvesh` and `qm` as root finds them on a node, for the node that $PVESIM_ROOT names.

As on a real node they are no clients of pveproxy: they run the API's methods in their own process, as
root@pam. Answers are printed as JSON with sorted keys, which is all that programs ask for; errors go
to stderr with exit code 255, those of parameters with one line each. The scripts in bin/ are found by
PATH.

A call about another node of the cluster goes there by ssh; here it is answered from
ROOT/pvesim/others/NAME (`pvesim join`), and a node that is offline fails as ssh would.
"""
import json
import os
import re
import sys

import access
import adminroutes
import powerroutes  # noqa: F401  (registers its routes)
import routes
from node import Node, PveError

HERE = os.path.dirname(os.path.realpath(__file__))
PVEUM = {       # words -> (method, path, names of the positional arguments)
    "role list": ("GET", "/access/roles", ()),
    "role add": ("POST", "/access/roles", ("roleid",)),
    "role modify": ("PUT", "/access/roles/{roleid}", ("roleid",)),
    "role delete": ("DELETE", "/access/roles/{roleid}", ("roleid",)),
    "user list": ("GET", "/access/users", ()),
    "user add": ("POST", "/access/users", ("userid",)),
    "user modify": ("PUT", "/access/users/{userid}", ("userid",)),
    "user delete": ("DELETE", "/access/users/{userid}", ("userid",)),
    "user token list": ("GET", "/access/users/{userid}/token", ("userid",)),
    "user token add": ("POST", "/access/users/{userid}/token/{tokenid}", ("userid", "tokenid")),
    "user token modify": ("PUT", "/access/users/{userid}/token/{tokenid}", ("userid", "tokenid")),
    "user token remove": ("DELETE", "/access/users/{userid}/token/{tokenid}", ("userid", "tokenid")),
    "user token delete": ("DELETE", "/access/users/{userid}/token/{tokenid}", ("userid", "tokenid")),
    "acl list": ("GET", "/access/acl", ()),
    "acl modify": ("PUT", "/access/acl", ("path",)),
    "acl delete": ("PUT", "/access/acl", ("path",)),
}
PVESM = {"set": ("PUT", "/storage/{storage}", ("storage",))}
PVESH = {"get": "GET", "set": "PUT", "create": "POST", "delete": "DELETE"}


def options(words):
    """(positional arguments, options): `--name value`, `--name=value` and `-name value`."""
    plain, found = [], {}
    words = list(words)
    while words:
        word = words.pop(0)
        m = re.fullmatch(r"--?([a-z][\w-]*)(?:=(.*))?", word, re.S)
        if not m:
            plain.append(word)
        elif m[2] is not None:
            found[m[1]] = m[2]
        elif words:
            found[m[1]] = words.pop(0)
        else:
            raise PveError(f"Option {m[1]} requires an argument\n")
    return plain, found


def call(method, path, params):
    """Prints what the method returns, as --output-format json."""
    form = params.pop("output-format", "text")
    params.pop("quiet", None)
    node = Node(os.environ["PVESIM_ROOT"])
    data = elsewhere(node, method, path, params)
    if data is None:
        data = routes.execute(node, method, path, params, access.ROOT)
    if data is None or form == "text" and method != "GET" and not (method == "POST" and "/token/" in path):
        return          # those commands of a real node print nothing that anybody reads
    if form != "json":
        raise PveError("pvesim: only --output-format json is simulated\n")
    print(json.dumps(data, sort_keys=True, separators=(",", ":")))


def elsewhere(node, method, path, params):
    """The answer of another node; None: the call is this node's own."""
    found = re.fullmatch(r"/nodes/([\w-]+)/(.*)", path)
    if not found or found[1] in (node.name, "localhost"):
        return None
    where = node.path(f"pvesim/others/{found[1]}")
    with open(node.path("etc/pve/.members"), encoding="utf-8") as f:
        known = json.load(f).get("nodelist", {}).get(found[1])
    if known is None:
        routes.check_node(node, {"node": found[1]})
    if not known["online"]:
        raise PveError(f"proxy handler failed: command '/usr/bin/ssh -e none -o 'HostKeyAlias={found[1]}'"
                       f" root@{known['ip']} -- pvesh --noproxy get {path} --output-format json' failed: "
                       "exit code 255\n")
    if method == "GET" and (m := re.fullmatch(r"storage/([\w-]+)/content", found[2])):
        return adminroutes.snippet_list(m[1], where)
    if method == "GET" and found[2] == "time":
        return routes.execute(node, method, f"/nodes/{node.name}/time", params, access.ROOT)
    raise PveError(f"pvesim: {method} {path} is not simulated for another node\n")


def from_table(table, words, fixed):
    for length in (3, 2, 1):
        verb = " ".join(words[:length])
        if verb in table:
            break
    else:
        raise PveError(f"ERROR: unknown command '{' '.join(words[:1])}'\n")
    method, path, names = table[verb]
    plain, params = options(words[length:])
    if len(plain) > len(names):
        raise PveError("400 too many arguments\n")
    if len(plain) < len(names):
        raise PveError("400 not enough arguments\n")
    params.update(zip(names, plain))
    params.update(fixed.get(verb, {}))
    uri = {name: params.pop(name) for name in names if "{%s}" % name in path}
    call(method, path.format(**uri), params)


def pvesh(words):
    if len(words) < 2 or words[0] not in PVESH:
        raise PveError("ERROR: no command specified\n")
    plain, params = options(words[2:])
    if plain:
        raise PveError("400 too many arguments\n")
    try:
        routes.find(PVESH[words[0]], words[1])
    except PveError:
        print(f"No '{words[0]}' handler defined for '{words[1]}'", file=sys.stderr)
        sys.exit(1)
    call(PVESH[words[0]], words[1], params)


def main(name):
    words = sys.argv[1:]
    if name == "qm":
        os.execv(os.path.join(HERE, "pvesim"),
                 ["pvesim", "qm", os.environ["PVESIM_ROOT"], *words])
    try:
        if name == "pvesh":
            pvesh(words)
        elif name == "pvesm" and words[:1] == ["path"] and len(words) == 2:
            print(adminroutes.snippet_path(Node(os.environ["PVESIM_ROOT"]), words[1]))
        elif name == "pvesm":
            from_table(PVESM, words, {})
        else:
            from_table(PVEUM, words, {"acl delete": {"delete": "1"}})
    except PveError as e:
        print(e.text().rstrip("\n"), file=sys.stderr)
        return 255
    return 0
