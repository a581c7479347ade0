/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One connection on sd-event: NUL-terminated frames in, bytes out, both bounded, with limits in
 * time. It knows nothing of what the frames mean.
 *
 * Frames are handed over one at a time: after each, the connection waits for conn_resume(). When
 * the peer goes away, or is thrown out, `gone` is told once; frames that had been read whole by
 * then are still handed over (the sender of a last word need not wait for the answer), then comes
 * `done`, the last thing a connection does: there the owner frees it. Handlers are called from the
 * event loop only, never from inside a function of this header.
 */
#ifndef CONN_H
#define CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "base/err.h"

struct conn;

/* `frame` is NUL-terminated and lives until the function returns. */
struct conn_handlers {
    void (*frame)(void *owner, const char *frame, size_t len);
    void (*gone)(void *owner);
    void (*done)(void *owner);
};

struct conn_limits {
    size_t in_max;          /* bytes of one frame */
    size_t out_max;         /* bytes waiting for a slow reader; more: it is thrown out */
    unsigned half_frame_ms; /* from the first byte of a frame to its last; 0: no limit */
    unsigned idle_ms;       /* with nothing to do; 0: no limit */
    bool last;              /* everybody else first, and one frame per turn of the event loop */
    unsigned stall_ms;      /* without the peer taking a byte of what waits for it; 0: no limit */
};

/* Takes over `fd` (a non-blocking socket), on success only. */
int conn_new(sd_event *event, int fd, const struct conn_limits *limits,
             const struct conn_handlers *handlers, void *owner, struct conn **ret);
/* Closes; no handler is called any more. */
void conn_free(struct conn *conn);

/* Sends, or keeps what cannot be sent now. To a peer that went away: nothing. */
void conn_send(struct conn *conn, const void *bytes, size_t len);
/* Ready for the next frame; handed over from here on, but never from inside this call. */
void conn_resume(struct conn *conn);
/* Throws the peer out: unread frames are dropped, `gone` is told, `done` follows. */
void conn_kick(struct conn *conn);

#endif
