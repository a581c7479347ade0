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
 * by then (02b): the disk is an unusedN, and nothing is pending any more. That is no "clean": the
 * slot is set to the value it had, which takes the volume out of unusedN again. So nothing but
 * `revert` and values that were there before us is ever sent from here.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/pveconf.h"
#include "core/reconcile_impl.h"

static bool step_has_key(const struct plan_step *step, const char *key)
{
    if (str_equal(step->remove, key)) {
        return true;
    }
    for (size_t i = 0; i < step->n_sets; i++) {
        if (str_equal(step->sets[i].option, key)) {
            return true;
        }
    }
    return false;
}

bool reconcile_key_is_ours(const struct reconcile *r, const char *key)
{
    for (size_t i = 0; key != NULL && i < r->n_steps; i++) {
        if (step_has_key(&r->steps[i], key)) {
            return true;
        }
    }
    return false;
}

/* --- look
 * ------------------------------------------------------------------------------------------ */

int reconcile_enter_look(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(requests_pending(r->params.vm), out);
}

/* Remembers one pending key: for revert=, and what it is now for setting it back. */
static int note_leftover(struct reconcile *r, const json_t *item, struct buf *keys)
{
    const char *key = json_string_value(json_object_get(item, "key"));
    const char *value = json_string_value(json_object_get(item, "value"));
    struct drive_slot slot;

    buf_addf(keys, "%s%s", keys->len > 0 ? "," : "", key);
    if (str_equal(key, "boot")) {
        return str_replace(&r->revert_boot, value);
    }
    if (json_object_get(item, "delete") != NULL && drive_slot_parse(key, &slot)) {
        if (str_replace(&r->revert_slot, key) < 0) {
            return -ENOMEM;
        }
        return str_replace(&r->revert_value, value);
    }
    return 0;
}

/* r->revert_keys becomes NULL where nothing of ours is pending. */
static int collect_leftovers(struct reconcile *r, const json_t *pending)
{
    CLEANUP(buf_fini) struct buf keys = BUF_INIT(0);
    const json_t *item;
    size_t i;

    if (str_replace(&r->revert_slot, NULL) < 0 || str_replace(&r->revert_value, NULL) < 0 ||
        str_replace(&r->revert_boot, NULL) < 0) {
        return -ENOMEM;
    }
    json_array_foreach (pending, i, item) {
        bool open = json_object_get(item, "delete") != NULL ||
                    json_object_get(item, "pending") != NULL;

        if (open && reconcile_key_is_ours(r, json_string_value(json_object_get(item, "key"))) &&
            note_leftover(r, item, &keys) < 0) {
            return -ENOMEM;
        }
    }
    if (keys.error != 0) {
        return keys.error;
    }
    return str_replace(&r->revert_keys, keys.len > 0 ? keys.data : NULL);
}

int reconcile_on_look(struct reconcile *r, const struct reconcile_event *event,
                      struct reconcile_action *out)
{
    if (event->reply->result != API_OK) {
        /* Never give up: we do not know yet whether a deletion is pending. */
        return reconcile_sleep_then(r, STATE_LOOK, RECONCILE_SLEEP_MS, out);
    }
    if (collect_leftovers(r, event->reply->data) < 0) {
        return -ENOMEM;
    }
    if (r->revert_keys == NULL) {
        return reconcile_go_to(r, STATE_LOOK_READ, out); /* is the disk still there? */
    }
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
    if (event->reply->result != API_OK && event->reply->message != NULL &&
        str_replace(&r->step_error, event->reply->message) < 0) {
        return -ENOMEM;
    }
    if (!r->stuck) {
        return reconcile_go_to(r, STATE_LOOK, out);
    }
    return reconcile_sleep_then(
        r, STATE_LOOK, event->reply->result == API_OK ? RECONCILE_SLEEP_MS : RECONCILE_STUCK_MS,
        out);
}

