/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Driving a reconciliation: each action it asks for becomes a read, a record, a request, a timer;
 * the answer becomes its next event. Reads and records are answered at once, in a loop instead of
 * by recursion; the others when the event loop has them.
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "base/str.h"
#include "engine_impl.h"
#include "io/clock.h"
#include "io/flock.h"
#include "message_ids.h"

struct engine_watch {
    struct vm *vm;
    struct engine_watch *next;
    struct engine_watcher watcher;
};

static void feed(struct vm *vm, struct reconcile_event *event);

/* --- what is seen of it
 * ----------------------------------------------------------------------------- */

static enum vm_state state_of(const struct vm *vm)
{
    const char *name = reconcile_state_name(vm->reconcile);

    if (reconcile_is_stuck(vm->reconcile)) {
        return VM_STUCK;
    }
    if (str_starts(name, "start") || str_equal(name, "watch")) {
        return VM_STARTING;
    }
    if (str_starts(name, "verify") || str_equal(name, "end")) {
        return VM_VERIFYING;
    }
    if (reconcile_is_changing(vm->reconcile)) {
        return reconcile_owes_start(vm->reconcile) && str_equal(name, "wait_worker") ? VM_HELD
                                                                                     : VM_REWRITING;
    }
    return VM_DIFFERS;
}

/* That is the answer's detail, at the end: nobody wants to read it twice. */
static bool is_conclusion(const struct vm *vm, const struct reconcile_told *told)
{
    const char *text = reconcile_text(vm->reconcile);

    return *text != '\0' && str_ends(told->text, text);
}

static void publish(struct vm *vm)
{
    const struct plan *plan = reconcile_plan(vm->reconcile);
    struct reconcile_told told;

    while (reconcile_next_told(vm->reconcile, &told)) {
        engine_tell(vm, &told);
        for (struct engine_watch *w = vm->watches; w != NULL && !is_conclusion(vm, &told);
             w = w->next) {
            w->watcher.progress(w->watcher.userdata, told.text);
        }
        reconcile_told_fini(&told);
    }
    engine_set_state(vm->engine, vm->vmid, state_of(vm), plan == NULL ? 0 : plan->n_changes, NULL);
}

/* --- its end
 * ------------------------------------------------------------------------------------------ */

static const char *watch_outcome(enum reconcile_outcome outcome)
{
    switch (outcome) {
    case RECONCILE_IN_SYNC:
        return "unchanged";
    case RECONCILE_DONE:
        return "done";
    case RECONCILE_PARTIAL:
        return "partial";
    case RECONCILE_RUNNING:
    case RECONCILE_LOCKED:
        return "busy";
    case RECONCILE_REFUSED:
    case RECONCILE_ON_HOLD:
        return "refused";
    case RECONCILE_UNDER_WAY:
    case RECONCILE_NOTHING:
    case RECONCILE_FAILED:
        return "failed";
    }
    return "failed";
}

void engine_take_up(struct vm *vm, enum reconcile_cause cause)
{
    struct err err = {""};

    vm->busy++;
    if (engine_reconcile(vm, cause, false, &err) < 0) {
        engine_say(vm->engine, vm->vmid, LOG_ERR, MESSAGE_CHANGE_FAILED,
                   "VM %u: what was begun cannot be gone on with: %s; tried again later", vm->vmid,
                   err.text);
        engine_set_state(vm->engine, vm->vmid, VM_FAILED, 0, err.text);
        engine_retry_later(vm);
    }
    vm->busy--;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct vm *vm = userdata;

    (void)source, (void)usec; /* one timer, one meaning */
    vm->retry = sd_event_source_disable_unref(vm->retry);
    if (vm->reconcile == NULL && (vm->memory.open || vm->memory.undoes[0] != '\0')) {
        engine_take_up(vm, RECONCILE_FOR_RECOVERY);
    } else if (vm->reconcile == NULL && vm->memory.start_owed) {
        engine_take_up(vm, RECONCILE_FOR_HOLD);
    } else {
        (void)engine_enqueue(vm->engine, vm->vmid, RECONCILE_FOR_RETRY); /* no memory: next time */
    }
    engine_settle(vm);
    return 0;
}

