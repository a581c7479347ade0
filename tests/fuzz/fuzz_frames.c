/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A client's bytes, cut into pieces at will: the frames that a connection hands over are those
 * between the NULs, in order and whole, however they came; a frame that is too long ends it.
 */
/* FUZZ-SOURCES: daemon/conn.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"

enum { FRAME_MAX = 64, PIECES_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct conn *conn;
    const uint8_t *at, *end; /* what is still expected */
    bool gone, done;
};

static void must(bool truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

static void on_frame(void *owner, const char *frame, size_t len)
{
    struct seen *seen = owner;

    must(len <= FRAME_MAX && frame[len] == '\0' && strlen(frame) == len);
    must((size_t)(seen->end - seen->at) > len && memcmp(seen->at, frame, len + 1) == 0);
    seen->at += len + 1;
    conn_send(seen->conn, "ok", 3);
    conn_resume(seen->conn);
}

static void on_gone(void *owner)
{
    struct seen *seen = owner;

    must(!seen->gone);
    seen->gone = true;
}

static void on_done(void *owner)
{
    struct seen *seen = owner;

    must(seen->gone && !seen->done);
    seen->done = true;
    conn_free(seen->conn);
}

static void turn(sd_event *event)
{
    for (int i = 0; i < 200 && sd_event_run(event, 0) > 0; i++) {
    }
}

/* How many of the bytes are in whole frames, up to the first that is too long. */
static size_t whole(const uint8_t *data, size_t size)
{
    size_t done = 0;

    for (size_t i = 0; i < size; i++) {
        if (i - done > FRAME_MAX) {
            break;
        }
        if (data[i] == '\0') {
            done = i + 1;
        }
    }
    return done;
}

static void feed(const uint8_t *data, size_t size, const uint8_t *cuts, size_t n_cuts, int fd,
                 sd_event *event)
{
    size_t at = 0;

    for (size_t i = 0; at < size; i++) {
        size_t piece = i < n_cuts ? cuts[i] : size - at;

        piece = piece < size - at ? piece : size - at;
        if (piece > 0 && send(fd, data + at, piece, MSG_NOSIGNAL) < 0) {
            break; /* it was thrown out */
        }
        at += piece;
        turn(event);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct conn_limits limits = {.in_max = FRAME_MAX, .out_max = 1024 * 1024};
    static const struct conn_handlers handlers = {on_frame, on_gone, on_done};
    size_t n_cuts = size == 0 ? 0 : data[0] % PIECES_MAX;
    struct seen seen = {0};
    sd_event *event = NULL;
    int fds[2];

    if (size < 1 + n_cuts || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0) {
        return 0;
    }
    seen.at = data + 1 + n_cuts;
    seen.end = seen.at + whole(seen.at, size - 1 - n_cuts);
    must(sd_event_new(&event) == 0);
    must(conn_new(event, fds[0], &limits, &handlers, &seen, &seen.conn) == 0);
    feed(data + 1 + n_cuts, size - 1 - n_cuts, data + 1, n_cuts, fds[1], event);
    close(fds[1]);
    turn(event);
    must(seen.gone && seen.done);
    sd_event_unref(event);
    return 0;
}
