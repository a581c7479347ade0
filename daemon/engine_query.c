/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The engine's answers to questions, in the shapes of conf/io.pvehwid.varlink. */
#include <errno.h>

#include "base/str.h"
#include "core/report.h"
#include "engine_impl.h"

static const char *origin_name(const struct engine *engine, uint32_t vmid)
{
    switch (store_origin(engine->store, vmid)) {
    case STORE_NONE:
        return "none";
    case STORE_LOCAL:
        return "local";
    case STORE_CLUSTER:
        return "cluster";
    case STORE_BOTH:
        return "both";
    }
    return "none";
}

/* Whoever asks wants to hear of a copy of a VM that is in sync, too. */
static void look_at_others(struct engine *engine)
{
    if (engine->loaded) {
        (void)engine_claims_refresh(engine); /* cannot be read: as last known */
    }
}

int engine_assess_planned(struct engine *engine, uint32_t vmid, struct assessment **ret,
                          struct err *err)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    int rc;

    look_at_others(engine);
    rc = engine_assess(engine, vmid, &a, err);
    if (rc < 0) {
        return rc == -ENOMEM ? rc : -EINVAL;
    }
    switch (a->outcome) {
    case ASSESS_NO_FINGERPRINT:
        return err_set(err, -ENOENT, "VM %u has no fingerprint", vmid);
    case ASSESS_NO_CONFIG:
        return err_set(err, -ESRCH, "VM %u is not on this node", vmid);
    case ASSESS_BAD_FINGERPRINT:
    case ASSESS_BAD_CONFIG:
        return err_set(err, -EINVAL, "%s", a->problem);
    case ASSESS_PLANNED:
        break;
    }
    *ret = STEAL(a);
    return 0;
}

int engine_plan(struct engine *engine, uint32_t vmid, json_t **ret_plan, struct err *err)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    int rc = engine_assess_planned(engine, vmid, &a, err);

    if (rc < 0) {
        return rc;
    }
    *ret_plan = plan_to_json(a->plan);
    return *ret_plan == NULL ? err_oom(err) : 0;
}

int engine_report(struct engine *engine, uint32_t vmid, json_t **ret_report, struct err *err)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    CLEANUP(report_freep) struct report *report = NULL;
    CLEANUP(pveconf_freep) struct pveconf *next = NULL; /* as the next start sees it */
    int rc = engine_assess_planned(engine, vmid, &a, err);

    if (rc < 0) {
        return rc;
    }
    if (pveconf_apply_pending(a->conf, &next) < 0) {
        return err_oom(err);
    }
    rc = report_make(
        &(struct report_input){.vmid = vmid, .conf = next, .fp = a->fp, .plan = a->plan}, &report,
        err);
    if (rc < 0) {
        return rc;
    }
    *ret_report = report_to_json(report);
    return *ret_report == NULL ? err_oom(err) : 0;
}

/* What the VM is called in PVE and the last change set: read for the one VM asked about. */
static int add_details(struct engine *engine, uint32_t vmid, json_t *state)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    struct record_memory memory = {0};
    struct vm *vm = engine_find(engine, vmid);
    const struct record_memory *known = vm == NULL ? &memory : &vm->memory;
    const char *name = NULL;
    int rc = 0;

    if (engine_assess(engine, vmid, &a, NULL) == 0 && a->conf != NULL) {
        name = pveconf_get(a->conf, "name");
    }
    if (vm == NULL) {
        (void)engine_load_memory(engine, vmid, &memory, NULL); /* unreadable: no history */
    }
    if (name != NULL) {
        rc |= json_object_set_new(state, "name", json_string(name));
    }
    if (known->last_time != NULL) {
        rc |= json_object_set_new(state, "last_change", json_string(known->last_time));
        rc |= json_object_set_new(state, "txn", json_string(known->last_txn));
    }
    record_memory_fini(&memory);
    return rc < 0 ? -ENOMEM : 0;
}

int engine_state(struct engine *engine, uint32_t vmid, json_t **ret_state)
{
    const struct vm_summary *summary = engine_summary(engine, vmid);
    const char *detail = summary == NULL || summary->detail == NULL ? "" : summary->detail;
    json_t *state = json_pack("{s:I, s:s, s:s, s:s, s:i}", "vmid", (json_int_t)vmid, "state",
                              summary == NULL ? "unknown" : engine_state_name(summary->state),
                              "origin", origin_name(engine, vmid), "detail", detail, "changes",
                              summary == NULL ? 0 : summary->changes);

    if (state == NULL || add_details(engine, vmid, state) < 0) {
        json_decref(state);
        return -ENOMEM;
    }
    *ret_state = state;
    return 0;
}

