/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See driver.h. */
#include "driver_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum {
    LOCK_PATIENCE_MS = 60000,
    START_PATIENCE_MS = 120000,
    RETRIES_MAX = 12,
    ACTIONS_MAX = 20000, /* a run that never ends is a failure */
    GIVE_UP_MS = 4 * 3600 * 1000,
};

struct driver_event {
    enum reconcile_event_type type;
    int64_t now_ms;
    char *config, *fingerprint;
    struct api_reply reply;
    int error;
};

void driver_say(const struct driver *d, const char *a, const char *b)
{
    CLEANUP_FREE char *line = NULL;

    if (d->trace != NULL) {
        line = str_printf("%10lld  %-9s %s", (long long)d->pve.now_ms, a, b);
        d->trace(line);
    }
}

static void note(char **at, const char *what)
{
    char *longer = str_printf("%s %s", *at == NULL ? "" : *at, what);

    free(*at);
    *at = longer;
}

/* --- the files ------------------------------------------------------------------------------ */

struct texts {
    char *config, *fingerprint;
    struct assess_texts texts;
};

static void read_texts(const struct driver *d, struct texts *t)
{
    t->config = fake_pve_text(&d->pve);
    t->fingerprint = str_dup(d->pve.fingerprint);
    t->texts = (struct assess_texts){
        .config = t->config,
        .config_len = t->config == NULL ? 0 : strlen(t->config),
        .config_path = "/etc/pve/qemu-server/105.conf",
        .fingerprint = t->fingerprint,
        .fingerprint_len = t->fingerprint == NULL ? 0 : strlen(t->fingerprint),
        .fingerprint_path = "/etc/pve/pve-hwid/105.json",
        .hold_path = "/etc/pve/pve-hwid/105.hold",
    };
    if (d->hold != NULL && d->actions >= d->hold_at) {
        t->texts.hold = d->hold;
        t->texts.hold_len = strlen(d->hold);
    }
}

static void texts_fini(struct texts *t)
{
    free(t->config);
    free(t->fingerprint);
}

static struct assess_params assess_params(const struct driver *d)
{
    return (struct assess_params){.vmid = DRIVER_VMID,
                                  .on_drift = FINGERPRINT_DRIFT_RESTART,
                                  .on_error = d->on_error,
                                  .undo = d->undo};
}

struct assessment *driver_assess(struct driver *d)
{
    const struct assess_params params = assess_params(d);
    CLEANUP(texts_fini) struct texts t = {0};
    struct assessment *a = NULL;

    read_texts(d, &t);
    if (assess(&t.texts, &params, NULL, 0, &a, NULL) < 0) {
        abort();
    }
    return a;
}

/* --- log of events -------------------------------------------------------------------------- */

static void log_event(struct driver *d, const struct reconcile_event *event)
{
    struct driver_event *e;

    if (!d->keep_log) {
        return;
    }
    if (vec_reserve(&d->log, d->n_log, &d->cap_log, sizeof(d->log[0])) < 0) {
        abort();
    }
    e = &d->log[d->n_log++];
    *e = (struct driver_event){.type = event->type, .now_ms = event->now_ms, .error = event->error};
    if (event->texts != NULL) {
        e->config = str_dup(event->texts->config);
        e->fingerprint = str_dup(event->texts->fingerprint);
    }
    if (event->reply != NULL) {
        e->reply = *event->reply;
        e->reply.message = str_dup(event->reply->message);
        json_incref(e->reply.data);
    }
}

static void action_fini(struct reconcile_action *action)
{
    api_request_free(action->request);
    json_decref(action->record);
    *action = (struct reconcile_action){0};
}

static struct reconcile_params params_of(const struct driver *d)
{
    struct reconcile_params params = {
        .vm = {.node = "n1", .vmid = DRIVER_VMID},
        .assess = {.vmid = DRIVER_VMID,
                   .on_drift = FINGERPRINT_DRIFT_RESTART,
                   .on_error = d->on_error,
                   .undo = d->undo},
        .lock_patience_ms = LOCK_PATIENCE_MS,
        .start_patience_ms = START_PATIENCE_MS,
    };

    (void)snprintf(params.txn, sizeof(params.txn), "00000000-0000-0000-0000-%012u",
                   d->reconciles % 1000000); /* fits */
    return params;
}

