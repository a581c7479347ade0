/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reconciliation: probe every disk that will move, write the intent down, carry the steps out one
 * by one, verify. Before each step the VM is looked at again: stopped, and each value still the one
 * the plan was made for. So somebody else's change in between is noticed and planned around, never
 * overwritten.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/reconcile_impl.h"

/* --- probes
 * --------------------------------------------------------------------------------------- */

static const struct plan_step *step_to_probe(const struct reconcile *r)
{
    const struct plan *plan = r->assessment->plan;

    for (size_t i = 0; i < plan->n_steps; i++) {
        bool probed = plan->steps[i].probe == NULL;

        for (size_t j = 0; j < r->n_probed && !probed; j++) {
            probed = str_equal(r->probed[j], plan->steps[i].probe);
        }
        if (!probed) {
            return &plan->steps[i];
        }
    }
    return NULL;
}

int reconcile_enter_probe(struct reconcile *r, struct reconcile_action *out)
{
    const struct plan_step *step = step_to_probe(r);

    if (step == NULL) {
        return reconcile_go_to(r, STATE_BEGIN, out);
    }
    return reconcile_request(requests_probe(r->params.vm, step, r->digest), out);
}

/* The disk stays where it is; the plan is made anew around it. */
static int fix_disk(struct reconcile *r, const struct plan_step *step, const char *message,
                    struct reconcile_action *out)
{
    struct assess_fixed *fixed = &r->fixed[r->n_fixed];

    if (r->params.assess.undo != NULL) {
        return reconcile_conclude(r, RECONCILE_FAILED, out,
                                  "%s cannot be moved now, so nothing more is undone: %s",
                                  step->probe, message);
    }
    if (r->n_fixed == RECONCILE_FIXED_MAX) {
        return reconcile_conclude(r, RECONCILE_FAILED, out, "too many disks without a volume");
    }
    (void)snprintf(fixed->slot, sizeof(fixed->slot), "%s", step->probe); /* slots are short */
    (void)snprintf(fixed->why, sizeof(fixed->why), "%s stays as it is: %s", step->probe, message);
    r->n_fixed++;
    if (reconcile_tell(r, RECONCILE_TELL_WARNING, "VM %u: %s", r->params.vm.vmid, fixed->why) < 0) {
        return -ENOMEM;
    }
    return reconcile_go_to(r, STATE_DIGEST, out);
}

static int replan(struct reconcile *r, struct reconcile_action *out)
{
    r->replans++;
    r->n_probed = 0;
    if (r->replans > RECONCILE_REPLANS_MAX) {
        r->retry = true;
        return reconcile_conclude(r, RECONCILE_FAILED, out,
                                  "the configuration of VM %u keeps being changed by somebody else",
                                  r->params.vm.vmid);
    }
    if (r->begun) {
        r->end_outcome = RECORD_SUPERSEDED;
        r->after_end_look = true;
        return reconcile_go_to(r, STATE_END, out);
    }
    return reconcile_go_to(r, STATE_STATUS, out);
}

/* Does this answer speak of the disk, and not of the VM? Its volume or storage is away (06p), it is
 * a path of the node, or it is another VM's and the token may not look at that storage (06o). */
static bool is_about_the_disk(const struct api_reply *reply)
{
    if (reply->result != API_REFUSED || reconcile_is_passing(reply)) {
        return false;
    }
    return reply->status == 500 || (reply->status == 403 && reply->message != NULL &&
                                    strstr(reply->message, "(/storage/") != NULL);
}

int reconcile_on_probe(struct reconcile *r, const struct reconcile_event *event,
                       struct reconcile_action *out)
{
    const struct plan_step *step = step_to_probe(r);
    const struct api_reply *reply = event->reply;

