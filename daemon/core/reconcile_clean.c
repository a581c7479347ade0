/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reconciliation: nothing of ours is pending any more. How far did it get, is the disk of the step
 * that was under way in a slot, and in the boot order? See reconcile_revert.c.
 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "core/reconcile_impl.h"

enum { ORDER_TRIES_MAX = 5 };

int reconcile_enter_look_read(struct reconcile *r, struct reconcile_action *out)
{
    return reconcile_enter_read(r, out);
}

/* A slot that is pending for a VM that runs is one: at the stop the disk is in it. */
static enum disk_place find_disk(const struct plan_step *step, const struct pveconf *conf)
{
    const struct pveconf_section *pending = pveconf_section(conf, PVECONF_PENDING);

    if (step->remove == NULL || step->probe_value == NULL ||
        (pending != NULL && reconcile_find_volume(pending, step->probe_value) == DISK_IN_SLOT)) {
        return DISK_IN_SLOT;
    }
    return reconcile_find_volume(&conf->sections[0], step->probe_value);
}

/* The boot order from before the step that moves the disk, as far as PVE takes it; NULL: there was
 * none. The caller's. */
static int order_before(const struct reconcile *r, const struct plan_step *step, char **ret)
{
    *ret = NULL;
    for (size_t i = 0; i < step->n_sets; i++) {
        const struct plan_set *set = &step->sets[i];

        if (str_equal(set->option, "boot") && set->old != NULL && str_starts(set->old, "order=")) {
            *ret = boot_order_present(r->assessment->conf, set->old, step->probe);
            return *ret == NULL ? -ENOMEM : 0;
        }
    }
    return 0;
}

/* Does this order, no more than a text between "order=", ";" and its end, name a device? */
static bool order_names(const char *order, const char *device)
{
    size_t len = strlen(device);

    for (const char *at = order; *at != '\0'; at += *at != '\0') {
        size_t word = strcspn(at, "=; ");

        if (word == len && memcmp(at, device, len) == 0) {
            return true;
        }
        at += word;
    }
    return false;
}

/* Has anything been set back since the last step went wrong? */
static bool took_back(const struct reconcile *r)
{
    return r->revert_tries > 0 || r->order_tries > 0;
}

/* The disk is back in its slot, but not in the boot order, out of which PVE took it: it was set
 * without the order, because that was refused. */
static bool left_the_order(const struct reconcile *r, const struct plan_step *step,
                           const char *before)
{
    const struct pveconf *conf = r->assessment->conf;
    const char *now = pveconf_get(conf, "boot");

    return (r->stuck || took_back(r)) && step->remove != NULL && now != NULL &&
           order_names(before, step->remove) && !order_names(now, step->remove) &&
           reconcile_same_volume(pveconf_get(conf, step->remove), step->probe_value);
}

static const struct plan_set *find_set(const struct plan_step *step, bool disk)
{
    for (size_t i = 0; i < step->n_sets; i++) {
        struct drive_slot slot;

        if (disk ? drive_slot_parse(step->sets[i].option, &slot)
                 : str_equal(step->sets[i].option, "boot")) {
            return &step->sets[i];
        }
    }
    return NULL;
}

/* The disk is in its new slot, but the call broke before its boot order, and what was pending of it
 * was carried out by somebody else's call. *ret is the order then (the caller's); NULL: that is not
 * so, or the order is another one than PVE makes by taking the old slot out. */
