/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See sock.h. */
#include "io/sock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/file.h"

enum {
    BACKLOG = 1024, /* a node that boots starts hundreds of VMs, with a hook each */
    RECV_CHUNK = 4096,
};

static int fill_address(const char *path, struct sockaddr_un *ret_address, struct err *err)
{
    size_t len = strlen(path);

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len >= sizeof(ret_address->sun_path)) {
        return err_set(err, -ENAMETOOLONG, "%s: longer than the %zu bytes a socket's path may have",
                       path, sizeof(ret_address->sun_path) - 1);
    }
    memcpy(ret_address->sun_path, path, len);
    return 0;
}

int sock_listen(const char *path, mode_t mode, int *ret_fd, struct err *err)
{
    struct sockaddr_un address;
    CLEANUP_FD int fd = -1;
    int rc;

    rc = fill_address(path, &address, err);
    if (rc < 0) {
        return rc;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_set(err, -errno, "no socket: %s", strerror(errno));
    }
    /* A stale socket of a daemon that was killed. Where somebody still listens there, systemd or
     * the administrator started two: the newer one wins, as with a restart. */
    (void)unlink(path);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, mode) < 0 ||
        listen(fd, BACKLOG) < 0) {
        return err_set(err, -errno, "%s: cannot listen: %s", path, strerror(errno));
    }
    *ret_fd = fd_steal(&fd);
    return 0;
}

/* Milliseconds left, at least 0. */
static uint64_t time_left(uint64_t deadline_ms)
{
    uint64_t now = clock_monotonic_ms();

    return deadline_ms > now ? deadline_ms - now : 0;
}

/*
 * connect(2) of a Unix socket returns at once unless the backlog is full. Then a non-blocking one
 * fails with EAGAIN and nothing to poll for; a blocking one waits for at most SO_SNDTIMEO: so the
 * kernel waits for us.
 */
int sock_connect(const char *path, uint64_t deadline_ms, int *ret_fd, struct err *err)
{
    uint64_t left = time_left(deadline_ms);
    struct timeval limit = {.tv_sec = (time_t)(left / 1000),
                            .tv_usec = (suseconds_t)(left % 1000 * 1000)};
    struct sockaddr_un address;
    CLEANUP_FD int fd = -1;
    int rc;

    rc = fill_address(path, &address, err);
    if (rc < 0) {
        return rc;
    }
    if (left == 0) {
        return err_set(err, -ETIMEDOUT, "%s: no time left to connect", path);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_set(err, -errno, "no socket: %s", strerror(errno));
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        rc = errno == EAGAIN || errno == EINPROGRESS ? -ETIMEDOUT : -errno;
        return err_set(err, rc, "%s: cannot connect: %s", path, strerror(-rc));
    }
    *ret_fd = fd_steal(&fd);
    return 0;
}

static int wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        struct pollfd pollfd = {.fd = fd, .events = events};
        uint64_t left = time_left(deadline_ms);
        int n;

        if (left == 0) {
            return -ETIMEDOUT;
        }
        n = poll(&pollfd, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (n > 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
    }
}

int sock_send(int fd, const void *bytes, size_t len, uint64_t deadline_ms, struct err *err)
{
    const char *at = bytes;
    int rc = 0;

    while (len > 0 && rc == 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            at += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            rc = wait_for(fd, POLLOUT, deadline_ms);
        } else if (errno != EINTR) {
            rc = errno == EPIPE ? -ECONNRESET : -errno;
        }
    }
    return rc < 0 ? err_set(err, rc, "cannot send: %s", strerror(-rc)) : 0;
}

/* One recv(2): 0 with something appended, or -errno. */
static int recv_some(int fd, struct buf *in)
{
    char chunk[RECV_CHUNK];
    ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);

    if (n < 0) {
        return -errno;
    }
    if (n == 0) {
        return -ECONNRESET;
    }
    buf_add(in, chunk, (size_t)n);
    return in->error;
}

int sock_recv_frame(int fd, struct buf *in, uint64_t deadline_ms, size_t *ret_len, struct err *err)
{
    size_t seen = 0;
    int rc;

    for (;;) {
        const char *end = in->len > seen ? memchr(in->data + seen, '\0', in->len - seen) : NULL;

        if (end != NULL) {
            *ret_len = (size_t)(end - in->data);
            return 0;
        }
        seen = in->len;
        rc = wait_for(fd, POLLIN, deadline_ms);
        if (rc == 0) {
            rc = recv_some(fd, in);
        }
        if (rc < 0 && rc != -EAGAIN && rc != -EINTR) {
            return err_set(err, rc, "no whole answer: %s",
                           rc == -ECONNRESET ? "the other side hung up" : strerror(-rc));
        }
    }
}

int sock_get_peer(int fd, struct sock_peer *ret_peer, struct err *err)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
        return err_set(err, -errno, "cannot tell who connected: %s", strerror(errno));
    }
    *ret_peer = (struct sock_peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
    return 0;
}