    if (reply->result == API_OK) {
        reconcile_patience_reset(r);
        if (r->n_probed < RECONCILE_FIXED_MAX) {
            (void)snprintf(r->probed[r->n_probed++], DRIVE_SLOT_SIZE, "%s", step->probe);
        }
        return reconcile_go_to(r, STATE_PROBE, out);
    }
    if (reconcile_is_checksum(reply)) {
        return replan(r, out);
    }
    if (reconcile_is_vm_locked(reply)) {
        return reconcile_wait_for_unlock(r, reply->message, out);
    }
    if (is_about_the_disk(reply)) {
        return fix_disk(r, step, reply->message, out);
    }
    return reconcile_api_trouble(r, reply, STATE_STATUS, out);
}

/* --- intent
 * ----------------------------------------------------------------------------------------- */

int reconcile_enter_begin(struct reconcile *r, struct reconcile_action *out)
{
    const struct assessment *a = r->assessment;
    const struct undo *undo = r->params.assess.undo;
    json_t *record = record_begin(reconcile_head(r), reconcile_cause_name(r->cause), a->key,
                                  a->plan);
    int rc;

    /* What is taken back makes no VM of ours. */
    record = undo != NULL ? record_undoes(record, undo->txn)
                          : record_bind(record, a->ctime, a->name);
    if (record == NULL) {
        return -ENOMEM;
    }
    rc = reconcile_take_steps(r, json_object_get(record, "steps"));
    if (rc < 0) {
        json_decref(record);
        return -ENOMEM;
    }
    return reconcile_record(record, out);
}

int reconcile_on_begin(struct reconcile *r, const struct reconcile_event *event,
                       struct reconcile_action *out)
{
    if (event->error < 0) {
        r->retry = true;
        return reconcile_conclude(r, RECONCILE_FAILED, out,
                                  "nothing was changed, because the journal cannot be written: %s",
                                  event->error_text);
    }
    r->begun = true;
    r->made_at = record_made_at(r->assessment->conf);
    r->undo_open = r->params.assess.undo != NULL;
    plan_free(r->plan);
    r->plan = STEAL(r->assessment->plan); /* the steps are ours now; this is for those who ask */
    return reconcile_go_to(r, STATE_GATE, out);
}

/* --- before each step
 * ---------------------------------------------------------------------------------- */

int reconcile_enter_gate(struct reconcile *r, struct reconcile_action *out)
{
    if (r->step >= r->n_steps) {
        return reconcile_go_to(r, STATE_VERIFY_PENDING, out);
    }
    return reconcile_request(requests_status(r->params.vm), out);
}

int reconcile_on_gate(struct reconcile *r, const struct reconcile_event *event,
                      struct reconcile_action *out)
{
    if (event->reply->result != API_OK) {
        return reconcile_api_trouble(r, event->reply, STATE_GATE, out);
    }
    if (reconcile_reply_runs(event->reply) && r->n_applied > 0) {
        /* Perhaps it ran already when our last call came: what did PVE make of that? */
        r->runs = true;
        reconcile_begin_looking(r);
        return reconcile_go_to(r, STATE_LOOK, out);
    }
    if (reconcile_reply_runs(event->reply)) {
        r->retry = true;
        return reconcile_conclude(r, RECONCILE_RUNNING, out,
                                  "VM %u was started meanwhile: its hardware is changed when it is "
                                  "stopped",
                                  r->params.vm.vmid);
    }
    return reconcile_go_to(r, STATE_STEP_DIGEST, out);
}

int reconcile_enter_step_digest(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_enter_digest(r, out);
}

int reconcile_on_step_digest(struct reconcile *r, const struct reconcile_event *event,
                             struct reconcile_action *out)
{
    const char *digest = json_string_value(json_object_get(event->reply->data, "digest"));

    if (event->reply->result != API_OK || digest == NULL) {
        return reconcile_api_trouble(r, event->reply, STATE_STEP_DIGEST, out);
    }
    if (str_replace(&r->digest, digest) < 0) {
        return -ENOMEM;
    }
    return reconcile_go_to(r, STATE_STEP_READ, out);
}

