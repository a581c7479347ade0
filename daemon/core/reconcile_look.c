/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reconciliation: the first look (is the VM stopped, what is its digest, what do the files say) and
 * how it all ends. Nothing here changes a VM.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/reconcile_impl.h"

static const char *message_of(const struct api_reply *reply)
{
    return reply->message == NULL ? "no reason given" : reply->message;
}

bool reconcile_is_lock_timeout(const struct api_reply *reply)
{
    return reply->result == API_REFUSED && strstr(message_of(reply), "got timeout") != NULL;
}

bool reconcile_is_checksum(const struct api_reply *reply)
{
    return reply->result == API_REFUSED && strstr(message_of(reply), "checksum mismatch") != NULL;
}

bool reconcile_is_vm_locked(const struct api_reply *reply)
{
    return reply->result == API_REFUSED && strstr(message_of(reply), "VM is locked") != NULL;
}

/* pveproxy's own codes for a pvedaemon that does not answer, and overload: as good as unreachable.
 * So is a PVE whose parts do not reach each other: "Unable to load access control list: Connection
 * refused" is what it says to every call while pmxcfs restarts. */
bool reconcile_is_passing(const struct api_reply *reply)
{
    return reply->result == API_UNREACHABLE || reply->result == API_LOST || reply->status >= 502 ||
           (reply->status == 500 && strstr(message_of(reply), "Connection refused") != NULL) ||
           reconcile_is_lock_timeout(reply);
}

bool reconcile_has_patience(struct reconcile *r, int64_t ms)
{
    if (r->patience_until == 0) {
        r->patience_until = r->now_ms + ms;
    }
    return r->now_ms < r->patience_until;
}

void reconcile_patience_reset(struct reconcile *r)
{
    r->patience_until = 0;
}

int reconcile_conclude_gone(struct reconcile *r, struct reconcile_action *out)
{
    r->gone = true;
    return reconcile_conclude(r, RECONCILE_NOTHING, out, "VM %u is not on this node",
                              r->params.vm.vmid);
}

bool reconcile_is_another(const struct reconcile *r, int64_t made_at)
{
    return r->begun && r->made_at != 0 && made_at != 0 && r->made_at != made_at;
}

int reconcile_conclude_another(struct reconcile *r, int64_t made_at, struct reconcile_action *out)
{
    r->another = true;
    r->end_key[0] = '\0'; /* nothing is settled for the other one */
    r->not_owed = r->held_made_at != 0 && r->held_made_at != made_at;
    if (reconcile_tell(r, RECONCILE_TELL_WARNING,
                       "VM %u: its number was given to another machine meanwhile: what was begun "
                       "is not gone on with%s",
                       r->params.vm.vmid,
                       r->owes_start && r->not_owed ? ", and no start is made" : "") < 0) {
        return -ENOMEM;
    }
    return reconcile_conclude(r, RECONCILE_NOTHING, out,
                              "the number of VM %u was given to another machine",
                              r->params.vm.vmid);
}

int reconcile_conclude_unplanned(struct reconcile *r, struct reconcile_action *out)
{
    switch (r->assessment->outcome) {
    case ASSESS_NO_FINGERPRINT:
        return reconcile_conclude(r, RECONCILE_NOTHING, out, "VM %u has no fingerprint",
                                  r->params.vm.vmid);
    case ASSESS_NO_CONFIG:
        return reconcile_conclude_gone(r, out);
    case ASSESS_BAD_FINGERPRINT:
    case ASSESS_BAD_CONFIG:
        return reconcile_conclude(r, RECONCILE_FAILED, out, "%s", r->assessment->problem);
    case ASSESS_PLANNED:
        break;
    }
    return -EINVAL; /* not reached: the caller has a plan then */
}

