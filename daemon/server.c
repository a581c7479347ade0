/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See server.h. A client is a connection with credentials; a call belongs to whoever handles it and
 * only points at its client while that is there.
 */
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "conn.h"
#include "core/wire.h"
#include "io/sock.h"
#include "service.h"

enum {
    HALF_FRAME_MS = 5 * 1000,
    IDLE_MS = 60 * 1000,
    STALL_MS = 60 * 1000,
    ACCEPTS_AT_ONCE = 64,         /* then other events have their turn */
    ACCEPT_PAUSE_US = 500 * 1000, /* out of file descriptors: ask again after this */
};

struct client {
    LIST_ENTRY(client) link;
    struct server *server;
    struct conn *conn;
    struct sock_peer peer;
    struct server_call *call; /* under way; NULL: none */
    bool gone;                /* frames it sent before may still come */
};

struct server_call {
    LIST_ENTRY(server_call) link;
    struct client *client; /* NULL: gone */
    struct sock_peer peer;
    uid_t root;
    struct wire_call wire;
    void (*on_gone)(void *userdata);
    void *gone_userdata;
};

struct server {
    struct server_settings settings;
    sd_event *event;
    int fd;
    sd_event_source *io, *pause;
    LIST_HEAD(, client) clients;
    LIST_HEAD(, server_call) calls;
    size_t n_clients;
};

/* --- calls --- */

static void call_free(struct server_call *call)
{
    LIST_REMOVE(call, link);
    wire_call_fini(&call->wire);
    free(call);
}

/* Nobody waits for this call any more. */
static void call_abandon(struct server_call *call)
{
    void (*on_gone)(void *userdata) = call->on_gone;

    call->client = NULL;
    call->on_gone = NULL;
    if (on_gone != NULL) {
        on_gone(call->gone_userdata);
    }
}

static bool call_wants_answer(const struct server_call *call)
{
    return call->client != NULL && !call->wire.oneway;
}

/* A frame that was built, or the fact that it could not be. */
static void call_send(struct server_call *call, struct buf *frame)
{
    struct buf failed = BUF_INIT(WIRE_REPLY_MAX);
    json_t *why;

    if (frame->error == 0) {
        conn_send(call->client->conn, frame->data, frame->len);
        return;
    }
    why = json_pack("{s:s}", "message",
                    frame->error == -EFBIG ? "the answer is too long" : "out of memory");
    wire_add_error(&failed, "io.pvehwid.Failed", why);
    if (failed.error == 0) {
        conn_send(call->client->conn, failed.data, failed.len);
    } else {
        conn_kick(call->client->conn); /* an answer that never comes must not be waited for */
    }
    json_decref(why);
    buf_fini(&failed);
}

static void call_end(struct server_call *call)
{
    if (call->client != NULL) {
        call->client->call = NULL;
        conn_resume(call->client->conn);
    }
    call_free(call);
}

void server_call_progress(struct server_call *call, json_t *parameters)
{
    struct buf frame = BUF_INIT(WIRE_REPLY_MAX);

    if (parameters != NULL && call_wants_answer(call) && call->wire.more) {
        wire_add_reply(&frame, parameters, true);
        if (frame.error == 0) { /* else: one line of progress less */
            conn_send(call->client->conn, frame.data, frame.len);
        }
    }
    json_decref(parameters);
    buf_fini(&frame);
}

/* error NULL: success. */
static void call_answer(struct server_call *call, const char *error, json_t *parameters)
{
    struct buf frame = BUF_INIT(WIRE_REPLY_MAX);

    if (call_wants_answer(call)) {
        if (error != NULL) {
            wire_add_error(&frame, error, parameters);
        } else if (parameters != NULL) {
            wire_add_reply(&frame, parameters, false);
        } else {
            frame.error = -ENOMEM;
        }
        call_send(call, &frame);
    }
    json_decref(parameters);
    buf_fini(&frame);
    call_end(call);
}

void server_call_reply(struct server_call *call, json_t *parameters)
{
    call_answer(call, NULL, parameters);
}

void server_call_error(struct server_call *call, const char *error, json_t *parameters)
{
    call_answer(call, error, parameters);
}

