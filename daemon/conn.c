/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See conn.h. All frames, the timer and the end are handled in conn_work(), which only the event
 * loop calls: whatever a handler does to its connection meanwhile just sets flags, so nothing is
 * freed or re-entered below anybody's feet.
 */
#include "conn.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

enum { RECV_CHUNK = 16 * 1024 };

enum conn_timer { TIMER_OFF, TIMER_HALF_FRAME, TIMER_IDLE, TIMER_STALL };

struct conn {
    struct conn_limits limits;
    struct conn_handlers handlers;
    void *owner;
    int fd; /* -1: the peer is gone */
    sd_event_source *io, *timer, *work;
    struct buf in, out;
    enum conn_timer timer_for;
    bool waiting;  /* a frame was handed over and conn_resume() has not come */
    bool orphaned; /* the peer is gone and the owner has not been told yet */
    bool eof;      /* the peer sends no more, but may still read */
    bool progress; /* the running timer starts anew */
    bool more;     /* whole frames are left for the next turn */
};

static void close_fd(struct conn *conn)
{
    conn->io = sd_event_source_disable_unref(conn->io);
    if (conn->fd >= 0) {
        (void)close(conn->fd);
        conn->fd = -1;
    }
}

/* As all handlers, on_work() is enabled rather than called. It fails only where there is no event
 * loop any more. */
static void work_soon(struct conn *conn)
{
    (void)sd_event_source_set_enabled(conn->work, SD_EVENT_ONESHOT);
}

/* The peer is gone. Whole frames in `in` stay. */
static void hang_up(struct conn *conn)
{
    if (conn->fd >= 0) {
        close_fd(conn);
        buf_fini(&conn->out);
        conn->orphaned = true;
        work_soon(conn);
    }
}

static void tell_orphaned(struct conn *conn)
{
    if (conn->orphaned) {
        conn->orphaned = false;
        conn->handlers.gone(conn->owner);
    }
}

void conn_kick(struct conn *conn)
{
    buf_fini(&conn->in);
    hang_up(conn);
}

void conn_resume(struct conn *conn)
{
    conn->waiting = false;
    conn->progress = true;
    work_soon(conn);
}

static void flush(struct conn *conn)
{
    while (conn->fd >= 0 && conn->out.len > 0) {
        ssize_t n = send(conn->fd, conn->out.data, conn->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            buf_consume(&conn->out, (size_t)n);
            conn->progress = true;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            hang_up(conn);
        }
    }
}

void conn_send(struct conn *conn, const void *bytes, size_t len)
{
    bool was_empty = conn->out.len == 0;

    if (conn->fd < 0) {
        return;
    }
    buf_add(&conn->out, bytes, len);
    if (conn->out.error != 0) {
        conn_kick(conn); /* too slow a reader; half an answer would be worse than none */
        return;
    }
    if (was_empty) {
        flush(conn);
    }
    work_soon(conn); /* timer and EPOLLOUT */
}

/* One recv(2), as far as `in` has room. True where more may be there. */
static bool receive(struct conn *conn)
{
    char chunk[RECV_CHUNK];
    size_t room = conn->limits.in_max + 1 - conn->in.len;
    ssize_t n;

    if (room == 0 || conn->eof) {
        return false;
    }
    n = recv(conn->fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk), MSG_DONTWAIT);
    if (n == 0) {
        conn->eof = true;
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        hang_up(conn);
    } else if (n > 0) {
        buf_add(&conn->in, chunk, (size_t)n);
        if (conn->in.error != 0) {
            conn_kick(conn); /* no memory */
        }
    }
    return n > 0 && conn->fd >= 0;
}

/* Hands over what is whole until somebody wants to think about one. */
static void hand_over(struct conn *conn)
{
    size_t done = 0;

    conn->more = false;
    for (;;) {
        const char *frame = NULL;
        const char *end = NULL;

        tell_orphaned(conn);
        if (!conn->waiting && done < conn->in.len) {
            frame = conn->in.data + done;
            end = memchr(frame, '\0', conn->in.len - done);
        }
        if (end == NULL) {
            break;
        }
        if (conn->limits.last && done > 0) {
            conn->more = conn->fd >= 0; /* nobody waits for the answers of one who went away */
            work_soon(conn);
            break;
        }
        conn->waiting = true;
        conn->progress = true;
        conn->handlers.frame(conn->owner, frame, (size_t)(end - frame));
        if (conn->in.len == 0) {
            tell_orphaned(conn);
            return; /* kicked: nothing is left of `in` */
        }
        done += (size_t)(end - frame) + 1;
    }
    buf_consume(&conn->in, done);
}

static enum conn_timer timer_wanted(const struct conn *conn)
{
    if (conn->fd < 0) {
        return TIMER_OFF;
    }
    if (conn->out.len > 0) {
        return TIMER_STALL;
    }
    if (conn->waiting) {
        return TIMER_OFF;
    }
    return conn->in.len > 0 ? TIMER_HALF_FRAME : TIMER_IDLE;
}

