/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The disks' changes as calls, one disk each (facts/pve.md 4), in the fingerprint's order. */
#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "core/plan_disks.h"

static int record_scsihw(struct plan_disk_set *set, struct plan_step *step)
{
    const struct plan_edit edit = {"scsihw", pveconf_get(set->b->in->conf, "scsihw"), "pvscsi",
                                   "the guest saw its disks on pvscsi on VMware", PLAN_EXACT};
    int rc;

    if (step == NULL) {
        return plan_edit_first(set->b->plan, &edit);
    }
    rc = plan_edit_record(set->b->plan, &edit);
    return rc < 0 ? rc : plan_step_set(step, edit.option, edit.new);
}

static int record_disk(struct plan_disk_set *set, const struct plan_disk *disk, const char *from,
                       const char *to)
{
    const char *old = pveconf_get(set->b->in->conf, from);
    enum plan_match match = disk->exact ? PLAN_EXACT : PLAN_SUBSTITUTE;
    CLEANUP_FREE char *why = NULL;
    int rc;

    if (!plan_disk_moves(disk)) {
        return plan_edit_record(set->b->plan,
                                &(struct plan_edit){from, old, disk->value, disk->why, match});
    }
    why = str_printf("the disk moves to %s", to);
    if (why == NULL) {
        return -ENOMEM;
    }
    rc = plan_edit_record(set->b->plan, &(struct plan_edit){from, old, NULL, why, match});
    if (rc < 0) {
        return rc;
    }
    return plan_edit_record(set->b->plan,
                            &(struct plan_edit){to, NULL, disk->value, disk->why, match});
}

static int fill_step(struct plan_disk_set *set, struct plan_step *step,
                     const struct plan_disk *disk, bool first_move)
{
    char from[DRIVE_SLOT_SIZE], to[DRIVE_SLOT_SIZE];
    int rc;

    drive_slot_format(disk->place.slot, from);
    drive_slot_format(disk->to, to);
    if (str_replace(&step->probe, from) < 0 ||
        str_replace(&step->probe_value, pveconf_get(set->b->in->conf, from)) < 0) {
        return -ENOMEM;
    }
    rc = record_disk(set, disk, from, to);
    if (rc == 0) {
        rc = plan_step_set(step, to, disk->value);
    }
    if (rc < 0 || !plan_disk_moves(disk)) {
        return rc;
    }
    if (str_replace(&step->remove, from) < 0) {
        return -ENOMEM;
    }
    return plan_boot_step(set, step, from, to, first_move);
}

/* The disk of the fingerprint's number `want`, if something changes for it. */
static const struct plan_disk *changing_disk(const struct plan_disk_set *set, size_t want)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->items[i].place.want == (int)want && set->items[i].value != NULL) {
            return &set->items[i];
        }
    }
    return NULL;
}

static bool touches_scsi(const struct plan_disk_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->items[i].value != NULL && set->items[i].to.bus == DRIVE_SCSI) {
            return true;
        }
    }
    return false;
}

static int add_disk_step(struct plan_disk_set *set, const struct plan_disk *disk, bool *moved,
                         bool *scsihw_done)
{
    struct plan_step *step = NULL;
    bool moves = plan_disk_moves(disk);
    int rc = 0;

    if (moves && !*moved) {
        rc = plan_boot_prepare(set);
    }
    if (rc == 0) {
        rc = plan_step_add(set->b->plan, &step);
    }
    if (rc == 0 && !*scsihw_done && disk->to.bus == DRIVE_SCSI) {
        rc = record_scsihw(set, step);
        *scsihw_done = true;
    }
    if (rc == 0) {
        rc = fill_step(set, step, disk, !*moved);
    }
    *moved = *moved || moves;
    return rc;
}

int plan_disk_steps(struct plan_disk_set *set)
{
    bool scsihw_done = !set->scsihw_changes;
    bool moved = false;
    int rc = 0;

    /* The controller goes with the first disk on it; alone it is no disk's change. */
    if (!scsihw_done && !touches_scsi(set)) {
        rc = record_scsihw(set, NULL);
        scsihw_done = true;
    }
    for (size_t want = 0; want < set->b->in->fp->n_disks && rc == 0; want++) {
        const struct plan_disk *disk = changing_disk(set, want);

        if (disk != NULL) {
            rc = add_disk_step(set, disk, &moved, &scsihw_done);
        }
    }
    return rc == 0 ? plan_boot_record(set) : rc;
}
