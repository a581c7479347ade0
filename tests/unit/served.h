/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server with a few methods on a real listening socket, and clients that are file descriptors. */
#ifndef SERVED_H
#define SERVED_H

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/buf.h"
#include "server.h"

enum { SERVED_PATIENCE_MS = 15000, SERVED_NOT_ROOT = 54321 };

struct served {
    char dir[32];
    char path[64];
    sd_event *event;
    struct server *server;
    struct server_call *parked; /* by io.pvehwid.Hook: answered later by the test */
    int handled, gone;
};

/* io.pvehwid.Plan echoes, Hold does for root only, Hook parks its call, Apply answers in parts,
 * List and Log answer much and too much. NULL: the server's own limits. */
struct served *served_start(const struct server_settings *limits);
void served_stop(struct served *f);

/* A new client. */
int served_client(struct served *f);
/* One turn of the event loop, which waits so long for something to happen. */
void served_run(struct served *f, unsigned ms);
/* Lets the server work until nothing happens for a moment. */
void served_settle(struct served *f);
void served_say(int fd, const char *frame);
/* A client whose call waits for its answer: f->parked. */
int served_asking(struct served *f);
/* Appends what the server sends until `n` whole frames are there; -ECONNRESET after a hang-up. */
int served_listen_for(struct served *f, int fd, struct buf *in, int n);
void served_expect_reply(struct served *f, int fd, const char *call, const char *reply);
/* Nothing but the end; closes `fd`. */
void served_expect_hang_up(struct served *f, int fd);

#endif
