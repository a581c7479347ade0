#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pve-hwid setup` on an empty node: what it makes, that it works, that it is undone."""
import json
import os
import re
import stat

import tap
from admin import bare_node, configure, environment, join, root, root_json, setup, tool, tool_json
from node import PRIVS, wait_for
from tap import contains, differs_no_more, equal, fingerprint, imported, lacks

USER, TOKEN = "pve-hwid@pve", "pve-hwid@pve!daemon-pve1"


def tree(node):
    """Everything that setup may touch, by content."""
    found = {}
    for top in ("etc", "var/lib/vz/snippets"):
        for where, _, names in os.walk(node.path(top)):
            for name in names:
                path = os.path.join(where, name)
                with open(path, "rb") as f:
                    found[os.path.relpath(path, node.root)] = f.read()
    with open(node.path("pvesim/access.json"), encoding="utf-8") as f:
        access = json.load(f)
    return found, access


def states(answer):
    return [step["state"] for step in answer["steps"]]


def test_dry_run_shows_every_command_and_changes_nothing():
    with bare_node() as node:
        tool(node, "pveum", "role", "list", "--output-format", "json")
        before = os.listdir(node.path("etc/pve-hwid")), os.path.exists(node.path("pvesim/access.json"))
        result = setup(node, "--dry-run", check=False)
        equal(result.returncode, 3, "exit code")
        for command in ("pveum role add HwidDaemon --privs 'VM.Audit ", "pveum role add HwidBridge",
                        "pveum user add pve-hwid@pve", "pveum acl modify /vms --users pve-hwid@pve",
                        "pveum user token add pve-hwid@pve daemon-pve1 --privsep 0",
                        "pvesm set local --content backup,images,iso,vztmpl,snippets"):
            contains(result.stdout, command, "what would be done")
        after = os.listdir(node.path("etc/pve-hwid")), os.path.exists(node.path("pvesim/access.json"))
        equal(after, before, "the node")
        equal(node.read("etc/pve/storage.cfg").count("snippets"), 0, "storage.cfg")


def test_from_nothing_to_a_rewritten_vm():
    with bare_node() as node:
        lacks(setup(node).stdout, "failed", "setup")
        roles = {r["roleid"]: r["privs"] for r in tool_json(node, "pveum", "role", "list")}
        equal(set(roles["HwidDaemon"].split(",")), set(PRIVS.split(",")), "privileges on VMs")
        equal(roles["HwidBridge"], "SDN.Use", "privileges on bridges")
        token = node.path("etc/pve-hwid/token")
        equal(stat.S_IMODE(os.stat(token).st_mode), 0o600, "mode of the token file")
        assert re.fullmatch(rf"{TOKEN}=[0-9a-f-]{{36}}\n", node.read("etc/pve-hwid/token"))
        equal(stat.S_IMODE(os.stat(node.path("var/lib/vz/snippets/pve-hwid")).st_mode), 0o755, "hook")
        contains(node.read("etc/pve/storage.cfg"), "lvmthin: local-lvm", "the other storages")

        node.start_daemon(early=0)
        node.vm(105, imported(), hook=False)
        node.fingerprint(105, fingerprint(), cluster=True)
        contains(root(node, "attach", "105").stdout, "VM 105: attached: it differs from its fingerprint (smbios1", "attach")
        node.qm("start", 105)
        wait_for("the VM runs", lambda: node.running(105))
        differs_no_more(node, 105)
        equal([r["token"] for r in node.requests("PUT")][:1], [TOKEN], "who changed it")
        node.qm("stop", 105, check=True)
        equal(root(node, "detach", "105").returncode, 0, "detach")
        assert "hookscript" not in node.conf(105)


def test_again_is_already_so_and_keeps_the_token():
    with bare_node() as node:
        setup(node)
        before = tree(node)
        answer, code = root_json(node, "setup", "--no-start")
        equal((answer["result"], code, set(states(answer))), ("already", 0, {"already"}), "again")
        equal(tree(node), before, "the node")