int reconcile_enter_revert(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(requests_revert(r->params.vm, r->revert_keys), out);
}

int reconcile_on_revert(struct reconcile *r, const struct reconcile_event *event,
                        struct reconcile_action *out)
{
    return look_again(r, event, out);
}

int reconcile_enter_set_back(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_request(
        requests_set_back(r->params.vm, r->revert_slot, r->revert_value, r->revert_boot), out);
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
    if (reconcile_tell(r, RECONCILE_TELL_STUCK,
                       "VM %u must NOT be started: PVE does not take the deletion of its disk %s "
                       "back (%s). Bring the storage of that volume back; pve-hwid tries again "
                       "every %d seconds",
                       r->params.vm.vmid, r->revert_slot == NULL ? r->revert_keys : r->revert_slot,
                       r->step_error == NULL ? "no reason given" : r->step_error,
                       RECONCILE_STUCK_MS / 1000) < 0) {
        return -ENOMEM;
    }
    return reconcile_sleep_then(r, STATE_LOOK, RECONCILE_STUCK_MS, out);
}

/* --- clean: how far did it get?
 * ------------------------------------------------------------------------------ */

int reconcile_enter_look_read(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_enter_read(r, out);
}

/* Where is the disk that a step moves? On no slot, while its volume is an unusedN: then the
 * deletion that we left pending was carried out. On no slot and no unusedN: somebody took it away.
 */
enum disk_place { DISK_IN_SLOT, DISK_UNUSED, DISK_NOWHERE };

static bool has_volume(const char *value, const char *volume)
{
    size_t len = strlen(volume);

    return str_starts(value, volume) && (value[len] == '\0' || value[len] == ',');
}

static int find_disk(const struct plan_step *step, const struct pveconf *conf,
                     enum disk_place *ret_place)
{
    CLEANUP(drive_fini) struct drive disk = {0};
    const struct pveconf_section *main_keys = &conf->sections[0];
    struct drive_slot slot;
    int rc;

    *ret_place = DISK_IN_SLOT;
    if (step->remove == NULL || step->probe_value == NULL ||
        !drive_slot_parse(step->probe, &slot)) {
        return 0;
    }
    rc = drive_parse(slot, step->probe_value, &disk, NULL);
    if (rc < 0) {
        return rc == -ENOMEM ? rc : 0;
    }
    *ret_place = DISK_NOWHERE;
    for (size_t i = 0; i < main_keys->n; i++) {
        const struct pveconf_key *key = &main_keys->keys[i];

        if (drive_slot_parse(key->key, &slot) && has_volume(key->value, disk.volume)) {
            *ret_place = DISK_IN_SLOT;
            return 0;
        }
        if (str_starts(key->key, "unused") && has_volume(key->value, disk.volume)) {
            *ret_place = DISK_UNUSED;
        }
    }
    return 0;
}

/* The value of `boot` from before the step that moves the disk. */
static const char *boot_before(const struct plan_step *step)
{
    for (size_t i = 0; i < step->n_sets; i++) {
        if (str_equal(step->sets[i].option, "boot")) {
            return step->sets[i].old;
        }
    }
    return NULL;
}

/* Back into its slot, like a leftover: said and recorded after the second try, tried for ever. */
static int put_disk_back(struct reconcile *r, const struct plan_step *step,
                         struct reconcile_action *out)
{
    if (str_replace(&r->revert_slot, step->probe) < 0 ||
        str_replace(&r->revert_value, step->probe_value) < 0 ||
        str_replace(&r->revert_keys, step->probe) < 0 ||
        str_replace(&r->revert_boot, boot_before(step)) < 0) {
        return -ENOMEM;
    }
    r->revert_tries++;
    return reconcile_go_to(r, r->revert_tries == 3 ? STATE_STUCK_RECORD : STATE_SET_BACK, out);
}