static int order_after(const struct reconcile *r, const struct plan_step *step, char **ret)
{
    const struct pveconf *conf = r->assessment->conf;
    const struct plan_set *boot = find_set(step, false);
    const struct plan_set *disk = find_set(step, true);
    const char *now = pveconf_get(conf, "boot");
    CLEANUP_FREE char *by_pve = NULL;
    CLEANUP_FREE char *is = NULL;

    *ret = NULL;
    if (now == NULL || boot == NULL || disk == NULL || step->remove == NULL || boot->old == NULL ||
        boot->value == NULL || !str_starts(boot->old, "order=") ||
        !str_starts(boot->value, "order=") || !order_names(boot->old, step->remove) ||
        pveconf_get(conf, step->remove) != NULL ||
        !reconcile_same_volume(pveconf_get(conf, disk->option), step->probe_value)) {
        return 0;
    }
    by_pve = boot_order_present(conf, boot->old, NULL);
    is = boot_order_present(conf, str_starts(now, "order=") ? now : "order=", NULL);
    if (by_pve == NULL || is == NULL) {
        return -ENOMEM;
    }
    if (str_equal(is, by_pve)) {
        *ret = boot_order_present(conf, boot->value, NULL);
        return *ret == NULL ? -ENOMEM : 0;
    }
    return 0;
}

/* The slot that the boot order has to name again, and that order (the caller's); NULL: none. */
static int find_order(const struct reconcile *r, const struct plan_step *step,
                      const char **ret_slot, char **ret_order)
{
    CLEANUP_FREE char *before = NULL;
    int rc = order_before(r, step, &before);

    *ret_slot = step->probe;
    *ret_order = NULL;
    if (rc == 0 && before != NULL && left_the_order(r, step, before)) {
        *ret_order = STEAL(before);
        return 0;
    }
    if (rc == 0) {
        rc = order_after(r, step, ret_order);
        *ret_slot = *ret_order == NULL ? step->probe : find_set(step, true)->option;
    }
    return rc;
}

/* The slot's own value beside it changes nothing. */
static int set_order_back(struct reconcile *r, const char *slot, const char *order,
                          struct reconcile_action *out)
{
    if (str_replace(&r->revert_slot, slot) < 0 ||
        str_replace(&r->revert_value, pveconf_get(r->assessment->conf, slot)) < 0 ||
        str_replace(&r->reverts, NULL) < 0 || str_replace(&r->revert_boot, order) < 0) {
        return -ENOMEM;
    }
    r->order_tries++; /* of its own: nothing is stuck for want of an order */
    return reconcile_go_to(r, STATE_SET_BACK, out);
}

/* Nothing is changed in a running VM. Its stop is waited for, since the order is in our memory
 * alone: no later plan would know of it. Whoever started it has no start to be owed by us. */
static int wait_for_the_stop(struct reconcile *r, const char *slot, const char *order,
                             struct reconcile_action *out)
{
    bool told = r->told_order;

    r->ran = r->told_order = true;
    if (!told && reconcile_tell(r, RECONCILE_TELL_WARNING,
                                "VM %u runs, and the disk that is %s now has left its boot order: "
                                "it was started while that was being moved. The order is put right "
                                "when the VM has stopped; or by you: qm set %u --boot '%s'",
                                r->params.vm.vmid, slot, r->params.vm.vmid, order) < 0) {
        return -ENOMEM;
    }
    return reconcile_sleep_then(r, STATE_LOOK_STATUS, RECONCILE_STUCK_MS, out);
}

/* 1: *out is what to do about the boot order that the disk has left; 0: nothing. */
static int put_order_back(struct reconcile *r, const struct plan_step *step,
                          struct reconcile_action *out)
{
    CLEANUP_FREE char *order = NULL;
    const char *slot = NULL;
    int rc = find_order(r, step, &slot, &order);

    if (rc < 0 || order == NULL) {
        return rc;
    }
    if (r->runs) {
        rc = wait_for_the_stop(r, slot, order, out);
        return rc < 0 ? rc : 1;
    }
    if (r->order_tries < ORDER_TRIES_MAX) {
        rc = set_order_back(r, slot, order, out);
        return rc < 0 ? rc : 1;
    }
    if (r->order_tries > ORDER_TRIES_MAX) {
        return 0; /* it was told */
    }
    r->order_tries++;
    return reconcile_tell(r, RECONCILE_TELL_WARNING,
                          "VM %u: %s is in its slot, but not in the boot order (%s), so that the "
                          "VM may not find its system: qm set %u --boot '%s'",
                          r->params.vm.vmid, slot,
                          r->step_error == NULL ? "no reason given" : r->step_error,
                          r->params.vm.vmid, order);
}

