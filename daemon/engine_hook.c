/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Answers to hooks. Most are given at once: the files are read, the pure decision is made. Only a
 * hold takes two questions to PVE first (may we change and start this VM, is the API there at all):
 * a start is never stopped by somebody who cannot make it again (law 9).
 */
#include <errno.h>
#include <syslog.h>

#include "base/str.h"
#include "core/advice.h"
#include "core/netdev.h"
#include "engine_impl.h"
#include "io/clock.h"
#include "message_ids.h"

struct hook_wait {
    struct vm *vm;
    struct wire_hook_call call;
    engine_hook_done done;
    void *userdata;
    struct assessment *assessment;
    enum guard_verdict verdict;
    struct prestart prestart; /* a hold, until shown impossible */
    size_t next_change;       /* of the plan, whose bridge is to be asked about next */
    char *bridge;             /* being asked about */
    struct pve_call *request;
    sd_event_source *timer;
};

static void hook_wait_free(struct hook_wait *wait)
{
    engine_cancel(wait->request);
    sd_event_source_disable_unref(wait->timer);
    assessment_free(wait->assessment);
    prestart_fini(&wait->prestart);
    free(wait->bridge);
    free(wait);
}

static const enum wire_hook_exit exits[] = {
    [PRESTART_GO] = WIRE_HOOK_GO,
    [PRESTART_WARN] = WIRE_HOOK_GO,
    [PRESTART_HOLD] = WIRE_HOOK_RESTART,
    [PRESTART_REFUSE] = WIRE_HOOK_REFUSE,
};

static void log_answer(struct engine *engine, uint32_t vmid, const struct prestart *prestart)
{
    static const struct {
        int priority;
        const char *id;
    } how[] = {
        [PRESTART_GO] = {LOG_INFO, MESSAGE_NOT_OURS},
        [PRESTART_WARN] = {LOG_WARNING, MESSAGE_GO_DESPITE_ERROR},
        [PRESTART_HOLD] = {LOG_NOTICE, MESSAGE_HELD},
        [PRESTART_REFUSE] = {LOG_WARNING, MESSAGE_REFUSED},
    };
    enum prestart_answer answer = prestart->answer;
    const struct notes *lines = &prestart->lines;

    engine->counters.unchecked += answer == PRESTART_WARN;
    for (size_t i = 0; i < lines->n; i++) {
        engine_say(engine, vmid, how[answer].priority, how[answer].id, "%s", lines->items[i]);
    }
}

static void on_start_over(void *userdata)
{
    struct vm *vm = userdata;

    worker_wait_free(vm->starting);
    vm->starting = NULL;
    /* Whether it runs now or not: what came in meanwhile is looked at. */
    (void)engine_enqueue(vm->engine, vm->vmid,
                         RECONCILE_FOR_RETRY); /* no memory: at the next stop */
    engine_settle(vm);
}

/* From now to the end of the worker this VM is on its way up: nothing may be changed. */
static void mark_starting(struct vm *vm, const struct wire_hook_call *call)
{
    worker_wait_free(vm->starting);
    vm->starting = NULL;
    /* Without it only the status of the VM protects it; that covers all but the last instant. */
    (void)worker_wait_new(vm->engine->event, call->worker_pid, call->worker_start,
                          ENGINE_STARTING_LIMIT_MS, on_start_over, vm, &vm->starting);
}

static void note_in_sync(struct vm *vm)
{
    char now[CLOCK_TEXT_SIZE];
    char id[SMBIOS_UUID_SIZE];
    json_t *record;

    engine_set_state(vm->engine, vm->vmid, VM_IN_SYNC, 0, NULL);
    if (vm->memory.held_key[0] == '\0' && vm->memory.settled_key[0] == '\0') {
        return; /* nothing to forget: an ordinary start costs no record */
    }
    clock_now_text(now);
    engine_fresh_id(id);
    record = record_in_sync((struct record_head){vm->vmid, id, now});
    (void)engine_record(vm, record, NULL); /* unwritten, one hold less is possible; it is logged */
    json_decref(record);
}

