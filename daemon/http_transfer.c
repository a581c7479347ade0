/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One request and its answer (http.c has curl's wishes and the whole).
 *
 * Was it carried out? A failed request is API_UNREACHABLE only when curl handed not one byte of it
 * to TLS (CURLINFO_REQUEST_SIZE is 0); everything else without a whole answer is API_LOST. The
 * error code alone would not do: a timeout, a cut and a TLS error come before and after the request
 * alike.
 *
 * Sent twice? curl sends a request again by itself when a reused connection dies before the first
 * byte of the answer. Right for reading (PVE closes idle connections at will), wrong for a change,
 * which PVE may have carried out just before its worker died. curl does so on reused connections
 * only and has no switch for it, so everything but GET gets a connection of its own, for one TLS
 * handshake (some ms) per change; it stays open for the next GET.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "form.h"
#include "http_private.h"

enum {
    CA_CACHE_SECONDS = 60, /* how long curl keeps the CA file parsed */
    SEND_BUFFER = 16384,   /* curl's least; a form is about 1 KiB */
};

/* --- what an error means, for people ------------------------------------------------------- */

static bool transfer_was_sent(const struct http_transfer *t)
{
    long sent = 1;

    (void)curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent); /* else: perhaps sent */
    return sent > 0;
}

/* "Connection refused" of the system, or what curl says. */
static const char *transfer_cause(const struct http_transfer *t, CURLcode code)
{
    long os_errno = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_errno); /* else 0 */
    if (code == CURLE_COULDNT_CONNECT && os_errno != 0) {
        return strerror((int)os_errno);
    }
    return t->detail[0] != '\0' ? t->detail : curl_easy_strerror(code);
}

/* The codes that have a sentence of their own; curl has a hundred others. */
static enum http_failure_kind transfer_failure(const struct http_transfer *t, CURLcode code)
{
    static const struct {
        CURLcode code;
        enum http_failure_kind kind;
    } rows[] = {
        {CURLE_SSL_CACERT_BADFILE, HTTP_NO_CA},
        {CURLE_OPERATION_TIMEDOUT, HTTP_TIMEOUT},
        {CURLE_COULDNT_RESOLVE_HOST, HTTP_NO_HOST},
        {CURLE_COULDNT_CONNECT, HTTP_NO_CONNECTION},
        {CURLE_SSL_CONNECT_ERROR, HTTP_NO_TLS},
        {CURLE_OUT_OF_MEMORY, HTTP_NO_MEMORY},
        {CURLE_SSL_PINNEDPUBKEYNOTMATCH, HTTP_OTHER_KEY},
    };

    if (t->body.error != 0) {
        return t->body.error == -EFBIG ? HTTP_TOO_LONG : HTTP_NO_MEMORY;
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        return http_certificate_failure(t->detail);
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].code == code) {
            return rows[i].kind;
        }
    }
    return HTTP_BROKEN;
}

static enum http_failure_kind transfer_explain(const struct http_transfer *t, CURLcode code,
                                               struct err *err)
{
    const struct http *http = t->http;
    struct http_failure failure = {.kind = transfer_failure(t, code),
                                   .sent = transfer_was_sent(t),
                                   .origin = http->origin,
                                   .ca_file = http->ca_file,
                                   .connect_timeout_ms = http->connect_timeout_ms,
                                   .timeout_ms = http->timeout_ms,
                                   .cause = transfer_cause(t, code)};

    http->explain(&failure, err);
    return failure.kind;
}

/* --- one transfer -------------------------------------------------------------------------- */

static size_t transfer_on_header(char *line, size_t size, size_t n, void *userdata)
{
    struct http_transfer *t = userdata;
    size_t len = size * n;

    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        t->headers_whole = false;
        form_take_reason(line, len, t->reason, sizeof(t->reason));
    } else if (len > 0 && (line[0] == '\r' || line[0] == '\n')) {
        t->headers_whole = true;
    }
    return len;
}

static size_t transfer_on_body(char *bytes, size_t size, size_t n, void *userdata)
{
    struct http_transfer *t = userdata;

    buf_add(&t->body, bytes, size * n);
    return t->body.error == 0 ? size * n : 0; /* 0 of some bytes: curl gives up */
}

int http_headers_add(struct curl_slist **headers, const char *line)
{
    struct curl_slist *grown = curl_slist_append(*headers, line);

    if (grown == NULL) {
        return -ENOMEM;
    }
    *headers = grown;
    return 0;
}

int http_headers_init(struct curl_slist **headers)
{
    return http_headers_add(headers, "Expect:");
}

void http_headers_free(struct curl_slist *headers)
{
    for (struct curl_slist *line = headers; line != NULL; line = line->next) {
        explicit_bzero(line->data, strlen(line->data));
    }
    curl_slist_free_all(headers);
}

void http_transfer_free(struct http_transfer *t)
{
    if (t == NULL) {
        return;
    }
    curl_easy_cleanup(t->easy);
    http_headers_free(t->headers);
    buf_fini(&t->form);
    buf_fini(&t->body);
    free(t);
}

void http_transfer_unlink(struct http_transfer *t)
{
    (void)curl_multi_remove_handle(t->http->multi, t->easy); /* it is in there */
    LIST_REMOVE(t, list);
}

