# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the command line share: lines `ok NAME`, `not ok NAME - why`, `ok NAME # SKIP
why`; running build/pve-hwid with a deadline and a bare environment. PVE_HWID_BUILD names the build folder."""
import os
import re
import subprocess
import sys
import traceback

PROGRAM = os.path.join(os.environ.get("PVE_HWID_BUILD", "build"), "pve-hwid")
ENV = {
    "PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "TERM": "xterm",
    # leaks and undefined behaviour must fail a test, not only be printed
    "ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "halt_on_error=1:exitcode=99",
}


class Skip(Exception):
    """The test cannot say anything here; the reason is the text."""


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f"exit {self.code}\nstdout: {self.out!r}\nstderr: {self.err!r}"


def run(*args, stdin="", env=None, cwd=None, timeout=30):
    done = subprocess.run([os.path.abspath(PROGRAM), *map(str, args)], input=stdin.encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          env={**ENV, **(env or {})}, cwd=cwd, check=False)
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def expect(result, code, out=None, err=None):
    """Exit code, and texts: a string is the whole, a list are parts that must be there."""
    assert result.code == code, f"exit {code} expected, got {result}"
    for name, got, want in (("stdout", result.out, out), ("stderr", result.err, err)):
        if isinstance(want, str):
            assert got == want, f"{name} expected {want!r}, got {result}"
        for part in want if isinstance(want, list) else []:
            assert part in got, f"{name} lacks {part!r}: {result}"


def main(namespace, prefix):
    """Runs every function test_* in the order of the file; argv may name some of them."""
    wanted = sys.argv[1:]
    if not os.path.exists(PROGRAM):
        sys.exit(f"not ok {prefix} - there is no {PROGRAM}; make it first")
    failed = 0
    for name, test in list(namespace.items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        label = prefix + "/" + re.sub("^test_", "", name)
        try:
            test()
            print(f"ok {label}", flush=True)
        except Skip as why:
            print(f"ok {label} # SKIP {why}", flush=True)
        except Exception as why:  # pylint: disable=broad-except
            lines = str(why).splitlines() or [type(why).__name__]
            print(f"not ok {label} - {lines[0]}")
            for line in lines[1:] + traceback.format_exc().splitlines():
                print(f"    # {line}")
            sys.stdout.flush()
            failed = 1
    sys.exit(failed)