void server_call_bad(struct server_call *call, const char *parameter)
{
    server_call_error(call, "org.varlink.service.InvalidParameter",
                      json_pack("{s:s}", "parameter", parameter));
}

const char *server_call_method(const struct server_call *call)
{
    return call->wire.method;
}

const json_t *server_call_parameters(const struct server_call *call)
{
    return call->wire.parameters;
}

uid_t server_call_uid(const struct server_call *call)
{
    return call->peer.uid;
}

pid_t server_call_pid(const struct server_call *call)
{
    return call->peer.pid;
}

bool server_call_is_root(const struct server_call *call)
{
    return call->peer.uid == call->root;
}

bool server_call_wants_more(const struct server_call *call)
{
    return call->wire.more;
}

bool server_call_is_gone(const struct server_call *call)
{
    return call->client == NULL;
}

void server_call_on_gone(struct server_call *call, void (*on_gone)(void *userdata), void *userdata)
{
    call->on_gone = call->client != NULL ? on_gone : NULL;
    call->gone_userdata = userdata;
}

/* --- clients --- */

static void dispatch(struct server *server, struct server_call *call)
{
    const struct server_settings *settings = &server->settings;

    if (service_answer(call, settings)) {
        return;
    }
    for (size_t i = 0; i < settings->n_methods; i++) {
        const struct server_method *method = &settings->methods[i];

        if (!str_equal(method->name, call->wire.method)) {
            continue;
        }
        if (method->flags == SERVER_ROOT_ONLY && !server_call_is_root(call)) {
            server_call_error(call, "io.pvehwid.NotPermitted", NULL);
            return;
        }
        method->handler(call, settings->userdata);
        return;
    }
    service_not_found(call);
}

static void on_frame(void *owner, const char *frame, size_t len)
{
    struct client *client = owner;
    struct server *server = client->server;
    struct server_call *call = calloc(1, sizeof(*call));

    if (call == NULL || wire_parse_call(frame, len, &call->wire, NULL) < 0) {
        free(call);
        conn_resume(client->conn); /* first: a kicked connection ends once nobody waits */
        conn_kick(client->conn);   /* who does not speak Varlink cannot be told so in Varlink */
        return;
    }
    call->peer = client->peer;
    call->root = server->settings.root;
    LIST_INSERT_HEAD(&server->calls, call, link);
    if (!client->gone) {
        call->client = client;
        client->call = call;
    } else {
        conn_resume(client->conn);
    }
    dispatch(server, call);
}

static void on_conn_gone(void *owner)
{
    struct client *client = owner;
    struct server_call *call = STEAL(client->call);

    client->gone = true;
    if (call != NULL) {
        conn_resume(client->conn); /* what else it sent is not kept waiting by that call */
        call_abandon(call);
    }
}

static void client_free(struct client *client)
{
    LIST_REMOVE(client, link);
    client->server->n_clients--;
    if (client->call != NULL) {
        client->call->client = NULL;
    }
    conn_free(client->conn);
    free(client);
}

static void on_conn_done(void *owner)
{
    client_free(owner);
}

static bool has_room(const struct server *server, uid_t uid)
{
    const struct client *client;
    size_t same_user = 0;

    if (uid == server->settings.root) {
        return server->n_clients < SERVER_CONNECTIONS_MAX;
    }
    LIST_FOREACH(client, &server->clients, link)
    {
        same_user += client->peer.uid == uid ? 1 : 0;
    }
    return same_user < server->settings.per_user &&
           server->n_clients < SERVER_CONNECTIONS_MAX - SERVER_CONNECTIONS_FOR_ROOT;
}

