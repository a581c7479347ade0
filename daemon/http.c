/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See http.h. curl tells which sockets and which timer it wants (multi_socket interface), sd-event
 * watches them. curl_multi_add_handle() only asks for a timer, so nothing finishes inside
 * http_send().
 * See http_transfer.c for one request.
 */
#include "http.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "form.h"
#include "http_private.h"

enum {
    IDLE_CONNECTIONS = 2,     /* kept open for reuse, about 40 KiB each */
    TIMER_ACCURACY_US = 1000, /* sd-event's own default would be 250 ms */
};

/* --- curl's wishes ------------------------------------------------------------------------- */

static void http_drain(struct http *http);

static void http_act(struct http *http, curl_socket_t fd, int flags)
{
    int running;

    (void)curl_multi_socket_action(http->multi, fd, flags, &running); /* errors are per transfer */
    http_drain(http);
}

static int http_on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    int flags = ((revents & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                ((revents & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                ((revents & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);

    (void)source;
    http_act(userdata, fd, flags);
    return 0;
}

static int http_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    http_act(userdata, CURL_SOCKET_TIMEOUT, 0);
    return 0;
}

static int http_watch_timer(CURLM *multi, long timeout_ms, void *userdata)
{
    struct http *http = userdata;

    (void)multi;
    if (timeout_ms < 0) {
        (void)sd_event_source_set_enabled(http->timer, SD_EVENT_OFF); /* it exists */
        return 0;
    }
    /* Cannot fail for a timer that exists and a time below 2^63. */
    (void)sd_event_source_set_time_relative(http->timer, (uint64_t)timeout_ms * 1000);
    (void)sd_event_source_set_enabled(http->timer, SD_EVENT_ONESHOT);
    return 0;
}

/* `known` is the source of a socket seen before. REMOVE comes before curl closes the fd. Failures
 * are not told to curl, which would never work again: the transfer runs into its timeout. */
static int http_watch_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *known)
{
    struct http *http = userdata;
    sd_event_source *source = known;
    uint32_t events = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? EPOLLIN : 0U) |
                      (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? EPOLLOUT : 0U);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)sd_event_source_disable_unref(source); /* always NULL */
        return 0;
    }
    if (source != NULL) {
        (void)sd_event_source_set_io_events(source, events); /* see above */
    } else if (sd_event_add_io(http->event, &source, fd, events, http_on_socket, http) >= 0) {
        (void)curl_multi_assign(http->multi, fd, source); /* the socket is one curl just named */
    }
    return 0;
}

/* Asks anew after every call: a http_done may send and cancel. */
static void http_drain(struct http *http)
{
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct http_transfer *t = NULL;
        CURLcode code = message->data.result; /* the message dies with its transfer */

        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t); /* set by us */
        /* curl takes a connection that ends among the headers for a whole answer without a body */
        http_transfer_finish(
            t, code == CURLE_OK && !t->headers_whole && !t->probe ? CURLE_GOT_NOTHING : code);
    }
}

/* --- sending ------ */

int http_send(struct http *http, const struct api_request *request, http_done done, void *userdata,
              struct http_transfer **ret_transfer, struct err *err)
{
    CLEANUP(http_transfer_freep) struct http_transfer *t = http_transfer_new(http, done, userdata);
    int rc = t == NULL ? err_oom(err) : http_transfer_start(&t, request, err);

    if (rc == 0 && ret_transfer != NULL) {
        *ret_transfer = LIST_FIRST(&http->transfers);
    }
    return rc;
}

int http_send_with(struct http *http, const char *header, const struct api_request *request,
                   http_done done, void *userdata, struct err *err)
{
    CLEANUP(http_transfer_freep) struct http_transfer *t = http_transfer_new(http, done, userdata);

    if (t == NULL || http_headers_init(&t->headers) < 0 ||
        http_headers_add(&t->headers, header) < 0) {
        return err_oom(err);
    }
    return http_transfer_start(&t, request, err);
}

int http_get_certificate(struct http *http, http_done done, void *userdata, struct err *err)
{
    const struct api_request nothing = {.method = API_GET, .path = (char *)"/"}; /* only read */
    CLEANUP(http_transfer_freep) struct http_transfer *t = http_transfer_new(http, done, userdata);

    if (t == NULL) {
        return err_oom(err);
    }
    t->probe = true;
    return http_transfer_start(&t, &nothing, err);
}

void http_cancel(struct http_transfer *transfer)
{
    http_transfer_unlink(transfer);
    http_transfer_free(transfer);
}

/* --- the whole ----------------------------------------------------------------------------- */

static int http_add_headers(struct http *http, const char *authorization)
{
    CLEANUP_FREE char *line = NULL;
    int rc = http_headers_init(&http->headers);

    if (rc < 0 || authorization == NULL) {
        return rc;
    }
    line = str_printf("Authorization: %s", authorization);
    if (line == NULL) {
        return -ENOMEM;
    }
    rc = http_headers_add(&http->headers, line);
    explicit_bzero(line, strlen(line));
    return rc;
}

static bool http_configure_multi(struct http *http, unsigned connections)
{
    long idle = connections != 0 ? (long)connections : (long)IDLE_CONNECTIONS;
    CURLM *multi = http->multi;

    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, http_watch_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, http_watch_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, idle) == CURLM_OK;
}

int http_new(sd_event *event, const struct http_settings *settings, struct http **ret,
             struct err *err)
{
    CLEANUP(http_freep) struct http *http = NULL;
    int rc;

    assert((settings->trust == HTTP_TRUST_ONE) == (settings->pin != NULL));
    if (!str_starts(settings->base_url, "https://")) {
        return err_set(err, -EINVAL, "%s is not an https:// address; see api_url in pve-hwid.conf",
                       settings->base_url);
    }
    http = calloc(1, sizeof(*http));
    if (http == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(STEAL(http)); /* without curl_global_cleanup() */
        return err_oom(err);
    }
    http->event = sd_event_ref(event);
    http->connect_timeout_ms = settings->connect_timeout_ms;
    http->timeout_ms = settings->timeout_ms;
    http->trust = settings->trust;
    http->explain = settings->explain != NULL ? settings->explain : http_explain_pve;
    http->origin = form_origin(settings->base_url);
    http->multi = curl_multi_init();
    if (http->origin == NULL || http->multi == NULL ||
        str_replace(&http->base_url, settings->base_url) < 0 ||
        str_replace(&http->ca_file, settings->ca_file) < 0 ||
        str_replace(&http->pin, settings->pin) < 0 ||
        !http_configure_multi(http, settings->connections) ||
        http_add_headers(http, settings->authorization) < 0) {
        return err_oom(err);
    }
    rc = sd_event_add_time_relative(event, &http->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_US,
                                    http_on_timer, http);
    rc = rc < 0 ? rc : sd_event_source_set_enabled(http->timer, SD_EVENT_OFF);
    if (rc < 0) {
        return err_set(err, rc, "cannot make a timer: %s", strerror(-rc));
    }
    *ret = STEAL(http);
    return 0;
}

void http_free(struct http *http)
{
    if (http == NULL) {
        return;
    }
    while (!LIST_EMPTY(&http->transfers)) {
        http_cancel(LIST_FIRST(&http->transfers));
    }
    curl_multi_cleanup(http->multi); /* tells of the idle connections' sockets: needs the rest */
    http_headers_free(http->headers);
    sd_event_source_disable_unref(http->timer);
    sd_event_unref(http->event);
    free(http->base_url);
    free(http->origin);
    free(http->ca_file);
    free(http->pin);
    free(http);
    curl_global_cleanup();
}