static int replay_event(struct reconcile *r, const struct driver_event *e)
{
    const struct assess_texts texts = {
        .config = e->config,
        .config_len = e->config == NULL ? 0 : strlen(e->config),
        .config_path = "c",
        .fingerprint = e->fingerprint,
        .fingerprint_len = e->fingerprint == NULL ? 0 : strlen(e->fingerprint),
        .fingerprint_path = "f",
    };
    const struct reconcile_event event = {.type = e->type,
                                          .now_ms = e->now_ms,
                                          .now = "2026-11-23T10:00:00Z",
                                          .texts = &texts,
                                          .reply = &e->reply,
                                          .error = e->error,
                                          .error_text = "No space left on device"};
    struct reconcile_action action = {0};
    struct reconcile_told told;
    int rc = reconcile_event(r, &event, &action, NULL);

    if (rc == 0) {
        action_fini(&action);
    }
    while (reconcile_next_told(r, &told)) {
        reconcile_told_fini(&told);
    }
    return rc;
}

int driver_replay_log(const struct driver *d, enum reconcile_cause cause)
{
    const struct reconcile_params params = params_of(d);
    const struct record_memory none = {0};
    CLEANUP(reconcile_freep) struct reconcile *r = NULL;
    int rc = reconcile_new(&params, cause, &none, &r, NULL);

    for (size_t i = 0; i < d->n_log && rc == 0; i++) {
        rc = replay_event(r, &d->log[i]);
    }
    return rc;
}

/* --- the machine ---------------------------------------------------------------------------- */

static void drain_told(struct driver *d)
{
    struct reconcile_told told;

    while (reconcile_next_told(d->r, &told)) {
        driver_say(d, "told", told.text);
        d->told[told.kind]++;
        d->told_twice = d->told_twice || strstr(told.text, "attached twice") != NULL;
        if (told.kind == RECONCILE_TELL_FAILED || told.kind == RECONCILE_TELL_STUCK ||
            told.kind == RECONCILE_TELL_DOWN) {
            free(d->last_failed);
            d->last_failed = str_dup(told.text);
        }
        reconcile_told_fini(&told);
    }
}

static void feed(struct driver *d, struct reconcile_event *event)
{
    action_fini(&d->action);
    event->now_ms = d->pve.now_ms;
    event->now = driver_now(d);
    log_event(d, event);
    if (reconcile_event(d->r, event, &d->action, NULL) < 0) {
        fake_pve_problem(&d->pve, "out of memory in state %s", reconcile_state_name(d->r));
        d->action = (struct reconcile_action){.type = RECONCILE_DO_FINISH};
        d->again = true;
    }
    drain_told(d);
    driver_say(d, "state", reconcile_state_name(d->r));
}

/* As engine_undo_reload(). */
static void reload_undo(struct driver *d, enum reconcile_cause cause)
{
    if (cause == RECONCILE_FOR_UNDO) {
        return;
    }
    undo_free(d->undo);
    d->undo = NULL;
    if (d->memory.undoes[0] != '\0' &&
        undo_find(d->journal, DRIVER_VMID, d->memory.undoes, &d->undo, NULL) < 0) {
        fake_pve_problem(&d->pve, "an undo that was begun is not found");
    }
}

static bool has_debt(const struct driver *d)
{
    return d->memory.open || d->memory.start_owed || d->memory.undoes[0] != '\0';
}

static void begin(struct driver *d, enum reconcile_cause cause)
{
    struct reconcile_params params;
    struct reconcile_event go = {.type = RECONCILE_EV_GO};

    driver_say(d, "begin", reconcile_cause_name(cause));
    reload_undo(d, cause);
    params = params_of(d);
    params.wait_worker = cause == RECONCILE_FOR_HOLD && d->retry_hold;
    d->retry_hold = false;
    d->reconciles++;
    if (reconcile_new(&params, cause, &d->memory, &d->r, NULL) < 0) {
        abort();
    }
    feed(d, &go);
}

static void end(struct driver *d)
{
    action_fini(&d->action);
    reconcile_free(d->r);
    d->r = NULL;
}

/* A word for d->requests, and the value of what it asks. */
static void note_request(struct driver *d, const struct api_request *request)
{
    CLEANUP(buf_fini) struct buf word = BUF_INIT(0);

    if (d->quiet && d->trace == NULL) {
        return;
    }
    if (request->method == API_PUT) {
        buf_adds(&word, "put");
        for (size_t i = 0; i < request->n_params; i++) {
            if (!str_equal(request->params[i].key, "digest")) {
                buf_addf(&word, ":%s%s%s", request->params[i].key,
                         str_equal(request->params[i].key, "delete") ||
                                 str_equal(request->params[i].key, "revert")
                             ? "="
                             : "",
                         str_equal(request->params[i].key, "delete") ||
                                 str_equal(request->params[i].key, "revert")
                             ? request->params[i].value
                             : "");
            }
        }
    } else {
        const char *slash = strrchr(request->path, '/');

        buf_adds(&word, strstr(request->path, "/tasks/") != NULL ? "task" : slash + 1);
    }
    if (!d->quiet) {
        note(&d->requests, word.data);
    }
    driver_say(d, "request", word.data);
}

