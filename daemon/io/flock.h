/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does anybody hold a flock(2) on a file? Read from /proc/locks: trying the lock ourselves would
 * take it for a moment, and PVE's lock files are not touched (law 4).
 */
#ifndef IO_FLOCK_H
#define IO_FLOCK_H

#include <stdbool.h>

/* False also where the file is not there or there is no /proc/locks for us. True where that cannot
 * be read for the moment (no file descriptor, no memory): nobody can say that it is free. */
bool flock_is_held(const char *path);

#endif