void engine_retry_later(struct vm *vm)
{
    unsigned seconds = vm->retry_s == 0 ? ENGINE_RETRY_FIRST_S : vm->retry_s * 2;

    if (vm->retry != NULL) {
        return;
    }
    vm->retry_s = seconds > ENGINE_RETRY_MAX_S ? ENGINE_RETRY_MAX_S : seconds;
    /* Without a timer the next stop, edit or daemon start looks again. */
    (void)sd_event_add_time_relative(vm->engine->event, &vm->retry, CLOCK_MONOTONIC,
                                     (uint64_t)vm->retry_s * 1000000, 1000000, on_retry, vm);
}

static void note_end(struct vm *vm)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    enum reconcile_outcome outcome = reconcile_outcome(vm->reconcile);
    const char *text = reconcile_text(vm->reconcile);
    struct engine *engine = vm->engine;
    const struct plan *plan = reconcile_plan(vm->reconcile);
    size_t changes = plan == NULL ? 0 : plan->n_changes;

    switch (outcome) {
    case RECONCILE_IN_SYNC:
    case RECONCILE_DONE:
        engine_set_state(engine, vm->vmid, VM_IN_SYNC, 0, NULL);
        return;
    case RECONCILE_PARTIAL:
    case RECONCILE_RUNNING:
    case RECONCILE_LOCKED:
        engine_set_state(engine, vm->vmid, VM_DIFFERS, changes, text);
        return;
    case RECONCILE_REFUSED:
        engine_set_state(engine, vm->vmid,
                         plan != NULL && plan->refusals.n > 0 ? VM_REFUSED : VM_FAILED, changes,
                         text);
        return;
    case RECONCILE_FAILED:
    case RECONCILE_UNDER_WAY:
        engine_set_state(engine, vm->vmid, VM_FAILED, changes, text);
        return;
    case RECONCILE_NOTHING:
    case RECONCILE_ON_HOLD:
        if (engine_assess(engine, vm->vmid, &a, NULL) == 0) {
            engine_note_assessment(engine, vm->vmid, a);
            if (a->outcome == ASSESS_NO_FINGERPRINT) {
                engine_forget_unprinted(engine, vm->vmid);
            }
        }
        return;
    }
}

static void drop_machine(struct vm *vm)
{
    reconcile_free(vm->reconcile);
    vm->reconcile = NULL;
    undo_free(vm->undo);
    vm->undo = NULL;
}

/* Half an undo, on a VM that was started meanwhile, is not "nothing was done". */
static const char *outcome_of(const struct vm *vm)
{
    enum reconcile_outcome outcome = reconcile_outcome(vm->reconcile);

    return outcome == RECONCILE_RUNNING && vm->memory.undoes[0] != '\0' ? "failed"
                                                                        : watch_outcome(outcome);
}

static void finish(struct vm *vm)
{
    enum reconcile_outcome outcome = reconcile_outcome(vm->reconcile);
    CLEANUP_FREE char *text = str_dup(reconcile_text(vm->reconcile));
    bool again = reconcile_is_worth_retry(vm->reconcile) && outcome != RECONCILE_RUNNING;
    bool from_queue = vm->cause != RECONCILE_FOR_HOLD && vm->cause != RECONCILE_FOR_RECOVERY;

    note_end(vm);
    engine_watch_done(vm, outcome_of(vm), text == NULL ? "" : text, reconcile_plan(vm->reconcile));
    drop_machine(vm);
    vm->engine->active -= from_queue;
    if (again || engine_has_debt(vm)) {
        engine_retry_later(vm);
    } else {
        vm->retry_s = 0;
        if (vm->look_again) {
            (void)engine_enqueue(vm->engine, vm->vmid,
                                 RECONCILE_FOR_FINGERPRINT); /* no memory: at the next stop */
        }
    }
    vm->look_again = false;
    engine_queue_kick(vm->engine);
}

