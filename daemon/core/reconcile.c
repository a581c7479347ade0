/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See reconcile.h and reconcile_impl.h: the frame of the state machine. */
#include "core/reconcile.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/reconcile_impl.h"

#define ASK(state, x, is_changing, shape)                                                          \
    [STATE_##state] = {#x, reconcile_enter_##x, reconcile_on_##x, is_changing, shape}
#define ROW(state, x, is_changing) ASK(state, x, is_changing, SHAPE_ANY)

const struct reconcile_state_row reconcile_states[STATES] = {
    [STATE_NEW] = {"new", NULL, NULL, false, SHAPE_ANY},
    ROW(WAIT_WORKER, wait_worker, false),
    ASK(STATUS, status, false, SHAPE_STATUS),
    ROW(DIGEST, digest, false),
    ROW(READ, read, false),
    ROW(PROBE, probe, true),
    ROW(BEGIN, begin, true),
    ASK(GATE, gate, true, SHAPE_STATUS),
    ROW(STEP_DIGEST, step_digest, true),
    ROW(STEP_READ, step_read, true),
    ROW(STEP, step, true),
    ROW(STEP_RECORD, step_record, true),
    ROW(REOPEN_RECORD, reopen_record, true),
    ASK(VERIFY_PENDING, verify_pending, true, SHAPE_PENDING),
    ROW(VERIFY_READ, verify_read, true),
    ROW(END, end, true),
    ASK(LOOK_STATUS, look_status, true, SHAPE_STATUS),
    ASK(LOOK, look, true, SHAPE_PENDING),
    ROW(REVERT, revert, true),
    ROW(SET_BACK, set_back, true),
    ROW(STUCK_RECORD, stuck_record, true),
    ROW(LOOK_READ, look_read, true),
    ROW(LOOK_RECORD, look_record, true),
    ASK(START_STATUS, start_status, false, SHAPE_STATUS),
    ASK(START_LOOK, start_look, false, SHAPE_LIST),
    ROW(START_RECORD, start_record, false),
    ASK(START, start, false, SHAPE_UPID),
    ROW(WATCH, watch, false),
    ROW(STARTED_RECORD, started_record, false),
    ROW(FINISHED, finished, false),
};

static const char *const cause_names[] = {
    [RECONCILE_FOR_FINGERPRINT] = "fingerprint",
    [RECONCILE_FOR_STOP] = "post-stop",
    [RECONCILE_FOR_DAEMON] = "daemon-start",
    [RECONCILE_FOR_RETRY] = "retry",
    [RECONCILE_FOR_APPLY] = "apply",
    [RECONCILE_FOR_HOLD] = "pre-start",
    [RECONCILE_FOR_RECOVERY] = "recovery",
    [RECONCILE_FOR_UNDO] = "undo",
};

const char *reconcile_cause_name(enum reconcile_cause cause)
{
    return cause_names[cause];
}

int reconcile_take_steps(struct reconcile *r, const json_t *json)
{
    struct plan_step *steps = NULL;
    size_t n = 0;
    int rc = record_steps_from_json(json, &steps, &n);

    if (rc < 0) {
        return rc;
    }
    record_steps_free(r->steps, r->n_steps);
    r->steps = steps;
    r->n_steps = n;
    r->step = 0;
    r->n_applied = 0;
    r->sent = 0;
    return 0;
}

const struct plan_step *reconcile_sent_step(const struct reconcile *r)
{
    return r->sent == 0 || r->sent > r->n_steps ? NULL : &r->steps[r->sent - 1];
}

/* Since when may PVE have been asked for the start that is owed? A `start` that could not be
 * written is no proof that it was not: but for the hold that has just come, its list of tasks is
 * looked at.
 */
static void take_start(struct reconcile *r, const struct record_memory *memory)
{
    bool fresh = r->cause == RECONCILE_FOR_HOLD && r->params.wait_worker;

    if (!str_to_seconds(memory->held_time, &r->held_at)) {
        r->held_at = 0;
    }
    r->start_guessed = memory->start_owed && memory->start_asked == 0 && !fresh;
    r->start_asked = r->start_guessed ? r->held_at : memory->start_asked;
}

/* No step is sent before the record of the one before it is on disk: so it was the first without
 * one, if any. PVE may have that call in its hands still, waiting for the VM's lock, as it may have
 * a start: nothing is concluded from its not being there before that time is over. */
static void take_progress(struct reconcile *r, size_t done)
{
    r->step = done < r->n_steps ? done : r->n_steps;
    r->sent = done < r->n_steps ? done + 1 : r->n_steps;
    r->may_come_late = r->may_come_late || done < r->n_steps;
}

static int take_memory(struct reconcile *r, const struct record_memory *memory)
{
    int rc;

    r->owes_start = memory->start_owed || r->cause == RECONCILE_FOR_HOLD;
    take_start(r, memory);
    r->may_come_late = r->cause == RECONCILE_FOR_RECOVERY && memory->start_asked != 0;
    r->undo_open = memory->undoes[0] != '\0';
    r->held_made_at = memory->start_owed ? memory->held_ctime : 0;
    if (!memory->open) {
        return 0;
    }
    r->recovering = true;
    r->begun = true;
    r->made_at = memory->bound_ctime;
    r->stuck = memory->stuck; /* until a look shows otherwise */
    rc = reconcile_take_steps(r, memory->steps);
    if (rc == 0) {
        take_progress(r, memory->steps_done);
    }
    /* Steps we cannot read back tell us nothing to look for; the fresh plan decides. */
    return rc == -EINVAL ? 0 : rc;
}

int reconcile_new(const struct reconcile_params *params, enum reconcile_cause cause,
                  const struct record_memory *memory, struct reconcile **ret, struct err *err)
{
    CLEANUP(reconcile_freep) struct reconcile *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        return err_oom(err);
    }
    r->params = *params;
    r->cause = cause;
    if (memory->txn[0] != '\0') {
        memcpy(r->params.txn, memory->txn, sizeof(r->params.txn));
    }
    if (take_memory(r, memory) < 0) {
        return err_oom(err);
    }
    *ret = STEAL(r);
    return 0;
}