/* The first of the chain is the peer's own. */
static void transfer_take_certificate(struct http_transfer *t)
{
    struct curl_certinfo *chain = NULL;

    (void)curl_easy_getinfo(t->easy, CURLINFO_CERTINFO, &chain); /* else NULL */
    if (chain == NULL || chain->num_of_certs < 1) {
        return;
    }
    for (const struct curl_slist *line = chain->certinfo[0]; line != NULL; line = line->next) {
        if (str_starts(line->data, "Cert:")) {
            buf_adds(&t->body, line->data + strlen("Cert:"));
        }
    }
}

void http_transfer_finish(struct http_transfer *t, CURLcode code)
{
    struct err err = {""};
    struct http_answer answer = {.result = API_OK, .reason = t->reason, .body = ""};
    long status = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status); /* else 0 */
    if (code == CURLE_OK && t->probe) {
        transfer_take_certificate(t);
    }
    if (code != CURLE_OK) {
        answer.result = transfer_was_sent(t) ? API_LOST : API_UNREACHABLE;
        answer.reason = "";
        answer.failure = transfer_explain(t, code, &err);
        answer.error = err.text;
    } else if (t->body.data != NULL) {
        answer.body = t->body.data;
        answer.len = t->body.len;
    }
    answer.status = code == CURLE_OK ? (int)status : 0;
    http_transfer_unlink(t);
    t->done(t->userdata, &answer);
    http_transfer_free(t);
}

/* --- building a request -------------------------------------------------------------------- */

/* What fails only for want of memory or because this curl lacks it: one verdict for all. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (rc == CURLE_OK) {                                                                      \
            rc = curl_easy_setopt(easy, option, value);                                            \
        }                                                                                          \
    } while (0)

static CURLcode set_security(CURL *easy, const struct http *http)
{
    CURLcode rc = CURLE_OK;

    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, http->trust == HTTP_TRUST_CA ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYHOST, http->trust == HTTP_TRUST_CA ? 2L : 0L);
    if (http->ca_file != NULL) {
        SET(CURLOPT_CAINFO, http->ca_file);
        SET(CURLOPT_CAPATH, NULL); /* not the system's CAs besides ours */
    }
    if (http->pin != NULL) { /* compared before a byte is sent, also without VERIFYPEER */
        SET(CURLOPT_PINNEDPUBLICKEY, http->pin);
    }
    SET(CURLOPT_CA_CACHE_TIMEOUT, (long)CA_CACHE_SECONDS);
    SET(CURLOPT_PROXY, ""); /* whatever the environment says */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    return rc;
}

static CURLcode set_transport(CURL *easy, const struct http_transfer *t)
{
    const struct http *http = t->http;
    CURLcode rc = CURLE_OK;

    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* HTTP/2 has no reason phrase */
    SET(CURLOPT_HTTPHEADER, t->headers != NULL ? t->headers : http->headers);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)http->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)http->timeout_ms);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
    return rc;
}

static CURLcode set_answer(CURL *easy, struct http_transfer *t)
{
    CURLcode rc = CURLE_OK;

    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->detail);
    SET(CURLOPT_HEADERFUNCTION, transfer_on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, transfer_on_body);
    SET(CURLOPT_WRITEDATA, t);
    return rc;
}

static CURLcode set_request(CURL *easy, struct http_transfer *t, enum api_method method,
                            const char *url)
{
    CURLcode rc = CURLE_OK;

    SET(CURLOPT_URL, url);
    if (t->probe) {
        SET(CURLOPT_CONNECT_ONLY, 1L);
        SET(CURLOPT_CERTINFO, 1L);
    }
    if (method == API_GET) {
        return rc;
    }
    SET(CURLOPT_POSTFIELDSIZE, (long)t->form.len);
    SET(CURLOPT_POSTFIELDS, t->form.data); /* not copied: t->form lives as long */
    SET(CURLOPT_CUSTOMREQUEST, api_method_name(method));
    SET(CURLOPT_FRESH_CONNECT, 1L); /* never sent twice: see the top of this file */
    return rc;
}
#undef SET

static int transfer_prepare(struct http_transfer *t, const struct api_request *request,
                            struct err *err)
{
    CLEANUP_FREE char *url = NULL;
    CURLcode code;
    int rc;

    t->easy = curl_easy_init();
    if (t->easy == NULL || form_encode(request, &t->form) < 0) {
        return err_oom(err);
    }
    rc = form_url(t->http->base_url, request, &t->form, &url, err);
    if (rc < 0) {
        return rc;
    }
    code = set_security(t->easy, t->http);
    code = code != CURLE_OK ? code : set_transport(t->easy, t);
    code = code != CURLE_OK ? code : set_answer(t->easy, t);
    code = code != CURLE_OK ? code : set_request(t->easy, t, request->method, url);
    if (code != CURLE_OK) {
        return err_set(err, code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -ENOTSUP,
                       "cannot prepare a request to %s: %s", t->http->origin,
                       curl_easy_strerror(code));
    }
    return 0;
}

struct http_transfer *http_transfer_new(struct http *http, http_done done, void *userdata)
{
    struct http_transfer *t = calloc(1, sizeof(*t));

    if (t != NULL) {
        t->http = http;
        t->body.max = HTTP_BODY_MAX;
        t->done = done;
        t->userdata = userdata;
    }
    return t;
}

int http_transfer_start(struct http_transfer **at, const struct api_request *request,
                        struct err *err)
{
    struct http_transfer *t = *at;
    struct http *http = t->http;
    int rc = transfer_prepare(t, request, err);

    if (rc < 0) {
        return rc;
    }
    if (curl_multi_add_handle(http->multi, t->easy) != CURLM_OK) {
        return err_oom(err);
    }
    LIST_INSERT_HEAD(&http->transfers, t, list);
    *at = NULL;
    return 0;
}
