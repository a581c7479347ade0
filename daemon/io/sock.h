/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * AF_UNIX stream sockets for programs that may wait, but never beyond a deadline (a time of
 * clock_monotonic_ms()). Late is -ETIMEDOUT; a peer that went away -ECONNRESET; SIGPIPE never
 * comes.
 */
#ifndef IO_SOCK_H
#define IO_SOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* A new listening socket (non-blocking) in the place of whatever socket was at `path`. */
int sock_listen(const char *path, mode_t mode, int *ret_fd, struct err *err);

/* -ENOENT, -ECONNREFUSED: nobody listens; -ETIMEDOUT; -ENAMETOOLONG. */
int sock_connect(const char *path, uint64_t deadline_ms, int *ret_fd, struct err *err);

int sock_send(int fd, const void *bytes, size_t len, uint64_t deadline_ms, struct err *err);

/* Reads until `in` (whose max is the limit) holds a NUL byte: the frame is in->data, *ret_len its
 * length without the NUL. What came behind it stays: buf_consume(in, *ret_len + 1) before the next
 * call. -EFBIG: no NUL within the limit. */
int sock_recv_frame(int fd, struct buf *in, uint64_t deadline_ms, size_t *ret_len, struct err *err);

struct sock_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

/* Who connected: by the kernel, at the time of connect(2). */
int sock_get_peer(int fd, struct sock_peer *ret_peer, struct err *err);

#endif