/* Gives the answer and is done with the wait. */
static void answer(struct hook_wait *wait)
{
    struct vm *vm = wait->vm;
    enum prestart_answer what = wait->prestart.answer;

    vm->hook = NULL;
    log_answer(vm->engine, vm->vmid, &wait->prestart);
    if (what == PRESTART_GO || what == PRESTART_WARN) {
        mark_starting(vm, &wait->call);
        if (wait->prestart.in_sync) {
            note_in_sync(vm);
        }
    }
    wait->done(wait->userdata, exits[what], &wait->prestart.lines);
    hook_wait_free(wait);
}

void engine_hook_drop(struct vm *vm)
{
    struct notes none = {0};

    if (vm->hook != NULL) {
        vm->hook->done(vm->hook->userdata, WIRE_HOOK_GO, &none);
        hook_wait_free(vm->hook);
        vm->hook = NULL;
    }
}

void engine_hook_gone(struct engine *engine, const void *userdata)
{
    struct vm *vm = engine->vms;

    while (vm != NULL && (vm->hook == NULL || vm->hook->userdata != userdata)) {
        vm = vm->next;
    }
    if (vm == NULL) {
        return;
    }
    mark_starting(vm, &vm->hook->call); /* perhaps it goes on without us */
    engine_hook_drop(vm);
    engine_settle(vm);
}

static enum guard_verdict verdict_of(const struct wire_hook_call *call, const struct assessment *a)
{
    const struct guard_signs signs = {
        .migrated_from = call->migrated_from, .worker_type = call->worker_type, .conf = a->conf};

    return guard_decide(&signs);
}

static struct prestart_input input_of(const struct hook_wait *wait)
{
    const struct vm *vm = wait->vm;

    return (struct prestart_input){
        .vmid = vm->vmid,
        .verdict = wait->verdict,
        .assessment = wait->assessment,
        .memory = &vm->memory,
        .changing = vm->reconcile != NULL && reconcile_is_changing(vm->reconcile),
        .ours = vm->reconcile != NULL && reconcile_owes_start(vm->reconcile),
        .looked = vm->reconcile != NULL && !reconcile_is_recovering(vm->reconcile),
        .stuck = vm->reconcile != NULL ? reconcile_is_stuck(vm->reconcile) : vm->memory.stuck,
    };
}

/* --- the hold
 * ---------------------------------------------------------------------------------------- */

static void cannot_hold(struct hook_wait *wait, const char *why)
{
    struct prestart_input input = input_of(wait);
    struct prestart instead = {0};

    /* Out of memory: the VM starts, without a word (law 9). */
    if (prestart_without_hold(&input, why, &instead) < 0) {
        instead = (struct prestart){.answer = PRESTART_WARN};
    }
    prestart_fini(&wait->prestart);
    wait->prestart = instead;
    engine_set_state(wait->vm->engine, wait->vm->vmid, VM_DIFFERS,
                     wait->assessment->plan->n_changes, why);
    answer(wait);
}

/* Whoever waits now is told by whom he will not be answered: a start that goes on without a word,
 * or in spite of a policy, would be one that nobody checked. */
void engine_hooks_end(struct engine *engine)
{
    for (struct vm *vm = engine->vms; vm != NULL; vm = vm->next) {
        if (vm->hook != NULL) {
            cannot_hold(vm->hook, "pve-hwidd is being stopped");
        }
    }
}

static int record_hold(struct hook_wait *wait, struct err *err)
{
    struct vm *vm = wait->vm;
    char now[CLOCK_TEXT_SIZE];
    char id[SMBIOS_UUID_SIZE];
    json_t *record;
    int rc;

    clock_now_text(now);
    engine_fresh_id(id);
    record = record_held(
        (struct record_head){vm->vmid, vm->memory.open ? vm->memory.txn : id, now},
        wait->assessment->key, wait->prestart.lines.n > 0 ? wait->prestart.lines.items[0] : NULL,
        wait->assessment->conf == NULL ? 0 : record_made_at(wait->assessment->conf));
    rc = record == NULL ? err_oom(err) : engine_record(vm, record, err);
    json_decref(record);
    return rc;
}