int reconcile_wait_for_unlock(struct reconcile *r, const char *why, struct reconcile_action *out)
{
    if (r->owes_start && reconcile_has_patience(r, r->params.start_patience_ms)) {
        return reconcile_sleep_then(r, r->begun ? STATE_GATE : STATE_STATUS, RECONCILE_SLEEP_MS,
                                    out);
    }
    r->retry = true;
    return reconcile_conclude(r, RECONCILE_LOCKED, out, "%s", why);
}

int reconcile_api_trouble(struct reconcile *r, const struct api_reply *reply,
                          enum reconcile_state again, struct reconcile_action *out)
{
    if (requests_vm_is_gone(reply)) {
        return reconcile_conclude_gone(r, out);
    }
    /* With a change set left open there may be a deletion pending. */
    if (r->recovering) {
        return reconcile_look_in_vain(r, reply, again, out);
    }
    if (reconcile_is_passing(reply) && reconcile_has_patience(r, r->params.lock_patience_ms)) {
        return reconcile_sleep_then(r, again, RECONCILE_SLEEP_MS, out);
    }
    r->retry = true;
    return reconcile_conclude(r, RECONCILE_FAILED, out, "%s", message_of(reply));
}

bool reconcile_reply_runs(const struct api_reply *reply)
{
    return !str_equal(json_string_value(json_object_get(reply->data, "status")), "stopped");
}

bool reconcile_reply_is_ha(const struct api_reply *reply)
{
    const json_t *ha = json_object_get(reply->data, "ha");

    return json_integer_value(json_object_get(ha, "managed")) != 0;
}

int reconcile_assess(struct reconcile *r, const struct assess_texts *texts)
{
    struct assessment *fresh = NULL;
    int rc = assess(texts, &r->params.assess, r->fixed, r->n_fixed, &fresh, NULL);

    if (rc < 0) {
        return rc;
    }
    assessment_free(r->assessment);
    r->assessment = fresh;
    memcpy(r->end_key, fresh->key, sizeof(r->end_key));
    return 0;
}

/* --- wait for the process that holds the VM's lock ----------------------------------------------
 */

int reconcile_enter_wait_worker(struct reconcile *r, struct reconcile_action *out)
{
    (void)r; /* the engine knows which process */
    out->type = RECONCILE_DO_WAIT_WORKER;
    return 0;
}

int reconcile_on_wait_worker(struct reconcile *r, const struct reconcile_event *event,
                             struct reconcile_action *out)
{
    (void)event; /* it can only be the one thing waited for */
    return reconcile_go_to(r, STATE_STATUS, out);
}

/* --- is it stopped? ------------------------------------------------------------------------------
 */

int reconcile_enter_status(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(requests_status(r->params.vm), out);
}

int reconcile_on_status(struct reconcile *r, const struct reconcile_event *event,
                        struct reconcile_action *out)
{
    const struct api_reply *reply = event->reply;

    if (reply->result != API_OK) {
        return reconcile_api_trouble(r, reply, STATE_STATUS, out);
    }
    r->ha_managed = reconcile_reply_is_ha(reply);
    if (r->recovering) {
        /* Running or not: half a move that is pending for a running VM costs it the disk. */
        r->runs = reconcile_reply_runs(reply);
        return reconcile_go_to(r, STATE_LOOK, out);
    }
    if (reconcile_reply_runs(reply)) {
        return reconcile_conclude(r, RECONCILE_RUNNING, out,
                                  "VM %u is running: its hardware is changed when it is stopped",
                                  r->params.vm.vmid);
    }
    return reconcile_go_to(r, STATE_DIGEST, out);
}

/* --- PVE's digest, before the files are read: a change in between makes the digest stale
 * ---------- */

int reconcile_enter_digest(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(requests_config(r->params.vm), out);
}

static int take_digest(struct reconcile *r, const struct api_reply *reply)
{
    json_decref(r->seen_by_pve);
    r->seen_by_pve = json_incref(reply->data);
    return str_replace(&r->digest, json_string_value(json_object_get(reply->data, "digest")));
}

