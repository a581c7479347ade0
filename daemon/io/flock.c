/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See flock.h. A line of /proc/locks: "1: FLOCK  ADVISORY  WRITE 1170 00:19:1234 0 EOF", the device
 * as hex major:minor, then the inode in decimal; "->" after the number marks one who waits. */
#include "io/flock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/macros.h"

static void file_closep(FILE **file)
{
    if (*file != NULL) {
        (void)fclose(*file); /* only read from */
    }
}

static bool line_names(const char *line, const struct stat *st)
{
    unsigned int line_major, line_minor;
    uint64_t inode;
    char kind[16], mode[16], access[16];
    long pid;

    if (sscanf(line, "%*u: %15s %15s %15s %ld %x:%x:%" SCNu64, kind, mode, access, &pid,
               &line_major, &line_minor, &inode) != 7) {
        return false; /* also the lines of those who wait */
    }
    return strcmp(kind, "FLOCK") == 0 && inode == st->st_ino && line_major == major(st->st_dev) &&
           line_minor == minor(st->st_dev);
}

bool flock_is_held(const char *path)
{
    CLEANUP(file_closep) FILE *locks = NULL;
    char line[256];
    struct stat st;

    if (stat(path, &st) < 0) {
        return false;
    }
    locks = fopen("/proc/locks", "re");
    if (locks == NULL) {
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    }
    while (fgets(line, sizeof(line), locks) != NULL) {
        if (line_names(line, &st)) {
            return true;
        }
    }
    return ferror(locks) != 0;
}
