/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See proc.h. */
#include "io/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "io/file.h"

enum {
    STAT_MAX = 1024, /* 52 numbers and a name of at most 64 bytes */
    PATH_MAX_HERE = 256,
    STAT_FIELDS_TO_START = 20, /* behind the name: state is 1, ppid 2, starttime 20 (22 in all) */
};

/* Reads what one read(2) gives, NUL-terminated: /proc hands out these files whole. */
static int read_small(const char *root, pid_t pid, const char *name, char *text, size_t size)
{
    char path[PATH_MAX_HERE];
    CLEANUP_FD int fd = -1;
    ssize_t n;
    int len = snprintf(path, sizeof(path), "%s/%d/%s", root, (int)pid, name);

    if (len < 0 || (size_t)len >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return errno == ENOENT ? -ESRCH : -errno;
    }
    do {
        n = read(fd, text, size - 1);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    text[n] = '\0';
    return 0;
}

/* The next blank-separated word of *at as a number; false where it is none. */
static bool next_number(char **at, uint64_t *ret_value)
{
    char *word = strsep(at, " ");

    return word != NULL && str_to_u64(word, UINT64_MAX, ret_value);
}

int proc_read_stat(const char *root, pid_t pid, struct proc_stat *ret_stat)
{
    char text[STAT_MAX];
    uint64_t parent = 0;
    uint64_t start = 0;
    char *at;
    int rc;

    rc = read_small(root, pid, "stat", text, sizeof(text));
    if (rc < 0) {
        return rc;
    }
    /* The name stands in parentheses and may hold any byte: look from the end. */
    at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ') {
        return -EINVAL;
    }
    at += 2;
    (void)strsep(&at, " "); /* state */
    if (!next_number(&at, &parent) || parent > INT32_MAX) {
        return -EINVAL;
    }
    for (int field = 3; field < STAT_FIELDS_TO_START; field++) {
        (void)strsep(&at, " ");
    }
    if (!next_number(&at, &start)) {
        return -EINVAL;
    }
    *ret_stat = (struct proc_stat){.parent = (pid_t)parent, .start = start};
    return 0;
}

int proc_read_title(const char *root, pid_t pid, char *text, size_t size)
{
    return read_small(root, pid, "cmdline", text, size);
}

int proc_read_cmdline(const char *root, pid_t pid, struct buf *text)
{
    char path[PATH_MAX_HERE];
    int len = snprintf(path, sizeof(path), "%s/%d/cmdline", root, (int)pid);
    int rc = len < 0 || (size_t)len >= sizeof(path)
                 ? -ENAMETOOLONG
                 : file_read(AT_FDCWD, path, FILE_NOFOLLOW, text, NULL);

    return rc == -ENOENT ? -ESRCH : rc;
}