void engine_abandon(struct vm *vm, const char *why)
{
    if (vm->reconcile == NULL) {
        return;
    }
    engine_cancel(vm->call);
    vm->call = NULL;
    api_request_free(vm->delayed);
    vm->delayed = NULL;
    vm->timer = sd_event_source_disable_unref(vm->timer);
    worker_wait_free(vm->worker);
    vm->worker = NULL;
    vm->awaits_survey = vm->survey_over = false;
    if (vm->cause != RECONCILE_FOR_HOLD && vm->cause != RECONCILE_FOR_RECOVERY) {
        vm->engine->active--;
    }
    engine_watch_done(vm, "busy", why, reconcile_plan(vm->reconcile));
    drop_machine(vm);
    engine_queue_kick(vm->engine);
}

void engine_drop_reconcile(struct vm *vm)
{
    if (vm->reconcile != NULL && !reconcile_is_changing(vm->reconcile)) {
        engine_abandon(vm, "the VM is being started");
    }
}

/* --- actions
 * ---------------------------------------------------------------------------------------------- */

static void on_reply(void *userdata, const struct api_reply *reply)
{
    struct vm *vm = userdata;
    struct reconcile_event event = {.type = RECONCILE_EV_REPLY, .reply = reply};

    vm->call = NULL;
    feed(vm, &event);
}

static int on_woken(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct vm *vm = userdata;
    struct reconcile_event event = {.type = RECONCILE_EV_WOKEN};

    (void)source, (void)usec;
    vm->timer = sd_event_source_disable_unref(vm->timer);
    feed(vm, &event);
    return 0;
}

static void on_worker_gone(void *userdata)
{
    struct vm *vm = userdata;
    struct reconcile_event event = {.type = RECONCILE_EV_WORKER_GONE};

    worker_wait_free(vm->worker);
    vm->worker = NULL;
    feed(vm, &event);
}

static int add_timer(struct vm *vm, int64_t ms, sd_event_time_handler_t handler)
{
    return sd_event_add_time_relative(vm->engine->event, &vm->timer, CLOCK_MONOTONIC,
                                      (uint64_t)ms * 1000, 1000, handler, vm);
}

static int send_delayed(sd_event_source *source, uint64_t usec, void *userdata);

/* A call that changes the VM would wait for PVE's lock inside pvedaemon, and, worse, be carried out
 * on a VM that was started meanwhile. So it is sent only while nobody holds that lock; and not at
 * all where somebody did: what was looked at before is old then. The answer is the one PVE would
 * have given, after which every state looks at the VM again. */
static int send_when_free(struct vm *vm)
{
    struct api_reply reply = {.result = API_REFUSED, .status = 500};
    CLEANUP_FREE char *lock = str_printf("%s/lock-%u.conf", vm->engine->settings->lock_dir,
                                         vm->vmid);
    CLEANUP_FREE char *message = NULL;

    if (lock == NULL) {
        return -ENOMEM;
    }
    if (vm->delayed->changing && flock_is_held(lock) && engine_now() < vm->delayed_until) {
        vm->delayed_once = true;
        return add_timer(vm, ENGINE_LOCK_POLL_MS, send_delayed);
    }
    if (!vm->delayed_once) {
        return engine_send(vm->engine, STEAL(vm->delayed), on_reply, vm, &vm->call);
    }
    api_request_free(vm->delayed);
    vm->delayed = NULL;
    message = str_printf("%s was held by another task: got timeout", lock);
    if (message == NULL) {
        return -ENOMEM;
    }
    reply.message = message;
    on_reply(vm, &reply);
    return 0;
}

static int send_delayed(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct vm *vm = userdata;
    struct api_reply reply = {.result = API_UNREACHABLE, .message = (char[]){"out of memory"}};

    (void)source, (void)usec;
    vm->timer = sd_event_source_disable_unref(vm->timer);
    if (send_when_free(vm) < 0) {
        on_reply(vm, &reply);
    }
    return 0;
}

static int send_request(struct vm *vm, struct api_request *request)
{
    vm->delayed = request;
    vm->delayed_once = false;
    vm->delayed_until = engine_now() + (int64_t)vm->engine->settings->lock_patience_s * 1000;
    return send_when_free(vm);
}