int engine_check(struct engine *engine, uint32_t vmid, json_t **ret_state, struct err *err)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    struct vm *vm = engine_find(engine, vmid);
    struct vm_summary *summary;
    int rc;

    look_at_others(engine);
    rc = engine_assess(engine, vmid, &a, err);
    if (rc < 0) {
        return rc == -ENOMEM ? rc : -EINVAL;
    }
    /* Neither VM nor fingerprint: nothing to remember, or anybody could make us remember a lot. */
    if (a->outcome == ASSESS_NO_CONFIG && !store_has(engine->store, vmid)) {
        return err_set(err, -ESRCH, "VM %u is not on this node", vmid);
    }
    if (a->outcome == ASSESS_NO_FINGERPRINT) {
        return err_set(err, -ENOENT, "VM %u has no fingerprint", vmid);
    }
    if (engine_summary_add(engine, vmid, &summary) < 0) {
        return err_oom(err);
    }
    /* Under way, or down with a reason: that says more than a comparison. */
    if ((vm == NULL || vm->reconcile == NULL) &&
        !(summary->state == VM_FAILED &&
          !(a->outcome == ASSESS_PLANNED && plan_is_empty(a->plan)))) {
        engine_note_assessment(engine, vmid, a);
    }
    rc = engine_state(engine, vmid, ret_state);
    return rc < 0 ? err_oom(err) : 0;
}

int engine_vmids(struct engine *engine, uint32_t **ret_vmids, size_t *ret_n)
{
    return store_list(engine->store, ret_vmids, ret_n);
}

int engine_log(struct engine *engine, uint32_t vmid, json_t **ret_records, size_t *ret_unreadable,
               struct err *err)
{
    json_auto_t *records = NULL;
    size_t unreadable = 0;
    int rc = engine_read_log(engine, vmid, &records, &unreadable, err);

    if (rc == 0 && json_array_size(records) == 0 && unreadable == 0 &&
        !engine_is_here(engine, vmid)) {
        rc = err_set(err, -ESRCH, "VM %u is not on this node", vmid);
    }
    if (rc == 0) {
        *ret_records = STEAL(records);
        *ret_unreadable = unreadable;
    }
    return rc;
}

/* --- status
 * ------------------------------------------------------------------------------------------ */

static json_t *count_states(const struct engine *engine)
{
    size_t counts[VM_STATES] = {0};
    json_t *by_state = json_object();

    for (size_t i = 0; i < engine->n_summaries; i++) {
        counts[engine->summaries[i].state]++;
    }
    for (int state = 0; state < VM_STATES; state++) {
        if (counts[state] > 0 &&
            json_object_set_new(by_state, engine_state_name((enum vm_state)state),
                                json_integer((json_int_t)counts[state])) < 0) {
            json_decref(by_state);
            return NULL;
        }
    }
    return by_state;
}

enum { PROBLEMS_MAX = 50 }; /* the list is for people; `list` has them all */

static json_t *list_problems(const struct engine *engine)
{
    json_t *problems = json_array();

    if (!engine->api_ok) {
        (void)json_array_append_new(/* a missing line is no reason for no answer */
                                    problems,
                                    json_sprintf("PVE's API: %s", engine->api_detail == NULL
                                                                      ? "no answer"
                                                                      : engine->api_detail));
    }
    for (size_t i = 0; i < engine->n_summaries && json_array_size(problems) < PROBLEMS_MAX; i++) {
        const struct vm_summary *s = &engine->summaries[i];

        if (s->state == VM_FAILED || s->state == VM_STUCK || s->state == VM_REFUSED ||
            s->state == VM_BAD_FINGERPRINT) {
            (void)json_array_append_new(/* likewise */
                                        problems,
                                        json_sprintf("VM %u: %s", s->vmid,
                                                     s->detail == NULL ? engine_state_name(s->state)
                                                                       : s->detail));
        }
    }
    return problems;
}

int engine_status(struct engine *engine, json_t **ret_status)
{
    size_t changes, reads;

    engine_queue_counts(engine, &changes, &reads);
    *ret_status = json_pack(
        "{s:s, s:s, s:I, s:{s:b, s:s, s:s}, s:I, s:o, s:I, s:I, s:o}", "version", PVE_HWID_VERSION,
        "node", engine->node, "uptime_s", (json_int_t)((engine_now() - engine->started_ms) / 1000),
        "api", "ok", engine->api_ok, "url", engine->settings->api_url, "detail",
        engine->api_detail == NULL ? "" : engine->api_detail, "fingerprints",
        (json_int_t)engine->n_summaries, "by_state", count_states(engine), "queued_changes",
        (json_int_t)changes, "queued_reads", (json_int_t)reads, "problems", list_problems(engine));
    return *ret_status == NULL ? -ENOMEM : 0;
}