int reconcile_on_digest(struct reconcile *r, const struct reconcile_event *event,
                        struct reconcile_action *out)
{
    if (event->reply->result != API_OK) {
        return reconcile_api_trouble(r, event->reply, STATE_DIGEST, out);
    }
    if (take_digest(r, event->reply) < 0) {
        return -ENOMEM;
    }
    if (r->digest == NULL) {
        return reconcile_conclude(r, RECONCILE_FAILED, out,
                                  "PVE's answer for the configuration of VM %u has no digest",
                                  r->params.vm.vmid);
    }
    return reconcile_go_to(r, STATE_READ, out);
}

/* --- the files, and the plan
 * ----------------------------------------------------------------------- */

int reconcile_enter_read(struct reconcile *r, struct reconcile_action *out)
{
    (void)r; /* the engine reads by VMID */
    out->type = RECONCILE_DO_READ;
    return 0;
}

/* A line of the file that PVE does not read, for its key or its value, is gone with the next change
 * by the API (recording 12b). NULL: all are read. `parent` is read, but not shown. */
static const struct pveconf_key *line_pve_drops(const struct reconcile *r)
{
    const struct pveconf *conf = r->assessment->conf;

    for (size_t i = 0; i < conf->sections[0].n; i++) {
        const struct pveconf_key *key = &conf->sections[0].keys[i];

        if (!str_equal(key->key, "parent") && pveconf_get_pending(conf, key->key) != NULL &&
            json_object_get(r->seen_by_pve, key->key) == NULL) {
            return key;
        }
    }
    return NULL;
}

/* On hold nothing is changed but by an undo, which needs one: else all would be back at once. */
static bool hold_forbids(const struct reconcile *r)
{
    const struct assessment *a = r->assessment;

    if (plan_is_empty(a->plan)) {
        return false;
    }
    return r->params.assess.undo != NULL ? a->on_hold == NULL
                                         : a->on_hold != NULL && !reconcile_ends_what_is_open(r);
}

static int conclude_by_hold(struct reconcile *r, struct reconcile_action *out)
{
    uint32_t vmid = r->params.vm.vmid;

    if (r->params.assess.undo != NULL) {
        return reconcile_conclude(r, RECONCILE_REFUSED, out,
                                  "VM %u is not on hold, so that an undo would not last: pve-hwid "
                                  "hold %u, then undo",
                                  vmid, vmid);
    }
    return reconcile_conclude(
        r, RECONCILE_ON_HOLD, out,
        "VM %u is %s: nothing is changed; to end the hold: pve-hwid resume %u", vmid,
        r->assessment->on_hold, vmid);
}

static int conclude_in_sync(struct reconcile *r, struct reconcile_action *out)
{
    uint32_t vmid = r->params.vm.vmid;

    if (r->params.assess.undo != NULL) {
        return reconcile_conclude(r, RECONCILE_IN_SYNC, out,
                                  "VM %u is as it was before the change set of %s", vmid,
                                  r->params.assess.undo->time);
    }
    return reconcile_conclude(r, r->n_fixed > 0 ? RECONCILE_PARTIAL : RECONCILE_IN_SYNC, out,
                              r->n_fixed > 0 ? "VM %u: %s" : "VM %u is as its fingerprint says%s",
                              vmid, r->n_fixed > 0 ? r->fixed[0].why : "");
}