static void do_request(struct driver *d, struct reconcile_event *event, struct api_reply *reply)
{
    note_request(d, d->action.request);
    driver_watch_put_back(d, d->action.request);
    fake_pve_call(&d->pve, d->action.request, reply);
    if (reply->result != API_OK) {
        driver_say(d, "answer", reply->message);
    }
    *event = (struct reconcile_event){.type = RECONCILE_EV_REPLY, .reply = reply};
}

/* The action's effect, and the event that answers it; false: the machine has finished. */
static bool act(struct driver *d, struct reconcile_event *event, struct texts *t,
                struct api_reply *reply)
{
    switch (d->action.type) {
    case RECONCILE_DO_WAIT_WORKER:
        *event = (struct reconcile_event){.type = RECONCILE_EV_WORKER_GONE};
        return true;
    case RECONCILE_DO_SLEEP:
        d->pve.now_ms += d->action.sleep_ms;
        *event = (struct reconcile_event){.type = RECONCILE_EV_WOKEN};
        return true;
    case RECONCILE_DO_READ:
        read_texts(d, t);
        *event = (struct reconcile_event){.type = RECONCILE_EV_TEXTS, .texts = &t->texts};
        return true;
    case RECONCILE_DO_RECORD:
        *event = (struct reconcile_event){.type = RECONCILE_EV_RECORDED,
                                          .error_text = "No space left on device"};
        event->error = driver_record(d, d->action.record);
        return true;
    case RECONCILE_DO_REQUEST:
        do_request(d, event, reply);
        return true;
    case RECONCILE_DO_FINISH:
        return false;
    }
    abort();
}

static void finish(struct driver *d)
{
    d->outcome = reconcile_outcome(d->r);
    free(d->text);
    d->text = str_dup(reconcile_text(d->r));
    driver_say(d, "finish", d->text);
    d->again = d->again || (reconcile_is_worth_retry(d->r) && d->outcome != RECONCILE_RUNNING);
    end(d);
}

/* The daemon is started again: recover(), then the queue looks at each VM. */
static void live_again(struct driver *d, enum reconcile_cause cause)
{
    struct assessment *a;

    driver_say(d, "CRASH", "");
    end(d);
    d->lives++;
    fake_pve_forget_probes(&d->pve);
    d->pve.we_know_it_runs = false; /* what was just answered, a dead one can tell nobody */
    d->retry_hold = false;          /* the debt is in the journal */
    driver_replay_memory(d);
    if (d->raw_start_in_crash) {
        (void)fake_pve_start_by_others(&d->pve, false); /* or not: both is fine */
        d->raw_start_in_crash = false;
    }
    if (d->stop_in_crash && d->pve.running) {
        fake_pve_stop_by_others(&d->pve);
        d->stop_in_crash = false;
    }
    if (has_debt(d)) {
        begin(d, RECONCILE_FOR_RECOVERY);
        return;
    }
    a = driver_assess(d);
    if (a->outcome == ASSESS_PLANNED && !plan_is_empty(a->plan) && !d->once && a->on_hold == NULL &&
        cause != RECONCILE_FOR_HOLD) {
        begin(d, RECONCILE_FOR_DAEMON);
    }
    assessment_free(a);
}

static bool dies(const struct driver *d, enum driver_death when)
{
    for (size_t i = 0; i < d->n_crashes; i++) {
        if (d->crashes[i].at == d->actions && d->crashes[i].when == when) {
            return true;
        }
    }
    return false;
}

/* The call is on its way, and so is our end. */
static bool dies_calling(struct driver *d)
{
    if (!dies(d, DRIVER_DIES_LATE) || d->action.type != RECONCILE_DO_REQUEST) {
        return false;
    }
    /* Unwritten, late and dead is one trouble too many; PVE has the task of a start at once. */
    if (d->action.request->method == API_POST && d->memory.start_asked == 0) {
        return false;
    }
    note_request(d, d->action.request);
    fake_pve_put_off(&d->pve, d->action.request);
    return true;
}

