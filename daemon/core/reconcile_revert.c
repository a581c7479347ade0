/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reconciliation: after an error, or after a crash, take back what was left pending.
 *
 * A call that fails late is half applied: [PENDING] keeps `delete: <old slot>` and a boot order,
 * and the next start, or any later PUT, carries the deletion out (recordings 06n, 06q). So: look;
 * revert exactly those keys of ours that are pending, in one call; look again; else set slot and
 * boot to their present values; look again. While the deletion cannot be taken back the VM must not
 * start: we say so loudly and keep trying.
 *
 * Somebody may try to start it all the same. The hook refuses, but PVE has carried the deletion out
 * by then (02b), as it does with anybody's next change: the disk is an unusedN, and nothing is
 * pending any more. That is no "clean": the slot is set to the value it had, which takes the volume
 * out of unusedN again. So nothing but `revert` and values that were there before us is ever sent
 * from here, each with the digest of the look that it comes from.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/identity.h"
#include "core/reconcile_impl.h"

/* --- look
 * ------------------------------------------------------------------------------------------ */

/* Once, and once more at the highest priority where a start is owed: that may come later. */
static int tell_blind(struct reconcile *r, const struct api_reply *reply)
{
    const char *why = reply->message == NULL ? "no reason given" : reply->message;
    uint32_t vmid = r->params.vm.vmid;

    if (r->owes_start && !r->told_down) {
        r->told_down = r->blind = true;
        return reconcile_tell(r, RECONCILE_TELL_DOWN,
                              "VM %u is DOWN: pve-hwid stopped its start, a change may be half "
                              "done, and PVE does not tell what is left of it (%s): do not start "
                              "the VM before 'qm pending %u' shows no deletion of a disk; pve-hwid "
                              "keeps looking, and starts it then",
                              vmid, why, vmid);
    }
    if (r->blind) {
        return 0;
    }
    r->blind = true;
    return reconcile_tell(r, RECONCILE_TELL_WARNING,
                          "VM %u: a change did not go through, and PVE does not tell what is left "
                          "of it (%s): do not start the VM before 'qm pending %u' shows no "
                          "deletion of a disk; pve-hwid keeps looking",
                          vmid, why, vmid);
}

/* Never give up: we do not know yet whether a deletion is pending. */
int reconcile_look_in_vain(struct reconcile *r, const struct api_reply *reply,
                           enum reconcile_state again, struct reconcile_action *out)
{
    if (requests_vm_is_gone(reply)) {
        return reconcile_conclude_gone(r, out);
    }
    if (!reconcile_has_patience(r, r->params.lock_patience_ms) && tell_blind(r, reply) < 0) {
        return -ENOMEM;
    }
    return reconcile_sleep_then(r, again, RECONCILE_SLEEP_MS, out);
}

int reconcile_enter_look_status(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(requests_status(r->params.vm), out);
}

int reconcile_on_look_status(struct reconcile *r, const struct reconcile_event *event,
                             struct reconcile_action *out)
{
    if (event->reply->result != API_OK) {
        return reconcile_look_in_vain(r, event->reply, STATE_LOOK_STATUS, out);
    }
    r->runs = reconcile_reply_runs(event->reply);
    return reconcile_go_to(r, STATE_LOOK, out);
}

int reconcile_enter_look(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(requests_pending(r->params.vm), out);
}

/* Is a slot's deletion pending without the slot that the disk moves to? On a running VM a whole
 * move stays pending until the stop, and is right then; half of one costs the disk. */
static bool half_a_move(const struct reconcile *r, const json_t *pending)
{
    const struct plan_step *step = reconcile_sent_step(r);
    const json_t *from = step == NULL ? NULL : reconcile_pending_item(pending, step->remove);
    bool to = false;

    for (size_t i = 0; step != NULL && i < step->n_sets; i++) {
        struct drive_slot slot;

        to = to || (drive_slot_parse(step->sets[i].option, &slot) &&
                    reconcile_pending_item(pending, step->sets[i].option) != NULL);
    }
    return from != NULL && json_object_get(from, "delete") != NULL && !to;
}

static const char *live_value(const json_t *pending, const char *key)
{
    return json_string_value(json_object_get(reconcile_pending_item(pending, key), "value"));
}

/* Started past the hook, right between our last look and our call: PVE plugs the new slot in at
 * once, and cannot unplug the old one where the guest boots from it (recording 11e). */
static const struct plan_step *attached_twice(const struct reconcile *r, const json_t *pending)
{
    for (size_t i = 0; i < r->n_steps; i++) {
        const struct plan_step *step = &r->steps[i];
        const char *old = live_value(pending, step->remove);

        for (size_t j = 0; old != NULL && j < step->n_sets; j++) {
            const char *now = live_value(pending, step->sets[j].option);
            struct drive_slot slot;

            if (now != NULL && drive_slot_parse(step->sets[j].option, &slot) &&
                !str_equal(step->sets[j].option, step->remove) && reconcile_same_volume(old, now)) {
                return step;
            }
        }
    }
    return NULL;
}

