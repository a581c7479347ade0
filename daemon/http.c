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
 * byte of the answer. That is right for reading (PVE closes idle connections at will) and wrong for
 * a change, which PVE may have carried out just before its worker died. curl does so on reused
 * connections only and has no switch for it, so everything but GET gets a connection of its own,
 * for one TLS handshake (some ms) per change; it stays open for the next GET.
 */
#include "http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "form.h"

enum {
    REASON_MAX = 1024,        /* bytes kept of a reason phrase; PVE's longest seen has 170 */
    IDLE_CONNECTIONS = 2,     /* kept open for reuse, about 40 KiB each */
    CA_CACHE_SECONDS = 60,    /* how long curl keeps the CA file parsed */
    SEND_BUFFER = 16384,      /* curl's least; a form is about 1 KiB */
    TIMER_ACCURACY_US = 1000, /* sd-event's own default would be 250 ms */
};

struct http {
    CURLM *multi;
    sd_event *event;
    sd_event_source *timer;
    char *base_url;
    char *origin; /* base_url without its path, for people */
    char *ca_file;
    struct curl_slist *headers; /* the first one is the authorization */
    unsigned connect_timeout_ms, timeout_ms;
    struct http_transfer *first;
};

struct http_transfer {
    struct http *http;
    struct http_transfer *prev, *next;
    CURL *easy;
    struct buf form; /* of the query or the body */
    struct buf body;
    bool headers_whole;
    char reason[REASON_MAX];
    char detail[CURL_ERROR_SIZE];
    http_done done;
    void *userdata;
};

/* --- curl's wishes ------------------------------------------------------------------------- */

static void http_drain(struct http *http);

