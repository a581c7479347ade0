/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The plan of an undo: the steps backwards on a copy of the configuration. A disk goes back in one
 * call as it came, with the boot order that is right at that point; all other options go back in
 * one call at the end, and what did not exist before is deleted there: `delete=boot` in the call
 * that deletes a slot would meet PVE's own rewriting of the order. Each state in between is one
 * that was there on the way forward, but for options that wait for the end; so each boots.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "core/plan_builder.h"
#include "core/reconcile_fit.h"
#include "core/undo.h"

struct undoing {
    struct plan_builder *b;
    const struct undo *undo;
    struct pveconf *after; /* the configuration as the plan leaves it, so far */
    struct plan_step late; /* options but disks, for the last call; value NULL: deleted */
    struct notes options;  /* touched, in the order they are shown; boot and bootdisk come last */
};

static const char *now(const struct undoing *u, const char *option)
{
    return pveconf_get(u->after, option);
}

static bool is_disk(const char *option)
{
    struct drive_slot slot;

    return drive_slot_parse(option, &slot);
}

static int refuse_foreign(struct undoing *u, const char *option, const char *made)
{
    const char *is = now(u, option);

    return notes_add(&u->b->plan->refusals,
                     "%s was changed since: the change set made it %s%s%s, it is %s%s%s now; take "
                     "that later change back first, by undo or by hand (qm set)",
                     option, made == NULL ? "go away" : "'", made == NULL ? "" : made,
                     made == NULL ? "" : "'", is == NULL ? "not set" : "'", is == NULL ? "" : is,
                     is == NULL ? "" : "'");
}

/* `option` becomes `value` (NULL: it goes) in the copy; noted once for what is shown. */
static int make(struct undoing *u, const char *option, const char *value)
{
    for (size_t i = 0; i < u->options.n; i++) {
        if (str_equal(u->options.items[i], option)) {
            return pveconf_set(u->after, option, value);
        }
    }
    if (notes_add(&u->options, "%s", option) < 0) {
        return -ENOMEM;
    }
    return pveconf_set(u->after, option, value);
}

/* Into the last call; an older value of the same option wins over a newer one. */
static int set_late(struct undoing *u, const char *option, const char *value)
{
    for (size_t i = 0; i < u->late.n_sets; i++) {
        if (str_equal(u->late.sets[i].option, option)) {
            return str_replace(&u->late.sets[i].value, value);
        }
    }
    return plan_step_set(&u->late, option, value);
}

/* --- one step --------------------------------------------------------------------------------- */

/* The slot that the step's disk is in after it; NULL: it is about no disk. */
static const struct plan_set *disk_of(const struct plan_step *step)
{
    for (size_t i = 0; step->probe != NULL && i < step->n_sets; i++) {
        if (is_disk(step->sets[i].option)) {
            return &step->sets[i];
        }
    }
    return NULL;
}

static enum reconcile_step_fit disk_fits_here(const struct undoing *u, const struct plan_step *step,
                                              const struct plan_set *disk)
{
    const char *at_old = now(u, step->probe);
    const char *at_new = now(u, disk->option);

    if (step->remove == NULL) {
        return reconcile_same_value(at_new, disk->value)         ? STEP_APPLIED
               : reconcile_same_value(at_new, step->probe_value) ? STEP_TO_DO
                                                                 : STEP_FOREIGN;
    }
    if (at_old == NULL && reconcile_same_value(at_new, disk->value)) {
        return STEP_APPLIED;
    }
    return at_new == NULL && reconcile_same_value(at_old, step->probe_value) ? STEP_TO_DO
                                                                             : STEP_FOREIGN;
}

/* How the disk of a step stands: as the step left it; as it was before, or before an earlier step
 * that brought it there; or otherwise. */
static enum reconcile_step_fit disk_fits(const struct undoing *u, size_t index)
{
    const struct plan_step *step = &u->undo->steps[index];
    enum reconcile_step_fit fit = disk_fits_here(u, step, disk_of(step));
    const char *slot = step->probe;

    for (size_t i = index; i-- > 0 && fit == STEP_FOREIGN;) {
        const struct plan_step *earlier = &u->undo->steps[i];
        const struct plan_set *disk = disk_of(earlier);

        if (disk != NULL && str_equal(disk->option, slot)) {
            fit = disk_fits_here(u, earlier, disk) == STEP_TO_DO ? STEP_TO_DO : STEP_FOREIGN;
            slot = earlier->probe;
        }
    }
    return fit;
}

/* An order that this step made and that nothing preceded: with the disk back under its old name it
 * is the one that stands until the last call deletes it. The caller's; NULL: no memory. */