def test_each_part_that_is_missing_is_made_again():
    with bare_node() as node:
        setup(node)
        before = tree(node)
        before[0].pop("etc/pve-hwid/token")
        before[0].pop("etc/pve/storage.cfg")
        damages = {
            "role": lambda: tool(node, "pveum", "role", "modify", "HwidDaemon", "--privs", "VM.Audit"),
            "bridge-role": lambda: tool(node, "pveum", "role", "modify", "HwidBridge", "--privs",
                                        "SDN.Use VM.Allocate"),
            "user": lambda: tool(node, "pveum", "user", "modify", USER, "--enable", "0"),
            "acl-vms": lambda: tool(node, "pveum", "acl", "delete", "/vms", "--users", USER, "--roles",
                                    "HwidDaemon"),
            "acl-bridges": lambda: tool(node, "pveum", "acl", "modify", "/sdn/zones/localnetwork",
                                        "--users", USER, "--roles", "HwidBridge", "--propagate", "0"),
            "token": lambda: os.unlink(node.path("etc/pve-hwid/token")),
            "content": lambda: tool(node, "pvesm", "set", "local", "--content", "iso"),
            "hook": lambda: os.chmod(node.path("var/lib/vz/snippets/pve-hwid"), 0o644),
            "local-dir": lambda: os.rmdir(node.path("etc/pve-hwid/fingerprints")),
        }
        for name, damage in damages.items():
            damage()
            answer, code = root_json(node, "setup", "--no-start")
            done = {s["id"] for s in answer["steps"] if s["state"] == "done"}
            # A disabled user's token is refused, so it is made anew too.
            expected = {"token": {"old-token", "token"}, "user": {"user", "old-token", "token"}}
            equal((code, done), (0, expected.get(name, {name})), f"{name}: what was done")
        after = tree(node)
        after[0].pop("etc/pve-hwid/token")
        after[0].pop("etc/pve/storage.cfg")
        equal(after[0], before[0], "files")
        equal(after[1]["roles"], before[1]["roles"], "roles")
        equal(sorted(map(str, after[1]["acl"])), sorted(map(str, before[1]["acl"])), "ACL")


def test_a_working_token_of_another_name_is_kept():
    """Made by hand as the README once told it."""
    with bare_node() as node:
        setup(node)
        made = tool_json(node, "pveum", "user", "token", "add", USER, "daemon", "--privsep", "0")
        tool(node, "pveum", "user", "token", "remove", USER, "daemon-pve1")
        node.write("etc/pve-hwid/token", f"{USER}!daemon={made['value']}\n", 0o600)
        contains(setup(node).stdout, "already so  token pve-hwid@pve!daemon in", "setup")
        setup(node, "--remove")
        equal(tree(node)[1]["users"], {}, "users")


def test_token_with_privileges_of_its_own_is_given_its_users():
    """privsep is what PVE gives a token that is made by hand: all accept it, and it may nothing."""
    with bare_node() as node:
        setup(node)
        tool(node, "pveum", "user", "token", "remove", USER, "daemon-pve1")
        made = tool_json(node, "pveum", "user", "token", "add", USER, "daemon-pve1")
        node.write("etc/pve-hwid/token", f"{TOKEN}={made['value']}\n", 0o600)
        contains(setup(node, "--dry-run", check=False).stdout,
                 "pveum user token modify pve-hwid@pve daemon-pve1 --privsep 0", "what would be done")
        answer, _ = root_json(node, "setup", "--no-start")
        equal([s["id"] for s in answer["steps"] if s["state"] == "done"], ["token-rights"], "what was done")
        equal(tree(node)[1]["tokens"][TOKEN]["privsep"], 0, "privsep")
        contains(node.read("etc/pve-hwid/token"), made["value"], "the token, which is kept")
        # Somebody who gave such a token entries in the ACL meant it so.
        tool(node, "pveum", "user", "token", "modify", USER, "daemon-pve1", "--privsep", "1")
        tool(node, "pveum", "acl", "modify", "/vms", "--tokens", TOKEN, "--roles", "HwidDaemon")
        equal(root_json(node, "setup", "--no-start")[0]["result"], "already", "a token with its own entries")


def test_token_of_a_node_that_left_the_cluster_goes_along():
    with bare_node() as node:
        join(node, "pve2")
        setup(node)
        for name in ("daemon-pve2", "daemon-pve9"):
            tool_json(node, "pveum", "user", "token", "add", USER, name, "--privsep", "0")
        result = setup(node, "--remove")
        contains(result.stdout, f"take away token {USER}!daemon-pve9", "pve9 is no member")
        contains(result.stdout, "tokens: daemon-pve2", "pve2 is one")
        equal(list(tree(node)[1]["tokens"]), [f"{USER}!daemon-pve2"], "tokens")


