/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What /proc tells of other processes. `root` is "/proc", or a directory of a test that looks like
 * it. Everything read is a claim: titles are what the process says of itself.
 */
#ifndef IO_PROC_H
#define IO_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct proc_stat {
    pid_t parent;
    uint64_t start; /* field 22: clock ticks since boot; with the pid it names a process for good */
};

/* -ESRCH where there is no such process; -EINVAL where the line makes no sense. */
int proc_read_stat(const char *root, pid_t pid, struct proc_stat *ret_stat);

/* The title (cmdline up to its first NUL byte), cut to size - 1 bytes. Kernel threads and zombies
 * have "". -ESRCH. */
int proc_read_title(const char *root, pid_t pid, char *text, size_t size);

/* The whole command line, a NUL behind each word; `text` has the limit. -ESRCH, -EFBIG, -ENOMEM. */
int proc_read_cmdline(const char *root, pid_t pid, struct buf *text);

#endif
