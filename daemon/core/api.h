/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests to PVE's API and their answers as plain values: what the pure reconciliation decides to
 * ask and what it is told. Sending is daemon/pve.c's business.
 */
#ifndef CORE_API_H
#define CORE_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

enum api_method { API_GET, API_PUT, API_POST, API_DELETE };

struct api_param {
    char *key;
    char *value;
};

struct api_request {
    enum api_method method;
    char *path; /* below /api2/json, e.g. "/nodes/pve1/qemu/105/config" */
    struct api_param *params;
    size_t n_params, cap_params;
    bool changing; /* only one of these is under way per node (recording 08g) */
};

enum api_result {
    API_OK,          /* HTTP 2xx; `data` is the answer's data */
    API_REFUSED,     /* HTTP 3xx to 5xx with PVE's words in `message` */
    API_UNREACHABLE, /* certainly not carried out: no connection, TLS refused, 595, ... */
    API_LOST,        /* sent, no (whole, readable) answer: perhaps carried out; 502 504 596-599 */
};

struct api_reply {
    enum api_result result;
    int status;    /* HTTP status; 0: none */
    char *message; /* PVE's or our own sentence: one line, valid UTF-8; NULL with API_OK */
    json_t *data;  /* own reference; NULL: none */
};

/* `changing` is set for all but API_GET. NULL: no memory. */
struct api_request *api_request_new(enum api_method method, const char *path);
const char *api_method_name(enum api_method method);
void api_request_free(struct api_request *request);
DEFINE_CLEANUP(struct api_request, api_request_free)
int api_request_add(struct api_request *request, const char *key, const char *value);

/* An answer from status and body, PVE's shapes (README of the recordings): JSON {data, message,
 * errors}, plain text, or empty with the text in the reason phrase. Never fails but for memory. */
int api_reply_parse(int status, const char *reason, const char *body, size_t len,
                    struct api_reply *ret_reply);
void api_reply_fini(struct api_reply *reply);

#endif