def test_content_that_was_added_although_the_command_failed_is_taken_back():
    """As when it is ended by its time limit, or the answer is lost."""
    with bare_node() as node:
        os.makedirs(node.path("bin"))
        node.write("bin/pvesm", "#!/bin/sh\nPATH=${PATH#*:}\npvesm \"$@\"\necho late >&2\nexit 255\n", 0o755)
        env = environment(node, "setup")
        env["PATH"] = node.path("bin") + ":" + env["PATH"]
        result = node.run(node.path("usr/bin/pve-hwid"), "setup", "--no-start", "--root", node.root,
                          env=env, check=False)
        contains(result.stdout, "failed      storage local holds snippets: pvesm set: exit code 255: late", "setup")
        setup(node)
        contains(node.read("etc/pve/storage.cfg"), "snippets", "storage.cfg")
        setup(node, "--remove")
        lacks(node.read("etc/pve/storage.cfg"), "snippets", "storage.cfg")
        assert not os.path.exists(node.path("etc/pve/pve-hwid")), "the directory that setup made"


def test_secret_is_seen_nowhere_else():
    with bare_node() as node:
        output = setup(node).stdout + setup(node).stdout + root(node, "setup", "--no-start",
                                                                "--json").stdout
        secret = node.read("etc/pve-hwid/token").strip().partition("=")[2]
        assert len(secret) == 36
        output += root(node, "doctor").stdout + root(node, "setup", "--no-start", "--remove",
                                                     "--dry-run").stdout
        lacks(output, secret, "the output")


def test_failed_step_stops_and_the_next_run_goes_on():
    with bare_node() as node:
        node.write("var/lib/vz/snippets.txt", "")
        os.rmdir(node.path("var/lib/vz/snippets"))
        os.rename(node.path("var/lib/vz/snippets.txt"), node.path("var/lib/vz/snippets"))
        answer, code = root_json(node, "setup", "--no-start")
        by_id = {s["id"]: s for s in answer["steps"]}
        equal((code, by_id["hook"]["state"], answer["result"]), (1, "failed", "failed"), "hook")
        contains(by_id["hook"]["detail"], "snippets", "the reason")
        os.unlink(node.path("var/lib/vz/snippets"))
        answer, code = root_json(node, "setup", "--no-start")
        equal((code, [s["id"] for s in answer["steps"] if s["state"] == "done"]), (0, ["hook"]), "again")


def test_words_of_pve_are_passed_on():
    with bare_node() as node:
        node.write("pvesim/access.json", json.dumps({
            "users": {}, "tokens": {}, "roles": {}, "acl": []}))
        os.chmod(node.path("pvesim/access.json"), 0o600)
        os.makedirs(node.path("bin"))
        node.write("bin/pveum", "#!/bin/sh\ncase \"$*\" in *add*) echo \"create role failed: can't lock "
                   "file '/etc/pve/user.cfg.lck' - got timeout\" >&2; exit 4;; esac\necho '[]'\n", 0o755)
        env = environment(node, "setup")
        env["PATH"] = node.path("bin") + ":" + env["PATH"]
        result = node.run(node.path("usr/bin/pve-hwid"), "setup", "--no-start", "--root", node.root,
                          env=env, check=False)
        equal(result.returncode, 1, "exit code")
        contains(result.stdout, "pveum role: exit code 4: create role failed: can't lock file "
                 "'/etc/pve/user.cfg.lck' - got timeout", "the step")
        contains(result.stdout, "not tried   user", "what follows")
        os.unlink(node.path("bin/pveum"))
        env["PATH"] = "/nowhere"
        result = node.run(node.path("usr/bin/pve-hwid"), "setup", "--no-start", "--root", node.root,
                          env=env, check=False)
        contains(result.stderr, "nothing was done: pveum: cannot be started: No such file", "no PVE")


def test_remove_takes_all_of_it_away():
    with bare_node() as node:
        tool(node, "pveum", "user", "add", "somebody@pve")
        before = tree(node)
        setup(node)
        node.fingerprint(105, fingerprint(), cluster=True)
        result = setup(node, "--remove")
        contains(result.stdout, "Fingerprints, journal and settings are still there", "the end")
        after = tree(node)
        node.read("etc/pve/pve-hwid/105.json")      # the administrator's
        after[0].pop("etc/pve/pve-hwid/105.json")
        same = re.sub(r"content \S+", "content", before[0]["etc/pve/storage.cfg"].decode())
        equal(re.sub(r"content \S+", "content", after[0]["etc/pve/storage.cfg"].decode()).split(),
              same.split(), "storage.cfg")
        lacks(node.read("etc/pve/storage.cfg"), "snippets", "storage.cfg")
        for found in (before[0], after[0]):
            found.pop("etc/pve/storage.cfg")
        equal(after[0], before[0], "files")
        equal({k: v for k, v in after[1].items() if v}, {k: v for k, v in before[1].items() if v},
              "users, tokens, roles, ACL")
        answer, code = root_json(node, "setup", "--no-start", "--remove")
        equal((code, answer["result"]), (0, "already"), "again")


