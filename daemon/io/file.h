/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files, whole and bounded. Paths are relative to `dir_fd` (AT_FDCWD or a directory); every fd is
 * close-on-exec; only regular files are read or written: a FIFO or a device put in a file's place
 * must not block root.
 */
#ifndef IO_FILE_H
#define IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

enum file_flags {
    FILE_FOLLOW = 0,
    FILE_NOFOLLOW = 1, /* the last component may not be a symbolic link: -ELOOP */
};

/* For CLEANUP_FD int fd = -1; */
static inline void fd_closep(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* read only, or fsynced before */
    }
}
#define CLEANUP_FD CLEANUP(fd_closep)

/* The value of `fd`, which is -1 afterwards. */
static inline int fd_steal(int *fd)
{
    int value = *fd;

    *fd = -1;
    return value;
}

/* Appends the whole file to `text`, whose `max` is the limit. -ENOENT and other -errno of open;
 * -ELOOP; -EFBIG over the limit; -EINVAL: not a regular file. */
int file_read(int dir_fd, const char *path, enum file_flags flags, struct buf *text,
              struct err *err);

/* The same in two steps, for those who ask fstat(2) about what they are going to read. */
int file_open(int dir_fd, const char *path, enum file_flags flags, int *ret_fd, struct err *err);
int file_read_fd(int fd, const char *path, struct buf *text, struct err *err);

/* The newest `max` bytes of a file of lines, beginning with a whole one: appended to `text`. 0 or
 * -errno. */
int file_read_tail(int fd, size_t max, struct buf *text);

/* As file_open(), no link followed, for what decides what happens: -EPERM where the file, or the
 * directory it lies in, is of neither root nor ourselves, or can be written by others. */
int file_open_trusted(const char *path, int *ret_fd, struct err *err);

/* Is there something by that name that can be reached (links followed)? One system call. */
bool file_exists(int dir_fd, const char *path);

/* A directory to be used as `dir_fd`. */
int file_open_dir(int dir_fd, const char *path, int *ret_fd, struct err *err);

/* Puts `text` in the place of `path`, whole or not at all: temporary file beside it
 * ("path.PID.tmp"), fsync, rename, fsync of the directory. `mode` as with open(2), less umask. */
int file_replace(int dir_fd, const char *path, mode_t mode, const char *text, struct err *err);

/* Takes the file away, on disk too. -ENOENT: it was not there. */
int file_remove(int dir_fd, const char *path, struct err *err);

/* The same with any bytes. */
int file_replace_bytes(int dir_fd, const char *path, mode_t mode, const void *bytes, size_t len,
                       struct err *err);

/* Opens for appending, creates where missing (its directory is synced then). No symlink followed.
 * O_RDWR: the end may be read to see whether a crash cut it off. */
int file_open_append(int dir_fd, const char *path, mode_t mode, int *ret_fd, struct err *err);

/* Appends and fsyncs. After a failure the file has its old length again where that is possible. */
int file_append(int fd, const void *bytes, size_t len, struct err *err);

/* Writes everything to any fd that does not block, EINTR and short writes included. */
int file_write_all(int fd, const void *bytes, size_t len);

#endif
