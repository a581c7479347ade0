/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reconciliation: what became of the disks, after an error or a crash. The one whose move was under
 * way may be an unusedN: somebody's start or change carried out the deletion that our call had left
 * pending. That one is put back into the slot it had, and no other: no call of ours can have
 * detached it, so an administrator did. He is told, and it stays as he left it.
 */
#include <errno.h>

#include "base/str.h"
#include "core/reconcile_impl.h"

/* Where is the disk that a step moves? On no slot, while its volume is an unusedN: then the
 * deletion that we left pending was carried out. On no slot and no unusedN: somebody took it away.
 */
enum disk_place { DISK_IN_SLOT, DISK_UNUSED, DISK_NOWHERE };

static enum disk_place find_in_section(const struct plan_step *step,
                                       const struct pveconf_section *section)
{
    enum disk_place place = DISK_NOWHERE;
    struct drive_slot slot;

    for (size_t i = 0; i < section->n; i++) {
        const struct pveconf_key *key = &section->keys[i];
        bool same = reconcile_same_volume(key->value, step->probe_value);

        if (same && drive_slot_parse(key->key, &slot)) {
            return DISK_IN_SLOT;
        }
        if (same && str_starts(key->key, "unused")) {
            place = DISK_UNUSED;
        }
    }
    return place;
}

/* A slot that is pending is one: at the stop the disk is in it. */
static enum disk_place find_disk(const struct plan_step *step, const struct pveconf *conf)
{
    enum disk_place place = DISK_NOWHERE;

    if (step->remove == NULL || step->probe_value == NULL) {
        return DISK_IN_SLOT;
    }
    for (size_t i = 0; i < conf->n_sections; i++) {
        const struct pveconf_section *section = &conf->sections[i];

        if (section->kind == PVECONF_MAIN || section->kind == PVECONF_PENDING) {
            enum disk_place here = find_in_section(step, section);

            place = here < place ? here : place;
        }
    }
    return place;
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
        str_replace(&r->revert_keys, step->probe) < 0 || str_replace(&r->reverts, NULL) < 0 ||
        /* In turns without it: a device of that order may be gone by now. */
        str_replace(&r->revert_boot, r->revert_tries % 2 == 0 ? boot_before(step) : NULL) < 0) {
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

/* A disk that no call of ours can have detached: the steps before it had ended well, the later ones
 * were not begun. Whoever did it meant it, or has to be asked. */
static int tell_detached(struct reconcile *r, const struct plan_step *step)
{
    bool moved = step < &r->steps[r->step];

    if (r->told_detached) {
        return 0;
    }
    return reconcile_tell(r, RECONCILE_TELL_WARNING,
                          "VM %u: somebody detached the disk that was %s (%s) while its hardware "
                          "was being changed%s: it is left as it is; to have it back: qm set %u "
                          "--%s %s",
                          r->params.vm.vmid, step->probe, step->probe_value,
                          moved ? ", after it had been moved" : "", r->params.vm.vmid, step->probe,
                          step->probe_value);
}

/* What became of the disks of steps that are not under way: said once, never repaired. */
static int look_at_other_disks(struct reconcile *r)
{
    const struct pveconf *conf = r->assessment->conf;
    int rc = 0;

    for (size_t i = 0; i < r->n_steps && rc == 0; i++) {
        bool ours = i == r->under_way && r->sent;

        if (!ours && find_disk(&r->steps[i], conf) != DISK_IN_SLOT) {
            rc = tell_detached(r, &r->steps[i]);
        }
    }
    r->told_detached = true;
    return rc;
}

int reconcile_look_for_disks(struct reconcile *r, struct reconcile_action *out)
{
    const struct pveconf *conf = r->assessment->conf;
    int rc = look_at_other_disks(r);

    for (size_t i = 0; i < r->n_steps && rc == 0; i++) {
        const struct plan_step *step = &r->steps[i];
        bool ours = i == r->under_way && r->sent;
        enum disk_place place = ours ? find_disk(step, conf) : DISK_IN_SLOT;
        bool taken = place != DISK_IN_SLOT && pveconf_get(conf, step->probe) != NULL;
        const char *second = r->runs ? NULL : second_slot(step, conf);

        if (second != NULL) {
            rc = conclude_twice(r, step, second, out);
            return rc < 0 ? rc : 1;
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
    return rc;
}