/* 1: *out is what to do about a disk that is in no slot; 0: all are. */
static int look_for_disks(struct reconcile *r, struct reconcile_action *out)
{
    enum disk_place place;

    for (size_t i = 0; i < r->n_steps; i++) {
        const struct plan_step *step = &r->steps[i];

        if (find_disk(step, r->assessment->conf, &place) < 0) {
            return -ENOMEM;
        }
        if (place == DISK_UNUSED) {
            return put_disk_back(r, step, out) < 0 ? -ENOMEM : 1;
        }
        if (place == DISK_NOWHERE && r->stuck) {
            r->stuck = false;
            r->dropped = "one of its disks is in no slot any more";
            return reconcile_conclude(
                       r, RECONCILE_FAILED, out,
                       "the disk that was %s (%s) is in no slot of VM %u any more and "
                       "was not put back: look at 'qm config %u'",
                       step->probe, step->probe_value, r->params.vm.vmid, r->params.vm.vmid) < 0
                       ? -ENOMEM
                       : 1;
        }
    }
    return 0;
}

/* After a crash: the first step that is still to do, with all before it applied. */
static int recover(struct reconcile *r, struct reconcile_action *out)
{
    size_t done = 0;

    r->recovering = false;
    while (done < r->n_steps &&
           reconcile_step_fits(&r->steps[done], r->assessment->conf) == STEP_APPLIED) {
        done++;
    }
    for (size_t i = done; i < r->n_steps; i++) {
        enum reconcile_step_fit fit = reconcile_step_fits(&r->steps[i], r->assessment->conf);

        /* Later steps are judged by their disk alone: their boot order is not there yet. */
        if (i == done ? fit != STEP_TO_DO : fit == STEP_APPLIED) {
            done = r->n_steps + 1;
            break;
        }
    }
    if (r->n_steps == 0 || done > r->n_steps) {
        r->end_outcome = RECORD_INTERRUPTED;
        r->after_end_look = true;
        return reconcile_go_to(r, STATE_END, out);
    }
    r->step = done;
    r->n_applied = done;
    return reconcile_go_to(r, STATE_GATE, out);
}

int reconcile_on_look_read(struct reconcile *r, const struct reconcile_event *event,
                           struct reconcile_action *out)
{
    int rc;

    if (reconcile_assess(r, event->texts) < 0) {
        return -ENOMEM;
    }
    if (r->assessment->conf == NULL) {
        return reconcile_conclude(r, RECONCILE_NOTHING, out, "VM %u is not on this node any more",
                                  r->params.vm.vmid);
    }
    rc = look_for_disks(r, out);
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    if (r->revert_tries > 0 &&
        reconcile_tell(r, RECONCILE_TELL_REVERTED,
                       "VM %u: what a failed change had left pending was taken back",
                       r->params.vm.vmid) < 0) {
        return -ENOMEM;
    }
    r->revert_tries = 0;
    r->stuck = false;
    if (r->recovering) {
        return recover(r, out);
    }
    if (r->step < r->n_steps &&
        reconcile_step_fits(&r->steps[r->step], r->assessment->conf) == STEP_APPLIED) {
        /* The answer was lost, the deed was done. */
        return reconcile_go_to(r, STATE_STEP_RECORD, out);
    }
    return reconcile_go_to(r, STATE_LOOK_RECORD, out);
}

int reconcile_enter_look_record(struct reconcile *r, struct reconcile_action *out)
{
    const char *error = r->step_error == NULL ? "not carried out" : r->step_error;

    return reconcile_record(record_step(reconcile_head(r), r->step, error), out);
}

int reconcile_on_look_record(struct reconcile *r, const struct reconcile_event *event,
                             struct reconcile_action *out)
{
    (void)event; /* the END record says the same once more */
    r->retry = true;
    return reconcile_conclude(r, RECONCILE_FAILED, out,
                              "step %zu of %zu was not carried out and nothing of it is left: %s",
                              r->step + 1, r->n_steps,
                              r->step_error == NULL ? "no reason given" : r->step_error);
}
