/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See pve.h. pve_send() only queues; a timer that is due at once sends what the limits allow, so
 * that a request that cannot even be sent is told like any other failure, from the event loop. Not
 * a deferred source: one that enables itself again keeps sd-event from looking at any timer.
 *
 * A call that is forgotten while it is under way keeps its place until its answer is there: PVE is
 * still busy with it, and a second changing request beside it would block another of its workers.
 */
#include "pve.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "core/advice.h"
#include "credential.h"
#include "http.h"

enum pve_class { PVE_CHANGES, PVE_READS, PVE_CLASSES };

/* By one set of settings. It stays until its last call is answered. */
struct pve_line {
    struct pve_line *next; /* an older one */
    struct http *http;
    unsigned running;
};

struct pve_call {
    struct pve *pve;
    struct pve_line *line; /* of one that is under way */
    struct pve_call *next; /* in its queue, or among those under way */
    struct api_request *request;
    enum pve_class class;
    pve_done done; /* NULL: forgotten */
    void *userdata;
};

struct pve_queue {
    struct pve_call *first, **last;
    size_t n;         /* waiting */
    unsigned running; /* under way */
    unsigned most;    /* under way at a time */
};

struct pve {
    sd_event *event;
    struct pve_line *lines; /* the newest first */
    sd_event_source *pump;
    struct pve_queue queues[PVE_CLASSES];
    struct pve_call *under_way;
    pve_observer observer;
    void *observer_userdata;
    unsigned long sent, failed;
};

static void call_free(struct pve_call *call)
{
    if (call != NULL) {
        api_request_free(call->request);
        free(call);
    }
}

static void call_free_all(struct pve_call *first)
{
    while (first != NULL) {
        struct pve_call *call = first;

        first = call->next;
        call_free(call);
    }
}

/* Returns the place where the call's successor hangs now. */
static struct pve_call **list_remove(struct pve_call **at, const struct pve_call *call)
{
    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    return at;
}

static void queue_push(struct pve_queue *queue, struct pve_call *call)
{
    call->next = NULL;
    *queue->last = call;
    queue->last = &call->next;
    queue->n++;
}

static void queue_remove(struct pve_queue *queue, struct pve_call *call)
{
    struct pve_call **at = list_remove(&queue->first, call);

    if (*at == NULL) {
        queue->last = at;
    }
    queue->n--;
}

static void pve_wake(struct pve *pve)
{
    /* Neither can fail for a timer that exists. */
    (void)sd_event_source_set_time_relative(pve->pump, 0);
    (void)sd_event_source_set_enabled(pve->pump, SD_EVENT_ONESHOT);
}

static void call_finish(struct pve_call *call, const struct api_reply *reply)
{
    struct pve *pve = call->pve;

    (void)list_remove(&pve->under_way, call); /* its place does not matter: no order in there */
    pve->queues[call->class].running--;
    call->line->running--;
    pve->failed += reply->result != API_OK ? 1 : 0;
    pve_wake(pve);
    if (pve->observer != NULL && call->line == pve->lines) { /* an old token's says nothing now */
        pve->observer(pve->observer_userdata, call->request, reply);
    }
    if (call->done != NULL) {
        call->done(call->userdata, reply);
    }
    call_free(call);
}

/* A reply without PVE: `error` is copied; without memory for it the result still stands. */
static void call_fail(struct pve_call *call, enum api_result result, const char *error)
{
    struct api_reply reply = {.result = result, .message = str_dup(error)};

    call_finish(call, &reply);
    api_reply_fini(&reply);
}

static void call_on_answer(void *userdata, const struct http_answer *answer)
{
    struct pve_call *call = userdata;
    struct api_reply reply = {.result = API_LOST};
    char *advised;
    int rc;

    if (answer->result != API_OK) {
        call_fail(call, answer->result, answer->error);
        return;
    }
    rc = api_reply_parse(answer->status, answer->reason, answer->body, answer->len, &reply);
    if (rc < 0) {
        call_fail(call, API_LOST, "out of memory for the answer of PVE");
        return;
    }
    advised = advice_refusal(reply.status, reply.message);
    if (advised != NULL) {
        free(reply.message);
        reply.message = advised;
    }
    call_finish(call, &reply);
    api_reply_fini(&reply);
}

static void call_start(struct pve_call *call)
{
    struct pve *pve = call->pve;
    struct pve_queue *queue = &pve->queues[call->class];
    struct err err = {""};

    queue_remove(queue, call);
    queue->running++;
    call->line = pve->lines;
    call->line->running++;
    call->next = pve->under_way;
    pve->under_way = call;
    if (http_send(call->line->http, call->request, call_on_answer, call, NULL, &err) < 0) {
        call_fail(call, API_UNREACHABLE, err.text);
        return;
    }
    pve->sent++;
}

static void line_free(struct pve_line *line)
{
    if (line != NULL) {
        http_free(line->http);
        free(line);
    }
}
DEFINE_CLEANUP(struct pve_line, line_free)

static void free_lines(struct pve_line **at, bool all)
{
    while (*at != NULL) {
        struct pve_line *line = *at;

        if (all || line->running == 0) {
            *at = line->next;
            line_free(line);
        } else {
            at = &line->next;
        }
    }
}

/* A done function called from here may send and cancel: only the heads of the queues are held. What
 * it sends waits for the next turn of the loop, so that one who never gives up blocks nobody. */