static int warn_of_two(struct reconcile *r, const json_t *pending)
{
    const struct plan_step *step = r->runs ? attached_twice(r, pending) : NULL;

    if (step == NULL) {
        return 0;
    }
    return reconcile_tell(r, RECONCILE_TELL_STUCK,
                          "VM %u must be STOPPED AT ONCE ('qm stop %u'): it was started while its "
                          "disk was being moved, and runs with %s attached twice, as %s and in the "
                          "new place; a guest that writes to both destroys its data. Once stopped, "
                          "it is right again",
                          r->params.vm.vmid, r->params.vm.vmid, step->probe_value, step->remove);
}

/* Likewise, and PVE could unplug the old slot: the guest lost the disk, and the new slot waits for
 * the stop. The slot it waits for; NULL: it is not so. */
static const char *unplugged_for(const struct reconcile *r, const json_t *pending)
{
    const struct plan_step *step = reconcile_sent_step(r);

    if (step == NULL || step->remove == NULL || reconcile_pending_item(pending, step->remove)) {
        return NULL;
    }
    for (size_t i = 0; i < step->n_sets; i++) {
        const json_t *item = reconcile_pending_item(pending, step->sets[i].option);
        const char *waits = json_string_value(json_object_get(item, "pending"));
        struct drive_slot slot;

        if (drive_slot_parse(step->sets[i].option, &slot) &&
            json_object_get(item, "value") == NULL && waits != NULL &&
            reconcile_same_volume(waits, step->probe_value)) {
            return step->sets[i].option;
        }
    }
    return NULL;
}

static int warn_of_unplugged(struct reconcile *r, const json_t *pending)
{
    const char *slot = r->runs ? unplugged_for(r, pending) : NULL;

    if (slot == NULL) {
        return 0;
    }
    return reconcile_tell(r, RECONCILE_TELL_STUCK,
                          "VM %u runs WITHOUT its disk %s: it was started while that was being "
                          "moved, and PVE has unplugged it; the image is untouched. Stop the VM "
                          "('qm shutdown %u'): then the disk is there again, as %s",
                          r->params.vm.vmid, reconcile_sent_step(r)->remove, r->params.vm.vmid,
                          slot);
}

/* Killed after the record of a step and before the look at the VM that comes then: see
 * last_move_is_pending() in reconcile_rewrite.c. */
static bool recorded_move_is_pending(const struct reconcile *r, const json_t *pending)
{
    const struct plan_step *step;
    const json_t *from;

    if (!r->recovering || r->runs || r->step == 0) {
        return false;
    }
    step = &r->steps[r->step - 1];
    from = step->remove == NULL ? NULL : reconcile_pending_item(pending, step->remove);
    return json_object_get(from, "delete") != NULL &&
           reconcile_same_volume(live_value(pending, step->remove), step->probe_value);
}

/* The same configuration that this answer's digest names: nothing is taken back in another
 * machine's. */
static int64_t made_at_of(const json_t *pending)
{
    CLEANUP(identity_fini) struct identity id = {0};
    const char *meta = live_value(pending, "meta");

    return meta != NULL && identity_add_option(&id, "meta", meta) == 0 ? id.ctime : 0;
}

int reconcile_on_look(struct reconcile *r, const struct reconcile_event *event,
                      struct reconcile_action *out)
{
    int64_t made_at;

    if (event->reply->result != API_OK) {
        return reconcile_look_in_vain(r, event->reply, STATE_LOOK_STATUS, out);
    }
    made_at = made_at_of(event->reply->data);
    if (reconcile_is_another(r, made_at)) {
        return reconcile_conclude_another(r, made_at, out);
    }
    if (recorded_move_is_pending(r, event->reply->data)) {
        return reconcile_reopen(r, r->step - 1, out);
    }
    if (reconcile_collect_leftovers(r, event->reply->data) < 0 ||
        warn_of_two(r, event->reply->data) < 0 || warn_of_unplugged(r, event->reply->data) < 0) {
        return -ENOMEM;
    }
    if (r->revert_keys == NULL || (r->runs && !half_a_move(r, event->reply->data))) {
        return reconcile_go_to(r, STATE_LOOK_READ, out); /* is the disk still there? */
    }
    r->step_may_pass =
        true; /* half of it came through: only something that comes and goes does that */
    r->revert_tries++;
    if (r->revert_tries == 3) {
        return reconcile_go_to(r, STATE_STUCK_RECORD, out);
    }
    /* The two ways back take turns for as long as it lasts. */
    if (r->revert_tries % 2 == 1 || r->revert_value == NULL) {
        return reconcile_go_to(r, STATE_REVERT, out);
    }
    return reconcile_go_to(r, STATE_SET_BACK, out);
}