/* Takes over `fd` on success. */
static int client_add(struct server *server, int fd)
{
    static const struct conn_handlers handlers = {on_frame, on_conn_gone, on_conn_done};
    const struct server_settings *settings = &server->settings;
    struct conn_limits limits = {.in_max = WIRE_CALL_MAX,
                                 .out_max = SERVER_OUT_MAX,
                                 .half_frame_ms = settings->half_frame_ms,
                                 .stall_ms = settings->stall_ms};
    CLEANUP_FREE struct client *client = calloc(1, sizeof(*client));
    int rc;

    if (client == NULL) {
        return -ENOMEM;
    }
    rc = sock_get_peer(fd, &client->peer, NULL);
    if (rc < 0) {
        return rc;
    }
    if (!has_room(server, client->peer.uid)) {
        return -EBUSY;
    }
    limits.last = client->peer.uid != settings->root; /* a hook must not wait for the curious */
    limits.idle_ms = client->peer.uid == settings->root ? 0 : settings->idle_ms;
    rc = conn_new(server->event, fd, &limits, &handlers, client, &client->conn);
    if (rc < 0) {
        return rc;
    }
    client->server = server;
    LIST_INSERT_HEAD(&server->clients, client, link);
    server->n_clients++;
    (void)STEAL(client); /* the list's */
    return 0;
}

/* --- accepting --- */

/* Without file descriptors the socket stays readable and accept(2) keeps failing: ask again later
 * instead of spinning. */
static int pause_accepting(struct server *server)
{
    int rc = sd_event_source_set_enabled(server->io, SD_EVENT_OFF);

    if (rc >= 0) {
        rc = sd_event_source_set_time_relative(server->pause, ACCEPT_PAUSE_US);
    }
    if (rc >= 0) {
        rc = sd_event_source_set_enabled(server->pause, SD_EVENT_ONESHOT);
    }
    return rc;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct server *server = userdata;

    (void)source;
    (void)usec;
    return sd_event_source_set_enabled(server->io, SD_EVENT_ON);
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *userdata)
{
    struct server *server = userdata;

    (void)source;
    (void)events;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            if (client_add(server, fd) < 0) {
                (void)close(fd); /* too many: the client sees a hang-up and may come again */
            }
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            return pause_accepting(server);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return 0; /* EAGAIN: that was all */
        }
    }
    return 0;
}

static void set_defaults(struct server_settings *settings)
{
    settings->half_frame_ms = settings->half_frame_ms != 0 ? settings->half_frame_ms
                                                           : HALF_FRAME_MS;
    settings->idle_ms = settings->idle_ms != 0 ? settings->idle_ms : IDLE_MS;
    settings->stall_ms = settings->stall_ms != 0 ? settings->stall_ms : STALL_MS;
    settings->per_user = settings->per_user != 0 ? settings->per_user : SERVER_CONNECTIONS_PER_USER;
}

static int add_sources(struct server *server, int listen_fd)
{
    int rc;

    rc = sd_event_add_io(server->event, &server->io, listen_fd, EPOLLIN, on_connection, server);
    if (rc >= 0) {
        rc = sd_event_add_time_relative(server->event, &server->pause, CLOCK_MONOTONIC,
                                        ACCEPT_PAUSE_US, 0, on_pause_over, server);
    }
    if (rc >= 0) {
        rc = sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
    }
    return rc;
}

int server_new(sd_event *event, int listen_fd, const struct server_settings *settings,
               struct server **ret, struct err *err)
{
    struct server *server = calloc(1, sizeof(*server));
    int rc;

    if (server == NULL) {
        return err_oom(err);
    }
    server->settings = *settings;
    set_defaults(&server->settings);
    server->event = sd_event_ref(event);
    server->fd = -1;
    rc = add_sources(server, listen_fd);
    if (rc < 0) {
        server_free(server);
        return err_set(err, rc, "cannot watch the socket: %s", strerror(-rc));
    }
    server->fd = listen_fd;
    *ret = server;
    return 0;
}

void server_free(struct server *server)
{
    struct server_call *call;

    if (server == NULL) {
        return;
    }
    while (!LIST_EMPTY(&server->clients)) {
        client_free(LIST_FIRST(&server->clients));
    }
    while ((call = LIST_FIRST(&server->calls)) != NULL) {
        call_abandon(call);
        if (LIST_FIRST(&server->calls) == call) {
            call_free(call); /* its handler did not end it from inside on_gone */
        }
    }
    sd_event_source_disable_unref(server->io);
    sd_event_source_disable_unref(server->pause);
    if (server->fd >= 0) {
        (void)close(server->fd);
    }
    sd_event_unref(server->event);
    free(server);
}

size_t server_connections(const struct server *server)
{
    return server->n_clients;
}