void reconcile_free(struct reconcile *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->n_told; i++) {
        reconcile_told_fini(&r->told[i]);
    }
    free(r->told);
    record_steps_free(r->steps, r->n_steps);
    assessment_free(r->assessment);
    plan_free(r->plan);
    free(r->text);
    free(r->digest);
    json_decref(r->seen_by_pve);
    reconcile_back_clear(r);
    free(r->back);
    free(r->reverts);
    free(r->revert_keys);
    free(r->revert_slot);
    free(r->revert_value);
    free(r->revert_boot);
    free(r->step_error);
    free(r->upid);
    free(r);
}

int reconcile_go_to(struct reconcile *r, enum reconcile_state state, struct reconcile_action *out)
{
    r->state = state;
    return reconcile_states[state].enter(r, out);
}

int reconcile_sleep_then(struct reconcile *r, enum reconcile_state state, int64_t ms,
                         struct reconcile_action *out)
{
    r->state = state;
    out->type = RECONCILE_DO_SLEEP;
    out->sleep_ms = ms;
    return 0;
}

int reconcile_request(struct api_request *request, struct reconcile_action *out)
{
    out->type = RECONCILE_DO_REQUEST;
    out->request = request;
    return request == NULL ? -ENOMEM : 0;
}

int reconcile_record(json_t *record, struct reconcile_action *out)
{
    out->type = RECONCILE_DO_RECORD;
    out->record = record;
    return record == NULL ? -ENOMEM : 0;
}

struct record_head reconcile_head(const struct reconcile *r)
{
    return (struct record_head){r->params.vm.vmid, r->params.txn, r->now};
}

static bool has_shape(const json_t *data, enum reconcile_shape shape)
{
    const char *status = json_string_value(json_object_get(data, "status"));

    switch (shape) {
    case SHAPE_ANY:
        return true;
    case SHAPE_STATUS:
        return str_equal(status, "running") || str_equal(status, "stopped");
    case SHAPE_PENDING:
        return json_array_size(data) > 0; /* a configuration is never empty */
    case SHAPE_LIST:
        return json_is_array(data);
    case SHAPE_UPID:
        return json_is_string(data) && str_starts(json_string_value(data), "UPID:");
    }
    return false;
}

/*
 * "Runs already", "nothing is pending" and "was started" are never concluded from an answer that
 * does not say so: whatever comes back well-formed and of another shape (a proxy, a captive portal,
 * PVE in trouble) is no answer, and is asked for again.
 */
static int on_reply(struct reconcile *r, const struct reconcile_event *event,
                    struct reconcile_action *out)
{
    const struct reconcile_state_row *row = &reconcile_states[r->state];
    struct api_reply lost = {.result = API_LOST,
                             .message = (char[]){"the answer of PVE's API makes no sense"}};
    struct reconcile_event instead = *event;

    if (event->reply->result != API_OK || has_shape(event->reply->data, row->shape)) {
        return row->on(r, event, out);
    }
    instead.reply = &lost;
    return row->on(r, &instead, out);
}

int reconcile_event(struct reconcile *r, const struct reconcile_event *event,
                    struct reconcile_action *ret_action, struct err *err)
{
    struct reconcile_action action = {0};
    int rc = -EINVAL;

