#!/usr/bin/python3
"""Is the simulated node faithful? Every recording of a real node is played against a fresh one.

A recording gives a configuration, requests in order, and what a real node answered. Compared are
status, reason phrase, headers, body, the configuration file byte by byte after each call, pending
values, task logs, and for hook-context-* who called the hook and how. Since both start from the
same bytes, digests need no mapping: a wrong one here is a wrong file.

What recordings say varies (README of the recordings) is removed from both sides in `neutral`; what
the simulator does not do is listed, with the reason, in NOT_PLAYED, and in NOT_COMPARED and NOT_STEPPED
(pvesim/replayplayer.py, replaysteps.py). Nothing else is skipped.

    test_pvesim_replay.py [NAME...]     NAME: beginning of a recording's file name
"""
import concurrent.futures
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "pvesim"))

from replayhooks import CONTEXT, HOOK, REFUSES, SHOW, sleeps
from replaynode import DAEMON, NODE, PVESIM, Sim
from replayplayer import LAB, Player
from replaysteps import Stepper

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "data/pve-transcripts")
QEMU = shutil.which("qemu-system-x86_64")
PARALLEL = 8            # most of the time is spent in 3 s and 10 s waits

NOT_PLAYED = {          # whole recordings
    "13-guest-agent": "there is no guest agent in the simulator",
    "17-pmxcfs": "about the file system /etc/pve, not about calls",
    "18-tls": "about certificates of a real node, not about calls",
}
SLOW = "08e 10-authentication 08a 08g 08f 08b".split()

# PVE takes the options of one PUT in the random order of a hash; the one a recording shows (06n*).
OPTION_ORDER = {"06n-": ["sata0", "sata1"], "06n2": ["boot", "sata1", "scsi1"], "06n3": ["sata0"],
                "06q": ["sata0", "boot", "scsi0"]}

HOOKS = {"08a": sleeps(15), "08b": sleeps(5), "08f": sleeps(15), "08g": sleeps(15),
         "09b2": sleeps(4),
         "09d": HOOK + '[ "$2" != pre-start ] || sleep 1\n',     # the next start is to meet its flock
         "08d": sleeps(3, "exit 1", ":"), "09b-": REFUSES, "08c": REFUSES}


# -- a node to play against -----------------------------------------------------------------------

def fresh_node(template, recording, qemu):
    """A running node with the images of VM 105 and 104, and the hooks that the recording needs."""
    sim = Sim(template)
    sim.settings(option_order=pick(OPTION_ORDER, recording) or [], qemu=qemu,
                 stub_obeys=recording.startswith("hook-"))      # only those had a guest
    sim.hook("hook", pick(HOOKS, recording) or HOOK)
    sim.hook("show.sh", SHOW % sim.root)
    sim.hook("ctx", CONTEXT % sim.root)
    sim.hook("notexec", HOOK, 0o644)
    sim.serve()
    return sim


def make_template(root):
    """What every node here begins with; copied, since making certificates takes its time."""
    def run(*args):
        subprocess.run([PVESIM, args[0], root, *args[1:]], check=True, stdout=subprocess.DEVNULL)
    run("init", "--node", NODE)
    run("token", DAEMON)
    run("token", LAB)
    for vmid in (104, 105):
        run("vm", str(vmid), "--disk", "scsi0=1G", "--disk", "scsi1=64M", "--disk", "sata0=4M")
        os.unlink(os.path.join(root, f"etc/pve/nodes/{NODE}/qemu-server/{vmid}.conf"))
        with open(os.path.join(root, f"var/lib/vz/images/{vmid}/vm-{vmid}-disk-3.raw"), "wb") as f:
            f.truncate(4 << 20)


def pick(table, recording):
    return next((v for k, v in table.items() if recording.startswith(k)), None)


# -- running them ----------------------------------------------------------------------------------

def play(name, template):
    """(name, problems, skipped, number of exchanges); in a process of its own."""
    with open(os.path.join(DATA, name + ".json"), encoding="utf-8") as f:
        recording = json.load(f)
    hooks = name.startswith(("hook-", "16-"))
    sim = fresh_node(template, name, "stub" if hooks or not QEMU else "real")
    try:
        player = (Stepper if hooks else Player)(name, recording, sim)
        player.play()
        return name, player.problems, player.skipped, player.played
    except Exception as e:
        return name, [f"{type(e).__name__}: {e}"], [], 0
    finally:
        sim.close()


def main():
    names = sorted(f[:-5] for f in os.listdir(DATA) if f.endswith(".json"))
    wanted = [n for n in sorted([*names, *NOT_PLAYED])
              if not sys.argv[1:] or n.startswith(tuple(sys.argv[1:]))]
    for name in [n for n in wanted if n in NOT_PLAYED]:
        print(f"ok {name} # SKIP {NOT_PLAYED[name]}")
    todo = [n for n in wanted if n not in NOT_PLAYED]
    todo.sort(key=lambda n: next((i for i, s in enumerate(SLOW) if n.startswith(s)), len(SLOW)))
    failed = exchanges = 0
    with tempfile.TemporaryDirectory(prefix="pvesim-replay-") as template, \
            concurrent.futures.ProcessPoolExecutor(PARALLEL) as pool:
        make_template(template)
        for name, problems, skipped, count in pool.map(functools.partial(play, template=template),
                                                       todo):
            exchanges += count
            failed += bool(problems)
            print(f"{'not ok' if problems else 'ok'} {name}"
                  + (f" - {problems[0]}" if problems else ""), flush=True)
            for line in problems[1:]:
                print(f"#   {line}")
            for line in skipped:
                print(f"# left out: {line}")
    print(f"1..{len(wanted)}")
    print(f"# {len(todo) - failed} recordings agree, {failed} differ, "
          f"{len(wanted) - len(todo)} skipped; {exchanges} exchanges played")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