static unsigned timer_ms(const struct conn *conn, enum conn_timer timer)
{
    switch (timer) {
    case TIMER_OFF:
        return 0;
    case TIMER_HALF_FRAME:
        return conn->limits.half_frame_ms;
    case TIMER_IDLE:
        return conn->limits.idle_ms;
    case TIMER_STALL:
        return conn->limits.stall_ms;
    }
    return 0;
}

static int set_timer(struct conn *conn)
{
    enum conn_timer wanted = timer_wanted(conn);
    unsigned ms = timer_ms(conn, wanted);
    int rc = 0;

    if (wanted != conn->timer_for || conn->progress) {
        conn->timer_for = wanted;
        conn->progress = false;
        if (ms > 0) {
            rc = sd_event_source_set_time_relative(conn->timer, (uint64_t)ms * 1000);
        }
        if (rc >= 0) {
            rc = sd_event_source_set_enabled(conn->timer, ms > 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
        }
    }
    return rc;
}

static int set_events(struct conn *conn)
{
    uint32_t events = conn->out.len > 0 ? EPOLLOUT : 0;

    if (!conn->eof && conn->in.len <= conn->limits.in_max) {
        events |= EPOLLIN;
    }
    return conn->fd < 0 ? 0 : sd_event_source_set_io_events(conn->io, events);
}

/* `conn` may be freed when this returns: it must be the last thing a callback does. */
static int conn_work(struct conn *conn)
{
    hand_over(conn);
    if (!conn->waiting && conn->in.len > conn->limits.in_max) {
        conn_kick(conn); /* a frame without an end */
    }
    if (conn->fd >= 0 && (set_events(conn) < 0 || set_timer(conn) < 0)) {
        conn_kick(conn);
    }
    if (conn->eof && !conn->waiting && !conn->more && conn->out.len == 0) {
        hang_up(conn); /* it got all its answers */
    }
    tell_orphaned(conn);
    if (conn->fd < 0 && !conn->waiting) {
        conn->handlers.done(conn->owner);
    }
    return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct conn *conn = userdata;

    (void)source;
    (void)fd;
    if ((events & EPOLLOUT) != 0) {
        flush(conn);
    }
    /* After a hang-up all that was sent before it is still there to be read. */
    while (conn->fd >= 0 && receive(conn) && (events & EPOLLHUP) != 0) {
    }
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        hang_up(conn);
    }
    return conn_work(conn);
}

static int on_work(sd_event_source *source, void *userdata)
{
    (void)source;
    return conn_work(userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct conn *conn = userdata;

    (void)source;
    (void)usec;
    conn_kick(conn);
    return conn_work(conn);
}

static int add_sources(struct conn *conn, sd_event *event)
{
    const uint64_t accuracy = 100 * 1000; /* us: timers of many connections may share a wake-up */
    int rc;

    rc = sd_event_add_io(event, &conn->io, conn->fd, EPOLLIN, on_io, conn);
    if (rc >= 0) {
        rc = sd_event_add_time_relative(event, &conn->timer, CLOCK_MONOTONIC, UINT64_MAX / 4,
                                        accuracy, on_timer, conn);
    }
    if (rc >= 0) {
        rc = sd_event_source_set_enabled(conn->timer, SD_EVENT_OFF);
    }
    if (rc >= 0) {
        rc = sd_event_add_defer(event, &conn->work, on_work, conn); /* runs once: sets the timer */
    }
    if (rc >= 0 && conn->limits.last) {
        rc = sd_event_source_set_priority(conn->io, SD_EVENT_PRIORITY_IDLE);
    }
    if (rc >= 0 && conn->limits.last) {
        rc = sd_event_source_set_priority(conn->work, SD_EVENT_PRIORITY_IDLE);
    }
    return rc;
}

int conn_new(sd_event *event, int fd, const struct conn_limits *limits,
             const struct conn_handlers *handlers, void *owner, struct conn **ret)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    int rc;

    if (conn == NULL) {
        return -ENOMEM;
    }
    *conn = (struct conn){
        .limits = *limits,
        .handlers = *handlers,
        .owner = owner,
        .fd = fd,
        .in = BUF_INIT(0),
        .out = BUF_INIT(limits->out_max),
    };
    rc = add_sources(conn, event);
    if (rc < 0) {
        conn->fd = -1; /* stays the caller's */
        conn_free(conn);
        return rc;
    }
    *ret = conn;
    return 0;
}

void conn_free(struct conn *conn)
{
    if (conn == NULL) {
        return;
    }
    close_fd(conn);
    sd_event_source_disable_unref(conn->timer);
    sd_event_source_disable_unref(conn->work);
    buf_fini(&conn->in);
    buf_fini(&conn->out);
    free(conn);
}
