# SPDX-License-Identifier: GPL-3.0-or-later
"""The package to upgrade from: built from a commit of the past, so that its programs, its maintainer scripts,
its settings and the journal it has written are really older. Kept in trees.CACHE, since it never changes.

COMMIT is moved on by hand, to the release before, once there are releases."""
import os
import re
import shutil

import trees
from trees import run

# The evening before daemon and command line became one file: what dpkg has to turn into a link.
COMMIT = "6e5db8254"
VERSION = "0.0.1~previous"
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def place(suite):
    return os.path.join(trees.CACHE, f"previous-{suite}-{COMMIT}", f"pve-hwid_{VERSION}.deb")


def find(suite):
    return place(suite) if os.path.exists(place(suite)) else None


def source(folder):
    """That commit's files, with a version that says that they are older; False: this is no checkout, or a
    shallow one."""
    os.makedirs(folder)
    archive = f"{folder}.tar"
    if shutil.which("git") is None or run("git", "-c", "safe.directory=*", "-C", TOP, "archive", "-o", archive,
                                          COMMIT, check=False).returncode != 0:
        return False
    run("tar", "-x", "-C", folder, "-f", archive)
    changelog = os.path.join(folder, "debian", "changelog")
    with open(changelog, encoding="utf-8") as f:
        text = re.sub(r"\(.*?\)", f"({VERSION})", f.read(), count=1)
    with open(changelog, "w", encoding="utf-8") as f:
        f.write(text)
    return True


def build(report, builder):
    """Its .deb, built where `builder` builds; None: it cannot be had here."""
    if find(builder.suite):
        return find(builder.suite)
    folder = os.path.join(builder.work, "previous", "src")
    if not source(folder):
        return None
    builder.run(folder, "dpkg-buildpackage", "-us", "-uc", "-b", "--ignore-builtin-builddeps",
                more_options="noautodbgsym")
    report.say(f"# {trees.SUITES[builder.suite]}: the version to upgrade from is that of commit {COMMIT}")
    built = [f for f in os.listdir(os.path.dirname(folder)) if f.endswith(".deb")]
    os.makedirs(os.path.dirname(place(builder.suite)), exist_ok=True)
    new = place(builder.suite) + ".new"
    shutil.copy(os.path.join(os.path.dirname(folder), built[0]), new)
    os.rename(new, place(builder.suite))
    return place(builder.suite)


def relabel(report, deb, work):
    """The same package with a lower version: better than nothing, and told."""
    report.skip("the version to upgrade from is an older one",
                f"commit {COMMIT} is not here (no checkout, or a shallow one)")
    folder = os.path.join(work, "relabelled")
    run("dpkg-deb", "-R", deb, folder)
    control = os.path.join(folder, "DEBIAN", "control")
    with open(control, encoding="utf-8") as f:
        text = re.sub(r"(?m)^Version: .*", f"Version: {VERSION}", f.read())
    with open(control, "w", encoding="utf-8") as f:
        f.write(text)
    path = os.path.join(work, f"pve-hwid_{VERSION}.deb")
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", folder, path)
    return path
