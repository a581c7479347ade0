/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Varlink server: accepts on one listening socket, finds the handler of each call, sends its
 * answers. org.varlink.service is answered here. Answers may come later and in several parts; calls
 * of one connection are carried out one after the other.
 *
 * No local user can shut the others out: connections are counted per user (root is exempt and has
 * places of its own), half-sent frames and idle connections are closed, slow readers too.
 */
#ifndef SERVER_H
#define SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/err.h"

struct server;
struct server_call;

enum {
    SERVER_CONNECTIONS_MAX = 1024,
    SERVER_CONNECTIONS_FOR_ROOT = 256, /* of these, never given to others: hooks must get in */
    SERVER_CONNECTIONS_PER_USER = 64,
    SERVER_OUT_MAX = 4 * 1024 * 1024, /* waiting for one slow reader */
};

enum server_flags {
    SERVER_ANYBODY = 0,
    SERVER_ROOT_ONLY = 1, /* others get io.pvehwid.NotPermitted */
};

/* The call is the handler's until it ends it with server_call_reply(), _error() or _bad(), in the
 * handler or any time later; that frees it. */
typedef void (*server_handler)(struct server_call *call, void *userdata);

struct server_method {
    const char *name; /* "io.pvehwid.Status" */
    enum server_flags flags;
    server_handler handler;
};

struct server_settings {
    const char *vendor, *product, *version, *url; /* of GetInfo */
    const struct server_method *methods;          /* must outlive the server, as the strings */
    size_t n_methods;
    void *userdata; /* of the handlers */
    /* Limits; 0 stands for these. Tests have no time. */
    unsigned half_frame_ms; /* 5000 */
    unsigned idle_ms;       /* 60000, not for root */
    unsigned stall_ms;      /* 60000 */
    size_t per_user;        /* SERVER_CONNECTIONS_PER_USER */
    uid_t root;             /* who counts as root: 0 */
};

/* Takes over `listen_fd` on success. */
int server_new(sd_event *event, int listen_fd, const struct server_settings *settings,
               struct server **ret, struct err *err);
/* Closes all connections and frees all calls that are still open: on_gone of each is called first,
 * afterwards no pointer to a call may be used. */
void server_free(struct server *server);
size_t server_connections(const struct server *server);

/* --- in a handler --- */

const char *server_call_method(const struct server_call *call);
const json_t *server_call_parameters(const struct server_call *call); /* an object; borrowed */
uid_t server_call_uid(const struct server_call *call); /* of the peer when it connected */
pid_t server_call_pid(const struct server_call *call);
bool server_call_is_root(const struct server_call *call);
bool server_call_wants_more(const struct server_call *call); /* progress may be sent */
/* The client went away, perhaps before the handler was called: answers are no-ops. A hook that is
 * gone has decided without us. */
bool server_call_is_gone(const struct server_call *call);

/* Called at most once, when the client goes away before the answer. The call still is the
 * handler's, who ends it as ever (also from inside on_gone). NULL: nothing. */
void server_call_on_gone(struct server_call *call, void (*on_gone)(void *userdata), void *userdata);

/* These take over the reference to `parameters`. NULL is what a json_pack() without memory returns:
 * a reply becomes Failed, progress is left out; only an error may be without parameters on purpose.
 * server_call_progress() does nothing for a client that did not ask for `more`. An answer over
 * WIRE_REPLY_MAX becomes Failed. */
void server_call_progress(struct server_call *call, json_t *parameters);
void server_call_reply(struct server_call *call, json_t *parameters);
void server_call_error(struct server_call *call, const char *error, json_t *parameters);
/* org.varlink.service.InvalidParameter. */
void server_call_bad(struct server_call *call, const char *parameter);

#endif