/* PVE got the call of the step before this one just after somebody had started the VM, said yes and
 * left it pending, and the guest has powered off since: the next call would carry that move out
 * together with its own, and where it broke, only its own would be taken back. */
static bool last_move_is_pending(const struct reconcile *r)
{
    const struct plan_step *step = reconcile_sent_step(r);
    const struct pveconf *conf = r->assessment->conf;

    return step != NULL && r->sent == r->step && step->remove != NULL &&
           pveconf_pending_deletes(conf, step->remove) &&
           reconcile_same_volume(pveconf_get(conf, step->remove), step->probe_value);
}

int reconcile_enter_step_read(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_enter_read(r, out);
}

int reconcile_on_step_read(struct reconcile *r, const struct reconcile_event *event,
                           struct reconcile_action *out)
{
    int64_t made_at;

    if (reconcile_assess(r, event->texts) < 0) {
        return -ENOMEM;
    }
    if (r->assessment->outcome != ASSESS_PLANNED) {
        return reconcile_conclude_unplanned(r, out);
    }
    made_at = record_made_at(r->assessment->conf);
    if (reconcile_is_another(r, made_at)) {
        return reconcile_conclude_another(r, made_at, out);
    }
    if (last_move_is_pending(r)) {
        return reconcile_reopen(r, r->sent - 1, out);
    }
    switch (reconcile_step_fits(&r->steps[r->step], r->assessment->conf)) {
    case STEP_TO_DO:
        return reconcile_go_to(r, STATE_STEP, out);
    case STEP_APPLIED:
        return reconcile_go_to(r, STATE_STEP_RECORD, out);
    case STEP_FOREIGN:
        return replan(r, out);
    }
    return -EINVAL;
}

/* --- the step itself
 * ------------------------------------------------------------------------------------- */

int reconcile_enter_step(struct reconcile *r, struct reconcile_action *out)
{
    r->sent = r->step + 1;
    return reconcile_request(requests_step(r->params.vm, &r->steps[r->step], r->digest), out);
}

int reconcile_on_step(struct reconcile *r, const struct reconcile_event *event,
                      struct reconcile_action *out)
{
    const struct api_reply *reply = event->reply;

    if (reply->result == API_OK) {
        reconcile_patience_reset(r);
        return reconcile_go_to(r, STATE_STEP_RECORD, out);
    }
    if (reconcile_is_checksum(reply)) {
        return replan(r, out);
    }
    if (reconcile_is_vm_locked(reply)) {
        return reconcile_wait_for_unlock(r, reply->message, out);
    }
    if (reply->result == API_UNREACHABLE || reconcile_is_lock_timeout(reply)) {
        return reconcile_api_trouble(r, reply, STATE_GATE, out);
    }
    if (str_replace(&r->step_error, reply->message) < 0) {
        return -ENOMEM;
    }
    reconcile_begin_looking(r);
    r->step_may_pass = reply->result == API_LOST;
    if (r->step_may_pass) {
        /* PVE may still be waiting for the lock with our call in its hands. */
        return reconcile_sleep_then(r, STATE_LOOK_STATUS, RECONCILE_LOST_MS, out);
    }
    return reconcile_go_to(r, STATE_LOOK_STATUS, out);
}

int reconcile_enter_step_record(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_record(record_step(reconcile_head(r), r->step, NULL), out);
}

static bool step_makes(const struct plan_step *step, const char *option)
{
    if (str_equal(step->remove, option)) {
        return true;
    }
    for (size_t i = 0; i < step->n_sets; i++) {
        if (str_equal(step->sets[i].option, option)) {
            return true;
        }
    }
    return false;
}

/* Is this the step after which `option` has its final value? (`boot` changes with every disk.) */
static bool step_completes(const struct reconcile *r, const char *option)
{
    for (size_t i = r->step + 1; i < r->n_steps; i++) {
        if (step_makes(&r->steps[i], option)) {
            return false;
        }
    }
    return step_makes(&r->steps[r->step], option);
}

