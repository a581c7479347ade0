/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See api.h. PVE's words come from three places (recordings 05, 09d, 10): `message` and `errors` of
 * a JSON body, a body of plain text, or the reason phrase of an empty answer. Whatever they hold
 * becomes one line of valid UTF-8, fit for log and journal.
 */
#include "core/api.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum { MESSAGE_MAX = 4096 }; /* bytes; PVE's longest are below 1000 */

struct api_request *api_request_new(enum api_method method, const char *path)
{
    CLEANUP(api_request_freep) struct api_request *request = calloc(1, sizeof(*request));

    if (request == NULL) {
        return NULL;
    }
    request->method = method;
    request->changing = method != API_GET;
    request->path = str_dup(path);
    return request->path == NULL ? NULL : STEAL(request);
}

const char *api_method_name(enum api_method method)
{
    static const char *const names[] = {
        [API_GET] = "GET", [API_PUT] = "PUT", [API_POST] = "POST", [API_DELETE] = "DELETE"};

    return names[method];
}

void api_request_free(struct api_request *request)
{
    if (request == NULL) {
        return;
    }
    for (size_t i = 0; i < request->n_params; i++) {
        free(request->params[i].key);
        free(request->params[i].value);
    }
    free(request->params);
    free(request->path);
    free(request);
}

int api_request_add(struct api_request *request, const char *key, const char *value)
{
    CLEANUP_FREE char *key_copy = str_dup(key);
    CLEANUP_FREE char *value_copy = str_dup(value);

    if (key_copy == NULL || value_copy == NULL ||
        vec_reserve(&request->params, request->n_params, &request->cap_params,
                    sizeof(request->params[0])) < 0) {
        return -ENOMEM;
    }
    request->params[request->n_params++] = (struct api_param){.key = STEAL(key_copy),
                                                              .value = STEAL(value_copy)};
    return 0;
}

void api_reply_fini(struct api_reply *reply)
{
    free(reply->message);
    json_decref(reply->data);
    *reply = (struct api_reply){0};
}

/* One line: runs of blanks and control characters become one blank, none at either end. */
static void add_line(struct buf *out, const char *text, size_t len)
{
    bool gap = false;

    for (size_t i = 0; i < len && text[i] != '\0' && out->len < MESSAGE_MAX; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c <= 0x20 || c == 0x7f) {
            gap = true;
            continue;
        }
        if (gap && out->len > 0) {
            buf_addc(out, ' ');
        }
        gap = false;
        buf_addc(out, text[i]);
    }
}

/* "Parameter verification failed. (sata0: invalid format ...; net0: ...)" */
static void add_errors(struct buf *out, json_t *errors)
{
    const char *before = " (";
    const char *key;
    json_t *value;

    json_object_foreach (errors, key, value) {
        CLEANUP(buf_fini) struct buf line = BUF_INIT(0);

        if (!json_is_string(value) || out->len > MESSAGE_MAX) {
            continue;
        }
        add_line(&line, key, strlen(key));
        buf_adds(&line, ": ");
        add_line(&line, json_string_value(value), json_string_length(value));
        buf_addf(out, "%s%s", before, line.data == NULL ? "" : line.data);
        out->error = line.error != 0 ? line.error : out->error;
        before = "; ";
    }
    if (*before == ';') {
        buf_addc(out, ')');
    }
}

static void add_message(struct buf *out, json_t *root, const char *reason, const char *body,
                        size_t len)
{
    json_t *message = json_object_get(root, "message");

    if (json_is_string(message)) {
        add_line(out, json_string_value(message), json_string_length(message));
    } else if (root == NULL) {
        add_line(out, body, len);
    }
    if (out->len == 0 && reason != NULL) {
        add_line(out, reason, strlen(reason));
    }
    add_errors(out, json_object_get(root, "errors"));
}

/* The message as one valid line; NULL: no memory. */
static char *message_of(int status, json_t *root, const char *reason, const char *body, size_t len)
{
    struct buf out = BUF_INIT(0);
    char *text;

    add_message(&out, root, reason, body, len);
    if (out.len == 0) {
        buf_addf(&out, "HTTP status %d without a word", status);
    }
    text = buf_steal(&out);
    if (text != NULL && !str_is_utf8(text)) {
        for (char *c = text; *c != '\0'; c++) {
            *c = ascii_is_print(*c) ? *c : '?';
        }
    }
    return text;
}

/*
 * PVE's proxy answers for a node it does not reach with 595 (no connection: not carried out), and
 * 596 to 599 where the connection broke later. A gateway in between says 502 or 504.
 */
static enum api_result result_of(int status, bool readable)
{
    if (status >= 200 && status <= 299) {
        return readable ? API_OK : API_LOST;
    }
    if (status == 595) {
        return API_UNREACHABLE;
    }
    if (status < 200 || status == 502 || status == 504 || status >= 596) {
        return API_LOST;
    }
    return API_REFUSED;
}

int api_reply_parse(int status, const char *reason, const char *body, size_t len,
                    struct api_reply *ret_reply)
{
    CLEANUP(api_reply_fini) struct api_reply reply = {.status = status};
    json_t *root = len > 0 ? json_loadb(body, len, 0, NULL) : NULL;

    if (root != NULL && !json_is_object(root)) {
        json_decref(root);
        root = NULL;
    }
    reply.result = result_of(status, root != NULL);
    if (reply.result == API_OK) {
        json_t *data = json_object_get(root, "data");

        reply.data = json_is_null(data) ? NULL : json_incref(data);
    } else if (status >= 200 && status <= 299) {
        reply.message = str_dup("the answer is not the JSON object of PVE's API");
    } else {
        reply.message = message_of(status, root, reason, body, len);
    }
    json_decref(root);
    if (reply.result != API_OK && reply.message == NULL) {
        return -ENOMEM;
    }
    *ret_reply = reply;
    reply = (struct api_reply){0};
    return 0;
}
