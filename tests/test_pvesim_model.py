#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the model of PVE in the unit tests (tests/unit/fake_pve*.c) the same as the simulator?

The property test is worth as much as its model of PVE. So the model says what it makes of thousands of
random calls (test_property with PROPERTY_DUMP: a configuration, and calls with right, stale and no
digests, on running and stopped VMs, with volumes and storages away, breaking in the middle), and
the simulator, which is held against recordings of a real node (test_pvesim_replay.py), gets the same.
Compared are whether the call goes through, the words of a refusal as far as pve-hwid reads them, and
the file, byte by byte, after each call.

    test_pvesim_model.py [CASES [SEED]]
"""
import contextlib
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
import types

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "pvesim"))

import access  # noqa: E402
import config  # noqa: E402
import node as nodes  # noqa: E402
import routes  # noqa: E402
import update  # noqa: E402

CASES = 1000
BUILD = os.path.join(TOP, os.environ.get("PVE_HWID_BUILD", "build"))
PATH = "/nodes/pve1/qemu/105/config"
# What tells refusals apart for pve-hwid; the rest of the words is the simulator's affair.
WORDS = ("checksum mismatch", "VM is locked", "does not exist", "filesystem paths", "protection mode",
         "at the same time", "Parameter verification failed", "no options", "Input/output error")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Node(nodes.Node):
    """A simulated node whose volumes and circumstances are those of one call."""

    def __init__(self, root, volumes):
        self.scene, self.volumes = {}, volumes
        super().__init__(root)

    def settings(self):
        return dict(nodes.DEFAULT_SETTINGS, node="pve1", option_order=self.scene.get("order") or [])

    def storage_path(self, storage):
        if self.scene.get("storage_away"):
            raise nodes.PveError(f"storage '{storage}' does not exist\n")
        return "/nowhere"

    def volume_size(self, volid):
        if volid == self.scene.get("away") or volid not in self.volumes:
            raise nodes.PveError(f"volume '{volid}' does not exist\n")
        size = self.volumes[volid]
        return int(size[:-1]) * UNITS[size[-1]]

    def flock(self, vmid, log=None, timeout=0):
        return contextlib.nullcontext()

    def violation(self, what, **details):
        pass                            # the model's calls may ask for anything


def put(node, call):
    """(status, words) of the simulator."""
    params = dict(call["params"])
    if call["digest"]:
        params["digest"] = config.load(node, 105).digest if call["digest"] == "right" else "0" * 40
    node.scene = call
    auth = access.Auth("pve-hwid@pve!daemon", None)
    fault = None
    if call["half_writes"]:
        fault = {"writes": call["half_writes"] - 1, "message": "unable to open file: Input/output error"}
    update.backend = lambda _node: types.SimpleNamespace(pid=lambda *_: call["running"] and 1 or 0)
    try:
        routes.execute(node, "PUT", PATH, params, auth, fault=fault)
        return 200, ""
    except nodes.PveError as e:
        return e.status, e.text()


def essence(call, status, words):
    found = [w for w in WORDS if w in words]
    if "at the same time" in found:     # said of a parameter, like others that may be wrong besides
        found = ["Parameter verification failed"]
    if call["storage_away"]:            # which drive of several is looked at first is any
        found = [w.replace("filesystem paths", "does not exist") for w in found]
    return ("done",) if status == 200 else ("refused", *found[:1])


def same_file(theirs, ours):
    """An empty `boot` is written with one blank or two, as often as it was read in between."""
    empty = re.compile("^boot: +$", re.M)
    return empty.sub("boot: ", theirs) == empty.sub("boot: ", ours)


def compare(case, root):
    """None, or what is not the same."""
    node = Node(root, case["volumes"])
    path = node.conf_path(105)
    with open(path, "w", encoding="utf-8") as f:
        f.write(case["config"])
    for number, call in enumerate(case["calls"], 1):
        status, words = put(node, call)
        with open(path, encoding="utf-8") as f:
            after = f.read()
        theirs, ours = essence(call, status, words), essence(call, call["status"], call["message"])
        if theirs != ours or not same_file(after, call["after"]):
            scene = {k: v for k, v in call.items() if k not in ("params", "after", "message")}
            lines = difflib.unified_diff(after.splitlines(), call["after"].splitlines(),
                                         "simulator", "model", lineterm="", n=99)
            return (f"case {case['seed']}, call {number}: {json.dumps(call['params'])} {scene}\n"
                    f"simulator: {status} {words.strip()}\n"
                    f"model: {call['status']} {call['message']}\n" + "\n".join(lines))
    return None


def cases(count, seed):
    env = dict(os.environ, PROPERTY_DUMP=str(count), PROPERTY_SEED=str(seed))
    out = subprocess.run([os.path.join(BUILD, "tests", "test_property")], env=env, check=True,
                         stdout=subprocess.PIPE, text=True, timeout=300).stdout
    return [json.loads(line) for line in out.splitlines()]


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else int(os.environ.get("MODEL_CASES", CASES))
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(os.environ.get("MODEL_SEED", "1"))
    calls = done = refused = bad = 0
    with tempfile.TemporaryDirectory(prefix="hwid-model-",
                                     dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as root:
        os.makedirs(os.path.join(root, "pvesim"))
        os.makedirs(os.path.join(root, "etc/pve/nodes/pve1/qemu-server"))
        for case in cases(count, seed):
            calls += len(case["calls"])
            done += sum(c["status"] == 200 for c in case["calls"])
            refused += sum(c["status"] != 200 for c in case["calls"])
            problem = compare(case, root)
            if problem:
                bad += 1
                if bad <= 3:
                    print("".join(f"# {line}\n" for line in problem.splitlines()), end="")
    if bad or done < calls // 4 or refused < calls // 10:
        print(f"not ok pvesim_model/the_model_of_the_unit_tests_is_the_simulator - {bad} of {count} "
              f"cases differ; {done} calls done, {refused} refused (MODEL_SEED={seed})")
        sys.exit(1)
    print(f"ok pvesim_model/the_model_of_the_unit_tests_is_the_simulator ({calls} calls, {done} done, "
          f"{refused} refused)")


if __name__ == "__main__":
    main()
