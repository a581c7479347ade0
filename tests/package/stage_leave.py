# SPDX-License-Identifier: GPL-3.0-or-later
"""The package goes: removed while VMs name its hook, back again, purged, and setup taken back."""
import json
import os
import shutil

from life import (COPY, HOOK, STUB, NODE, NEW_DEB, step, sh, apt, show, is_active, failed_units, put_hook,
                  access, bytes_of)
from tap import contains, equal, lacks


def add_namers():
    """Beside the VMs here: one on another node, a snapshot, a pending change, one with a former hook."""
    NODE.write("etc/pve/nodes/pve1/qemu-server/108.conf",
               "memory: 64\n\n[before]\nhookscript: local:snippets/pve-hwid\nmemory: 64\n")
    os.makedirs("/etc/pve/nodes/pve2/qemu-server", exist_ok=True)
    NODE.write("etc/pve/nodes/pve2/qemu-server/200.conf", "hookscript: local:snippets/pve-hwid\nmemory: 64\n")
    NODE.write("etc/pve/nodes/pve2/qemu-server/201.conf", "hookscript: local:snippets/other\nmemory: 64\n")
    NODE.write("var/lib/vz/snippets/former", "#!/bin/sh\necho \"former $*\" >>/tmp/former\nexit 7\n", 0o755)
    NODE.write("etc/pve/pve-hwid/107.hook", "local:snippets/former\n")


@step("leave")
def removal_tells_which_vms_name_the_hook_and_leaves_a_stub():
    add_namers()
    sh("systemctl", "enable", "--now", "pve-hwid-metrics.timer")
    out = apt("remove", "pve-hwid")
    equal(is_active("pve-hwid-metrics.timer"), "inactive", "the timer of the metrics")
    for text in ("VM 105 on pve1: qm set 105 --delete hookscript", "VM 200 on pve2",
                 "VM 107 on pve1: qm set 107 --hookscript local:snippets/former",
                 "VM 108 on pve1, snapshot before"):
        contains(out, text, "apt remove")
    lacks(out, "VM 201", "apt remove")
    assert not os.path.exists(STUB), "the package's files are there"
    contains(NODE.read(COPY[1:]), "pve-hwid was removed", "what is left")
    assert os.access(COPY, os.X_OK), "it cannot be run"
    equal(os.path.exists("/run/pve-hwid"), False, "/run/pve-hwid")
    equal(failed_units(), [], "failed units")


@step("leave")
def a_vm_still_starts_after_the_removal():
    started = NODE.qm("start", "105")
    equal(started.returncode, 0, f"start: {started.stdout}{started.stderr}")
    contains(started.stdout, "pve-hwid was removed: VM 105 starts as it is", "its task log")
    contains(started.stdout, "qm set 105 --delete hookscript", "its task log")
    assert NODE.running(105), "VM 105 does not run"
    NODE.qm("stop", "105", check=True)


@step("leave")
def the_former_hookscript_is_run_and_its_word_counts():
    started = NODE.qm("start", "107")
    contains(started.stderr, "exit code 7", "start")
    contains(started.stdout, "qm set 107 --hookscript local:snippets/former", "its task log")
    equal(NODE.read("tmp/former"), "former 107 pre-start\n", "arguments")


@step("leave")
def a_former_hookscript_that_is_gone_keeps_no_vm_down():
    for volume in ("local:snippets/gone", "local:snippets/pve-hwid", "other:snippets/x", "$(touch /tmp/bad)",
                   "local:snippets/../../../../../bin/false", "local:snippets/a/b", ""):
        NODE.write("etc/pve/pve-hwid/107.hook", volume)     # without a newline
        done = NODE.run(COPY, "107", "pre-start", check=False)
        equal(done.returncode, 0, f"'{volume}': {done.stdout}{done.stderr}")
        contains(done.stdout, "VM 107 starts as it is", volume)
    assert not os.path.exists("/tmp/bad"), "a word of the file was carried out"
    os.unlink("/etc/pve/pve-hwid/107.hook")


@step("leave")
def installing_again_brings_hook_and_daemon_back():
    apt("install", NEW_DEB)
    assert bytes_of(COPY) == bytes_of(HOOK), "the copy is not the hook"
    equal(NODE.hwid("status").returncode, 0, "status")
    equal(NODE.qm("start", "105").returncode, 0, "start")
    NODE.qm("stop", "105", check=True)


@step("leave")
def a_removal_that_fails_puts_the_hook_back():
    sh("/usr/libexec/pve-hwid/place-hook", "leave")
    contains(NODE.read(COPY[1:]), "pve-hwid was removed", "after place-hook leave")
    sh("/var/lib/dpkg/info/pve-hwid.postinst", "abort-remove")
    assert bytes_of(COPY) == bytes_of(HOOK), "the copy is not the hook"