def test_snippets_that_were_there_before_stay():
    with bare_node() as node:
        tool(node, "pvesm", "set", "local", "--content", "iso,snippets")
        setup(node)
        setup(node, "--remove")
        contains(node.read("etc/pve/storage.cfg"), "snippets", "storage.cfg")


def test_snippets_that_others_use_by_now_stay():
    with bare_node() as node:
        setup(node)
        node.write("var/lib/vz/snippets/user.yaml", "#cloud-config\n")
        contains(setup(node, "--remove").stdout, "local:snippets/user.yaml on pve1", "the reason")
        contains(node.read("etc/pve/storage.cfg"), "snippets", "storage.cfg")


def test_remove_is_refused_while_a_vm_has_our_hook():
    with bare_node() as node:
        setup(node)
        node.vm(105, imported(), hook=False)
        node.vm(106, imported(106), hook=False)
        root(node, "attach", "105", "106", check=True)
        before = tree(node)
        result = setup(node, "--remove", check=False)
        equal(result.returncode, 5, "exit code")
        contains(result.stderr, "without the hook 2 VMs that name it would not start any more: 105 (pve1), "
                 "106 (pve1); first, on each of these nodes: pve-hwid detach --all", "the reason")
        equal(tree(node), before, "the node")
        root(node, "detach", "--all", check=True)
        # A snapshot of the time when it was attached.
        conf = node.read(node.conf_path(105))
        node.set_conf(105, conf + "\n[before]\nhookscript: local:snippets/pve-hwid\n")
        contains(setup(node, "--remove").stdout, "names it a VM would not start without it: 105 (pve1)",
                 "what stays")
        assert os.path.exists(node.path("var/lib/vz/snippets/pve-hwid"))
        node.set_conf(105, conf)
        setup(node, "--remove")
        assert not os.path.exists(node.path("var/lib/vz/snippets/pve-hwid"))


def test_cluster_is_told_what_to_run_where():
    with bare_node() as node:
        join(node, "pve2")
        join(node, "pve3", "--offline")
        join(node, "pve4", hook=True)
        answer, code = root_json(node, "setup", "--no-start")
        others = [(s["what"], s["state"]) for s in answer["steps"] if s["id"] == "other-node"]
        equal((code, others), (0, [("node pve2", "yours"), ("node pve3", "yours"),
                                   ("node pve4", "already")]), "other nodes")
        contains(json.dumps(answer), "run on pve2: pve-hwid setup", "what to run")
        # pve2 was set up, too: its token keeps user and roles alive.
        tool(node, "pveum", "user", "token", "add", USER, "daemon-pve2", "--privsep", "0",
             "--output-format", "json")
        contains(setup(node, "--remove").stdout, "tokens: daemon-pve2", "what stays")
        access = tree(node)[1]
        equal((list(access["tokens"]), sorted(access["roles"])),
              ([f"{USER}!daemon-pve2"], ["HwidBridge", "HwidDaemon"]), "what is left")


def test_no_quorum_nothing_is_done():
    with bare_node() as node:
        join(node, "pve2", "--offline", "--no-quorum")
        result = setup(node, check=False)
        equal(result.returncode, 4, "exit code")
        contains(result.stderr, "no quorum", "the reason")
        assert not os.path.exists(node.path("pvesim/access.json"))


def test_not_a_node_of_pve():
    with bare_node() as node:
        os.unlink(node.path("etc/pve/.members"))
        result = setup(node, check=False)
        equal(result.returncode, 1, "exit code")
        contains(result.stderr, "is this a node of Proxmox VE? systemctl status pve-cluster", "stderr")


def test_settings_that_say_other_places_are_honoured():
    with bare_node() as node:
        os.makedirs(node.path("srv"))
        configure(node, token_file=node.path("srv/tok"), fingerprint_dir=node.path("srv/a/b"))
        setup(node)
        equal(stat.S_IMODE(os.stat(node.path("srv/tok")).st_mode), 0o600, "token")
        assert os.path.isdir(node.path("srv/a/b"))
        tool(node, "pvesm", "set", "local", "--content-dirs", "snippets=my/hooks")
        contains(setup(node).stdout, "done        hook at " + node.path("var/lib/vz/my/hooks/pve-hwid"),
                 "where the hook goes")


tap.run(globals(), "setup")
