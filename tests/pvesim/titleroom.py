# SPDX-License-Identifier: GPL-3.0-or-later
"""Room for the title of a process. Titles are written over the process's own argument area, which
Python cannot grow: a program that needs titles executes itself again with a long last argument.

By itself, and imported first, so that all the rest is loaded once and not twice.
"""
import os
import sys

TITLE_ROOM = 600
ROOM_MARK = "--title-room="


def ensure():
    """Once per program: execute it again with a long last argument, unless it has one."""
    if sys.argv[-1].startswith(ROOM_MARK):
        sys.argv.pop()
        return
    room = ROOM_MARK + "x" * TITLE_ROOM
    os.execv(sys.executable, [sys.executable, "-S", os.path.abspath(sys.argv[0])] + sys.argv[1:] + [room])
