/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine's VMs: a small summary of each one with a fingerprint (there may be ten thousand), and
 * a full record, with its memory from the journal, only of those something is going on with.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "engine_impl.h"

static const char *const state_names[VM_STATES] = {
    [VM_UNKNOWN] = "unknown",
    [VM_IN_SYNC] = "in-sync",
    [VM_DIFFERS] = "differs",
    [VM_HELD] = "held",
    [VM_REWRITING] = "rewriting",
    [VM_VERIFYING] = "verifying",
    [VM_STARTING] = "starting",
    [VM_FAILED] = "failed",
    [VM_STUCK] = "stuck",
    [VM_NO_CONFIG] = "no-config",
    [VM_BAD_FINGERPRINT] = "bad-fingerprint",
    [VM_REFUSED] = "refused",
    [VM_ON_HOLD] = "on-hold",
};

const char *engine_state_name(enum vm_state state)
{
    return state_names[state];
}

/* Index of the first summary that is not below vmid. */
static size_t summary_index(const struct engine *engine, uint32_t vmid)
{
    size_t low = 0;
    size_t high = engine->n_summaries;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (engine->summaries[middle].vmid < vmid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct vm_summary *engine_summary(struct engine *engine, uint32_t vmid)
{
    size_t i = summary_index(engine, vmid);

    return i < engine->n_summaries && engine->summaries[i].vmid == vmid ? &engine->summaries[i]
                                                                        : NULL;
}

int engine_summary_add(struct engine *engine, uint32_t vmid, struct vm_summary **ret)
{
    size_t i = summary_index(engine, vmid);

    if (i == engine->n_summaries || engine->summaries[i].vmid != vmid) {
        if (vec_reserve(&engine->summaries, engine->n_summaries, &engine->cap_summaries,
                        sizeof(engine->summaries[0])) < 0) {
            return -ENOMEM;
        }
        memmove(&engine->summaries[i + 1], &engine->summaries[i],
                (engine->n_summaries - i) * sizeof(engine->summaries[0]));
        engine->summaries[i] = (struct vm_summary){.vmid = vmid};
        engine->n_summaries++;
    }
    *ret = &engine->summaries[i];
    return 0;
}

void engine_summary_remove(struct engine *engine, uint32_t vmid)
{
    struct vm_summary *summary = engine_summary(engine, vmid);
    size_t i;

    if (summary == NULL) {
        return;
    }
    i = (size_t)(summary - engine->summaries);
    free(summary->detail);
    memmove(summary, summary + 1, (engine->n_summaries - i - 1) * sizeof(*summary));
    engine->n_summaries--;
}

/* What was begun with it is still shown. */
void engine_forget_unprinted(struct engine *engine, uint32_t vmid)
{
    const struct vm *vm = engine_find(engine, vmid);

    if (vm == NULL || !engine_has_debt(vm)) {
        engine_summary_remove(engine, vmid);
    }
}

void engine_set_state(struct engine *engine, uint32_t vmid, enum vm_state state, size_t changes,
                      const char *detail)
{
    struct vm_summary *summary = engine_summary(engine, vmid);

    if (summary == NULL) {
        return;
    }
    summary->state = (uint8_t)state;
    summary->changes = (uint16_t)(changes > UINT16_MAX ? UINT16_MAX : changes);
    /* Without memory the detail is missing; the state counts. */
    if (str_replace(&summary->detail, detail) < 0) {
        free(summary->detail);
        summary->detail = NULL;
    }
}

struct vm *engine_find(struct engine *engine, uint32_t vmid)
{
    struct vm *vm = engine->vms;

    while (vm != NULL && vm->vmid != vmid) {
        vm = vm->next;
    }
    return vm;
}

bool engine_has_debt(const struct vm *vm)
{
    return vm->memory.open || vm->memory.start_owed || vm->memory.undoes[0] != '\0';
}

int engine_activate(struct engine *engine, uint32_t vmid, struct vm **ret, struct err *err)
{
    struct vm *vm = engine_find(engine, vmid);
    int rc;

    if (vm == NULL) {
        vm = calloc(1, sizeof(*vm));
        if (vm == NULL) {
            return err_oom(err);
        }
        rc = engine_load_memory(engine, vmid, &vm->memory, err);
        if (rc < 0) {
            free(vm);
            return rc;
        }
        vm->engine = engine;
        vm->vmid = vmid;
        if (engine_claims_bind(vm) < 0) {
            record_memory_fini(&vm->memory);
            free(vm);
            return err_oom(err);
        }
        vm->next = engine->vms;
        engine->vms = vm;
    }
    *ret = vm;
    return 0;
}

void engine_vm_free(struct vm *vm)
{
    struct vm **at = &vm->engine->vms;

    while (*at != vm) {
        at = &(*at)->next;
    }
    *at = vm->next;
    engine_hook_drop(vm);
    while (vm->watches != NULL) {
        engine_watch_done(vm, "failed", "the daemon is stopping", NULL);
    }
    engine_cancel(vm->call);
    api_request_free(vm->delayed);
    reconcile_free(vm->reconcile);
    undo_free(vm->undo);
    worker_wait_free(vm->worker);
    worker_wait_free(vm->starting);
    worker_wait_free(vm->stopping);
    sd_event_source_disable_unref(vm->timer);
    sd_event_source_disable_unref(vm->retry);
    record_memory_fini(&vm->memory);
    free(vm);
}

void engine_settle(struct vm *vm)
{
    if (vm->busy == 0 && !vm->unwritten && vm->reconcile == NULL && vm->hook == NULL &&
        vm->starting == NULL && vm->stopping == NULL && vm->retry == NULL && vm->watches == NULL) {
        engine_vm_free(vm);
    }
}

/* --- both files ----------------------------------------------------------------------------------
 */

void engine_texts_fini(struct engine_texts *texts)
{
    store_file_fini(&texts->config);
    store_file_fini(&texts->fingerprint);
    store_file_fini(&texts->hold);
}

/* Whatever is there holds, also what cannot be read. */
static int read_hold(struct engine *engine, uint32_t vmid, struct engine_texts *ret)
{
    int rc = store_read_hold(engine->store, vmid, &ret->hold, &ret->hold_problem);

    ret->texts.hold = ret->hold.text;
    ret->texts.hold_len = ret->hold.len;
    ret->texts.hold_path = ret->hold.path;
    ret->texts.hold_problem = rc < 0 && rc != -ENOENT ? ret->hold_problem.text : NULL;
    return rc == -ENOMEM ? rc : 0;
}

int engine_read_texts(struct engine *engine, uint32_t vmid, struct engine_texts *ret,
                      struct err *err)
{
    int rc;

    *ret = (struct engine_texts){0};
    rc = store_read_config(engine->store, vmid, &ret->config, err);
    if (rc < 0 && rc != -ENOENT) {
        return rc;
    }
    rc = store_read_fingerprint(engine->store, vmid, &ret->fingerprint, &ret->problem);
    if (rc == -ENOMEM) {
        engine_texts_fini(ret);
        return err_oom(err);
    }
    ret->texts = (struct assess_texts){
        .config = ret->config.text,
        .config_len = ret->config.len,
        .config_path = ret->config.path == NULL ? "the configuration" : ret->config.path,
        .fingerprint = ret->fingerprint.text,
        .fingerprint_len = ret->fingerprint.len,
        .fingerprint_path = ret->fingerprint.path == NULL ? "the fingerprint"
                                                          : ret->fingerprint.path,
        .fingerprint_problem = rc < 0 && rc != -ENOENT ? ret->problem.text : NULL,
    };
    if (read_hold(engine, vmid, ret) < 0) {
        engine_texts_fini(ret);
        return err_oom(err);
    }
    return 0;
}

static int assess_once(struct engine *engine, uint32_t vmid, struct assessment **ret,
                       struct err *err)
{
    CLEANUP(engine_texts_fini) struct engine_texts texts = {0};
    const struct assess_params params = {.vmid = vmid,
                                         .machines = &engine->machines,
                                         .on_drift = engine->settings->on_drift,
                                         .on_error = engine->settings->on_error,
                                         .claims = engine->claims};
    int rc = engine_read_texts(engine, vmid, &texts, err);

    return rc < 0 ? rc : assess(&texts.texts, &params, NULL, 0, ret, err);
}

/* A VM in sync is not given anything, so what others have need not be looked at anew. */
int engine_assess(struct engine *engine, uint32_t vmid, struct assessment **ret, struct err *err)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    int rc = engine->loaded ? 0 : engine_claims_load(engine, ENGINE_LOAD_HOOK_MS);

    rc = rc == -ENOMEM ? err_oom(err) : assess_once(engine, vmid, &a, err);
    if (rc < 0) {
        return rc;
    }
    if (a->outcome == ASSESS_PLANNED && !plan_is_empty(a->plan) && engine->loaded) {
        bool fresh = engine_claims_refresh(engine);

        if (engine_claims_recheck(engine, vmid, a->fp) || fresh) {
            return assess_once(engine, vmid, ret, err);
        }
    }
    *ret = STEAL(a);
    return 0;
}

static void note_on_hold(struct engine *engine, uint32_t vmid, const struct assessment *a)
{
    CLEANUP_FREE char *summary = plan_is_empty(a->plan) ? str_dup("in sync")
                                                        : plan_summary(a->plan);
    CLEANUP_FREE char *detail = str_printf("%s: %s", a->on_hold, summary == NULL ? "" : summary);

    engine_set_state(engine, vmid, VM_ON_HOLD, a->plan->n_changes, detail);
}

/* What differs; and why it stays so, where it was tried for exactly these two files. The caller
 * frees; NULL: no memory. */
static char *describe_difference(struct engine *engine, uint32_t vmid, const struct assessment *a)
{
    CLEANUP(record_memory_fini) struct record_memory read = {0};
    CLEANUP_FREE char *summary = plan_summary(a->plan);
    const struct vm *vm = engine_find(engine, vmid);
    const struct record_memory *memory = vm != NULL ? &vm->memory : &read;

    if (vm == NULL && engine_load_memory(engine, vmid, &read, NULL) < 0) {
        return STEAL(summary); /* that it differs is true all the same */
    }
    if (summary == NULL || memory->settled_why == NULL || !str_equal(memory->settled_key, a->key)) {
        return STEAL(summary);
    }
    return str_printf("%s could not be changed: %s", summary, memory->settled_why);
}

void engine_note_assessment(struct engine *engine, uint32_t vmid, const struct assessment *a)
{
    CLEANUP_FREE char *summary = NULL;

    engine_note_hold(engine, vmid, a);
    switch (a->outcome) {
    case ASSESS_NO_FINGERPRINT:
        return;
    case ASSESS_NO_CONFIG:
        engine_set_state(engine, vmid, VM_NO_CONFIG, 0, "no such VM on this node");
        return;
    case ASSESS_BAD_FINGERPRINT:
        engine_set_state(engine, vmid, VM_BAD_FINGERPRINT, 0, a->problem);
        return;
    case ASSESS_BAD_CONFIG:
        engine_set_state(engine, vmid, VM_FAILED, 0, a->problem);
        return;
    case ASSESS_PLANNED:
        break;
    }
    if (a->on_hold != NULL) {
        note_on_hold(engine, vmid, a);
    } else if (a->plan->refusals.n > 0) {
        /* A lock passes by itself. */
        engine_set_state(engine, vmid,
                         pveconf_get(a->conf, "lock") != NULL ? VM_DIFFERS : VM_REFUSED, 0,
                         a->plan->refusals.items[0]);
    } else if (plan_is_empty(a->plan)) {
        engine_set_state(engine, vmid, VM_IN_SYNC, 0,
                         a->attached ? a->twin
                                     : "the hook is not attached: pre-start is not checked");
    } else {
        summary = describe_difference(engine, vmid, a);
        engine_set_state(engine, vmid, VM_DIFFERS, a->plan->n_changes, summary);
    }
}
