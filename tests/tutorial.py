#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows docs/TUTORIAL.md to the letter; to be run inside of tests/playground, by tests/test_tutorial.

A ```console block is commands ("# ..." at the beginning of a line) and what each prints. A line that
is promised has to come, in this order, other lines in between only where "..." stands. A comment
before a block says what is not for readers:

    <!-- exit 3 -->        the last command ends with one of these codes, not with 0
    <!-- within 60 s -->   each command is repeated until it prints what is promised, so long
    <!-- guest -->         leave out where there can be no guest (exit code 77)
"""
import re
import subprocess
import sys
import time

BLOCK = re.compile(r"((?:^<!-- [^\n]* -->\n)*)^```console\n(.*?)^```$", re.M | re.S)


def steps(text):
    """(command, promised lines, exit codes, seconds, is_guest) in order."""
    for comments, body in BLOCK.findall(text):
        codes = [int(c) for c in " ".join(re.findall(r"<!-- exit ([\d ]+) -->", comments)).split()] or [0]
        within = sum(int(s) for s in re.findall(r"<!-- within (\d+) s -->", comments))
        found = []
        for line in body.splitlines():
            if line.startswith("# "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        for i, (command, lines) in enumerate(found):
            yield (command, lines, codes if i == len(found) - 1 else [0], within,
                   "<!-- guest -->" in comments)


def pattern_of(line):
    """Blanks may be more: tables are as wide as their contents."""
    parts = [r"\s+".join(re.escape(w) for w in re.split(r"\s+", part)) for part in line.strip().split("...")]
    return re.compile(r"\s*" + ".*".join(parts) + r"\s*")


def missing(promised, printed):
    """The first line that does not come where it should; None: all is as promised."""
    at, gap = 0, False
    for line in promised:
        if line.strip() == "...":
            gap = True
            continue
        while at < len(printed) and (not printed[at].strip() or
                                     (gap and not pattern_of(line).fullmatch(printed[at]))):
            at += 1
        if not line.strip():
            continue
        if at == len(printed) or not pattern_of(line).fullmatch(printed[at]):
            return line
        at, gap = at + 1, False
    rest = [line for line in printed[at:] if line.strip()]
    return None if gap or not rest or not promised else f"(nothing more, but: {rest[0]})"


def run(command):
    done = subprocess.run(["/bin/bash", "-c", command], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
    return done.returncode, done.stdout


def follow(command, promised, codes, within):
    """(what is wrong or None, exit code, output)."""
    end = time.monotonic() + within
    while True:
        code, out = run(command)
        line = missing(promised, out.splitlines())
        if line is None and code in codes:
            return None, code, out
        why = f"exit code {code} instead of {codes}" if code not in codes else f"not printed: {line}"
        if time.monotonic() >= end or code == 77:
            return why, code, out
        time.sleep(0.5)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        todo = list(steps(f.read()))
    if len(todo) < 20:
        sys.exit(f"not ok tutorial - only {len(todo)} commands were found")
    for i, (command, promised, codes, within, is_guest) in enumerate(todo, 1):
        why, code, out = follow(command, promised, codes, within)
        label = f"tutorial/{i:02d} {command[:70].replace('#', '')}"
        if is_guest and code == 77:
            print(f"ok {label} # SKIP {out.strip()}", flush=True)
            continue
        if why is not None:
            print(f"not ok {label} - {why}", flush=True)
            print("".join(f"    | {line}\n" for line in out.splitlines()), end="", flush=True)
            sys.exit(1)     # what follows stands upon it
        print(f"ok {label}", flush=True)
    with open(f"{sys.argv[2]}/pvesim/violations.jsonl", encoding="utf-8") as f:
        seen = f.read()
    print("ok tutorial/nothing forbidden was seen" if not seen else
          f"not ok tutorial/nothing forbidden was seen - {seen.splitlines()[0]}")
    sys.exit(1 if seen else 0)


if __name__ == "__main__":
    main()
