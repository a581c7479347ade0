/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See file.h. O_NONBLOCK on every open: it makes no difference to regular files, and opening a FIFO
 * without a writer returns instead of waiting for one.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"

enum { READ_CHUNK = 4096 }; /* fingerprints and VM configurations mostly fit into one */

static int check_regular(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(err, -EINVAL, "%s is not a regular file", path);
    }
    return 0;
}

static int open_regular(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                        struct err *err)
{
    CLEANUP_FD int fd = -1;
    int rc;

    fd = openat(dir_fd, path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
    if (fd < 0) {
        rc = -errno;
        return rc == -ELOOP && (flags & O_NOFOLLOW) != 0
                   ? err_set(err, rc, "%s is a symbolic link, which is not followed here", path)
                   : err_set(err, rc, "%s: %s", path, strerror(-rc));
    }
    rc = check_regular(fd, path, err);
    if (rc < 0) {
        return rc;
    }
    *ret_fd = fd_steal(&fd);
    return 0;
}

/* Not sized by st_size: FUSE and /proc files may lie about it, and files grow meanwhile. */
static int read_all(int fd, struct buf *text)
{
    char chunk[READ_CHUNK];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            return 0;
        }
        buf_add(text, chunk, (size_t)n);
        if (text->error != 0) {
            return text->error;
        }
    }
}

int file_open(int dir_fd, const char *path, enum file_flags flags, int *ret_fd, struct err *err)
{
    return open_regular(dir_fd, path, O_RDONLY | (flags == FILE_NOFOLLOW ? O_NOFOLLOW : 0), 0,
                        ret_fd, err);
}

/* Who can write it decides what it says; who can write its directory, which one it is. */
static int check_owner(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        return err_set(err, -EPERM,
                       "%s belongs to user %u and is not used; it must be root's: chown root %s",
                       path, st.st_uid, path);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return err_set(err, -EPERM,
                       "%s can be written by others than its owner and is not used; chmod go-w %s",
                       path, path);
    }
    return 0;
}

/* Slash and name behind it; the path itself where it has no directory. */
static const char *split(const char *path, char **ret_dir)
{
    const char *slash = strrchr(path, '/');

    *ret_dir = slash == NULL ? str_dup(".")
                             : str_ndup(path, slash == path ? 1 : (size_t)(slash - path));
    return slash == NULL ? path : slash + 1;
}

int file_read_tail(int fd, size_t max, struct buf *text)
{
    char chunk[16384];
    struct stat st;
    bool cut;
    off_t at;

    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    cut = (uint64_t)st.st_size > max;
    at = cut ? st.st_size - (off_t)max : 0;
    for (;;) {
        ssize_t n = pread(fd, chunk, sizeof(chunk), at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno; /* an end that cannot be read is not the end */
        }
        if (n == 0) {
            break;
        }
        buf_add(text, chunk, (size_t)n);
        at += n;
        if (text->error != 0) {
            return text->error;
        }
    }
    if (cut) { /* begins in the middle of a line */
        const char *newline = text->len > 0 ? memchr(text->data, '\n', text->len) : NULL;

        buf_consume(text, newline != NULL ? (size_t)(newline - text->data) + 1 : text->len);
    }
    return 0;
}

int file_open_trusted(const char *path, int *ret_fd, struct err *err)
{
    CLEANUP_FREE char *dir = NULL;
    const char *name = split(path, &dir);
    CLEANUP_FD int dir_fd = -1;
    CLEANUP_FD int fd = -1;
    struct err why = {""};
    int rc;

    if (dir == NULL) {
        return err_oom(err);
    }
    rc = file_open_dir(AT_FDCWD, dir, &dir_fd, err);
    if (rc < 0) {
        return rc;
    }
    rc = file_open(dir_fd, name, FILE_NOFOLLOW, &fd,
                   &why); /* first: what is not there is -ENOENT */
    if (rc < 0) {
        return err_set(err, rc, "%s/%s", dir, why.text); /* it speaks of `name` */
    }
    rc = check_owner(dir_fd, dir, err);
    rc = rc < 0 ? rc : check_owner(fd, path, err);
    if (rc == 0) {
        *ret_fd = fd_steal(&fd);
    }
    return rc;
}

int file_read_fd(int fd, const char *path, struct buf *text, struct err *err)
{
    int rc;

    buf_add(text, "", 0); /* an empty file is an empty text, not NULL */
    rc = read_all(fd, text);
    if (rc == -EFBIG) {
        return err_set(err, rc, "%s is larger than the %zu bytes allowed", path, text->max);
    }
    return rc < 0 ? err_set(err, rc, "%s: %s", path, strerror(-rc)) : 0;
}

