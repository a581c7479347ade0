/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See http.h. curl tells which sockets and which timer it wants (multi_socket interface), sd-event
 * watches them. curl_multi_add_handle() only asks for a timer, so nothing finishes inside
 * http_send().
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
#include "http.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/str.h"
#include "form.h"

enum {
    REASON_MAX = 1024,        /* bytes kept of a reason phrase; PVE's longest has 170 */
    IDLE_CONNECTIONS = 2,     /* kept open for reuse, about 40 KiB each */
    CA_CACHE_SECONDS = 60,    /* how long curl keeps the CA file parsed */
    SEND_BUFFER = 16384,      /* curl's least; a form is about 1 KiB */
    TIMER_ACCURACY_US = 1000, /* sd-event's own default would be 250 ms */
};

static const char no_expect[] = "Expect:"; /* never wait for a 100-continue */

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
    char reason[REASON_MAX];
    char detail[CURL_ERROR_SIZE];
    http_done done;
    void *userdata;
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

static int headers_add(struct curl_slist **headers, const char *line)
{
    struct curl_slist *grown = curl_slist_append(*headers, line);

    if (grown == NULL) {
        return -ENOMEM;
    }
    *headers = grown;
    return 0;
}

/* Any of them may be a secret. */
static void headers_free(struct curl_slist *headers)
{
    for (struct curl_slist *line = headers; line != NULL; line = line->next) {
        explicit_bzero(line->data, strlen(line->data));
    }
    curl_slist_free_all(headers);
}

static void transfer_free(struct http_transfer *t)
{
    if (t == NULL) {
        return;
    }
    curl_easy_cleanup(t->easy);
    headers_free(t->headers);
    buf_fini(&t->form);
    buf_fini(&t->body);
    free(t);
}
DEFINE_CLEANUP(struct http_transfer, transfer_free)

static void transfer_unlink(struct http_transfer *t)
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

static void transfer_finish(struct http_transfer *t, CURLcode code)
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
    transfer_unlink(t);
    t->done(t->userdata, &answer);
    transfer_free(t);
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
        transfer_finish(t, code == CURLE_OK && !t->headers_whole && !t->probe ? CURLE_GOT_NOTHING
                                                                              : code);
    }
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

static struct http_transfer *transfer_new(struct http *http, http_done done, void *userdata)
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

/* Hands it to curl and to the list, which own it then. */
static int transfer_start(struct http_transfer **at, const struct api_request *request,
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

int http_send(struct http *http, const struct api_request *request, http_done done, void *userdata,
              struct http_transfer **ret_transfer, struct err *err)
{
    CLEANUP(transfer_freep) struct http_transfer *t = transfer_new(http, done, userdata);
    int rc = t == NULL ? err_oom(err) : transfer_start(&t, request, err);

    if (rc == 0 && ret_transfer != NULL) {
        *ret_transfer = LIST_FIRST(&http->transfers);
    }
    return rc;
}

int http_send_with(struct http *http, const char *header, const struct api_request *request,
                   http_done done, void *userdata, struct err *err)
{
    CLEANUP(transfer_freep) struct http_transfer *t = transfer_new(http, done, userdata);

    if (t == NULL || headers_add(&t->headers, no_expect) < 0 ||
        headers_add(&t->headers, header) < 0) {
        return err_oom(err);
    }
    return transfer_start(&t, request, err);
}

int http_get_certificate(struct http *http, http_done done, void *userdata, struct err *err)
{
    const struct api_request nothing = {.method = API_GET, .path = (char *)"/"}; /* only read */
    CLEANUP(transfer_freep) struct http_transfer *t = transfer_new(http, done, userdata);

    if (t == NULL) {
        return err_oom(err);
    }
    t->probe = true;
    return transfer_start(&t, &nothing, err);
}

void http_cancel(struct http_transfer *transfer)
{
    transfer_unlink(transfer);
    transfer_free(transfer);
}

/* --- the whole ----------------------------------------------------------------------------- */

static int http_add_headers(struct http *http, const char *authorization)
{
    CLEANUP_FREE char *line = NULL;
    int rc = headers_add(&http->headers, no_expect);

    if (rc < 0 || authorization == NULL) {
        return rc;
    }
    line = str_printf("Authorization: %s", authorization);
    if (line == NULL) {
        return -ENOMEM;
    }
    rc = headers_add(&http->headers, line);
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
    headers_free(http->headers);
    sd_event_source_disable_unref(http->timer);
    sd_event_unref(http->event);
    free(http->base_url);
    free(http->origin);
    free(http->ca_file);
    free(http->pin);
    free(http);
    curl_global_cleanup();
}
