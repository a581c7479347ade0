/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * HTTPS on sd-event: the only file that knows curl. One multi handle, keep-alive, TLS verified
 * against one CA file, bounded bodies, bounded times. Answers arrive in the event loop, never from
 * inside http_send().
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "core/api.h"

enum { HTTP_BODY_MAX = 4 * 1024 * 1024 };

struct http;
struct http_transfer;

struct http_settings {
    const char *base_url; /* "https://127.0.0.1:8006/api2/json" */
    const char *ca_file;
    const char *authorization; /* whole header value; never logged */
    unsigned connect_timeout_ms, timeout_ms;
};

/* Borrowed, for the time of the call. */
struct http_answer {
    enum api_result result; /* API_OK: a whole answer, whatever its status; API_UNREACHABLE: not one
                               byte of the request left us; API_LOST: anything else */
    int status;
    const char *reason; /* of the status line; "" */
    const char *body;   /* NUL behind it; "" */
    size_t len;
    const char *error; /* one sentence where there is no whole answer; else NULL */
};

typedef void (*http_done)(void *userdata, const struct http_answer *answer);

int http_new(sd_event *event, const struct http_settings *settings, struct http **ret,
             struct err *err);
/* Pending transfers are dropped without a call of their http_done. Not from inside a http_done. */
void http_free(struct http *http);
DEFINE_CLEANUP(struct http, http_free)
/* `request` is read before this returns. *ret_transfer (may be NULL) is valid until done. -EINVAL:
 * the path has characters that would change the meaning of the URL. A changing request is never
 * sent twice; a reading one may be, when an idle connection turns out to be dead. */
int http_send(struct http *http, const struct api_request *request, http_done done, void *userdata,
              struct http_transfer **ret_transfer, struct err *err);
/* No http_done comes any more. */
void http_cancel(struct http_transfer *transfer);

#endif
