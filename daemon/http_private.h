/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What http.c (curl's wishes, the whole) and http_transfer.c (one request and its answer) share. */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "http.h"

enum { HTTP_REASON_MAX = 1024 }; /* bytes kept of a reason phrase; PVE's longest has 170 */

struct http {
    CURLM *multi;
    sd_event *event;
    sd_event_source *timer;
    char *base_url;
    char *origin; /* base_url without its path, for people */
    enum http_trust trust;
    char *ca_file, *pin;        /* of the settings */
    struct curl_slist *headers; /* of every request; the authorization is among them */
    unsigned connect_timeout_ms, timeout_ms;
    http_explain explain;
    LIST_HEAD(, http_transfer) transfers;
};

struct http_transfer {
    struct http *http;
    LIST_ENTRY(http_transfer) list;
    CURL *easy;
    struct buf form; /* of the query or the body */
    struct buf body;
    struct curl_slist *headers; /* NULL: those of every request */
    bool probe;                 /* nothing is sent: the peer's certificate is the answer */
    bool headers_whole;
    char reason[HTTP_REASON_MAX];
    char detail[CURL_ERROR_SIZE];
    http_done done;
    void *userdata;
};

/* Headers of requests, any of which may be a secret: freeing wipes them. 0 or -ENOMEM. */
int http_headers_add(struct curl_slist **headers, const char *line);
void http_headers_free(struct curl_slist *headers);
/* Never wait for a 100-continue: among the headers of every request. */
int http_headers_init(struct curl_slist **headers);

/* Not in the list yet; NULL: no memory. */
struct http_transfer *http_transfer_new(struct http *http, http_done done, void *userdata);
/* Only what is in no list, or has been taken out of it. */
void http_transfer_free(struct http_transfer *t);
DEFINE_CLEANUP(struct http_transfer, http_transfer_free)
/* Hands it to curl and to the list, which own it then: *at becomes NULL. */
int http_transfer_start(struct http_transfer **at, const struct api_request *request,
                        struct err *err);
void http_transfer_unlink(struct http_transfer *t);
/* curl is done with it: tells, and frees it. */
void http_transfer_finish(struct http_transfer *t, CURLcode code);

#endif
