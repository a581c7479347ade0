#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pve-hwid doctor`: each thing that can be wrong is done to a node that is well, is found, and the
command that comes with it mends it."""
import contextlib
import os

import tap
from admin import bare_node, configure, findings, join, root, root_json, setup, tool
from node import PVESIM
from tap import contains, equal, imported, small_fingerprint

USER, TOKEN = "pve-hwid@pve", "pve-hwid@pve!daemon-pve1"
ROLE = "VM.Audit VM.Config.HWType VM.Config.Disk VM.Config.Network VM.Config.Options VM.PowerMgmt"


@contextlib.contextmanager
def healthy():
    """One VM, attached, in sync or about to be; a daemon that runs."""
    with bare_node() as node:
        setup(node)
        node.start_daemon(early=0)
        node.vm(105, imported(), hook=False)
        node.fingerprint(105, small_fingerprint(), cluster=True)
        root(node, "attach", "105", check=True)
        equal(findings(node), {}, "findings of a node that is well")
        yield node


def one(node, ident, severity="fail"):
    """The only finding, which is of that kind."""
    found = findings(node)
    equal(list(found), [ident], f"findings: {found}")
    equal((len(found[ident]), found[ident][0]["severity"]), (1, severity), ident)
    return found[ident][0]


def cure(node, finding):
    """Types the command that doctor told."""
    words = finding["cure"].split()
    if words[:2] == ["pve-hwid", "setup"]:
        setup(node)
    elif words[0] == "pve-hwid":
        root(node, *words[1:], check=True)
    else:
        tool(node, *words)
    equal(findings(node), {}, f"findings after '{finding['cure']}'")


def test_each_privilege_is_named_with_its_cure():
    with healthy() as node:
        for privilege in ROLE.split():
            rest = " ".join(p for p in ROLE.split() if p != privilege)
            tool(node, "pveum", "role", "modify", "HwidDaemon", "--privs", rest)
            finding = one(node, "privilege")
            equal((finding["vmid"], finding["what"], finding["cure"]),
                  (105, f"the token {TOKEN} lacks {privilege} on /vms/105", "pve-hwid setup"), privilege)
            tool(node, "pveum", "role", "modify", "HwidDaemon", "--privs", ROLE)
        tool(node, "pveum", "role", "modify", "HwidDaemon", "--privs", "VM.Audit")
        cure(node, one(node, "privilege"))


def test_token_that_has_no_privileges_for_its_being_separated():
    with healthy() as node:
        tool(node, "pveum", "user", "token", "modify", USER, "daemon-pve1", "--privsep", "1")
        found = findings(node)
        equal(sorted(found), ["bridge", "privilege"], "findings")
        equal({f[0]["cure"] for f in found.values()}, {"pve-hwid setup"}, "cures")
        cure(node, found["privilege"][0])


def test_privilege_that_a_deeper_entry_hides():
    with healthy() as node:
        tool(node, "pveum", "acl", "modify", "/vms/105", "--users", USER, "--roles", "PVETemplateUser")
        finding = one(node, "privilege")
        equal(finding["cure"], f"pveum acl modify /vms/105 --users {USER} --roles HwidDaemon", "cure")
        cure(node, finding)


def test_bridge_that_may_not_be_used():
    with healthy() as node:
        tool(node, "pveum", "acl", "delete", "/sdn/zones/localnetwork", "--users", USER, "--roles",
             "HwidBridge")
        finding = one(node, "bridge")
        contains(finding["what"], "lacks SDN.Use on /sdn/zones/localnetwork/vmbr0", "what")
        cure(node, finding)


def test_token():
    with healthy() as node:
        tool(node, "pveum", "user", "modify", USER, "--enable", "0")
        contains(one(node, "token")["what"], f"PVE does not accept the token {TOKEN}", "disabled user")
        tool(node, "pveum", "user", "modify", USER, "--enable", "1")
        os.chmod(node.path("etc/pve-hwid/token"), 0o644)
        contains(one(node, "token")["what"], "chmod 0600", "readable by others")
        os.unlink(node.path("etc/pve-hwid/token"))
        finding = one(node, "token")
        contains(finding["what"], "no API token", "missing")
        setup(node)
        # The daemon has the old one still: systemd gave it at its start.
        daemon = root_json(node, "doctor")[0]["findings"]
        equal([f["what"] for f in daemon if f["id"] == "token"], [f"PVE accepts {TOKEN}"], "after setup")


def test_api_and_its_certificate():
    with healthy() as node:
        configure(node, api_url="https://127.0.0.1:1")
        contains(one(node, "api")["what"], "cannot reach https://127.0.0.1:1", "nobody there")
        configure(node, ca_file="/etc/ssl/certs/ca-certificates.crt"
                  if os.path.exists("/etc/ssl/certs/ca-certificates.crt") else node.path("etc/pve/x.pem"))
        found = findings(node)
        equal(list(found), ["api"], f"another CA: {found}")
        configure(node)
        equal(findings(node), {}, "at the end")


def test_daemon_that_is_not_there():
    with healthy() as node:
        node.stop_daemon()
        finding = one(node, "daemon")
        contains(finding["what"], "the daemon is not running", "what")
        contains(finding["cure"], "systemctl restart pve-hwidd.socket pve-hwidd.service", "cure")


def test_hook():
    with healthy() as node:
        hook = node.path("var/lib/vz/snippets/pve-hwid")
        os.chmod(hook, 0o644)
        contains(one(node, "hook")["what"], "is not executable: no VM with our hook starts", "mode")
        cure(node, one(node, "hook"))
        with open(hook, "a", encoding="utf-8") as f:
            f.write("# older\n")
        cure(node, one(node, "hook", "warn"))
        os.unlink(hook)
        contains(one(node, "hook")["what"], "(there are 1 in the cluster)", "gone")
        cure(node, one(node, "hook"))
        tool(node, "pvesm", "set", "local", "--content", "iso")
        cure(node, one(node, "content", "warn"))


def test_other_nodes():
    with healthy() as node:
        join(node, "pve2", hook=True)
        equal(findings(node), {}, "the hook is on pve2")
        os.unlink(node.path("pvesim/others/pve2/pve-hwid"))
        finding = one(node, "other-node")
        equal((finding["node"], finding["cure"]), ("pve2", "on pve2: pve-hwid setup"), "missing")
        join(node, "pve2", "--offline")
        contains(one(node, "other-node", "warn")["what"], "it is offline", "offline")
        join(node, "pve2", "--no-quorum", hook=True)
        contains(one(node, "quorum")["what"], "no quorum", "quorum")


def test_node_name():
    with healthy() as node:
        configure(node, node="pve9")
        finding = findings(node)["node-name"][0]
        contains(finding["what"], "PVE calls this node pve1, the settings pve9", "what")
        contains(finding["cure"], "`node: pve1`", "cure")


def test_settings_and_cluster_file_system():
    with healthy() as node:
        node.write("etc/pve-hwid/pve-hwid.conf", "nonsense\n")
        contains(one(node, "settings")["what"], "line 1", "settings")
        configure(node)
        os.rename(node.path("etc/pve/.members"), node.path("members"))
        contains(findings(node)["cluster"][0]["what"], ".members", "no pmxcfs")


def test_vms_and_files_that_do_not_belong_together():
    with healthy() as node:
        node.fingerprint(900, small_fingerprint(), cluster=True)
        finding = one(node, "stale", "warn")
        equal((finding["vmid"], finding["cure"]), (900, f"rm {node.path('etc/pve/pve-hwid/900.json')}"),
              "stale")
        cure(node, finding)
        node.fingerprint(901, small_fingerprint())
        contains(one(node, "stale", "warn")["what"], "on this node", "local")
        cure(node, one(node, "stale", "warn"))
        node.write("etc/pve/pve-hwid/902.hook", "local:snippets/x\n")
        cure(node, one(node, "stale", "warn"))

        node.vm(106, imported(106), hook=False)
        node.fingerprint(106, small_fingerprint(smbios={"manufacturer": "VMware, Inc."}), cluster=True)
        finding = one(node, "not-attached", "warn")
        equal((finding["vmid"], finding["cure"]), (106, "pve-hwid attach 106"), "not attached")
        cure(node, finding)
        os.unlink(node.path("etc/pve/pve-hwid/106.json"))
        contains(one(node, "no-fingerprint", "warn")["cure"], "pve-hwid detach 106", "no fingerprint")
        root(node, "detach", "106", check=True)


def test_former_hooks():
    with healthy() as node:
        old = node.write("var/lib/vz/snippets/old", "#!/bin/sh\n", 0o755)
        node.vm(106, imported(106, hookscript="local:snippets/old"), hook=False)
        node.fingerprint(106, small_fingerprint(smbios={"manufacturer": "VMware, Inc."}), cluster=True)
        root(node, "attach", "106", check=True)
        equal(findings(node), {}, "attached over another hook")
        os.unlink(old)
        finding = one(node, "former-hook")
        contains(finding["what"], "it does not start: the hookscript it had before, local:snippets/old",
                 "gone")
        node.write("etc/pve/pve-hwid/106.hook", "nonsense\n")
        contains(one(node, "former-hook")["cure"], "pve-hwid detach --drop-former 106", "damaged")
        node.write("etc/pve/pve-hwid/106.hook", "local:snippets/old\n")
        tool(node, "qm", "set", "106", "--delete", "hookscript")
        os.unlink(node.path("etc/pve/pve-hwid/106.json"))
        cure(node, one(node, "former-hook", "warn"))
        node.vm(107, imported(107, hookscript="nas:snippets/pve-hwid"), hook=False)
        found = findings(node)
        contains(found["hookscript"][0]["what"], "storage 'nas' does not exist", "a storage that is gone")


def test_exit_codes_and_words_for_people():
    with bare_node() as node:
        result = root(node, "doctor")
        equal(result.returncode, 1, "exit code of an empty node")
        contains(result.stdout, "FAIL  token ", "output")
        contains(result.stdout, "-> pve-hwid setup", "output")
        setup(node)
        node.start_daemon()
        assert root(node, "doctor").returncode in (0, 3)    # 3: the clock of this machine
        node.fingerprint(900, small_fingerprint(), cluster=True)
        result = root(node, "doctor")
        equal(result.returncode, 3, "exit code with a warning")
        contains(result.stdout, "warn  stale         VM 900: ", "output")
        contains(result.stdout.splitlines()[-1], ", 0 failures", "the sum")
        node.run(PVESIM, "log", node.root)
        equal([r["method"] for r in node.requests() if r["method"] != "GET"], [], "doctor only asks")


tap.run(globals(), "doctor")