/* Back into its slot, like a leftover: said and recorded after the second try, tried for ever. */
static int put_disk_back(struct reconcile *r, const struct plan_step *step,
                         struct reconcile_action *out)
{
    CLEANUP_FREE char *before = NULL;

    if (order_before(r, step, &before) < 0 || str_replace(&r->revert_slot, step->probe) < 0 ||
        str_replace(&r->revert_value, step->probe_value) < 0 ||
        str_replace(&r->revert_keys, step->probe) < 0 || str_replace(&r->reverts, NULL) < 0 ||
        /* In turns without it, whatever PVE has against that order. */
        str_replace(&r->revert_boot, r->revert_tries % 2 == 0 ? before : NULL) < 0) {
        return -ENOMEM;
    }
    r->revert_tries++;
    if (r->runs && r->revert_tries > 3) {
        return reconcile_sleep_then(r, STATE_LOOK_STATUS, RECONCILE_STUCK_MS, out);
    }
    if (r->runs || r->revert_tries == 3) {
        r->revert_tries = 3;
        return reconcile_go_to(r, STATE_STUCK_RECORD, out);
    }
    return reconcile_go_to(r, STATE_SET_BACK, out);
}

static int conclude_lost(struct reconcile *r, const struct plan_step *step,
                         struct reconcile_action *out)
{
    r->disk_lost = true;
    return reconcile_conclude(r, RECONCILE_FAILED, out,
                              "the disk that was %s (%s) is in no slot of VM %u any more and was "
                              "not put back: look at 'qm config %u'",
                              step->probe, step->probe_value, r->params.vm.vmid, r->params.vm.vmid);
}

/* Somebody set the old slot anew while our move was half through: PVE carried out what was left of
 * it, and both slots name the disk. Which one is meant is for people to say. NULL: none. */
static const char *second_slot(const struct plan_step *step, const struct pveconf *conf)
{
    const struct pveconf_section *main_keys = &conf->sections[0];
    struct drive_slot slot;

    for (size_t i = 0; i < main_keys->n && step->remove != NULL && step->probe_value != NULL; i++) {
        const struct pveconf_key *key = &main_keys->keys[i];

        if (!str_equal(key->key, step->remove) && drive_slot_parse(key->key, &slot) &&
            reconcile_same_volume(key->value, step->probe_value)) {
            return pveconf_get(conf, step->remove) != NULL &&
                           reconcile_same_volume(pveconf_get(conf, step->remove), step->probe_value)
                       ? key->key
                       : NULL;
        }
    }
    return NULL;
}

static int conclude_twice(struct reconcile *r, const struct plan_step *step, const char *second,
                          struct reconcile_action *out)
{
    r->disk_lost = true; /* no start by us */
    return reconcile_conclude(r, RECONCILE_FAILED, out,
                              "somebody changed %s while it was being moved, and now %s and %s are "
                              "one disk attached twice: do NOT start VM %u before one of them is "
                              "gone: qm set %u --delete %s",
                              step->remove, step->remove, second, r->params.vm.vmid,
                              r->params.vm.vmid, second);
}

/* A disk whose move was not under way is not ours to put back: PVE got no call of ours that could
 * have detached it. Said once. */
static int tell_detached(struct reconcile *r, const struct plan_step *step)
{
    if (r->told_detached) {
        return 0;
    }
    r->told_detached = true;
    return reconcile_tell(r, RECONCILE_TELL_WARNING,
                          "VM %u: somebody has taken off the disk that was %s (%s) meanwhile: it "
                          "stays off, and the rest is planned anew around it",
                          r->params.vm.vmid, step->probe, step->probe_value);
}

/* PVE got its call, or may have got it, and has not told that it was carried out. */
static bool is_under_way(const struct reconcile *r, const struct plan_step *step)
{
    return step == reconcile_sent_step(r) && r->sent == r->step + 1;
}