static void hold(struct hook_wait *wait)
{
    struct vm *vm = wait->vm;
    struct err err = {""};
    int rc = record_hold(wait, &err);

    if (rc < 0) {
        cannot_hold(wait, err.text);
        return;
    }
    vm->hold_pid = wait->call.worker_pid;
    vm->hold_start = wait->call.worker_start;
    vm->busy++;
    answer(wait);
    if (vm->reconcile != NULL) {
        reconcile_owe_start(vm->reconcile); /* a retry began while PVE was asked */
    } else {
        rc = engine_reconcile(vm, RECONCILE_FOR_HOLD, true, &err);
    }
    if (rc < 0) {
        engine_retry_later(vm); /* the debt is in the journal */
    }
    vm->busy--;
}

/* A rewrite is under way; its end starts the VM. The hold must happen, on disk or not. */
static void hold_for_running_rewrite(struct hook_wait *wait)
{
    struct vm *vm = wait->vm;
    struct err err = {""};

    if (record_hold(wait, &err) < 0) {
        engine_say(vm->engine, vm->vmid, LOG_ERR, MESSAGE_CHANGE_FAILED,
                   "VM %u: the journal does not hold that a start is owed: %s", vm->vmid, err.text);
    }
    reconcile_owe_start(vm->reconcile);
    answer(wait);
}

static void finish_async(struct vm *vm)
{
    vm->busy--;
    engine_settle(vm);
}

static void on_status_reply(void *userdata, const struct api_reply *reply)
{
    struct hook_wait *wait = userdata;
    struct vm *vm = wait->vm;

    vm->busy++;
    wait->request = NULL;
    if (reply->result != API_OK) {
        cannot_hold(wait, reply->message);
    } else {
        hold(wait);
    }
    finish_async(vm);
}

/* The bridge of the next network card that the plan changes, into wait->bridge; false: no more. */
static bool next_bridge(struct hook_wait *wait)
{
    const struct plan *plan = wait->assessment->plan;

    while (wait->next_change < plan->n_changes) {
        const struct plan_change *change = &plan->changes[wait->next_change++];
        CLEANUP(netdev_fini) struct netdev net = {0};
        int index;

        if (netdev_key_index(change->option, &index) && change->new != NULL &&
            netdev_parse(change->new, &net, NULL) == 0 &&
            propstr_get(&net.rest, "bridge") != NULL &&
            !str_equal(propstr_get(&net.rest, "bridge"), wait->bridge)) {
            return str_replace(&wait->bridge, propstr_get(&net.rest, "bridge")) == 0;
        }
    }
    return false;
}

static void on_bridge_permissions(void *userdata, const struct api_reply *reply);

/* One question after the other; the last one is for the VM's status, which only pvedaemon knows. */
static void ask_next(struct hook_wait *wait)
{
    struct engine *engine = wait->vm->engine;
    struct requests_vm target = {.node = engine->node, .vmid = wait->vm->vmid};
    int rc;

    if (next_bridge(wait)) {
        rc = engine_send(engine, requests_bridge_permissions(wait->bridge), on_bridge_permissions,
                         wait, &wait->request);
    } else if (engine->pvedaemon_ms > 0 && engine_now() - engine->pvedaemon_ms < ENGINE_FRESH_MS) {
        hold(wait); /* a storm of starts need not ask the same again and again */
        return;
    } else {
        rc = engine_send(engine, requests_status(target), on_status_reply, wait, &wait->request);
    }
    if (rc < 0) {
        cannot_hold(wait, "out of memory");
    }
}

static void on_bridge_permissions(void *userdata, const struct api_reply *reply)
{
    struct hook_wait *wait = userdata;
    struct vm *vm = wait->vm;
    CLEANUP_FREE char *missing = NULL;

    vm->busy++;
    wait->request = NULL;
    if (reply->result == API_OK) {
        missing = advice_on_bridge(wait->bridge, reply->data);
    }
    if (reply->result != API_OK || missing != NULL) {
        cannot_hold(wait, missing != NULL ? missing : reply->message);
    } else {
        ask_next(wait);
    }
    finish_async(vm);
}

