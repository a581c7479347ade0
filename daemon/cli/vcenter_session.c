/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vcenter.h: one connection, one session. With --thumbprint a first connection, which sends
 * nothing, only collects the peer's certificate; where that is the one that was asked for, all
 * requests trust the owner of its key and nobody else: so the password cannot go to another peer in
 * between. Name, signer and dates do not count then: an expired certificate is still the one that
 * the administrator compared. (As a CA of its own, curl's other way, it would be refused for that.)
 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "cli/vcenter.h"
#include "core/certificate.h"
#include "io/clock.h"

enum { CONNECT_TIMEOUT_MS = 10000, LOGOUT_TIMEOUT_MS = 5000, LOGINS_MAX = 100 };

/* --- one exchange ----------------------------------------------------------------------------- */

static void reply_fini(struct vcenter_reply *reply)
{
    buf_fini(&reply->body);
}

static void take_reply(void *userdata, const struct http_answer *answer)
{
    struct vcenter_reply *reply = userdata;

    reply->done = true;
    reply->result = answer->result;
    reply->status = answer->status;
    reply->failure = answer->failure;
    buf_adds(&reply->body, "");
    buf_add(&reply->body, answer->body, answer->len);
    if (answer->error != NULL) {
        (void)err_set(&reply->err, 0, "%s", answer->error);
    }
}

static int open_http(struct vcenter_run *run, enum http_trust trust, unsigned timeout_ms,
                     struct http **ret, struct err *err)
{
    const struct http_settings settings = {
        .base_url = run->url,
        .trust = trust,
        .ca_file = trust == HTTP_TRUST_CA ? run->options->cacert : NULL,
        .pin = trust == HTTP_TRUST_ONE ? run->pin : NULL,
        .connect_timeout_ms = timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS,
        .timeout_ms = timeout_ms,
        .connections = VCENTER_PARALLEL,
        .explain = vcenter_explain,
    };

    return http_new(run->event, &settings, ret, err);
}

static enum http_trust trust_of(const struct vcenter_run *run)
{
    if (run->pin != NULL) {
        return HTTP_TRUST_ONE;
    }
    return run->options->insecure ? HTTP_TRUST_ANY : HTTP_TRUST_CA;
}

/* Runs the loop until the answer is there. A signal ends that; the transfer is dropped with `http`,
 * so that nobody writes into `reply` later. */
static int wait_for(struct vcenter_run *run, struct http **http, const struct vcenter_reply *reply,
                    struct err *err)
{
    int before = run->interrupted;

    while (!reply->done && run->interrupted == before && !run->hurry) {
        int rc = sd_event_run(run->event, UINT64_MAX);

        if (rc < 0) {
            http_free(STEAL(*http));
            return err_set(err, rc, "the event loop failed: %s", strerror(-rc));
        }
    }
    if (!reply->done) {
        http_free(STEAL(*http));
        return vcenter_check_interrupted(run, err);
    }
    return reply->body.error != 0 ? err_oom(err) : 0;
}

/* `request` is freed. 0: an answer of whatever kind is in `reply`. */
static int exchange(struct vcenter_run *run, const char *header, struct api_request *request,
                    struct vcenter_reply *reply, struct err *err)
{
    CLEANUP(api_request_freep) struct api_request *own = request;
    int rc;

    buf_fini(&reply->body);
    *reply = (struct vcenter_reply){.body = BUF_INIT(HTTP_BODY_MAX)};
    if (own == NULL) {
        return err_oom(err);
    }
    if (run->http == NULL) {
        return err_set(err, -ENOTCONN, "there is no connection to %s", run->url);
    }
    rc = http_send_with(run->http, header, own, take_reply, reply, err);
    return rc < 0 ? rc : wait_for(run, &run->http, reply, err);
}

/* --- whom to trust ---------------------------------------------------------------------------- */

/* Who is there? Nothing is sent. */
static int get_certificate(struct vcenter_run *run, char **ret_pem,
                           struct certificate_thumbprint *ret, struct err *err)
{
    CLEANUP(http_freep) struct http *http = NULL;
    CLEANUP(reply_fini) struct vcenter_reply reply = {.body = BUF_INIT(HTTP_BODY_MAX)};
    int rc = open_http(run, HTTP_TRUST_ANY, run->timeout_ms, &http, err);

    rc = rc < 0 ? rc : http_get_certificate(http, take_reply, &reply, err);
    rc = rc < 0 ? rc : wait_for(run, &http, &reply, err);
    if (rc < 0) {
        return rc;
    }
    if (reply.result != API_OK) {
        return err_set(err, -ECONNREFUSED, "%s", reply.err.text);
    }
    rc = certificate_thumbprint(reply.body.data, ret, err);
    if (rc < 0) {
        return err_prefix(err, rc, "the certificate of %s", run->url);
    }
    *ret_pem = buf_steal(&reply.body);
    return *ret_pem == NULL ? err_oom(err) : 0;
}

static int check_thumbprint(struct vcenter_run *run, struct err *err)
{
    char text[CERTIFICATE_THUMBPRINT_SIZE], pin[CERTIFICATE_PIN_SIZE];
    struct certificate_thumbprint wanted, there;
    CLEANUP_FREE char *pem = NULL;
    int rc = certificate_parse(run->options->thumbprint, &wanted, err);

    rc = rc < 0 ? rc : get_certificate(run, &pem, &there, err);
    if (rc < 0) {
        return rc;
    }
    if (memcmp(wanted.bytes, there.bytes, sizeof(wanted.bytes)) != 0) {
        certificate_format(&there, text);
        return err_set(err, -EACCES,
                       "%s shows another certificate than --thumbprint says; nothing was sent to "
                       "it. Its thumbprint is %s: find out whether vCenter's certificate was "
                       "renewed, or somebody is in between",
                       run->url, text);
    }
    rc = certificate_key_pin(pem, pin, err);
    if (rc < 0) {
        return err_prefix(err, rc, "the certificate of %s", run->url);
    }
    return str_replace(&run->pin, pin) < 0 ? err_oom(err) : 0;
}

int vcenter_connect(struct vcenter_run *run, struct err *err)
{
    int rc = run->options->thumbprint != NULL ? check_thumbprint(run, err) : 0;

    return rc < 0 ? rc : open_http(run, trust_of(run), run->timeout_ms, &run->http, err);
}

/* Tells the thumbprint of a peer that is not trusted, and how to trust it. */
static int offer_thumbprint(struct vcenter_run *run, const char *why, struct err *err)
{
    char text[CERTIFICATE_THUMBPRINT_SIZE];
    struct certificate_thumbprint there;
    CLEANUP_FREE char *pem = NULL;

    if (get_certificate(run, &pem, &there, NULL) < 0) {
        return err_set(err, -EACCES, "%s", why);
    }
    certificate_format(&there, text);
    return err_set(err, -EACCES,
                   "%s. Nothing was sent to it. Compare its thumbprint with the one that vCenter "
                   "shows at its own console, and if they are the same add --thumbprint %s; or "
                   "give vCenter's root certificate with --cacert",
                   why, text);
}

/* --- the session ------------------------------------------------------------------------------ */

bool vcenter_is_busy(enum api_result result, int status)
{
    return result != API_OK || status == 429 || status == 502 || status == 503 || status == 504;
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *userdata)
{
    bool *over = userdata;

    (void)source;
    (void)usec;
    *over = true;
    return 0;
}

int vcenter_pause(struct vcenter_run *run, unsigned ms, struct err *err)
{
    sd_event_source *timer = NULL;
    bool over = false;
    int rc = sd_event_add_time_relative(run->event, &timer, CLOCK_MONOTONIC, (uint64_t)ms * 1000,
                                        1000, on_pause_end, &over);

    while (rc >= 0 && !over && run->interrupted == 0) {
        rc = sd_event_run(run->event, UINT64_MAX);
    }
    sd_event_source_disable_unref(timer);
    if (rc < 0) {
        return err_set(err, rc, "the event loop failed: %s", strerror(-rc));
    }
    return vcenter_check_interrupted(run, err);
}

/* As exchange(), again and again while vCenter is busy; a connection that was refused is not:
 * whoever waits for that should know at once. */
static int exchange_patiently(struct vcenter_run *run, const char *header,
                              struct api_request *(*make)(enum vcenter_dialect),
                              struct vcenter_reply *reply, struct err *err)
{
    unsigned pause = VCENTER_PAUSE_MS;

    for (int tries = 1;; tries++, pause *= 2) {
        int rc = exchange(run, header, make(run->dialect), reply, err);

        if (rc < 0 || reply->result == API_UNREACHABLE || tries == VCENTER_TRIES ||
            !vcenter_is_busy(reply->result, reply->status)) {
            return rc;
        }
        rc = vcenter_pause(run, pause, err);
        if (rc < 0) {
            return rc;
        }
    }
}

static int take_session(struct vcenter_run *run, const struct vcenter_reply *reply, struct err *err)
{
    static const char head[] = "vmware-api-session-id: ";
    char *session = run->secrets->session;
    int rc;

    memcpy(session, head, sizeof(head));
    rc = vcenter_read_session(reply->body.data, reply->body.len, session + strlen(head), err);
    if (rc < 0) {
        session[0] = '\0';
        return err_prefix(err, rc, "%s", run->url);
    }
    explicit_bzero(reply->body.data, reply->body.len);
    run->logins++;
    return 0;
}

static int refuse_login(struct vcenter_run *run, const struct vcenter_reply *reply, struct err *err)
{
    struct vcenter_failure failure;

    if (reply->result != API_OK) {
        return reply->failure == HTTP_UNTRUSTED || reply->failure == HTTP_WRONG_NAME ||
                       reply->failure == HTTP_EXPIRED
                   ? offer_thumbprint(run, reply->err.text, err)
                   : err_set(err, -ECONNREFUSED, "%s", reply->err.text);
    }
    if (reply->status == 401) {
        vcenter_read_failure(reply->body.data, reply->body.len, &failure);
        return err_set(err, -EACCES,
                       "%s does not let %s in (%s): the password is wrong, the account is locked "
                       "or its password has expired. It was tried once only: vCenter locks an "
                       "account after a few",
                       run->url, run->options->user,
                       failure.sentence[0] != '\0' ? failure.sentence : "status 401");
    }
    if (reply->status == 404) {
        return err_set(err, -ENOENT,
                       "%s is no vCenter, or one before 6.5: it knows neither /api/session nor "
                       "/rest/com/vmware/cis/session",
                       run->url);
    }
    return vcenter_refuse(run, reply->status, reply->body.data, reply->body.len, err);
}

/* 7.0 and later know /api/session; before, that is nothing (404), and /rest has it. */
int vcenter_log_in(struct vcenter_run *run, struct err *err)
{
    CLEANUP(reply_fini) struct vcenter_reply reply = {.body = BUF_INIT(HTTP_BODY_MAX)};
    bool first = run->logins == 0;
    int rc;

    run->secrets->session[0] = '\0';
    if (run->logins >= LOGINS_MAX) {
        return err_set(err, -EACCES, "%s ended %d sessions; that is enough", run->url, LOGINS_MAX);
    }
    rc = exchange_patiently(run, run->secrets->login, vcenter_login, &reply, err);
    if (rc == 0 && first && reply.result == API_OK &&
        (reply.status == 404 || reply.status == 405 || reply.status == 400)) {
        run->dialect = VCENTER_REST;
        rc = exchange_patiently(run, run->secrets->login, vcenter_login, &reply, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (reply.result != API_OK || (reply.status != 200 && reply.status != 201)) {
        return refuse_login(run, &reply, err);
    }
    return take_session(run, &reply, err);
}

void vcenter_log_out(struct vcenter_run *run)
{
    CLEANUP(reply_fini) struct vcenter_reply reply = {.body = BUF_INIT(HTTP_BODY_MAX)};
    struct err err = {""};
    int rc;

    if (run->secrets == NULL || run->secrets->session[0] == '\0' || run->hurry) {
        return;
    }
    http_free(STEAL(run->http)); /* with all that is under way */
    rc = open_http(run, trust_of(run), LOGOUT_TIMEOUT_MS, &run->http, &err);
    if (rc == 0) {
        rc = exchange(run, run->secrets->session, vcenter_logout(run->dialect), &reply, &err);
    }
    if (rc < 0 || reply.result != API_OK || (reply.status >= 300 && reply.status != 401)) {
        cli_note(run->cli, "the session at %s could not be ended (%s); it ends by itself", run->url,
                 rc < 0 ? err.text : reply.err.text);
    }
    explicit_bzero(run->secrets->session, sizeof(run->secrets->session));
}

/* --- reading ---------------------------------------------------------------------------------- */

/* What an answer that is not 200 leads to: 0 once it is worth asking again, 1 too many, -errno. */
static int after_refusal(struct vcenter_run *run, const struct vcenter_reply *reply,
                         unsigned *pause, struct err *err)
{
    struct vcenter_failure failure;

    if (reply->result == API_OK && reply->status == 401) {
        return vcenter_log_in(run, err);
    }
    if (vcenter_is_busy(reply->result, reply->status)) {
        *pause *= 2;
        return vcenter_pause(run, *pause / 2, err);
    }
    vcenter_read_failure(reply->body.data, reply->body.len, &failure);
    return failure.too_many
               ? 1
               : vcenter_refuse(run, reply->status, reply->body.data, reply->body.len, err);
}

/* A copy: exchange() frees what it sends. NULL: no memory. */
static struct api_request *copy_request(const struct api_request *request)
{
    CLEANUP(api_request_freep)
    struct api_request *copy = api_request_new(request->method, request->path);

    for (size_t i = 0; copy != NULL && i < request->n_params; i++) {
        if (api_request_add(copy, request->params[i].key, request->params[i].value) < 0) {
            return NULL;
        }
    }
    return STEAL(copy);
}

int vcenter_ask(struct vcenter_run *run, struct api_request *request, struct buf *body,
                struct err *err)
{
    CLEANUP(api_request_freep) struct api_request *own = request;
    CLEANUP(reply_fini) struct vcenter_reply reply = {.body = BUF_INIT(HTTP_BODY_MAX)};
    unsigned pause = VCENTER_PAUSE_MS;

    if (own == NULL) {
        return err_oom(err);
    }
    for (int tries = 1;; tries++) {
        int rc = exchange(run, run->secrets->session, copy_request(own), &reply, err);

        if (rc < 0) {
            return rc;
        }
        if (reply.result == API_OK && reply.status == 200) {
            *body = reply.body;
            reply.body = (struct buf){0};
            return 0;
        }
        if (tries == VCENTER_TRIES) {
            return reply.result != API_OK
                       ? err_set(err, -EIO, "%s", reply.err.text)
                       : vcenter_refuse(run, reply.status, reply.body.data, reply.body.len, err);
        }
        rc = after_refusal(run, &reply, &pause, err);
        if (rc != 0) {
            return rc;
        }
    }
}