static int http_on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct http *http = userdata;
    int flags = ((revents & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                ((revents & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                ((revents & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
    int running;

    (void)source;
    (void)curl_multi_socket_action(http->multi, fd, flags, &running); /* errors are per transfer */
    http_drain(http);
    return 0;
}

static int http_on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct http *http = userdata;
    int running;

    (void)source;
    (void)usec;
    (void)curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running); /* as above */
    http_drain(http);
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

static void transfer_explain_certificate(const struct http_transfer *t, struct err *err)
{
    static const char prefix[] = "SSL certificate problem: ";
    const struct http *http = t->http;
    const char *detail = str_starts(t->detail, prefix) ? t->detail + strlen(prefix) : t->detail;

    /* Chain and name share one code; CURLINFO_SSL_VERIFYRESULT does not tell them apart either. */
    if (strstr(detail, "subject name") != NULL) {
        (void)err_set(err, 0,
                      "%s shows a certificate of another name (%s); set api_url in pve-hwid.conf "
                      "to a name or address that its certificate has",
                      http->origin, detail);
        return;
    }
    (void)err_set(err, 0,
                  "the certificate of %s cannot be verified with %s: %s; if this node has a "
                  "certificate of its own (pveproxy-ssl.pem), set ca_file in pve-hwid.conf to the "
                  "CA that signed it",
                  http->origin, http->ca_file, detail);
}

static void transfer_explain_timeout(const struct http_transfer *t, struct err *err)
{
    const struct http *http = t->http;

    if (transfer_was_sent(t)) {
        (void)err_set(err, 0, "%s did not answer within %u ms", http->origin, http->timeout_ms);
        return;
    }
    (void)err_set(err, 0, "cannot reach %s: no connection within %u ms; is pveproxy running?",
                  http->origin, http->connect_timeout_ms);
}

/* The codes that have a sentence of their own; curl has a hundred others. */
static void transfer_explain(const struct http_transfer *t, CURLcode code, struct err *err)
{
    const struct http *http = t->http;
    const char *cause = transfer_cause(t, code);

    if (t->body.error == -EFBIG) {
        (void)err_set(err, 0, "the answer of %s is longer than the %d bytes allowed", http->origin,
                      HTTP_BODY_MAX);
    } else if (code == CURLE_OUT_OF_MEMORY || t->body.error != 0) {
        (void)err_oom(err);
    } else if (code == CURLE_PEER_FAILED_VERIFICATION) {
        transfer_explain_certificate(t, err);
    } else if (code == CURLE_SSL_CACERT_BADFILE) {
        (void)err_set(err, 0,
                      "cannot use the CA file %s to verify %s: it is missing, unreadable or holds "
                      "no certificate; see ca_file in pve-hwid.conf",
                      http->ca_file, http->origin);
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        transfer_explain_timeout(t, err);
    } else if (code == CURLE_COULDNT_RESOLVE_HOST) {
        (void)err_set(err, 0, "cannot reach %s: no such host name; see api_url in pve-hwid.conf",
                      http->origin);
    } else if (code == CURLE_COULDNT_CONNECT) {
        (void)err_set(err, 0, "cannot reach %s: %c%s; is pveproxy running?", http->origin,
                      ascii_lower(cause[0]), cause[0] != '\0' ? cause + 1 : "");
    } else if (code == CURLE_SSL_CONNECT_ERROR) {
        (void)err_set(err, 0, "cannot reach %s: no TLS there (%s); is that the port of pveproxy?",
                      http->origin, cause);
    } else {
        (void)err_set(err, 0, "the exchange with %s failed%s: %s", http->origin,
                      transfer_was_sent(t) ? " before the whole answer was there" : "", cause);
    }
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

static void transfer_free(struct http_transfer *t)
{
    if (t == NULL) {
        return;
    }
    curl_easy_cleanup(t->easy);
    buf_fini(&t->form);
    buf_fini(&t->body);
    free(t);
}
DEFINE_CLEANUP(struct http_transfer, transfer_free)

static void transfer_unlink(struct http_transfer *t)
{
    struct http *http = t->http;

    (void)curl_multi_remove_handle(http->multi, t->easy); /* it is in there */
    if (t->prev != NULL) {
        t->prev->next = t->next;
    } else {
        http->first = t->next;
    }
    if (t->next != NULL) {
        t->next->prev = t->prev;
    }
}

static void transfer_finish(struct http_transfer *t, CURLcode code)
{
    struct err err = {""};
    struct http_answer answer = {
        .result = API_OK, .reason = t->reason, .body = t->body.data, .len = t->body.len};
    long status = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status); /* else 0 */
    if (code == CURLE_OK) {
        answer.status = (int)status;
        answer.body = t->body.data != NULL ? t->body.data : "";
    } else {
        transfer_explain(t, code, &err);
        answer = (struct http_answer){
            .result = transfer_was_sent(t) ? API_LOST : API_UNREACHABLE,
            .reason = "",
            .body = "",
            .error = err.text,
        };
    }
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
        transfer_finish(t, code == CURLE_OK && !t->headers_whole ? CURLE_GOT_NOTHING : code);
    }
}

/* --- building a request -------------------------------------------------------------------- */

/* Options that fail only for want of memory or because this curl lacks them: one verdict for all.
 */
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
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_CAINFO, http->ca_file);
    SET(CURLOPT_CAPATH, NULL); /* not the system's CAs besides ours */
    SET(CURLOPT_CA_CACHE_TIMEOUT, (long)CA_CACHE_SECONDS);
    SET(CURLOPT_PROXY, ""); /* whatever the environment says */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    return rc;
}

static CURLcode set_transport(CURL *easy, const struct http *http)
{
    CURLcode rc = CURLE_OK;

    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* HTTP/2 has no reason phrase */
    SET(CURLOPT_HTTPHEADER, http->headers);
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
    if (method == API_GET) {
        return rc;
    }
    SET(CURLOPT_POSTFIELDSIZE, (long)t->form.len);
    SET(CURLOPT_POSTFIELDS, t->form.data); /* not copied: t->form lives as long */
    SET(CURLOPT_CUSTOMREQUEST, method == API_PUT ? "PUT" : "POST");
    SET(CURLOPT_FRESH_CONNECT, 1L); /* never sent twice: see the top of this file */
    return rc;
}
#undef SET

static int build_url(const struct http *http, const struct api_request *request,
                     const struct buf *form, char **ret_url, struct err *err)
{
    bool query = request->method == API_GET && form->len > 0;
    char *url;

    if (!form_path_is_sane(request->path)) {
        return err_set(err, -EINVAL, "'%.200s' is no path of the API", request->path);
    }
    url = str_printf("%s%s%s%s", http->base_url, request->path, query ? "?" : "",
                     query ? form->data : "");
    if (url == NULL) {
        return err_oom(err);
    }
    *ret_url = url;
    return 0;
}

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
    rc = build_url(t->http, request, &t->form, &url, err);
    if (rc < 0) {
        return rc;
    }
    code = set_security(t->easy, t->http);
    code = code != CURLE_OK ? code : set_transport(t->easy, t->http);
    code = code != CURLE_OK ? code : set_answer(t->easy, t);
    code = code != CURLE_OK ? code : set_request(t->easy, t, request->method, url);
    if (code != CURLE_OK) {
        return err_set(err, code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -ENOTSUP,
                       "cannot prepare a request to %s: %s", t->http->origin,
                       curl_easy_strerror(code));
    }
    return 0;
}