/* What others have must be known first: by this the machine decides. */
static int read_texts(struct vm *vm, struct reconcile_event *event, struct engine_texts *texts,
                      struct err *err)
{
    int rc;

    (void)engine_claims_refresh(vm->engine); /* `loaded` tells */
    if (!vm->engine->loaded) {
        return err_set(err, -EAGAIN, "the files of the other VMs cannot be read now");
    }
    engine_texts_fini(texts);
    rc = engine_read_texts(vm->engine, vm->vmid, texts, err);
    *event = (struct reconcile_event){.type = RECONCILE_EV_TEXTS, .texts = &texts->texts};
    return rc < 0 ? rc : 1;
}

/* 1: `event` is the answer, already here; 0: it comes later, or nothing comes any more. */
static int act(struct vm *vm, struct reconcile_action *action, struct reconcile_event *event,
               struct engine_texts *texts, struct err *err)
{
    switch (action->type) {
    case RECONCILE_DO_READ:
        vm->surveys = 0;
        vm->awaits_survey = engine_survey_needed(vm);
        return vm->awaits_survey ? 0 : read_texts(vm, event, texts, err);
    case RECONCILE_DO_RECORD:
        *event = (struct reconcile_event){.type = RECONCILE_EV_RECORDED, .error_text = err->text};
        event->error = engine_record(vm, action->record, err);
        engine_claims_changed(vm->engine, vm->vmid); /* a step, or what the last one was */
        json_decref(action->record);
        return 1;
    case RECONCILE_DO_REQUEST:
        return send_request(vm, action->request);
    case RECONCILE_DO_SLEEP:
        return add_timer(vm, action->sleep_ms, on_woken);
    case RECONCILE_DO_WAIT_WORKER:
        return worker_wait_new(vm->engine->event, vm->hold_pid, vm->hold_start,
                               ENGINE_WORKER_LIMIT_MS, on_worker_gone, vm, &vm->worker);
    case RECONCILE_DO_FINISH:
        finish(vm);
        return 0;
    }
    return -EINVAL;
}

/* Out of memory or files that cannot be read in the middle of a reconciliation: it ends here; what
 * it left open is in the journal and is taken up again. */
static void give_up(struct vm *vm, const struct err *err)
{
    struct engine *engine = vm->engine;

    engine_say(engine, vm->vmid, LOG_ERR, MESSAGE_CHANGE_FAILED, "VM %u: %s; tried again later",
               vm->vmid, err->text);
    engine_set_state(engine, vm->vmid, VM_FAILED, 0, err->text);
    engine_watch_done(vm, "failed", err->text, NULL);
    if (vm->cause != RECONCILE_FOR_HOLD && vm->cause != RECONCILE_FOR_RECOVERY) {
        engine->active--;
    }
    drop_machine(vm);
    engine_retry_later(vm);
    engine_queue_kick(engine);
}

static void feed(struct vm *vm, struct reconcile_event *event)
{
    CLEANUP(engine_texts_fini) struct engine_texts texts = {0};
    struct reconcile_action action;
    char now[CLOCK_TEXT_SIZE];
    struct err err = {""};
    int rc;

    vm->busy++;
    do {
        clock_now_text(now);
        event->now = now;
        event->now_ms = engine_now();
        rc = reconcile_event(vm->reconcile, event, &action, &err);
        if (rc == 0) {
            publish(vm);
            rc = act(vm, &action, event, &texts, &err);
        }
    } while (rc > 0);
    if (rc < 0) {
        give_up(vm, &err);
    }
    vm->busy--;
    engine_settle(vm);
}

void engine_drive_resume(struct vm *vm)
{
    CLEANUP(engine_texts_fini) struct engine_texts texts = {0};
    struct reconcile_event event;
    struct err err = {""};

    if (vm->reconcile == NULL) {
        return; /* dropped meanwhile */
    }
    vm->busy++;
    vm->awaits_survey = engine_survey_needed_again(vm);
    if (vm->awaits_survey) {
        vm->busy--;
        return;
    }
    if (read_texts(vm, &event, &texts, &err) < 0) {
        give_up(vm, &err);
    } else {
        feed(vm, &event);
    }
    vm->busy--;
    engine_settle(vm);
}