static int tell_changes(struct reconcile *r)
{
    for (size_t i = 0; r->plan != NULL && i < r->plan->n_changes; i++) {
        const struct plan_change *change = &r->plan->changes[i];

        if (step_completes(r, change->option) && reconcile_tell_change(r, change) < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* The next step has to wait: the journal tells a daemon after us which one was under way, so it may
 * lag behind by no more than one. What is there so far can start. */
static int stop_unwritten(struct reconcile *r, const char *why, struct reconcile_action *out)
{
    r->retry = true;
    return reconcile_conclude(r, RECONCILE_FAILED, out,
                              "%zu of %zu steps were carried out, and the others wait, because the "
                              "journal cannot be written: %s",
                              r->step, r->n_steps, why);
}

int reconcile_on_step_record(struct reconcile *r, const struct reconcile_event *event,
                             struct reconcile_action *out)
{
    if (event->error < 0 &&
        reconcile_tell(r, RECONCILE_TELL_WARNING, "VM %u: the journal does not hold a step: %s",
                       r->params.vm.vmid, event->error_text) < 0) {
        return -ENOMEM;
    }
    if (tell_changes(r) < 0) {
        return -ENOMEM;
    }
    r->n_applied++;
    r->step++;
    if (r->recovering) {
        return reconcile_recover(r, out);
    }
    return event->error < 0 && r->step < r->n_steps ? stop_unwritten(r, event->error_text, out)
                                                    : reconcile_go_to(r, STATE_GATE, out);
}

/* --- verification
 * ------------------------------------------------------------------------------------------ */

int reconcile_enter_verify_pending(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(requests_pending(r->params.vm), out);
}

int reconcile_on_verify_pending(struct reconcile *r, const struct reconcile_event *event,
                                struct reconcile_action *out)
{
    const json_t *item;
    size_t i;

    if (event->reply->result != API_OK) {
        return reconcile_api_trouble(r, event->reply, STATE_VERIFY_PENDING, out);
    }
    json_array_foreach (event->reply->data, i, item) {
        if (reconcile_is_leftover(r, item)) {
            return reconcile_reopen(r, r->sent - 1, out);
        }
    }
    return reconcile_go_to(r, STATE_VERIFY_READ, out);
}

int reconcile_enter_verify_read(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_enter_read(r, out);
}

int reconcile_on_verify_read(struct reconcile *r, const struct reconcile_event *event,
                             struct reconcile_action *out)
{
    const struct assessment *a;
    uint32_t vmid = r->params.vm.vmid;

    if (reconcile_assess(r, event->texts) < 0) {
        return -ENOMEM;
    }
    a = r->assessment;
    if (a->outcome != ASSESS_PLANNED) {
        return reconcile_conclude_unplanned(r, out);
    }
    if (!plan_is_empty(a->plan) && !r->verified_twice) {
        /* Perhaps fingerprint or configuration were edited meanwhile; not for ever. */
        r->verified_twice = true;
        return replan(r, out);
    }
    if (!plan_is_empty(a->plan)) {
        CLEANUP_FREE char *left = plan_summary(a->plan);

        if (left == NULL) {
            return -ENOMEM;
        }
        return reconcile_conclude(r, RECONCILE_FAILED, out,
                                  "VM %u does not stay as it was written: %s", vmid, left);
    }
    if (r->n_fixed > 0) {
        return reconcile_conclude(r, RECONCILE_PARTIAL, out, "VM %u was rewritten, but %s", vmid,
                                  r->fixed[0].why);
    }
    if (r->params.assess.undo != NULL) {
        return reconcile_conclude(
            r, RECONCILE_DONE, out,
            "VM %u is as it was before the change set of %s, and stays on hold", vmid,
            r->params.assess.undo->time);
    }
    return reconcile_conclude(r, RECONCILE_DONE, out, "VM %u now is as its fingerprint says", vmid);
}
