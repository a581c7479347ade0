/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * HTTPS on sd-event: nobody behind this knows curl. One multi handle, keep-alive, TLS verified,
 * bounded bodies, bounded times. Answers arrive in the event loop, never from inside http_send().
 * The daemon talks to PVE with it, the command line to vCenter.
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

/* Why there is no whole answer. */
enum http_failure_kind {
    HTTP_NO_HOST,       /* no such name */
    HTTP_NO_CONNECTION, /* refused, unreachable */
    HTTP_NO_TLS,        /* something else speaks there */
    HTTP_NO_CA,         /* the CA file (or the system's) cannot be used */
    HTTP_WRONG_NAME,    /* a certificate of another name */
    HTTP_EXPIRED,       /* a certificate whose time is over, or has not come */
    HTTP_UNTRUSTED,     /* a certificate that nobody vouches for */
    HTTP_OTHER_KEY,     /* another key than the one that is pinned */
    HTTP_TIMEOUT,
    HTTP_TOO_LONG, /* over HTTP_BODY_MAX */
    HTTP_NO_MEMORY,
    HTTP_BROKEN, /* anything else */
};

struct http_failure {
    enum http_failure_kind kind;
    bool sent;           /* something of the request left us */
    const char *origin;  /* "https://host:port" */
    const char *ca_file; /* of the settings */
    unsigned connect_timeout_ms, timeout_ms;
    const char *cause; /* the system's or curl's words */
};

/* Says a failure in one sentence. */
typedef void (*http_explain)(const struct http_failure *failure, struct err *err);
/* Of the words of curl about a certificate it refuses. */
enum http_failure_kind http_certificate_failure(const char *words);
void http_explain_pve(const struct http_failure *failure, struct err *err);

/* Whom to believe. */
enum http_trust {
    HTTP_TRUST_CA,  /* whom the CAs vouch for, by the right name */
    HTTP_TRUST_ONE, /* who has the key of `pin`, whatever name, dates and signer stand beside it */
    HTTP_TRUST_ANY, /* everybody */
};

struct http_settings {
    const char *base_url; /* "https://127.0.0.1:8006/api2/json" */
    enum http_trust trust;
    const char *ca_file;       /* HTTP_TRUST_CA; NULL: the system's CAs */
    const char *pin;           /* HTTP_TRUST_ONE: "sha256//..." (core/certificate.h) */
    const char *authorization; /* whole header value; never logged; NULL: none */
    unsigned connect_timeout_ms, timeout_ms;
    unsigned connections; /* kept open for reuse; 0: two */
    http_explain explain; /* NULL: http_explain_pve */
};

/* Borrowed, for the time of the call. */
struct http_answer {
    enum api_result result; /* API_OK: a whole answer, whatever its status; API_UNREACHABLE: not one
                               byte of the request left us; API_LOST: anything else */
    int status;
    const char *reason; /* of the status line; "" */
    const char *body;   /* NUL behind it; "" */
    size_t len;
    const char *error;              /* one sentence where there is no whole answer; else NULL */
    enum http_failure_kind failure; /* where `error` is not NULL */
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
/* As http_send(), with this header line ("Name: value") in place of the authorization. It may be a
 * secret: our copy is wiped afterwards. */
int http_send_with(struct http *http, const char *header, const struct api_request *request,
                   http_done done, void *userdata, struct err *err);
/* Connects, shakes hands and sends nothing: the answer's body is the peer's certificate (PEM).
 * `trust` decides whether that succeeds. */
int http_get_certificate(struct http *http, http_done done, void *userdata, struct err *err);
/* No http_done comes any more. */
void http_cancel(struct http_transfer *transfer);

#endif
