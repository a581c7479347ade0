"""Plays hook-context-*: commands and calls, and for each the calls of the hook that it led to."""
import contextlib
import json
import os
import re
import time

import node as nodes
import stubqemu
from neutral import compare, neutral, neutral_text
from replayhooks import HOOK, REFUSES
from replaynode import DAEMON
from replayplayer import LAB, Player, neutral_log

NOT_STEPPED = (         # beginning of a hook-context step, why
    ("qm template", "recorded of a clone that had ended before; the test begins with a template"),
    ("delete snapshots", "deleting snapshots is not simulated"),
    ("state after", "output of listsnapshot and grep"),
)
# What a step leaves behind: step, key of the recording, VM.
LEAVES = (("qm clone 105 106", "clone_config", 106), ("start of the clone", "clone_config_after_start", 106),
          ("qmrestore to 107", "restored_107", 107), ("start of 107", "restored_107_after_start", 107),
          ("qmrestore to 108", "restored_108_unique", 108),
          ("start of 108", "restored_108_unique_after_start", 108),
          ("restore over", "restored_107_force", 107), ("linked clone", "linked_clone_config", 107))


class Stepper(Player):
    """hook-context-*: commands and calls, and for each the calls of the hook that it led to."""

    def play(self):
        text = self.recording["config_before"]
        self.vmid = int(re.search(r"local:(\d+)/", text)[1])
        self.sim.put_text(text.replace("local:snippets/hook", "local:snippets/ctx"), self.vmid)
        if "template" in self.name:
            nodes.create_image(self.sim.path("var/lib/vz/images/106/base-106-disk-0.qcow2"), 1 << 30)
        if "migration-target" in self.name:
            self.sim.put_text(text + "lock: migrate\n", self.vmid, "othernode")
            os.unlink(self.sim.conf(self.vmid))
        for step in self.recording["exchanges"]:
            skip = next((why for name, why in NOT_STEPPED if step["step"].startswith(name)), None)
            if skip:
                self.skipped.append(f"{step['step']}: {skip}")
                continue
            self.step(step)

    def step(self, step):
        name, outcome = step["step"], step["outcome"]
        calls = self.sim.path("calls.jsonl")
        with open(calls, "w", encoding="ascii"):
            pass
        self.prepare(name)
        before = len(self.problems)
        if "command" in outcome:
            self.commands(outcome, name)
        else:
            self.call(outcome, name)
        expected = [self.recorded_call(c) for c in step.get("hook_calls") or []]
        deadline = time.monotonic() + 8
        while True:                     # `qm cleanup` and its restart come a moment later
            with open(calls, encoding="utf-8") as f:
                got = [self.our_call(json.loads(line), i, expected) for i, line in enumerate(f)]
            if len(got) >= len(expected) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        # The recorder kept the calls for one VM; those for a copy show in the output only.
        if "hook-phases" not in self.name and (expected or "hook: " not in str(outcome)):
            compare(self.problems, "hook calls", expected, got)
        for prefix, key, vmid in LEAVES:
            if name.startswith(prefix) and key in self.recording:
                compare(self.problems, f"file of VM {vmid}", self.recording[key],
                        self.sim.text(vmid))
        self.problems[before:] = [f"{name}: {p}" for p in self.problems[before:]]
        self.played += 1

    def prepare(self, name):
        deaf = self.sim.path(f"run/qemu-server/{self.vmid}.deaf")
        if "whose hook refuses" in name:        # recorded with another script than the one before
            self.sim.hook("ctx", REFUSES)
        marks = {self.sim.path("refuse"): "refuse" in name and "after the refused" not in name,
                 deaf: "does not obey" in name}
        for path, wanted in marks.items():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            if wanted:
                with open(path, "w", encoding="ascii"):
                    pass
        if "hook fails in" in name:
            phase = name.rpartition(" ")[2]
            self.sim.hook("hook", HOOK + f'[ "$2" != {phase} ] || exit 3\n')
            self.sim.put_text(self.sim.text(self.vmid).replace("snippets/ctx", "snippets/hook"),
                              self.vmid)

    def commands(self, outcome, name):
        out, err, code = "", "", 0
        for command in re.split(r"\s*;\s*", outcome["command"]):
            words = command.split()
            if words[0] in ("qm", "vzdump", "pvesh", "qmrestore"):
                args = [self.archive(word) for word in words[1:]]
                code, one, two = self.sim.run(words[0], *args)
                out, err = out + one, err + two
            elif words[0] == "kill":
                self.kill(9 if "-9" in words else 15)
            elif words[0] == "sleep":
                time.sleep(min(float(words[1]),
                               0.5))       # what follows the command needs a moment
            elif "system_powerdown" in command:
                self.power_button()
        if "vzdump" in outcome["command"] or "sleep 3" in outcome["command"]:
            hook = [line for line in outcome["stdout"].splitlines() if line.startswith("hook: ")]
            compare(self.problems, "lines of the hook", hook,
                    [line for line in out.splitlines() if line.startswith("hook: ")])
            compare(self.problems, "exit code", outcome["exit"] == 0, code == 0)
            return
        text = [line for line in outcome["stdout"].splitlines()
                if not line.startswith(("Formatting", "migration listens", "saving VM",
                                        "completed saving", "allocated target", "transferred ",
                                        "snapshotting", "skipping guest", "internal qemu"))
                and "B in 0s" not in line]
        compare(self.problems, "stdout", text,
                [l for l in out.splitlines() if not l.startswith("Formatting")])
        if "kill" not in outcome["command"]:
            compare(self.problems, "exit code", outcome["exit"], code)
            compare(self.problems, "stderr", outcome["stderr"], err)

    def archive(self, word):
        """The one backup that this node has, for the recorded name of it."""
        if not word.endswith(".vma"):
            return word
        [name] = os.listdir(self.sim.path("var/lib/vz/dump"))
        return word.rpartition("/")[0] + "/" + name

    def kill(self, number):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                open(self.sim.path(f"run/qemu-server/{self.vmid}.pid"), encoding="ascii") as f:
            os.kill(int(f.read()), number)

    def power_button(self):
        stubqemu.powerdown(nodes.Node(self.sim.root), self.vmid)

    def call(self, outcome, name):
        if "machine change pending" in name:
            self.sim.run("qm", "set", str(self.vmid), "--machine", "pc-q35-9.0")
        who = DAEMON if outcome["as"] == "daemon" else LAB
        if "archive" in (outcome.get("form") or {}):
            outcome = {**outcome, "form": {**outcome["form"],
                                           "archive": self.archive(outcome["form"]["archive"])}}
        status, _, _, body = self.sim.request(outcome, outcome["path"],
                                              f"PVEAPIToken={who}={self.sim.secrets[who]}")
        compare(self.problems, "status", outcome["status"], status)
        if status != 200 or "exitstatus" not in outcome:
            if "status/current" not in outcome["path"]:
                compare(self.problems, "body", neutral(outcome["body"]), neutral(body))
            return
        result, lines = self.wait(body["data"])
        compare(self.problems, "exitstatus", neutral(outcome["exitstatus"]), neutral(result))
        if "vzdump" not in outcome["path"] and "archive" not in str(outcome["form"]):
            lines = [line for line in lines if not line.startswith("Formatting")]
            compare(self.problems, "log", neutral_log(outcome["log"]), neutral_log(lines))

    def recorded_call(self, call):
        return {"phase": call["phase"], "argv": call["argv"], "uid": call["uid"],
                "cwd": "/" if call["cwd"] == "/" else "SHELL",
                "path": call["env"]["PATH"], "lc_all": call["env"]["LC_ALL"],
                "migrated": call["env"].get("PVE_MIGRATED_FROM"),
                "stdio": [call["stdin"].split(":")[0], call["stdout"], call["stderr"]],
                "parents": [neutral_text(p["cmdline"]) for p in call["parents"]],
                "lock": call["lock_in_config"], "exists": call["config_file_exists"],
                "held": call["vm_flock_held"], "sections": sorted(call["sections"]),
                "qemu": call["qemu_process_exists"]}

    def our_call(self, call, index, expected):
        call["cwd"] = "/" if call["cwd"] == "/" else "SHELL"
        depth = len(expected[index]["parents"]) if index < len(expected) else 3
        call["parents"] = [neutral_text(p) for p in call["parents"][:depth]]
        return call
