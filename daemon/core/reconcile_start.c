/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reconciliation: the start that we owe a VM whose own start we stopped. Once: written down before,
 * watched to its end, and asked for again only where PVE certainly did not do it.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "core/reconcile_impl.h"
#include "core/wire.h"

/* A VM must not stay down (law 9): nothing that may pass ends the debt. It stays in the journal,
 * and the next look tries again. */
int reconcile_start_later(struct reconcile *r, const char *why, struct reconcile_action *out)
{
    if (reconcile_tell(r, RECONCILE_TELL_DOWN,
                       "VM %u is DOWN: pve-hwid stopped its start and cannot start it again now: "
                       "%s. It tries again; you may start it with: qm start %u",
                       r->params.vm.vmid, why, r->params.vm.vmid) < 0) {
        return -ENOMEM;
    }
    r->retry = true;
    r->outcome = RECONCILE_FAILED;
    return reconcile_go_to(r, STATE_FINISHED, out);
}

static int again(struct reconcile *r, const struct api_reply *reply, enum reconcile_state state,
                 struct reconcile_action *out)
{
    bool denied = reply->result == API_REFUSED && (reply->status == 401 || reply->status == 403);

    if (requests_vm_is_gone(reply)) {
        r->dropped = "it is not on this node any more";
        return reconcile_go_to(r, STATE_STARTED_RECORD, out);
    }
    if (!denied && reconcile_has_patience(r, r->params.start_patience_ms)) {
        return reconcile_sleep_then(r, state, RECONCILE_SLEEP_MS, out);
    }
    return reconcile_start_later(r, reply->message == NULL ? "no answer" : reply->message, out);
}

int reconcile_enter_start_status(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(requests_status(r->params.vm), out);
}

int reconcile_on_start_status(struct reconcile *r, const struct reconcile_event *event,
                              struct reconcile_action *out)
{
    if (event->reply->result != API_OK) {
        return again(r, event->reply, STATE_START_STATUS, out);
    }
    if (reconcile_reply_runs(event->reply)) {
        r->dropped = r->starts == 0 ? "it is running already" : NULL;
        return reconcile_go_to(r, STATE_STARTED_RECORD, out);
    }
    /* The first look may never have come this far. */
    if (reconcile_reply_is_ha(event->reply)) {
        r->dropped = "the HA manager starts it again by itself";
        return reconcile_go_to(r, STATE_STARTED_RECORD, out);
    }
    if (r->start_asked != 0) {
        return reconcile_go_to(r, STATE_START_LOOK, out);
    }
    /* A start that was held since is another one than what a dead daemon had asked for: but that
     * may be carried out still, and would be the second. */
    return r->late_until > r->now_ms
               ? reconcile_sleep_then(r, STATE_START_STATUS, r->late_until - r->now_ms, out)
               : reconcile_go_to(r, STATE_START_RECORD, out);
}

/*
 * A daemon that was killed after it had asked, or lost the answer, does not know whether the VM was
 * started; that it is stopped now says nothing, since somebody may have stopped it. PVE's list of
 * tasks knows. Our token sees its own tasks there; with Sys.Audit also those of others, and where
 * one of them started the VM no start is owed either.
 */
int reconcile_enter_start_look(struct reconcile *r, struct reconcile_action *out)
{
    int64_t since = r->start_asked - RECONCILE_CLOCK_S;

    /* What began before the hold has nothing to do with this start. */
    return reconcile_request(requests_starts(r->params.vm, since > r->held_at ? since : r->held_at),
                             out);
}

/* A start that a lock was in the way of: it may be asked for again. */
static bool met_a_lock(const char *exit)
{
    return strstr(exit, "got timeout") != NULL || strstr(exit, "VM is locked") != NULL;
}

/* A start that the hook held: that is the debt, not what paid it. */
static bool was_held(const char *exit)
{
    static_assert(WIRE_HOOK_RESTART == 75, "as below");
    return strstr(exit, "exit code 75") != NULL;
}

static bool has_failed(const char *status)
{
    return status != NULL && !str_equal(status, "OK") && !str_equal(status, "RUNNING") &&
           !str_starts(status, "WARNINGS");
}

/* Is this entry the start that we owe? Whoever made it. PVE may call one RUNNING for some seconds
 * after its end: what came of it is for the watch to say. Where nothing tells that we had asked at
 * all, one that failed ends no debt. */