    r->now_ms = event->now_ms;
    r->now = event->now;
    switch (event->type) {
    case RECONCILE_EV_GO:
        r->late_until = r->may_come_late ? r->now_ms + RECONCILE_LOST_MS : 0;
        rc = reconcile_go_to(r, r->params.wait_worker ? STATE_WAIT_WORKER : STATE_STATUS, &action);
        break;
    case RECONCILE_EV_WOKEN:
        rc = reconcile_states[r->state].enter(r, &action);
        break;
    case RECONCILE_EV_WORKER_GONE:
    case RECONCILE_EV_TEXTS:
    case RECONCILE_EV_RECORDED:
        assert(r->state != STATE_NEW);
        rc = reconcile_states[r->state].on(r, event, &action);
        break;
    case RECONCILE_EV_REPLY:
        assert(r->state != STATE_NEW);
        rc = on_reply(r, event, &action);
        break;
    }
    r->now = NULL;
    if (rc < 0) {
        return err_oom(err);
    }
    *ret_action = action;
    return 0;
}

/* --- what is told ------------------------------------------------------------------------------
 */

void reconcile_told_fini(struct reconcile_told *told)
{
    free(told->text);
    free(told->option);
    free(told->old);
    free(told->new);
    *told = (struct reconcile_told){0};
}

static struct reconcile_told *new_told(struct reconcile *r, enum reconcile_tell kind)
{
    if (vec_reserve(&r->told, r->n_told, &r->cap_told, sizeof(r->told[0])) < 0) {
        return NULL;
    }
    r->told[r->n_told] = (struct reconcile_told){.kind = kind};
    return &r->told[r->n_told++];
}

int reconcile_tell(struct reconcile *r, enum reconcile_tell kind, const char *format, ...)
{
    struct reconcile_told *told = new_told(r, kind);
    va_list args;
    int rc;

    if (told == NULL) {
        return -ENOMEM;
    }
    va_start(args, format);
    rc = vasprintf(&told->text, format, args);
    va_end(args);
    if (rc < 0) {
        told->text = NULL;
        r->n_told--;
        return -ENOMEM;
    }
    return 0;
}

int reconcile_tell_change(struct reconcile *r, const struct plan_change *change)
{
    struct reconcile_told *told = new_told(r, RECONCILE_TELL_CHANGE);

    if (told == NULL) {
        return -ENOMEM;
    }
    told->text = str_printf("VM %u: %s changed: %s", r->params.vm.vmid, change->option,
                            change->why == NULL ? "" : change->why);
    told->option = str_dup(change->option);
    told->old = str_dup(change->old == NULL ? "" : change->old);
    told->new = str_dup(change->new == NULL ? "" : change->new);
    if (told->text == NULL || told->option == NULL || told->old == NULL || told->new == NULL) {
        reconcile_told_fini(told);
        r->n_told--;
        return -ENOMEM;
    }
    return 0;
}

bool reconcile_next_told(struct reconcile *r, struct reconcile_told *ret_told)
{
    if (r->n_told == 0) {
        return false;
    }
    *ret_told = r->told[0];
    memmove(&r->told[0], &r->told[1], (r->n_told - 1) * sizeof(r->told[0]));
    r->n_told--;
    return true;
}

/* --- questions ---------------------------------------------------------------------------------
 */

bool reconcile_is_changing(const struct reconcile *r)
{
    return reconcile_states[r->state].changing ||
           (r->owes_start && r->state < STATE_START_STATUS) ||
           (r->recovering && r->late_until > r->now_ms);
}

bool reconcile_is_stuck(const struct reconcile *r)
{
    return r->stuck;
}

bool reconcile_is_recovering(const struct reconcile *r)
{
    return r->recovering;
}

void reconcile_owe_start(struct reconcile *r)
{
    r->owes_start = true;
    r->ran = false;
    r->start_asked = 0; /* what was asked for before was another start */
    r->held_made_at = 0;
    r->start_guessed = false;
}

bool reconcile_owes_start(const struct reconcile *r)
{
    return r->owes_start;
}

enum reconcile_outcome reconcile_outcome(const struct reconcile *r)
{
    return r->outcome;
}

const char *reconcile_text(const struct reconcile *r)
{
    return r->text == NULL ? "" : r->text;
}

const char *reconcile_txn(const struct reconcile *r)
{
    return r->params.txn;
}

const struct plan *reconcile_plan(const struct reconcile *r)
{
    if (r->plan != NULL) {
        return r->plan;
    }
    return r->assessment == NULL ? NULL : r->assessment->plan;
}

bool reconcile_is_worth_retry(const struct reconcile *r)
{
    return r->retry;
}

const char *reconcile_state_name(const struct reconcile *r)
{
    return reconcile_states[r->state].name;
}