@step("leave")
def without_etc_pve_the_stub_stays():
    os.rename("/etc/pve", "/etc/pve.away")
    try:
        os.mkdir("/etc/pve")
        contains(sh("/usr/libexec/pve-hwid/place-hook", "leave"), "cannot be read", "place-hook leave")
        contains(NODE.read(COPY[1:]), "pve-hwid was removed", "what is left")
        sh("/usr/libexec/pve-hwid/place-hook", "refresh")
        assert bytes_of(COPY) == bytes_of(HOOK), "the copy is not the hook"
    finally:
        os.rmdir("/etc/pve")
        os.rename("/etc/pve.away", "/etc/pve")


@step("leave")
def a_link_to_the_packages_file_becomes_a_stub_too():
    os.unlink(COPY)
    os.symlink(HOOK, COPY)
    sh("/usr/libexec/pve-hwid/place-hook", "refresh")
    assert os.path.islink(COPY), "the link was replaced"
    sh("/usr/libexec/pve-hwid/place-hook", "leave")
    assert not os.path.islink(COPY) and "pve-hwid was removed" in NODE.read(COPY[1:]), "what is left"
    put_hook()


@step("leave")
def purge_keeps_what_is_the_administrators():
    apt("purge", "pve-hwid")
    contains(NODE.read(COPY[1:]), "pve-hwid was removed", "the hook of VMs that still name it")
    for gone in ("/etc/pve-hwid/pve-hwid.conf", "/etc/pve-hwid/token", "/var/lib/pve-hwid"):
        assert not os.path.exists(gone), f"{gone} is there"
    for kept in ("/etc/pve-hwid/fingerprints/105.json", "/etc/pve/pve-hwid/106.json"):
        assert os.path.exists(kept), f"{kept} is gone"


@step("leave")
def setup_after_a_purge_makes_a_new_token():
    shutil.rmtree("/etc/pve-hwid")
    apt("install", NEW_DEB)
    assert bytes_of(COPY) == bytes_of(HOOK), "the stub was not replaced"
    done = NODE.hwid("setup")
    equal(done.returncode, 0, f"setup: {done.stdout}{done.stderr}")
    equal(json.loads(NODE.hwid("status", "--json").stdout)["api"]["ok"], True, "the API")


@step("leave")
def setup_is_not_taken_back_while_vms_name_the_hook():
    before = access(), bytes_of(COPY), show("MainPID"), bytes_of("/etc/pve-hwid/token")
    done = NODE.hwid("setup", "--remove")
    equal(done.returncode, 5, f"setup --remove: {done.stdout}{done.stderr}")
    for text in ("105 (pve1)", "200 (pve2)", "pve-hwid detach --all"):
        contains(done.stderr, text, "setup --remove")
    equal((access(), bytes_of(COPY), show("MainPID"), bytes_of("/etc/pve-hwid/token")), before, "what it left")


@step("leave")
def detach_all_lets_every_vm_of_the_node_go():
    done = NODE.hwid("detach", "--all")
    equal(done.returncode, 0, f"detach: {done.stdout}{done.stderr}")
    for name in os.listdir("/etc/pve/nodes/pve1/qemu-server"):
        lacks(str(NODE.conf(name.partition(".")[0])), "snippets/pve-hwid", name)
    equal(NODE.qm("start", "105").returncode, 0, "start of VM 105")
    NODE.qm("stop", "105", check=True)


@step("leave")
def setup_is_taken_back_with_its_units():
    # pve2's own administrator detaches there; and somebody deletes the snapshot.
    NODE.write("etc/pve/nodes/pve2/qemu-server/200.conf", "memory: 64\n")
    NODE.write("etc/pve/nodes/pve1/qemu-server/108.conf", "memory: 64\n")
    done = NODE.hwid("setup", "--remove")
    equal(done.returncode, 0, f"setup --remove: {done.stdout}{done.stderr}")
    for unit in ("pve-hwidd.socket", "pve-hwidd.service"):
        equal((sh("systemctl", "is-enabled", unit, check=False).strip(), is_active(unit)),
              ("disabled", "inactive"), unit)
    for gone in (COPY, "/etc/pve-hwid/token", "/etc/pve/pve-hwid/setup.json"):
        assert not os.path.lexists(gone), f"{gone} is there"
    equal(access(), ([], []), "users and roles")
    equal(failed_units(), [], "failed units")


@step("leave")
def a_purge_after_that_leaves_nothing():
    sh("systemctl", "enable", "pve-hwid-metrics.timer")
    out = apt("purge", "pve-hwid")
    lacks(out, "name its hook", "apt purge")
    lacks(out, "is not empty and stays", "apt purge")
    for gone in (COPY, "/etc/pve-hwid", "/var/lib/pve-hwid", "/run/pve-hwid"):
        assert not os.path.lexists(gone), f"{gone} is there"
    # Fingerprints, and the note of which hookscript a VM had, are the administrator's.
    found = sh("find", "/etc", "/usr", "/var", "-path", "/etc/pve/*", "-prune", "-o", "-name", "*pve-hwid*",
               "-not", "-path", "/var/log/*", "-print").split()
    equal(found, [], "files of ours")


@step("leave")
def nothing_forbidden_was_done_at_all():
    equal(NODE.violations(), [], "violations")
