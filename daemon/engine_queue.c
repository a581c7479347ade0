/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looking at VMs, one after the other: when the daemon starts, when a fingerprint came or changed,
 * after a stop. One look per turn of the event loop, so that a hook never waits behind ten thousand
 * of them. A look reads two files; only a VM that differs gets a reconciliation, a few at a time.
 */
#include <errno.h>
#include <syslog.h>

#include "base/buf.h"
#include "base/str.h"
#include "engine_impl.h"
#include "message_ids.h"

int engine_enqueue(struct engine *engine, uint32_t vmid, enum reconcile_cause cause)
{
    struct vm_summary *summary;

    if (engine_summary_add(engine, vmid, &summary) < 0) {
        return -ENOMEM;
    }
    if (summary->queued != 0) {
        return 0;
    }
    /* Make room at the front before growing at the back. */
    if (engine->queue_head > 0 && engine->n_queue == engine->cap_queue) {
        for (size_t i = engine->queue_head; i < engine->n_queue; i++) {
            engine->queue[i - engine->queue_head] = engine->queue[i];
        }
        engine->n_queue -= engine->queue_head;
        engine->queue_head = 0;
    }
    if (vec_reserve(&engine->queue, engine->n_queue, &engine->cap_queue, sizeof(engine->queue[0])) <
        0) {
        return -ENOMEM;
    }
    engine->queue[engine->n_queue++] = vmid;
    summary->queued = (uint8_t)(1 + cause);
    engine_queue_kick(engine);
    return 0;
}

void engine_queue_kick(struct engine *engine)
{
    bool any = engine->queue_head < engine->n_queue || engine->refused_again;

    if (any && engine->active < ENGINE_ACTIVE_MAX) {
        /* For one turn, or it would keep its place before all others of its priority (lists, the
         * calls of other users). Cannot fail for a source of our own loop. */
        (void)sd_event_source_set_enabled(engine->queue_source, SD_EVENT_ONESHOT);
    }
}

int engine_queue_all(struct engine *engine, enum reconcile_cause cause)
{
    CLEANUP_FREE uint32_t *vmids = NULL;
    size_t n = 0;
    int rc = store_list(engine->store, &vmids, &n);

    for (size_t i = 0; rc >= 0 && i < n; i++) {
        rc = engine_enqueue(engine, vmids[i], cause);
    }
    return rc;
}

/* Early rewriting is for VMs whose hook tells us of every start: without it, a start could slip in
 * between our look and our call, and meet a change to a running VM. `apply` is how to insist. */
static bool may_rewrite_early(struct engine *engine, const struct assessment *a,
                              enum reconcile_cause cause)
{
    if (cause == RECONCILE_FOR_APPLY) {
        return true;
    }
    /* Before PVE has told its machine types a plan could name one that this node has not. */
    return engine->settings->early && a->attached && engine->machines.n > 0;
}

static void say_why_not(struct engine *engine, uint32_t vmid, const struct assessment *a)
{
    if (!a->attached) {
        engine_say(engine, vmid, LOG_NOTICE, MESSAGE_DRIFT,
                   "VM %u differs from its fingerprint, but its hookscript is not pve-hwid: attach "
                   "it with 'pve-hwid attach %u', or change the VM once "
                   "with 'pve-hwid apply %u'",
                   vmid, vmid, vmid);
    }
}

/* Notes what was seen; false where it is what was known before: told once is enough. */
static bool note_news(struct engine *engine, uint32_t vmid, const struct assessment *a)
{
    const struct vm_summary *summary = engine_summary(engine, vmid);
    CLEANUP_FREE char *detail = summary == NULL || summary->detail == NULL
                                    ? NULL
                                    : str_dup(summary->detail);
    uint8_t state = summary == NULL ? VM_UNKNOWN : summary->state;

    engine_note_assessment(engine, vmid, a);
    summary = engine_summary(engine, vmid);
    return summary == NULL || summary->state != state || !str_equal(summary->detail, detail);
}

static enum vm_state summary_state(struct engine *engine, uint32_t vmid)
{
    const struct vm_summary *summary = engine_summary(engine, vmid);

    return summary == NULL ? VM_UNKNOWN : (enum vm_state)summary->state;
}

/* Why a VM that differs is left as it is, told once; false: it is to be rewritten. */
static bool is_left_alone(struct engine *engine, uint32_t vmid, const struct assessment *a,
                          enum reconcile_cause cause, bool news)
{
    if (a->outcome != ASSESS_PLANNED || plan_is_empty(a->plan) || a->on_hold != NULL) {
        return true;
    }
    if (summary_state(engine, vmid) == VM_REFUSED && !a->elsewhere) {
        if (news) {
            engine_say(engine, vmid, LOG_WARNING, MESSAGE_REFUSED_BY_GUARD,
                       "VM %u: its hardware is not changed: %s", vmid, a->plan->refusals.items[0]);
        }
        return true;
    }
    if (!may_rewrite_early(engine, a, cause)) {
        if (news) {
            say_why_not(engine, vmid, a);
        }
        return true;
    }
    return false;
}

