/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reconciliation: what a call of ours left pending where it failed late, and what each of it has to
 * become again. What an administrator left pending is not ours; where our call took its place, that
 * value comes back, not the one before it.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/reconcile_impl.h"

/* Does this call leave `pending` (NULL: a deletion) behind under `key` where it fails late? */
static bool step_leaves(const struct plan_step *step, const char *key, const char *pending)
{
    if (pending == NULL && str_equal(step->remove, key)) {
        return true;
    }
    for (size_t i = 0; i < step->n_sets; i++) {
        if (pending == NULL || step->sets[i].value == NULL) {
            if (pending == step->sets[i].value && str_equal(step->sets[i].option, key)) {
                return true; /* an option that goes */
            }
            continue;
        }
        /* PVE takes the old slot out of a boot order by itself: that one may have any value. */
        if (str_equal(step->sets[i].option, key) &&
            (str_equal(key, "boot") || reconcile_same_value(step->sets[i].value, pending))) {
            return true;
        }
    }
    return pending != NULL && str_equal(step->probe, key) &&
           reconcile_same_value(step->probe_value, pending);
}

bool reconcile_is_leftover(const struct reconcile *r, const json_t *item)
{
    const char *key = json_string_value(json_object_get(item, "key"));
    const char *pending = json_string_value(json_object_get(item, "pending"));
    const struct plan_step *step = reconcile_sent_step(r);

    if (key == NULL || (pending == NULL && json_object_get(item, "delete") == NULL)) {
        return false;
    }
    return step != NULL && step_leaves(step, key, pending);
}

const json_t *reconcile_pending_item(const json_t *pending, const char *key)
{
    const json_t *item;
    size_t i;

    json_array_foreach (pending, i, item) {
        if (str_equal(json_string_value(json_object_get(item, "key")), key)) {
            return item;
        }
    }
    return NULL;
}

/* Somebody had another value pending under this key, and the plan took that for what is there (as
 * the next start would have seen it): that one comes back, not the one before it. NULL: there was
 * none. */
static const char *value_planned_from(const struct reconcile *r, const char *key, const char *value)
{
    struct drive_slot slot;

    for (size_t i = 0; i < r->n_steps && !drive_slot_parse(key, &slot); i++) {
        for (size_t j = 0; j < r->steps[i].n_sets; j++) {
            const struct plan_set *set = &r->steps[i].sets[j];

            if (str_equal(set->option, key) && set->old != NULL && !str_equal(key, "boot")) {
                return reconcile_same_value(set->old, value) ? NULL : set->old;
            }
        }
    }
    return NULL;
}

static int note_value(struct reconcile *r, const char *key, const char *value)
{
    struct api_param *param;

    if (vec_reserve(&r->back, r->n_back, &r->cap_back, sizeof(r->back[0])) < 0) {
        return -ENOMEM;
    }
    param = &r->back[r->n_back];
    *param = (struct api_param){.key = str_dup(key), .value = str_dup(value)};
    r->n_back++;
    return param->key == NULL || param->value == NULL ? -ENOMEM : 0;
}

void reconcile_back_clear(struct reconcile *r)
{
    while (r->n_back > 0) {
        r->n_back--;
        free(r->back[r->n_back].key);
        free(r->back[r->n_back].value);
    }
}

/* Remembers one pending key: for revert=, and what it is now for setting it back. */
static int note_leftover(struct reconcile *r, const json_t *item, struct buf *keys,
                         struct buf *reverts)
{
    const char *key = json_string_value(json_object_get(item, "key"));
    const char *value = json_string_value(json_object_get(item, "value"));
    const char *planned_from = value_planned_from(r, key, value);
    struct drive_slot slot;

    buf_addf(keys, "%s%s", keys->len > 0 ? "," : "", key);
    if (planned_from != NULL) {
        return note_value(r, key, planned_from);
    }
    buf_addf(reverts, "%s%s", reverts->len > 0 ? "," : "", key);
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
int reconcile_collect_leftovers(struct reconcile *r, const json_t *pending)
{
    CLEANUP(buf_fini) struct buf keys = BUF_INIT(0);
    CLEANUP(buf_fini) struct buf reverts = BUF_INIT(0);
    const json_t *item;
    size_t i;

    if (str_replace(&r->revert_slot, NULL) < 0 || str_replace(&r->revert_value, NULL) < 0 ||
        str_replace(&r->revert_boot, NULL) < 0) {
        return -ENOMEM;
    }
    reconcile_back_clear(r);
    json_array_foreach (pending, i, item) {
        if (reconcile_is_leftover(r, item) && note_leftover(r, item, &keys, &reverts) < 0) {
            return -ENOMEM;
        }
    }
    if (keys.error != 0 || reverts.error != 0 ||
        str_replace(&r->reverts, reverts.len > 0 ? reverts.data : NULL) < 0) {
        return -ENOMEM;
    }
    item = reconcile_pending_item(pending, "digest");
    if (str_replace(&r->digest, json_string_value(json_object_get(item, "value"))) < 0) {
        return -ENOMEM;
    }
    return str_replace(&r->revert_keys, keys.len > 0 ? keys.data : NULL);
}

/* --- a step that was not done after all
 * ------------------------------------------------------------------------------- */

void reconcile_begin_looking(struct reconcile *r)
{
    r->revert_tries = 0;
    r->order_tries = 0;
}

/* The journal has to say so before anything is taken back: a daemon after us, and the hook alone,
 * look at the step that is under way and at no other. */
int reconcile_reopen(struct reconcile *r, size_t step, struct reconcile_action *out)
{
    if (str_replace(&r->step_error, "PVE left it pending") < 0) {
        return -ENOMEM;
    }
    reconcile_begin_looking(r);
    r->step = step;
    r->sent = step + 1;
    r->n_applied -= r->n_applied > 0;
    return reconcile_go_to(r, STATE_REOPEN_RECORD, out);
}

int reconcile_enter_reopen_record(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_record(record_step(reconcile_head(r), r->step, r->step_error), out);
}

int reconcile_on_reopen_record(struct reconcile *r, const struct reconcile_event *event,
                               struct reconcile_action *out)
{
    (void)event; /* unwritten, a daemon after us looks at the wrong step: one trouble too many */
    return reconcile_go_to(r, STATE_LOOK_STATUS, out);
}