/* 1: *out is what to do about a disk that is in no slot, or in two; 0: each is in one. */
static int look_for_disks(struct reconcile *r, struct reconcile_action *out)
{
    const struct pveconf *conf = r->assessment->conf;
    int rc = 0;

    for (size_t i = 0; i < r->n_steps; i++) {
        const struct plan_step *step = &r->steps[i];
        enum disk_place place = find_disk(step, conf);
        bool taken = place != DISK_IN_SLOT && pveconf_get(conf, step->probe) != NULL;
        const char *second = r->runs ? NULL : second_slot(step, conf);

        if (second != NULL) {
            rc = conclude_twice(r, step, second, out);
            return rc < 0 ? rc : 1;
        }
        if (!is_under_way(r, step)) {
            rc = place == DISK_IN_SLOT ? 0 : tell_detached(r, step);
            if (rc < 0) {
                return rc;
            }
            continue;
        }
        rc = place == DISK_IN_SLOT ? put_order_back(r, step, out) : 0;
        if (rc != 0) {
            return rc;
        }
        if (place == DISK_UNUSED && !taken) {
            rc = put_disk_back(r, step, out);
            return rc < 0 ? rc : 1;
        }
        /* Where we were not stuck, that is an administrator's doing. */
        if (place != DISK_IN_SLOT && (r->stuck || taken)) {
            rc = conclude_lost(r, step, out);
            return rc < 0 ? rc : 1;
        }
    }
    return 0;
}

static int tell_reverted(struct reconcile *r)
{
    if (!took_back(r)) {
        return 0;
    }
    return reconcile_tell(r, RECONCILE_TELL_REVERTED,
                          "VM %u: what a failed change had left pending was taken back",
                          r->params.vm.vmid);
}

/* After a crash all is looked at afresh, probes included: who knows how long we were away. */
int reconcile_recover(struct reconcile *r, struct reconcile_action *out)
{
    r->recovering = false;
    r->end_outcome = RECORD_INTERRUPTED;
    r->after_end_look = true;
    return reconcile_go_to(r, STATE_END, out);
}

int reconcile_on_look_read(struct reconcile *r, const struct reconcile_event *event,
                           struct reconcile_action *out)
{
    bool applied;
    int64_t made_at;
    int rc;

    if (reconcile_assess(r, event->texts) < 0) {
        return -ENOMEM;
    }
    if (r->assessment->conf == NULL) {
        return reconcile_conclude_unplanned(r, out);
    }
    made_at = record_made_at(r->assessment->conf);
    if (reconcile_is_another(r, made_at)) {
        return reconcile_conclude_another(r, made_at, out);
    }
    rc = look_for_disks(r, out);
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    /* Also where it runs by now: what comes so late is carried out all the same. */
    if (r->recovering && !took_back(r) && r->late_until > r->now_ms) {
        return reconcile_sleep_then(r, STATE_LOOK_STATUS, r->late_until - r->now_ms, out);
    }
    if (r->runs) {
        r->retry = true;
        return reconcile_conclude(r, RECONCILE_RUNNING, out,
                                  "VM %u was started meanwhile: what is left is done when it is "
                                  "stopped",
                                  r->params.vm.vmid);
    }
    r->stuck = false;
    if (tell_reverted(r) < 0) {
        return -ENOMEM;
    }
    /* The answer was lost, or its record: the deed was done. */
    applied = r->step < r->n_steps &&
              reconcile_step_fits(&r->steps[r->step], r->assessment->conf) == STEP_APPLIED;
    if (applied) {
        return reconcile_go_to(r, STATE_STEP_RECORD, out);
    }
    if (r->recovering) {
        return reconcile_recover(r, out);
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
    r->retry =
        r->step_may_pass; /* what PVE has refused it would refuse again: something must change */
    return reconcile_conclude(r, RECONCILE_FAILED, out,
                              "step %zu of %zu was not carried out and nothing of it is left: %s",
                              r->step + 1, r->n_steps,
                              r->step_error == NULL ? "no reason given" : r->step_error);
}
