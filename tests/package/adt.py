# SPDX-License-Identifier: GPL-3.0-or-later
"""debian/tests by Debian's own autopkgtest, as its infrastructure runs them: the package installed by apt in
a container that has nothing of us, the tests with the source's debian/ as their directory."""
import os
import re
import shutil
import tempfile

import trees

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "virt-nspawn")


def verdicts(text):
    """{test: PASS, FAIL ..., SKIP ...} of its summary."""
    summary = text.partition("@@@@ summary\n")[2].partition("\nautopkgtest ")[0]
    return dict(line.split(None, 1) for line in summary.splitlines() if not line.startswith(" "))


def source_for(work, source):
    """Only debian/: `words` and `service` test what is installed. debian/files says that it is built."""
    to = os.path.join(work, "source")
    shutil.copytree(os.path.join(source, "debian"), os.path.join(to, "debian"))
    with open(os.path.join(to, "debian", "files"), "w", encoding="ascii"):
        pass
    return to


def check(suite, deb, source):
    """Every test of debian/tests/control passes; one that is left out is none that passes."""
    if shutil.which("autopkgtest") is None:
        raise trees.Unable("autopkgtest is not installed")
    with open(os.path.join(source, "debian/tests/control"), encoding="ascii") as f:
        wanted = re.findall(r"(?m)^Tests: *(.*)$", f.read())
    with trees.overlay(trees.tree(suite, trees.RUN)) as root, tempfile.TemporaryDirectory(prefix="hwid-adt-") as work:
        # Without a network each look at the mirror is a wait: all that is needed is in the tree.
        open(f"{root}/etc/apt/sources.list", "w", encoding="ascii").close()
        with trees.Container(root, "adt") as container:
            done = trees.run("autopkgtest", "-B", source_for(work, source), deb, "--", SERVER, container.leader,
                             check=False, timeout=300)
    found = verdicts(done.stdout)
    assert done.returncode == 0 and found == {name: "PASS" for name in " ".join(wanted).split()}, \
        f"exit {done.returncode}, {found}: {done.stdout[-2500:]}"