int http_send(struct http *http, const struct api_request *request, http_done done, void *userdata,
              struct http_transfer **ret_transfer, struct err *err)
{
    CLEANUP(transfer_freep) struct http_transfer *t = calloc(1, sizeof(*t));
    int rc;

    if (t == NULL) {
        return err_oom(err);
    }
    *t = (struct http_transfer){
        .http = http, .body = BUF_INIT(HTTP_BODY_MAX), .done = done, .userdata = userdata};
    rc = transfer_prepare(t, request, err);
    if (rc < 0) {
        return rc;
    }
    if (curl_multi_add_handle(http->multi, t->easy) != CURLM_OK) {
        return err_oom(err);
    }
    t->next = http->first;
    if (t->next != NULL) {
        t->next->prev = t;
    }
    http->first = t;
    if (ret_transfer != NULL) {
        *ret_transfer = t;
    }
    STEAL(t); /* the list's */
    return 0;
}

void http_cancel(struct http_transfer *transfer)
{
    transfer_unlink(transfer);
    transfer_free(transfer);
}

/* --- the whole ----------------------------------------------------------------------------- */

static int http_add_header(struct http *http, const char *line)
{
    struct curl_slist *grown = curl_slist_append(http->headers, line);

    if (grown == NULL) {
        return -ENOMEM;
    }
    http->headers = grown;
    return 0;
}

static int http_add_headers(struct http *http, const char *authorization)
{
    CLEANUP_FREE char *line = str_printf("Authorization: %s", authorization);
    int rc = line == NULL ? -ENOMEM : http_add_header(http, line);

    if (line != NULL) {
        explicit_bzero(line, strlen(line));
    }
    if (rc == 0) {
        rc = http_add_header(http, "Expect:"); /* never wait for a 100-continue */
    }
    return rc;
}

static int http_add_timer(struct http *http)
{
    int rc = sd_event_add_time_relative(http->event, &http->timer, CLOCK_MONOTONIC, 0,
                                        TIMER_ACCURACY_US, http_on_timer, http);

    return rc < 0 ? rc : sd_event_source_set_enabled(http->timer, SD_EVENT_OFF);
}

static bool http_configure_multi(struct http *http)
{
    CURLM *multi = http->multi;

    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, http_watch_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, http_watch_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS) == CURLM_OK;
}

/* "https://host:port" of "https://host:port/api2/json". */
static char *url_origin(const char *url)
{
    const char *host = strstr(url, "://");
    const char *slash = host == NULL ? NULL : strchr(host + 3, '/');

    return slash == NULL ? str_dup(url) : str_ndup(url, (size_t)(slash - url));
}

int http_new(sd_event *event, const struct http_settings *settings, struct http **ret,
             struct err *err)
{
    CLEANUP(http_freep) struct http *http = NULL;
    int rc;

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
    http->base_url = str_dup(settings->base_url);
    http->origin = url_origin(settings->base_url);
    http->ca_file = str_dup(settings->ca_file);
    http->multi = curl_multi_init();
    if (http->base_url == NULL || http->origin == NULL || http->ca_file == NULL ||
        http->multi == NULL || !http_configure_multi(http) ||
        http_add_headers(http, settings->authorization) < 0) {
        return err_oom(err);
    }
    rc = http_add_timer(http);
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
    while (http->first != NULL) {
        http_cancel(http->first);
    }
    curl_multi_cleanup(http->multi); /* tells of the idle connections' sockets: needs the rest */
    if (http->headers != NULL) {
        explicit_bzero(http->headers->data, strlen(http->headers->data));
    }
    curl_slist_free_all(http->headers);
    sd_event_source_disable_unref(http->timer);
    sd_event_unref(http->event);
    free(http->base_url);
    free(http->origin);
    free(http->ca_file);
    free(http);
    curl_global_cleanup();
}
