/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reconciliation: does a step still fit a configuration, is it carried out already? PVE writes
 * values in its own order, with the disk's present size and MACs in upper case: that is no
 * difference. Without allocations, so that want of memory is never taken for somebody's change.
 */
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "core/reconcile_impl.h"

struct item {
    const char *key, *value;
    size_t key_len, value_len; /* key_len 0: the keyless value */
};

/* The item that starts at *at, which moves behind it; false: there is none. */
static bool next_item(const char **at, struct item *ret)
{
    size_t len = strcspn(*at, ",");
    const char *equals = memchr(*at, '=', len);
    struct item item = {.key = *at, .value = *at, .value_len = len};

    if (**at == '\0') {
        return false;
    }
    if (equals != NULL) {
        item.key_len = (size_t)(equals - *at);
        item.value = equals + 1;
        item.value_len = len - item.key_len - 1;
    }
    /* A disk's volume with its key written out. */
    if (item.key_len == strlen("file") && memcmp(item.key, "file", item.key_len) == 0) {
        item.key_len = 0;
    }
    *at += len + ((*at)[len] == ',');
    *ret = item;
    return true;
}

static bool is_mac(const struct item *item)
{
    return item->value_len == strlen("00:50:56:8a:01:02") && item->value[2] == ':' &&
           item->value[5] == ':';
}

static bool equal_items(const struct item *a, const struct item *b)
{
    if (a->key_len != b->key_len || a->value_len != b->value_len ||
        memcmp(a->key, b->key, a->key_len) != 0) {
        return false;
    }
    return is_mac(a) ? strncasecmp(a->value, b->value, a->value_len) == 0
                     : memcmp(a->value, b->value, a->value_len) == 0;
}

static bool is_size(const struct item *item)
{
    return item->key_len == strlen("size") && memcmp(item->key, "size", item->key_len) == 0;
}

/* Is each item of `a` in `b`? */
static bool has_items(const char *a, const char *b)
{
    struct item want, have;

    while (next_item(&a, &want)) {
        const char *at = b;
        bool found = is_size(&want);

        while (!found && next_item(&at, &have)) {
            found = equal_items(&want, &have);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

bool reconcile_same_value(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return has_items(a, b) && has_items(b, a);
}

static bool find_volume(const char *value, struct item *ret)
{
    while (next_item(&value, ret)) {
        if (ret->key_len == 0) {
            return true;
        }
    }
    return false;
}

bool reconcile_same_volume(const char *a, const char *b)
{
    struct item volume_a, volume_b;

    return a != NULL && b != NULL && find_volume(a, &volume_a) && find_volume(b, &volume_b) &&
           volume_a.value_len == volume_b.value_len &&
           memcmp(volume_a.value, volume_b.value, volume_a.value_len) == 0;
}

enum disk_place reconcile_find_volume(const struct pveconf_section *section, const char *value)
{
    enum disk_place place = DISK_NOWHERE;
    struct drive_slot slot;

    for (size_t i = 0; i < section->n; i++) {
        const struct pveconf_key *key = &section->keys[i];
        bool same = reconcile_same_volume(key->value, value);

        if (same && drive_slot_parse(key->key, &slot)) {
            return DISK_IN_SLOT;
        }
        if (same && str_starts(key->key, "unused")) {
            place = DISK_UNUSED;
        }
    }
    return place;
}

enum reconcile_step_fit reconcile_step_fits(const struct plan_step *step,
                                            const struct pveconf *conf)
{
    /* As the plan saw it: PVE carries out what is pending with our first call. */
    bool applied = step->remove == NULL || pveconf_get_pending(conf, step->remove) == NULL;
    bool to_do = step->probe == NULL ||
                 reconcile_same_value(pveconf_get_pending(conf, step->probe), step->probe_value);

    for (size_t i = 0; i < step->n_sets; i++) {
        const char *now = pveconf_get_pending(conf, step->sets[i].option);

        applied = applied && reconcile_same_value(now, step->sets[i].value);
        to_do = to_do && reconcile_same_value(now, step->sets[i].old);
    }
    return applied ? STEP_APPLIED : to_do ? STEP_TO_DO : STEP_FOREIGN;
}

/* Does a step from `first` on set `option` to this value in the end (NULL: take it away)? */
static bool is_left_to_do(const struct reconcile *r, size_t first, const struct plan_change *change)
{
    const char *value = NULL;
    bool named = str_equal(change->option, "bootdisk"); /* goes by itself: plan.h */

    for (size_t i = first; i < r->n_steps; i++) {
        const struct plan_step *step = &r->steps[i];

        named = named || str_equal(step->remove, change->option);
        for (size_t j = 0; j < step->n_sets; j++) {
            if (str_equal(step->sets[j].option, change->option)) {
                named = true;
                value = step->sets[j].value;
            }
        }
    }
    return named && reconcile_same_value(value, change->new);
}

bool reconcile_ends_what_is_open(const struct reconcile *r)
{
    const struct plan *plan = r->assessment->plan;

    if (r->step == 0 || r->step >= r->n_steps) {
        return false; /* none of it was done, or all */
    }
    for (size_t i = 0; i < plan->n_changes; i++) {
        if (!is_left_to_do(r, r->step, &plan->changes[i])) {
            return false;
        }
    }
    return plan->refusals.n == 0;
}