static char *order_until_deleted(const struct plan_step *step, const char *to, const char *order)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
    size_t len = strlen(to);

    for (const char *at = order; *at != '\0';) {
        size_t word = strcspn(at, "=;");

        if (word == len && memcmp(at, to, len) == 0) {
            buf_adds(&out, step->remove);
        } else {
            buf_add(&out, at, word);
        }
        at += word;
        if (*at != '\0') {
            buf_addc(&out, *at++);
        }
    }
    return buf_steal(&out);
}

/* The value to go back to (NULL: the option goes), and the one that stands until the last call
 * (NULL: none); both are the caller's. */
static int values_of(const struct undoing *u, const struct plan_step *step,
                     const struct plan_set *set, char **ret_old, char **ret_interim)
{
    const struct plan_set *disk = disk_of(step);

    if (!str_equal(set->option, "boot")) {
        return str_replace(ret_old, set->old);
    }
    if (set->old != NULL && str_starts(set->old, "order=")) {
        *ret_old = boot_order_present(u->after, set->old, NULL);
        return *ret_old == NULL ? -ENOMEM : 0;
    }
    if (set->old == NULL && step->remove != NULL && disk != NULL) {
        *ret_interim = order_until_deleted(step, disk->option, set->value);
        return *ret_interim == NULL ? -ENOMEM : 0;
    }
    return str_replace(ret_old, set->old);
}

enum option_fit {
    OPTION_BACK,    /* as before this step, or before an earlier one that set it */
    OPTION_APPLIED, /* as this step left it, or on its way back until the last call */
    OPTION_FOREIGN,
};

/* Against one setting of it: before, after and in between. -ENOMEM. */
static int compare_option(const struct undoing *u, const struct plan_step *step,
                          const struct plan_set *set, enum option_fit *ret)
{
    CLEANUP_FREE char *old = NULL;
    CLEANUP_FREE char *interim = NULL;
    const char *is = now(u, set->option);

    if (values_of(u, step, set, &old, &interim) < 0) {
        return -ENOMEM;
    }
    *ret = OPTION_FOREIGN;
    if (reconcile_same_value(is, old) || reconcile_same_value(is, set->old)) {
        *ret = OPTION_BACK;
    } else if (reconcile_same_value(is, set->value) ||
               (interim != NULL && str_equal(is, interim))) {
        *ret = OPTION_APPLIED;
    }
    return 0;
}

/* What this step made of it counts more than what earlier ones found: a value may come twice. */
static int option_fits(const struct undoing *u, size_t index, const struct plan_set *set,
                       enum option_fit *ret)
{
    int rc = compare_option(u, &u->undo->steps[index], set, ret);

    for (size_t i = index; i-- > 0 && rc == 0 && *ret == OPTION_FOREIGN;) {
        const struct plan_step *step = &u->undo->steps[i];

        for (size_t j = 0; j < step->n_sets && rc == 0 && *ret == OPTION_FOREIGN; j++) {
            if (str_equal(step->sets[j].option, set->option)) {
                rc = compare_option(u, step, &step->sets[j], ret);
                /* As the earlier one left it, or before: before this one, in any case. */
                *ret = *ret == OPTION_FOREIGN ? OPTION_FOREIGN : OPTION_BACK;
            }
        }
    }
    return rc;
}

/* An option that is no disk: in the disk's call where that goes, else in the last. */
static int undo_option(struct undoing *u, size_t index, const struct plan_set *set,
                       struct plan_step *call)
{
    CLEANUP_FREE char *old = NULL;
    CLEANUP_FREE char *interim = NULL;
    enum option_fit fit;
    int rc = option_fits(u, index, set, &fit);

    if (rc < 0 || fit == OPTION_BACK) {
        return rc;
    }
    if (fit == OPTION_FOREIGN) {
        return u->undo->certain[index] ? refuse_foreign(u, set->option, set->value) : 0;
    }
    rc = values_of(u, &u->undo->steps[index], set, &old, &interim);
    if (rc == 0 && call != NULL && old != NULL) {
        rc = plan_step_set(call, set->option, old);
    } else if (rc == 0) {
        rc = set_late(u, set->option, old);
        rc = rc < 0 || call == NULL || interim == NULL ? rc : plan_step_set(call, "boot", interim);
    }
    return rc < 0 ? rc : make(u, set->option, old);
}

/* PVE dropped bootdisk= when boot= got an order; without an order it counts again. */
static int undo_bootdisk(struct undoing *u, const struct plan_set *set)
{
    const char *bootdisk = u->undo->bootdisk;

    if (bootdisk == NULL || !str_equal(set->option, "boot") ||
        (set->old != NULL && str_starts(set->old, "order=")) ||
        !reconcile_same_value(now(u, "boot"), set->old) || now(u, "bootdisk") != NULL) {
        return 0;
    }
    return set_late(u, "bootdisk", bootdisk) < 0 ? -ENOMEM : make(u, "bootdisk", bootdisk);
}