static void on_permissions(void *userdata, const struct api_reply *reply)
{
    struct hook_wait *wait = userdata;
    struct vm *vm = wait->vm;
    CLEANUP_FREE char *missing = NULL;

    vm->busy++;
    wait->request = NULL;
    if (reply->result == API_OK) {
        missing = advice_on_vm(vm->vmid, reply->data);
    }
    if (reply->result != API_OK || missing != NULL) {
        cannot_hold(wait, missing != NULL ? missing : reply->message);
    } else {
        ask_next(wait);
    }
    finish_async(vm);
}

static int on_too_late(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct hook_wait *wait = userdata;
    struct vm *vm = wait->vm;

    (void)source, (void)usec;
    vm->busy++;
    /* PVE takes 3 s to say that it does not accept a token: what it said last is the reason. */
    cannot_hold(wait, vm->engine->api_ok || vm->engine->api_detail == NULL
                          ? "PVE's API does not answer in time; look at 'systemctl status "
                            "pvedaemon pveproxy'"
                          : vm->engine->api_detail);
    finish_async(vm);
    return 0;
}

static int ask_before_hold(struct hook_wait *wait)
{
    struct vm *vm = wait->vm;
    struct requests_vm target = {.node = vm->engine->node, .vmid = vm->vmid};
    int rc;

    vm->hook = wait;
    rc = sd_event_add_time_relative(vm->engine->event, &wait->timer, CLOCK_MONOTONIC,
                                    ENGINE_HOLD_CHECK_MS * 1000, 1000, on_too_late, wait);
    if (rc >= 0) {
        rc = engine_send(vm->engine, requests_permissions(target), on_permissions, wait,
                         &wait->request);
    }
    return rc;
}

/* --- pre-start
 * ------------------------------------------------------------------------------------------ */

/* A start was refused for what is open, and nobody is at work on it: at once, not when its time
 * comes round. */
static void mend_refused(struct vm *vm)
{
    if (vm->reconcile == NULL && vm->memory.open) {
        engine_take_up(vm, RECONCILE_FOR_RECOVERY);
    }
}

static int assess_afresh(struct hook_wait *wait, struct err *err)
{
    struct vm *vm = wait->vm;
    int rc = engine_assess(vm->engine, vm->vmid, &wait->assessment, err);

    if (rc == 0 && wait->assessment->conf != NULL && engine_drop_debt_of_another(vm, err) < 0) {
        engine_say(vm->engine, vm->vmid, LOG_WARNING, MESSAGE_JOURNAL_BROKEN, "VM %u: %s", vm->vmid,
                   err->text); /* prestart.c sees that it is another as well */
    }
    return rc;
}

static int pre_start(struct hook_wait *wait, struct err *err)
{
    struct vm *vm = wait->vm;
    struct prestart_input input;
    int rc = assess_afresh(wait, err);

    if (rc < 0) {
        return rc;
    }
    wait->verdict = verdict_of(&wait->call, wait->assessment);
    if (wait->assessment->outcome == ASSESS_NO_FINGERPRINT) {
        engine_forget_unprinted(vm->engine, vm->vmid);
    }
    engine_note_assessment(vm->engine, vm->vmid, wait->assessment);
    input = input_of(wait);
    if (prestart_decide(&input, &wait->prestart) < 0) {
        return err_oom(err);
    }
    if (wait->prestart.answer == PRESTART_HOLD && input.changing) {
        hold_for_running_rewrite(wait);
        return 0;
    }
    if (!input.changing && vm->reconcile != NULL && !reconcile_owes_start(vm->reconcile)) {
        engine_drop_reconcile(vm);
    }
    if (wait->prestart.answer != PRESTART_HOLD) {
        bool refused = wait->prestart.answer == PRESTART_REFUSE;

        answer(wait);
        if (refused) {
            mend_refused(vm);
        }
        return 0;
    }
    rc = ask_before_hold(wait);
    if (rc < 0) {
        vm->hook = NULL;
        return err_oom(err);
    }
    return 0;
}

struct hook_answer {
    engine_hook_done done;
    void *userdata;
};