/* Until nothing is under way. */
static void go_on(struct driver *d, enum reconcile_cause cause)
{
    while (d->r != NULL && d->pve.now_ms < d->give_up_ms && d->pve.problem[0] == '\0') {
        CLEANUP(texts_fini) struct texts t = {0};
        CLEANUP(api_reply_fini) struct api_reply reply = {0};
        struct reconcile_event event = {0};
        bool more = false, gone;

        d->actions++;
        if (d->actions > ACTIONS_MAX) {
            fake_pve_problem(&d->pve, "it does not end");
        }
        fake_pve_catch_up(&d->pve);
        if (dies(d, DRIVER_DIES_BEFORE) || dies_calling(d)) {
            live_again(d, cause);
            continue;
        }
        more = act(d, &event, &t, &reply);
        gone = d->r == NULL; /* the hook replaced it */
        if (dies(d, DRIVER_DIES_AFTER) || dies(d, DRIVER_DIES_LATE)) {
            live_again(d, cause);
        } else if (!gone && more) {
            feed(d, &event);
        } else if (!gone) {
            finish(d);
        }
        if (d->r == NULL && d->retry_hold) {
            begin(d, RECONCILE_FOR_HOLD);
        }
    }
    d->stuck = d->r != NULL && reconcile_is_stuck(d->r);
}

/* What engine_drive.c's finish(), on_retry() and the queue would do next; false: nothing. */
static bool next_cause(struct driver *d, enum reconcile_cause *ret_cause)
{
    *ret_cause = d->memory.open || d->memory.undoes[0] != '\0' ? RECONCILE_FOR_RECOVERY
                 : d->memory.start_owed                        ? RECONCILE_FOR_HOLD
                 : d->again                                    ? RECONCILE_FOR_RETRY
                                                               : RECONCILE_FOR_STOP;
    return has_debt(d) || d->again || d->look;
}

static void run(struct driver *d, enum reconcile_cause cause)
{
    int64_t wait = 5000;

    go_on(d, cause);
    for (d->retries = 0; d->retries < RETRIES_MAX && !d->once && d->r == NULL; d->retries++) {
        if (d->pve.problem[0] != '\0' || !next_cause(d, &cause)) {
            break;
        }
        d->again = d->look = false;
        d->pve.now_ms += wait;
        wait = wait * 2 > 300000 ? 300000 : wait * 2;
        begin(d, cause);
        go_on(d, cause);
    }
    d->stuck = d->r != NULL && reconcile_is_stuck(d->r);
    if (d->r != NULL && d->pve.problem[0] == '\0') {
        driver_say(d, "given up", reconcile_state_name(d->r));
    }
}

void driver_settle(struct driver *d)
{
    d->give_up_ms = d->pve.now_ms + GIVE_UP_MS;
    run(d, RECONCILE_FOR_RETRY);
}

/* post-stop, or the end of a task that changed the VM: the daemon looks. */
static void on_stopped(void *userdata)
{
    struct driver *d = userdata;

    d->look = true;
}

void driver_run(struct driver *d, enum reconcile_cause cause)
{
    begin(d, cause);
    run(d, cause);
}

bool driver_undo(struct driver *d)
{
    undo_free(d->undo);
    d->undo = NULL;
    if (undo_find(d->journal, DRIVER_VMID, NULL, &d->undo, NULL) < 0) {
        return false;
    }
    d->hold = "{\"format\":1,\"since\":\"t\",\"by\":\"root\"}";
    d->hold_at = 0;
    d->pve.may_undo = true;
    d->undone = true;
    begin(d, RECONCILE_FOR_UNDO);
    run(d, RECONCILE_FOR_UNDO);
    return true;
}

void driver_start(struct driver *d)
{
    (void)fake_pve_start_by_others(&d->pve, true); /* what happened is in d->pve */
    if (d->retry_hold) {
        begin(d, RECONCILE_FOR_HOLD);
    }
    run(d, RECONCILE_FOR_HOLD);
}

void driver_init(struct driver *d, const char *config, const char *fingerprint)
{
    *d = (struct driver){
        .on_error = FINGERPRINT_ERROR_START, .journal = json_array(), .give_up_ms = GIVE_UP_MS};
    fake_pve_init(&d->pve, config, fingerprint);
    d->pve.pre_start = driver_pre_start;
    d->pve.stopped = on_stopped;
    d->pve.userdata = d;
}

void driver_fini(struct driver *d)
{
    end(d);
    for (size_t i = 0; i < d->n_log; i++) {
        free(d->log[i].config);
        free(d->log[i].fingerprint);
        api_reply_fini(&d->log[i].reply);
    }
    free(d->log);
    undo_free(d->undo);
    record_memory_fini(&d->memory);
    json_decref(d->journal);
    fake_pve_fini(&d->pve);
    free(d->text);
    free(d->last_failed);
    free(d->requests);
}