static int on_planned(struct reconcile *r, struct reconcile_action *out)
{
    const struct pveconf_key *dropped = line_pve_drops(r);
    const struct assessment *a = r->assessment;
    uint32_t vmid = r->params.vm.vmid;
    const char *unfit;

    if (hold_forbids(r)) {
        return conclude_by_hold(r, out);
    }
    if (a->plan->refusals.n > 0 && pveconf_get(a->conf, "lock") != NULL) {
        return reconcile_wait_for_unlock(r, a->plan->refusals.items[0], out);
    }
    if (a->plan->refusals.n > 0) {
        return reconcile_conclude(r, RECONCILE_REFUSED, out, "%s", a->plan->refusals.items[0]);
    }
    if (a->deletes_pending) {
        return reconcile_conclude(
            r, RECONCILE_REFUSED, out,
            "VM %u has the deletion of a disk pending, which any change would "
            "carry out: look at 'qm pending %u' and take it back or apply it",
            vmid, vmid);
    }
    if (dropped != NULL && !plan_is_empty(a->plan)) {
        return reconcile_conclude(
            r, RECONCILE_REFUSED, out,
            "PVE does not read line %u of the configuration of VM %u ('%s'), and "
            "any change would delete that line: correct or remove it",
            dropped->line, vmid, dropped->key);
    }
    if (plan_is_empty(a->plan)) {
        return conclude_in_sync(r, out);
    }
    unfit = record_steps_unfit(a->plan);
    if (unfit != NULL) {
        return reconcile_conclude(
            r, RECONCILE_REFUSED, out,
            "the value of %s is not UTF-8, so that it could not be undone: set "
            "it anew with 'qm set %u --%s ...'",
            unfit, vmid, unfit);
    }
    return reconcile_go_to(r, STATE_PROBE, out);
}

int reconcile_on_read(struct reconcile *r, const struct reconcile_event *event,
                      struct reconcile_action *out)
{
    if (reconcile_assess(r, event->texts) < 0) {
        return -ENOMEM;
    }
    return r->assessment->outcome == ASSESS_PLANNED ? on_planned(r, out)
                                                    : reconcile_conclude_unplanned(r, out);
}

/* --- the end
 * ------------------------------------------------------------------------------------------ */

static enum record_outcome record_outcome_of(const struct reconcile *r)
{
    if (r->another) {
        return RECORD_FAILED; /* for good, an undo too */
    }
    switch (r->outcome) {
    case RECONCILE_DONE:
    case RECONCILE_IN_SYNC:
        return RECORD_DONE;
    case RECONCILE_PARTIAL:
        return RECORD_PARTIAL;
    case RECONCILE_UNDER_WAY:
    case RECONCILE_RUNNING:
    case RECONCILE_LOCKED:
    case RECONCILE_REFUSED:
    case RECONCILE_NOTHING:
    case RECONCILE_ON_HOLD:
        return RECORD_INTERRUPTED;
    case RECONCILE_FAILED:
        return RECORD_FAILED;
    }
    return RECORD_FAILED;
}

static int tell_conclusion(struct reconcile *r)
{
    switch (r->outcome) {
    case RECONCILE_DONE:
        return reconcile_tell(r, RECONCILE_TELL_DONE, "%s", r->text);
    case RECONCILE_PARTIAL:
        return reconcile_tell(r, RECONCILE_TELL_WARNING, "%s", r->text);
    case RECONCILE_FAILED:
    case RECONCILE_REFUSED:
        return reconcile_tell(r, RECONCILE_TELL_FAILED,
                              "VM %u: hardware not changed as planned: %s", r->params.vm.vmid,
                              r->text);
    case RECONCILE_UNDER_WAY:
    case RECONCILE_IN_SYNC:
    case RECONCILE_RUNNING:
    case RECONCILE_LOCKED:
    case RECONCILE_NOTHING:
    case RECONCILE_ON_HOLD:
        return reconcile_tell(r, RECONCILE_TELL_INFO, "%s", r->text);
    }
    return 0;
}

