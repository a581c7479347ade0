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

struct http_answer {
    enum api_result result; /* API_OK here means: some HTTP status came */
    int status;
    const char *reason; /* of the status line; "" */
    const char *body;
    size_t len;
    const char *error; /* one sentence where there is no status */
};

typedef void (*http_done)(void *userdata, const struct http_answer *answer);

int http_new(sd_event *event, const struct http_settings *settings, struct http **ret,
             struct err *err);
/* Pending transfers are dropped without a call of their http_done. */
void http_free(struct http *http);
/* `request` is read before this returns. *ret_transfer (may be NULL) is valid until done. */
int http_send(struct http *http, const struct api_request *request, http_done done, void *userdata,
              struct http_transfer **ret_transfer, struct err *err);
/* No http_done comes any more. */
void http_cancel(struct http_transfer *transfer);

#endif