static bool is_the_start(const struct reconcile *r, const json_t *task)
{
    const char *type = json_string_value(json_object_get(task, "type"));
    const char *id = json_string_value(json_object_get(task, "id"));
    const char *upid = json_string_value(json_object_get(task, "upid"));
    const char *status = json_string_value(json_object_get(task, "status"));
    uint64_t vmid;

    return upid != NULL && str_starts(upid, "UPID:") && str_equal(type, "qmstart") &&
           str_to_u64(id, UINT32_MAX, &vmid) && vmid == r->params.vm.vmid &&
           (status == NULL || (!met_a_lock(status) && !was_held(status))) &&
           (!r->start_guessed || !has_failed(status));
}

int reconcile_on_start_look(struct reconcile *r, const struct reconcile_event *event,
                            struct reconcile_action *out)
{
    const json_t *task;
    size_t i;

    if (event->reply->result != API_OK) {
        return again(r, event->reply, STATE_START_STATUS, out);
    }
    json_array_foreach (event->reply->data, i, task) { /* the newest first */
        if (!is_the_start(r, task)) {
            continue;
        }
        if (str_replace(&r->upid, json_string_value(json_object_get(task, "upid"))) < 0 ||
            reconcile_tell(r, RECONCILE_TELL_INFO,
                           "VM %u: PVE has made its start already (%s): it is not asked for again, "
                           "whether or not somebody has stopped the VM since",
                           r->params.vm.vmid, r->upid) < 0) {
            return -ENOMEM;
        }
        r->start_found = true;
        return reconcile_go_to(r, STATE_WATCH, out);
    }
    if (r->late_until > r->now_ms) {
        return reconcile_sleep_then(r, STATE_START_STATUS, r->late_until - r->now_ms, out);
    }
    return reconcile_go_to(r, STATE_START_RECORD, out);
}

int reconcile_enter_start_record(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_record(record_start(reconcile_head(r)), out);
}

int reconcile_on_start_record(struct reconcile *r, const struct reconcile_event *event,
                              struct reconcile_action *out)
{
    int64_t now;

    /* Of more than one try the first counts: a later look must find what came of any of them. */
    if ((r->start_asked == 0 || r->start_guessed) && str_to_seconds(r->now, &now)) {
        r->start_asked = now;
        r->start_guessed = false;
    }
    /* The debt itself is on disk since `held`: a start that cannot be noted is still made. */
    if (event->error < 0 &&
        reconcile_tell(r, RECONCILE_TELL_WARNING, "VM %u: the journal does not hold the start: %s",
                       r->params.vm.vmid, event->error_text) < 0) {
        return -ENOMEM;
    }
    return reconcile_go_to(r, STATE_START, out);
}

int reconcile_enter_start(struct reconcile *r, struct reconcile_action *out)
{
    if (r->starts == 0 &&
        reconcile_tell(r, RECONCILE_TELL_START, "VM %u is started again", r->params.vm.vmid) < 0) {
        return -ENOMEM;
    }
    r->starts++;
    r->start_found = false;
    return reconcile_request(requests_start(r->params.vm), out);
}

int reconcile_on_start(struct reconcile *r, const struct reconcile_event *event,
                       struct reconcile_action *out)
{
    const struct api_reply *reply = event->reply;

    if (reply->result == API_LOST && r->starts < RECONCILE_STARTS_MAX) {
        /* Perhaps it is starting; the look at its status decides. */
        return reconcile_sleep_then(r, STATE_START_STATUS, RECONCILE_LOST_MS, out);
    }
    if (reply->result != API_OK) {
        return again(r, reply, STATE_START_STATUS, out);
    }
    if (str_replace(&r->upid, json_string_value(reply->data)) < 0) {
        return -ENOMEM;
    }
    return reconcile_sleep_then(r, STATE_WATCH, RECONCILE_WATCH_MS, out);
}

int reconcile_enter_watch(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(requests_task(r->params.vm, r->upid), out);
}