/* The VM's journal cannot be read, so nothing can be begun; but its policies can be obeyed. */
static int answer_without_memory(struct engine *engine, const struct wire_hook_call *call,
                                 const struct hook_answer *answer, const char *why, struct err *err)
{
    const struct record_memory nothing = {0};
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    CLEANUP(prestart_fini) struct prestart prestart = {0};
    struct prestart_input input = {.vmid = call->vmid, .memory = &nothing};
    int rc = engine_assess(engine, call->vmid, &a, err);

    if (rc < 0) {
        return rc;
    }
    input.assessment = a;
    input.verdict = verdict_of(call, a);
    rc = prestart_decide(&input, &prestart);
    if (rc == 0 && prestart.answer == PRESTART_HOLD) {
        prestart_fini(&prestart);
        rc = prestart_without_hold(&input, why, &prestart);
    }
    if (rc < 0) {
        return err_oom(err);
    }
    engine_set_state(engine, call->vmid, VM_FAILED, 0, why);
    log_answer(engine, call->vmid, &prestart);
    answer->done(answer->userdata, exits[prestart.answer], &prestart.lines);
    return 0;
}

static int hook_pre_start(struct engine *engine, const struct wire_hook_call *call,
                          engine_hook_done done, void *userdata, struct err *err)
{
    struct err why = {""};
    struct vm_summary *summary;
    struct hook_wait *wait;
    struct vm *vm;
    int rc;

    if (engine_summary_add(engine, call->vmid, &summary) < 0) {
        return err_oom(err);
    }
    if (engine_activate(engine, call->vmid, &vm, &why) < 0) {
        return answer_without_memory(engine, call, &(struct hook_answer){done, userdata}, why.text,
                                     err);
    }
    engine_hook_drop(vm); /* PVE's lock lets only one start through: an older one is dead */
    wait = calloc(1, sizeof(*wait));
    if (wait == NULL) {
        engine_settle(vm);
        return err_oom(err);
    }
    *wait = (struct hook_wait){.vm = vm, .call = *call, .done = done, .userdata = userdata};
    vm->busy++;
    rc = pre_start(wait, err);
    if (rc < 0) {
        hook_wait_free(wait);
    }
    vm->busy--;
    engine_settle(vm);
    return rc;
}

/* --- the other phases
 * ---------------------------------------------------------------------------------------- */

static void on_stop_over(void *userdata)
{
    struct vm *vm = userdata;

    worker_wait_free(vm->stopping);
    vm->stopping = NULL;
    (void)engine_enqueue(vm->engine, vm->vmid,
                         RECONCILE_FOR_STOP); /* no memory: at the next start */
    engine_settle(vm);
}

/* The stop's worker still holds the VM's lock: look when it is gone. */
static void hook_post_stop(struct engine *engine, const struct wire_hook_call *call)
{
    struct vm_summary *summary;
    struct vm *vm;

    if (engine_summary_add(engine, call->vmid, &summary) < 0 ||
        engine_activate(engine, call->vmid, &vm, NULL) < 0) {
        return; /* the next start looks again */
    }
    worker_wait_free(vm->stopping);
    vm->stopping = NULL;
    (void)worker_wait_new(engine->event, call->worker_pid, call->worker_start,
                          ENGINE_WORKER_LIMIT_MS, on_stop_over, vm, &vm->stopping);
    engine_settle(vm);
}

int engine_hook(struct engine *engine, const struct wire_hook_call *call, engine_hook_done done,
                void *userdata)
{
    struct notes lines = {0};
    struct err err = {""};

    switch (call->phase) {
    case WIRE_PRE_START:
        if (hook_pre_start(engine, call, done, userdata, &err) == 0) {
            return 0;
        }
        engine->counters.unchecked++;
        (void)notes_add(&lines, "WARNING: VM %u was not checked: %s", call->vmid, err.text);
        engine_say(engine, call->vmid, LOG_ERR, MESSAGE_CHANGE_FAILED, "VM %u starts unchecked: %s",
                   call->vmid, err.text);
        break;
    case WIRE_POST_STOP:
        hook_post_stop(engine, call);
        break;
    case WIRE_POST_START:
    case WIRE_PRE_STOP:
        break;
    }
    done(userdata, WIRE_HOOK_GO, &lines);
    notes_fini(&lines);
    return 0;
}