int engine_reconcile(struct vm *vm, enum reconcile_cause cause, bool wait_worker, struct err *err)
{
    struct engine *engine = vm->engine;
    struct reconcile_params params = {
        .vm = {.node = engine->node, .vmid = vm->vmid},
        .assess = {.vmid = vm->vmid,
                   .machines = &engine->machines,
                   .on_drift = engine->settings->on_drift,
                   .on_error = engine->settings->on_error,
                   .claims = engine->claims},
        .lock_patience_ms = (int64_t)engine->settings->lock_patience_s * 1000,
        .start_patience_ms = (int64_t)engine->settings->start_patience_s * 1000,
        .wait_worker = wait_worker,
    };
    struct reconcile_event event = {.type = RECONCILE_EV_GO};
    int rc;

    engine_fresh_id(params.txn);
    if (cause != RECONCILE_FOR_UNDO && vm->memory.undoes[0] != '\0') {
        rc = engine_undo_reload(vm, err);
        if (rc < 0) {
            return rc;
        }
    }
    params.assess.undo = vm->undo;
    rc = reconcile_new(&params, cause, &vm->memory, &vm->reconcile, err);
    if (rc < 0) {
        return rc;
    }
    vm->cause = cause;
    vm->retry = sd_event_source_disable_unref(vm->retry);
    engine->active += cause != RECONCILE_FOR_HOLD && cause != RECONCILE_FOR_RECOVERY;
    feed(vm, &event);
    return 0;
}

/* --- watchers
 * -------------------------------------------------------------------------------------------------
 */

void engine_watch_done(struct vm *vm, const char *outcome, const char *detail,
                       const struct plan *plan)
{
    json_t *json = plan == NULL ? NULL : plan_to_json(plan);

    while (vm->watches != NULL) {
        struct engine_watch *watch = vm->watches;

        vm->watches = watch->next;
        watch->watcher.done(watch->watcher.userdata, outcome, detail, json);
        free(watch);
    }
    json_decref(json);
}

void engine_unwatch(struct engine_watch *watch)
{
    struct engine_watch **at = &watch->vm->watches;

    while (*at != watch) {
        at = &(*at)->next;
    }
    *at = watch->next;
    free(watch);
}

int engine_reconcile_watched(struct vm *vm, enum reconcile_cause cause,
                             const struct engine_watcher *watcher, struct engine_watch **ret_watch,
                             struct err *err)
{
    struct engine_watch *watch;
    int rc = 0;

    if (vm->hook != NULL || vm->starting != NULL) {
        return err_set(err, -EBUSY, "VM %u is being started: nothing was changed", vm->vmid);
    }
    /* An apply may watch what is under way already; an undo is what was asked for, or not. */
    if (vm->reconcile != NULL && (cause == RECONCILE_FOR_UNDO || vm->undo != NULL)) {
        return err_set(err, -EBUSY, "VM %u is being changed right now (%s)", vm->vmid,
                       reconcile_cause_name(vm->cause));
    }
    watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return err_oom(err);
    }
    *watch = (struct engine_watch){.vm = vm, .next = vm->watches, .watcher = *watcher};
    vm->watches = watch;
    *ret_watch = watch;
    if (vm->reconcile == NULL) {
        rc = engine_reconcile(vm, cause, false, err);
        if (rc < 0) {
            engine_unwatch(watch);
        }
    }
    return rc;
}

int engine_apply(struct engine *engine, uint32_t vmid, const struct engine_watcher *watcher,
                 struct engine_watch **ret_watch, struct err *err)
{
    struct vm *vm;
    int rc = engine_activate(engine, vmid, &vm, err);

    if (rc < 0) {
        return rc;
    }
    vm->busy++;
    rc = engine_reconcile_watched(vm, RECONCILE_FOR_APPLY, watcher, ret_watch, err);
    vm->busy--;
    engine_settle(vm);
    return rc;
}