/* Why the start that is owed must not be made; NULL: it must. */
static const char *why_no_start(const struct reconcile *r)
{
    const struct assessment *a = r->assessment;
    bool trouble = r->outcome == RECONCILE_FAILED || r->outcome == RECONCILE_REFUSED ||
                   r->outcome == RECONCILE_PARTIAL;

    if (r->outcome == RECONCILE_RUNNING) {
        return "it is running already";
    }
    if (r->gone) {
        return "it is not on this node any more";
    }
    if (r->not_owed) {
        return "its number was given to another machine meanwhile";
    }
    if (r->ran) {
        return "somebody has started it meanwhile";
    }
    if (r->disk_lost) {
        return "one of its disks is attached nowhere, or twice";
    }
    if (r->ha_managed) {
        return "the HA manager starts it again by itself";
    }
    if (trouble && a != NULL && a->on_error == FINGERPRINT_ERROR_REFUSE) {
        return "on_error is refuse: it stays down until somebody starts it";
    }
    return NULL;
}

/* What is left once the records say how the change set ended. */
static int go_on_to_start(struct reconcile *r, struct reconcile_action *out)
{
    if (!r->owes_start) {
        return reconcile_go_to(r, STATE_FINISHED, out);
    }
    reconcile_patience_reset(r);
    r->dropped = why_no_start(r);
    if (r->dropped != NULL) {
        return reconcile_go_to(r, STATE_STARTED_RECORD, out);
    }
    if (r->outcome == RECONCILE_LOCKED) {
        /* PVE would refuse the start as well; once unlocked, the rewrite comes first. */
        return reconcile_start_later(r, r->text, out);
    }
    return reconcile_go_to(r, STATE_START_STATUS, out);
}

/* An undo that was left half done is tried again for as long as that can help. */
static bool ends_open_undo(const struct reconcile *r)
{
    return r->undo_open && r->params.assess.undo != NULL && !r->retry &&
           r->outcome != RECONCILE_RUNNING && r->outcome != RECONCILE_LOCKED;
}

int reconcile_conclude(struct reconcile *r, enum reconcile_outcome outcome,
                       struct reconcile_action *out, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    int rc;

    va_start(args, format);
    rc = vasprintf(&text, format, args);
    va_end(args);
    if (rc < 0) {
        return -ENOMEM;
    }
    free(r->text);
    r->text = text;
    r->outcome = outcome;
    r->recovering = false;
    r->stuck = false;
    if (tell_conclusion(r) < 0) {
        return -ENOMEM;
    }
    /* What cannot be changed is settled for this pair of files, also where nothing was begun. */
    if (r->begun || outcome == RECONCILE_PARTIAL || ends_open_undo(r) ||
        (r->owes_start && (outcome == RECONCILE_FAILED || outcome == RECONCILE_REFUSED))) {
        r->end_outcome = !r->begun && ends_open_undo(r) && outcome != RECONCILE_IN_SYNC
                             ? RECORD_FAILED
                             : record_outcome_of(r);
        r->after_end_look = false;
        return reconcile_go_to(r, STATE_END, out);
    }
    return go_on_to_start(r, out);
}

int reconcile_enter_end(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_record(record_end(reconcile_head(r), r->end_outcome, r->end_key, r->text),
                            out);
}

int reconcile_on_end(struct reconcile *r, const struct reconcile_event *event,
                     struct reconcile_action *out)
{
    if (event->error < 0 && reconcile_tell(r, RECONCILE_TELL_WARNING,
                                           "VM %u: the journal does not hold the outcome: %s",
                                           r->params.vm.vmid, event->error_text) < 0) {
        return -ENOMEM;
    }
    r->begun = false;
    if (r->after_end_look) {
        r->after_end_look = false;
        return reconcile_go_to(r, STATE_STATUS, out);
    }
    return go_on_to_start(r, out);
}

int reconcile_enter_finished(struct reconcile *r, struct reconcile_action *out)
{
    (void)r; /* nothing is left to do */
    out->type = RECONCILE_DO_FINISH;
    return 0;
}

int reconcile_on_finished(struct reconcile *r, const struct reconcile_event *event,
                          struct reconcile_action *out)
{
    (void)event; /* nothing is being waited for */
    return reconcile_enter_finished(r, out);
}