static int refuse_move(struct undoing *u, const struct plan_step *step, const struct plan_set *disk)
{
    const char *protection = now(u, "protection");
    bool protected = false;

    if (protection != NULL && propstr_bool(protection, &protected) && protected) {
        return notes_add(
            &u->b->obstacles,
            "VM is protected (protection: 1), so PVE moves no disk: %s would have to go "
            "back to %s",
            disk->option, step->remove);
    }
    if (plan_args_name(u->b, disk->option)) {
        return notes_add(&u->b->obstacles,
                         "`args` names %s, which would go back to %s: QEMU would not start",
                         disk->option, step->remove);
    }
    return 0;
}

/* The call that brings the disk back; NULL where it is back already. */
static int undo_disk(struct undoing *u, const struct plan_step *step, const struct plan_set *disk,
                     struct plan_step **ret_call)
{
    struct plan_step *call;
    int rc = step->remove == NULL ? 0 : refuse_move(u, step, disk);

    rc = rc < 0 ? rc : plan_step_add(u->b->plan, &call);
    if (rc < 0 || str_replace(&call->probe, disk->option) < 0 ||
        str_replace(&call->probe_value, now(u, disk->option)) < 0 ||
        str_replace(&call->remove, step->remove == NULL ? NULL : disk->option) < 0 ||
        plan_step_set(call, step->probe, step->probe_value) < 0 ||
        (step->remove != NULL && make(u, disk->option, NULL) < 0) ||
        make(u, step->probe, step->probe_value) < 0) {
        return -ENOMEM;
    }
    *ret_call = call;
    return 0;
}

static int undo_step(struct undoing *u, size_t index)
{
    const struct plan_step *step = &u->undo->steps[index];
    const struct plan_set *disk = disk_of(step);
    bool certain = u->undo->certain[index];
    struct plan_step *call = NULL;
    int rc = 0;

    if (disk != NULL) {
        switch (disk_fits(u, index)) {
        case STEP_APPLIED:
            rc = undo_disk(u, step, disk, &call);
            break;
        case STEP_TO_DO:
            break;
        case STEP_FOREIGN:
            rc = !certain ? 0
                          : refuse_foreign(
                                u,
                                step->remove != NULL && now(u, step->probe) != NULL ? step->probe
                                                                                    : disk->option,
                                step->remove != NULL && now(u, step->probe) != NULL ? NULL
                                                                                    : disk->value);
            break;
        }
    }
    for (size_t i = 0; i < step->n_sets && rc == 0; i++) {
        if (&step->sets[i] != disk) {
            rc = undo_option(u, index, &step->sets[i], call);
            rc = rc < 0 ? rc : undo_bootdisk(u, &step->sets[i]);
        }
    }
    return rc;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int add_last_call(struct undoing *u)
{
    struct plan_step *call;

    if (u->late.n_sets == 0) {
        return 0;
    }
    if (plan_step_add(u->b->plan, &call) < 0) {
        return -ENOMEM;
    }
    *call = u->late;
    u->late = (struct plan_step){0};
    return 0;
}

static int show(struct undoing *u, bool boot, const char *why)
{
    for (size_t i = 0; i < u->options.n; i++) {
        const char *option = u->options.items[i];
        struct plan_edit edit = {option, pveconf_get(u->b->in->conf, option), now(u, option), why,
                                 PLAN_EXACT};

        if (str_starts(option, "boot") == boot && !str_equal(edit.old, edit.new) &&
            plan_edit_record(u->b->plan, &edit) < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int build(struct undoing *u)
{
    CLEANUP_FREE char *why = str_printf("as it was before the change set of %s", u->undo->time);
    int rc = why == NULL ? -ENOMEM : plan_obstacles(u->b);

    /* The first thing that is not as it should be makes others look wrong that are not. */
    for (size_t i = u->undo->n; i-- > 0 && rc == 0 && u->b->plan->refusals.n == 0;) {
        rc = undo_step(u, i);
    }
    rc = rc < 0 ? rc : add_last_call(u);
    rc = rc < 0 ? rc : show(u, false, why);
    rc = rc < 0 ? rc : show(u, true, why);
    return rc < 0 ? rc : plan_settle(u->b);
}

int undo_plan(const struct undo *undo, uint32_t vmid, const struct pveconf *conf, struct plan **ret)
{
    CLEANUP(plan_freep) struct plan *plan = calloc(1, sizeof(*plan));
    const struct plan_input input = {.vmid = vmid, .conf = conf};
    struct plan_builder b = {.in = &input, .plan = plan};
    struct undoing u = {.b = &b, .undo = undo};
    int rc = plan == NULL ? -ENOMEM : pveconf_apply_pending(conf, &u.after);

    if (rc == 0) {
        plan->vmid = vmid;
        rc = build(&u);
    }
    plan_step_fini(&u.late);
    notes_fini(&u.options);
    notes_fini(&b.obstacles);
    pveconf_free(u.after);
    if (rc < 0) {
        return rc;
    }
    *ret = STEAL(plan);
    return 0;
}
