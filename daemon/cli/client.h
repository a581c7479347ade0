/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A Varlink client that may wait, but never beyond a deadline: one connection, one call at a time,
 * one or several replies to it. Knows the protocol, not the methods. Its sentences say what to do.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/wire.h"

enum {
    CLIENT_REPLY_MAX = 16 * WIRE_REPLY_MAX, /* bytes of one reply; a newer daemon may say more */
    CLIENT_CONNECT_MS = 5 * 1000,           /* of a backlog that is full: a node that boots */
    CLIENT_CALL_MAX_MS = 2 * 3600 * 1000,   /* a call ends, however much is still being told */
};

struct client {
    const char *path; /* borrowed: for sentences */
    int fd;
    struct buf in;
    uint64_t quiet_ms; /* how long the daemon may say nothing */
    uint64_t end_ms;   /* deadline of the whole call */
};

/* -ENOENT, -ECONNREFUSED: nobody listens; -EACCES, -EPERM; -ETIMEDOUT. */
int client_open(struct client *client, const char *path, uint64_t quiet_ms, struct err *err);
void client_close(struct client *client);

/* `method` with its interface; `parameters` is borrowed. */
int client_send(struct client *client, const char *method, const json_t *parameters, bool more,
                struct err *err);
/* -ETIMEDOUT, -ECONNRESET, -EPROTO (not Varlink), -EFBIG. */
int client_receive(struct client *client, struct wire_reply *ret_reply, struct err *err);

#endif