/* --- the two ways back
 * -------------------------------------------------------------------------------- */

static int look_again(struct reconcile *r, const struct reconcile_event *event,
                      struct reconcile_action *out)
{
    const struct api_reply *reply = event->reply;
    bool passing = reconcile_is_passing(reply) || reconcile_is_checksum(reply) ||
                   reconcile_is_vm_locked(reply);

    if (reply->result != API_OK && reply->message != NULL &&
        str_replace(&r->step_error, reply->message) < 0) {
        return -ENOMEM;
    }
    if (reply->result == API_OK) {
        reconcile_patience_reset(r);
        return reconcile_go_to(r, STATE_LOOK_STATUS, out);
    }
    /* PVE did not even try: the same way once more. Without such keys it was for the boot order. */
    if (passing && reconcile_has_patience(r, r->params.lock_patience_ms)) {
        r->revert_tries -= r->revert_keys != NULL;
        r->order_tries -= r->revert_keys == NULL;
        return reconcile_sleep_then(r, STATE_LOOK_STATUS, RECONCILE_SLEEP_MS, out);
    }
    return reconcile_sleep_then(r, STATE_LOOK_STATUS,
                                r->stuck ? RECONCILE_STUCK_MS : RECONCILE_SLEEP_MS, out);
}

int reconcile_enter_revert(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(
        requests_revert(r->params.vm, r->reverts, r->back, r->n_back, r->digest), out);
}

int reconcile_on_revert(struct reconcile *r, const struct reconcile_event *event,
                        struct reconcile_action *out)
{
    return look_again(r, event, out);
}

/* Of r->reverts, what set_back does not set: the new slot, where its value is pending as well. With
 * it left there, the call would attach the volume twice. The caller's; *ret NULL: nothing. */
static int reverts_besides(const struct reconcile *r, char **ret)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
    CLEANUP_FREE char *keys = str_dup(r->reverts);
    char *state = NULL;

    *ret = NULL;
    if (r->reverts != NULL && keys == NULL) {
        return -ENOMEM;
    }
    for (char *key = keys == NULL ? NULL : strtok_r(keys, ",", &state); key != NULL;
         key = strtok_r(NULL, ",", &state)) {
        bool set = str_equal(key, r->revert_slot) ||
                   (str_equal(key, "boot") && r->revert_boot != NULL);

        if (!set) {
            buf_addf(&out, "%s%s", out.len > 0 ? "," : "", key);
        }
    }
    if (out.error != 0) {
        return out.error;
    }
    *ret = out.len > 0 ? buf_steal(&out) : NULL;
    return 0;
}

int reconcile_enter_set_back(struct reconcile *r, struct reconcile_action *out)
{
    const struct api_param slot = {.key = r->revert_slot, .value = r->revert_value};
    CLEANUP_FREE char *besides = NULL;

    if (reverts_besides(r, &besides) < 0) {
        return -ENOMEM;
    }
    return reconcile_request(
        requests_set_back(r->params.vm, &slot, r->revert_boot, besides, r->digest), out);
}

int reconcile_on_set_back(struct reconcile *r, const struct reconcile_event *event,
                          struct reconcile_action *out)
{
    return look_again(r, event, out);
}

/* --- stuck
 * -----------------------------------------------------------------------------------------------
 */

int reconcile_enter_stuck_record(struct reconcile *r, struct reconcile_action *out)
{
    r->stuck = true;
    return reconcile_record(record_stuck(reconcile_head(r), r->revert_keys, r->step_error), out);
}

int reconcile_on_stuck_record(struct reconcile *r, const struct reconcile_event *event,
                              struct reconcile_action *out)
{
    (void)event; /* recorded or not: it is told below, and the change set stays open */
    if (reconcile_tell(
            r, RECONCILE_TELL_STUCK,
            r->runs
                ? "VM %u runs WITHOUT its disk %s, which a change that went wrong detached (%s); "
                  "the image is untouched. Stop the VM: then pve-hwid puts the disk back, it "
                  "looks every %d seconds"
                : "VM %u must NOT be started: PVE does not take the deletion of its disk %s back "
                  "(%s). Bring the storage of that volume back; pve-hwid tries again every %d "
                  "seconds",
            r->params.vm.vmid, r->revert_slot == NULL ? r->revert_keys : r->revert_slot,
            r->step_error == NULL ? "no reason given" : r->step_error,
            RECONCILE_STUCK_MS / 1000) < 0) {
        return -ENOMEM;
    }
    return reconcile_sleep_then(r, STATE_LOOK_STATUS, RECONCILE_STUCK_MS, out);
}