static int rewrite(struct engine *engine, uint32_t vmid, enum reconcile_cause cause,
                   struct err *err)
{
    struct vm *vm;
    int rc = engine_activate(engine, vmid, &vm, err);

    if (rc == 0) {
        vm->busy++;
        rc = engine_reconcile(vm, cause, false, err);
        vm->busy--;
        engine_settle(vm);
    }
    return rc;
}

/* Compares, and rewrites where that is wanted. <0: it could not be looked at, or not be begun. */
static int look_afresh(struct engine *engine, uint32_t vmid, enum reconcile_cause cause,
                       struct err *err)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    bool news;
    int rc = engine_assess(engine, vmid, &a, err);

    if (rc < 0) {
        return rc;
    }
    if (a->outcome == ASSESS_NO_FINGERPRINT) {
        engine_forget_unprinted(engine, vmid);
        return 0;
    }
    news = note_news(engine, vmid, a);
    if (a->outcome == ASSESS_BAD_FINGERPRINT || a->outcome == ASSESS_BAD_CONFIG) {
        if (news) {
            engine_say(engine, vmid, LOG_WARNING, MESSAGE_BAD_FINGERPRINT, "VM %u: %s", vmid,
                       a->problem);
        }
        return 0;
    }
    return is_left_alone(engine, vmid, a, cause, news) ? 0 : rewrite(engine, vmid, cause, err);
}

static void look(struct engine *engine, uint32_t vmid, enum reconcile_cause cause)
{
    struct vm *vm = engine_find(engine, vmid);
    struct err err = {""};

    if (vm != NULL && (vm->reconcile != NULL || vm->hook != NULL || vm->starting != NULL)) {
        vm->look_again = true; /* at its end */
        return;
    }
    /* An undo that was left when the VM was started, or a change that was cut off, whatever has
     * become of the fingerprint. */
    if (vm != NULL && (vm->memory.undoes[0] != '\0' || vm->memory.open)) {
        engine_take_up(vm, RECONCILE_FOR_RECOVERY);
        engine_settle(vm);
        return;
    }
    if (look_afresh(engine, vmid, cause, &err) < 0) {
        engine_set_state(engine, vmid, VM_FAILED, 0, err.text);
    }
}

/* Something changed at others: whoever was refused for them may not be any more. */
static void queue_refused(struct engine *engine)
{
    engine->refused_again = false;
    for (size_t i = 0; i < engine->n_summaries; i++) {
        if (engine->summaries[i].state == VM_REFUSED) {
            /* No memory: at its next start or stop. Adds no summary, so `i` stays right. */
            (void)engine_enqueue(engine, engine->summaries[i].vmid, RECONCILE_FOR_RETRY);
        }
    }
}

int engine_queue_turn(sd_event_source *source, void *userdata)
{
    struct engine *engine = userdata;
    struct vm_summary *summary;
    enum reconcile_cause cause;
    uint32_t vmid;

    if (!engine->loaded && engine_claims_load(engine, ENGINE_LOAD_STEP_MS) == 0 &&
        !engine->loaded) {
        /* No look before it is known what others have. */
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    if (engine->queue_head == engine->n_queue && engine->refused_again) {
        queue_refused(engine);
    }
    if (engine->queue_head == engine->n_queue || engine->active >= ENGINE_ACTIVE_MAX) {
        return 0; /* engine_queue_kick() when that changes */
    }
    vmid = engine->queue[engine->queue_head++];
    if (engine->queue_head == engine->n_queue) {
        engine->queue_head = engine->n_queue = 0;
    }
    summary = engine_summary(engine, vmid);
    if (summary != NULL && summary->queued != 0) {
        cause = (enum reconcile_cause)(summary->queued - 1);
        summary->queued = 0;
        look(engine, vmid, cause);
    }
    engine_queue_kick(engine);
    return 0;
}

/* A start that we make is none of the first round: it takes as long as the VM does. What is stuck
 * stays so until somebody brings a storage back. */
static bool is_settling(struct engine *engine, const struct vm *vm)
{
    const struct vm_summary *summary = engine_summary(engine, vm->vmid);

    return vm->reconcile != NULL &&
           (summary == NULL || (summary->state != VM_STARTING && summary->state != VM_STUCK));
}

bool engine_is_settling(struct engine *engine)
{
    if (engine->queue_head < engine->n_queue) {
        return true;
    }
    if (engine->settings->early && engine->n_summaries > 0 && engine->machines.n == 0) {
        return true; /* the list of machine types is PVE's first answer; all are queued again then
                      */
    }
    for (const struct vm *vm = engine->vms; vm != NULL; vm = vm->next) {
        if (is_settling(engine, vm)) {
            return true;
        }
    }
    return false;
}

unsigned engine_ready_patience_s(const struct engine *engine)
{
    return engine->settings->ready_patience_s;
}