static int pve_on_pump(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct pve *pve = userdata;

    (void)source;
    (void)usec;
    free_lines(&pve->lines->next, false); /* here, for no answer of theirs is being told of */
    for (size_t i = 0; i < PVE_CLASSES; i++) {
        struct pve_queue *queue = &pve->queues[i];

        for (size_t n = queue->n; n > 0 && queue->first != NULL && queue->running < queue->most;
             n--) {
            call_start(queue->first);
        }
    }
    return 0;
}

int pve_send(struct pve *pve, struct api_request *request, pve_done done, void *userdata,
             struct pve_call **ret_call, struct err *err)
{
    struct pve_call *call = calloc(1, sizeof(*call));

    if (call == NULL) {
        api_request_free(request);
        return err_oom(err);
    }
    *call = (struct pve_call){.pve = pve,
                              .request = request,
                              .class = request->changing ? PVE_CHANGES : PVE_READS,
                              .done = done,
                              .userdata = userdata};
    queue_push(&pve->queues[call->class], call);
    pve_wake(pve);
    if (ret_call != NULL) {
        *ret_call = call;
    }
    return 0;
}

void pve_cancel(struct pve_call *call)
{
    if (call->line != NULL) {
        call->done = NULL;
        return;
    }
    queue_remove(&call->pve->queues[call->class], call);
    call_free(call);
}

void pve_observe(struct pve *pve, pve_observer observer, void *userdata)
{
    pve->observer = observer;
    pve->observer_userdata = userdata;
}

void pve_get_counts(const struct pve *pve, struct pve_counts *ret)
{
    *ret = (struct pve_counts){
        .queued_changes = pve->queues[PVE_CHANGES].n,
        .queued_reads = pve->queues[PVE_READS].n,
        .running = pve->queues[PVE_CHANGES].running + pve->queues[PVE_READS].running,
        .sent = pve->sent,
        .failed = pve->failed,
    };
}

static void wipe_freep(char **text)
{
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        free(*text);
    }
}

/* The CA as a credential counts only where the setting was left alone: whoever sets ca_file means
 * it. */
static char *pick_ca_file(const struct settings *settings)
{
    CLEANUP(settings_freep) struct settings *defaults = settings_new();

    if (defaults == NULL) {
        return NULL;
    }
    return str_equal(settings->ca_file, defaults->ca_file)
               ? credential_path("ca", settings->ca_file)
               : str_dup(settings->ca_file);
}

static int open_http(sd_event *event, const struct settings *settings, const char *token,
                     struct http **ret, struct err *err)
{
    CLEANUP(wipe_freep) char *authorization = str_printf("PVEAPIToken=%s", token);
    CLEANUP_FREE char *ca_file = pick_ca_file(settings);
    CLEANUP_FREE char *base_url = NULL;
    size_t len = strlen(settings->api_url);

    while (len > 0 && settings->api_url[len - 1] == '/') {
        len--;
    }
    base_url = str_printf("%.*s/api2/json", (int)len, settings->api_url);
    if (authorization == NULL || ca_file == NULL || base_url == NULL) {
        return err_oom(err);
    }
    return http_new(event,
                    &(struct http_settings){.base_url = base_url,
                                            .ca_file = ca_file,
                                            .authorization = authorization,
                                            .connect_timeout_ms = settings->connect_timeout_ms,
                                            .timeout_ms = settings->api_timeout_ms},
                    ret, err);
}

int pve_renew(struct pve *pve, const struct settings *settings, const char *token, struct err *err)
{
    CLEANUP(line_freep) struct pve_line *line = NULL;
    int rc = secret_check_token(token, err);

    if (rc < 0) {
        return rc;
    }
    line = calloc(1, sizeof(*line));
    if (line == NULL) {
        return err_oom(err);
    }
    rc = open_http(pve->event, settings, token, &line->http, err);
    if (rc < 0) {
        return rc;
    }
    line->next = pve->lines;
    pve->lines = STEAL(line);
    pve->queues[PVE_READS].most = settings->max_reads;
    if (pve->pump != NULL) {
        pve_wake(pve); /* to be rid of an older one that is idle */
    }
    return 0;
}

int pve_new(sd_event *event, const struct settings *settings, const char *token, struct pve **ret,
            struct err *err)
{
    CLEANUP(pve_freep) struct pve *pve = NULL;
    int rc;

    pve = calloc(1, sizeof(*pve));
    if (pve == NULL) {
        return err_oom(err);
    }
    pve->event = sd_event_ref(event);
    for (size_t i = 0; i < PVE_CLASSES; i++) {
        pve->queues[i].last = &pve->queues[i].first;
    }
    pve->queues[PVE_CHANGES].most = 1; /* facts/pve.md 2, recording 08g */
    rc = pve_renew(pve, settings, token, err);
    if (rc < 0) {
        return rc;
    }
    rc = sd_event_add_time_relative(event, &pve->pump, CLOCK_MONOTONIC, 0, 1, pve_on_pump, pve);
    if (rc < 0) {
        return err_set(err, rc, "cannot make a timer: %s", strerror(-rc));
    }
    *ret = STEAL(pve);
    return 0;
}

void pve_free(struct pve *pve)
{
    if (pve == NULL) {
        return;
    }
    free_lines(&pve->lines, true); /* first: their transfers point to the calls */
    sd_event_source_disable_unref(pve->pump);
    sd_event_unref(pve->event);
    call_free_all(pve->under_way);
    for (size_t i = 0; i < PVE_CLASSES; i++) {
        call_free_all(pve->queues[i].first);
    }
    free(pve);
}