int file_read(int dir_fd, const char *path, enum file_flags flags, struct buf *text,
              struct err *err)
{
    CLEANUP_FD int fd = -1;
    int rc = file_open(dir_fd, path, flags, &fd, err);

    return rc < 0 ? rc : file_read_fd(fd, path, text, err);
}

bool file_exists(int dir_fd, const char *path)
{
    return faccessat(dir_fd, path, F_OK, 0) == 0;
}

int file_open_dir(int dir_fd, const char *path, int *ret_fd, struct err *err)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    }
    *ret_fd = fd;
    return 0;
}

int file_write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* A name in a directory is on disk only when the directory is. Some file systems cannot sync one
 * (EINVAL): there is nothing to be done about it then. */
static int sync_parent(int dir_fd, const char *path, struct err *err)
{
    CLEANUP_FREE char *parent = NULL;
    CLEANUP_FD int fd = -1;
    int rc;

    (void)split(path, &parent); /* of no use here: the name */
    if (parent == NULL) {
        return err_oom(err);
    }
    rc = file_open_dir(dir_fd, parent, &fd, err);
    if (rc < 0) {
        return rc;
    }
    if (fsync(fd) < 0 && errno != EINVAL && errno != ENOSYS) {
        return err_set(err, -errno, "%s: cannot sync: %s", parent, strerror(errno));
    }
    return 0;
}

static int write_new(int dir_fd, const char *path, mode_t mode, const void *bytes, size_t len,
                     struct err *err)
{
    CLEANUP_FD int fd = -1;
    int rc;

    rc = open_regular(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL, mode, &fd, err);
    if (rc < 0) {
        return rc;
    }
    rc = file_write_all(fd, bytes, len);
    if (rc == 0 && fsync(fd) < 0) {
        rc = -errno;
    }
    return rc < 0 ? err_set(err, rc, "%s: cannot write: %s", path, strerror(-rc)) : 0;
}

int file_replace_bytes(int dir_fd, const char *path, mode_t mode, const void *bytes, size_t len,
                       struct err *err)
{
    CLEANUP_FREE char *temp = str_printf("%s.%d.tmp", path, (int)getpid());
    int rc;

    if (temp == NULL) {
        return err_oom(err);
    }
    (void)unlinkat(dir_fd, temp, 0); /* of a crashed process with our pid; mostly not there */
    rc = write_new(dir_fd, temp, mode, bytes, len, err);
    if (rc == 0 && renameat(dir_fd, temp, dir_fd, path) < 0) {
        rc = err_set(err, -errno, "%s: cannot rename into place: %s", path, strerror(errno));
    }
    if (rc < 0) {
        if (rc != -EEXIST) {
            (void)unlinkat(dir_fd, temp, 0); /* the first failure is the one to be told */
        }
        return rc;
    }
    return sync_parent(dir_fd, path, err);
}

int file_replace(int dir_fd, const char *path, mode_t mode, const char *text, struct err *err)
{
    return file_replace_bytes(dir_fd, path, mode, text, strlen(text), err);
}

int file_remove(int dir_fd, const char *path, struct err *err)
{
    if (unlinkat(dir_fd, path, 0) < 0) {
        return err_set(err, -errno, "%s: cannot remove: %s", path, strerror(errno));
    }
    return sync_parent(dir_fd, path, err);
}

int file_open_append(int dir_fd, const char *path, mode_t mode, int *ret_fd, struct err *err)
{
    const int flags = O_RDWR | O_APPEND | O_NOFOLLOW;
    CLEANUP_FD int fd = -1;
    int rc;

    rc = open_regular(dir_fd, path, flags, 0, &fd, NULL);
    if (rc == -ENOENT) {
        rc = open_regular(dir_fd, path, flags | O_CREAT, mode, &fd, err);
        if (rc == 0) {
            rc = sync_parent(dir_fd, path, err);
        }
    } else if (rc < 0) {
        rc = open_regular(dir_fd, path, flags, 0, &fd, err); /* again, for the sentence */
    }
    if (rc < 0) {
        return rc;
    }
    *ret_fd = fd_steal(&fd);
    return 0;
}

int file_append(int fd, const void *bytes, size_t len, struct err *err)
{
    off_t end = lseek(fd, 0, SEEK_END);
    int rc;

    if (end < 0) {
        return err_set(err, -errno, "cannot find the end of the file: %s", strerror(errno));
    }
    rc = file_write_all(fd, bytes, len);
    if (rc == 0 && fsync(fd) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        (void)!ftruncate(fd, end); /* best effort; readers skip half a line anyway */
        return err_set(err, rc, "cannot append: %s", strerror(-rc));
    }
    return 0;
}
