#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several VMs in one go on a real node, with the real daemon. What becomes of a list
that is interrupted, or has no daemon: tests/test_cli_client."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import changing, checked_node, contains, equal, imported, lacks, run, small_fingerprint


def fleet(node, *vmids, **settings):
    for vmid in vmids:
        node.vm(vmid, imported(vmid, smbios1=f"uuid=421a4d56-1100-3322-4455-667788990{vmid}"))
        node.fingerprint(vmid, small_fingerprint())
    node.start_daemon(early=0, **settings)


def test_all_are_applied_and_summed_up():
    with checked_node() as node:
        node.vm(107, imported(107))
        node.qm("start", "107", check=True)
        node.fingerprint(107, small_fingerprint())
        node.fingerprint(109, small_fingerprint())     # of a VM that is on no node
        node.vm(110, imported(110))                    # one without a fingerprint
        fleet(node, 105, 106, 108)
        node.write("etc/pve/pve-hwid/106.hold",
                   '{"format":1,"since":"2026-11-26T00:00:00Z","by":"root@pve2"}\n')
        dry = node.hwid("apply", "--all", "--dry-run")
        contains(dry.stdout, "105   differs  smbios1\n", "dry run")
        contains(dry.stdout, "\n4 VMs: 3 differs, 1 on-hold\n", "its end")
        equal(changing(node), [], "requests that change something")
        result = node.hwid("apply", "--all")
        equal(result.returncode, 4, f"exit: {result.stdout}{result.stderr}")
        contains(result.stdout, "\n4 VMs: 2 done, 1 on-hold, 1 busy\n", "the end")
        for part in ("109", "110"):
            lacks(result.stdout + result.stderr, "VM " + part, "others")
        equal(sorted(v for v in (105, 106, 107, 108) if "end" in node.records(v)), [105, 108], "changed")
        contains(node.hwid("apply", "--all").stdout, "\n4 VMs: 2 unchanged, 1 on-hold, 1 busy\n", "again")


def test_a_vm_that_never_was_is_said_to_be_none():
    with checked_node() as node:
        fleet(node, 105)
        result = node.hwid("apply", "999")
        equal((result.returncode, result.stdout), (1, ""), "apply")
        contains(result.stderr, "VM 999: there is no such VM on this node; qm list", "apply")


if __name__ == "__main__":
    run(globals(), "several")