static int on_start_failed(struct reconcile *r, const char *exit, struct reconcile_action *out)
{
    if (strstr(exit, "already running") != NULL) {
        /* An earlier start of ours whose answer was lost, or somebody was quicker. */
        r->dropped = r->starts > 1    ? NULL
                     : r->start_found ? "somebody else had started it"
                                      : "it is running already";
        return reconcile_go_to(r, STATE_STARTED_RECORD, out);
    }
    /* Ours are not held; one that is found in the list may have been. */
    if (met_a_lock(exit) || (r->start_found && (was_held(exit) || r->start_guessed))) {
        return reconcile_has_patience(r, r->params.start_patience_ms)
                   ? reconcile_sleep_then(r, STATE_START_STATUS, RECONCILE_SLEEP_MS, out)
                   : reconcile_start_later(r, exit, out);
    }
    if (reconcile_tell(r, RECONCILE_TELL_DOWN,
                       "VM %u is DOWN: the start after the rewrite failed: %s. What was changed is "
                       "in: pve-hwid log %u",
                       r->params.vm.vmid, exit, r->params.vm.vmid) < 0) {
        return -ENOMEM;
    }
    r->dropped = "the start failed";
    r->outcome = RECONCILE_FAILED;
    if (str_replace(&r->text, exit) < 0) {
        return -ENOMEM;
    }
    return reconcile_go_to(r, STATE_STARTED_RECORD, out);
}

/* PVE does not want to tell how the task ended: whether the VM runs is for somebody to look at. */
static int watch_in_vain(struct reconcile *r, const struct api_reply *reply,
                         struct reconcile_action *out)
{
    if (reconcile_has_patience(r, r->params.start_patience_ms)) {
        return reconcile_sleep_then(r, STATE_WATCH, RECONCILE_SLEEP_MS, out);
    }
    if (reconcile_tell(r, RECONCILE_TELL_WARNING,
                       "VM %u: its start was asked for (%s), but PVE does not tell how that ended: "
                       "%s. Look at 'qm status %u'",
                       r->params.vm.vmid, r->upid,
                       reply->message == NULL ? "no reason given" : reply->message,
                       r->params.vm.vmid) < 0) {
        return -ENOMEM;
    }
    return reconcile_go_to(r, STATE_STARTED_RECORD, out);
}

/* As long as the task runs it is watched, however long: one that fails late (a storage that does
 * not answer) would otherwise leave the VM down without a word. */
int reconcile_on_watch(struct reconcile *r, const struct reconcile_event *event,
                       struct reconcile_action *out)
{
    const struct api_reply *reply = event->reply;
    const char *status = json_string_value(json_object_get(reply->data, "status"));
    const char *exit = json_string_value(json_object_get(reply->data, "exitstatus"));

    if (reply->result == API_REFUSED && !reconcile_is_passing(reply)) {
        return watch_in_vain(r, reply, out);
    }
    if (reply->result != API_OK || !str_equal(status, "stopped")) {
        bool soon = reconcile_has_patience(r, r->params.start_patience_ms);

        return reconcile_sleep_then(r, STATE_WATCH, soon ? RECONCILE_WATCH_MS : RECONCILE_SLEEP_MS,
                                    out);
    }
    if (exit == NULL || str_equal(exit, "OK") || str_starts(exit, "WARNINGS")) {
        return reconcile_go_to(r, STATE_STARTED_RECORD, out);
    }
    return on_start_failed(r, exit, out);
}

int reconcile_enter_started_record(struct reconcile *r, struct reconcile_action *out)
{
    if (r->dropped != NULL) {
        return reconcile_record(record_dropped(reconcile_head(r), r->dropped), out);
    }
    return reconcile_record(record_started(reconcile_head(r), r->upid), out);
}

int reconcile_on_started_record(struct reconcile *r, const struct reconcile_event *event,
                                struct reconcile_action *out)
{
    int rc;

    (void)event; /* unwritten, a restart of the daemon looks at the VM's status once more */
    r->owes_start = false;
    if (r->dropped == NULL) {
        rc = reconcile_tell(r, RECONCILE_TELL_STARTED, "VM %u was started again (%s)",
                            r->params.vm.vmid, r->upid == NULL ? "it runs" : r->upid);
    } else {
        rc = reconcile_tell(r, RECONCILE_TELL_INFO, "VM %u is not started by pve-hwid: %s",
                            r->params.vm.vmid, r->dropped);
    }
    return rc < 0 ? rc : reconcile_go_to(r, STATE_FINISHED, out);
}
