/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The boot order follows the disks: at every step it names each disk as it is called at that point,
 * because PVE takes a deleted slot out of the order, and refuses the whole call for a name that is
 * not there, late enough for half of it to stay pending (recordings 06b, 06b4, 06n).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/netdev.h"
#include "core/plan_disks.h"

/* --- the boot order as it is ------------------------------------------------------------------ */

/* "cdn" and the like, or nothing at all, which PVE reads as "cdn". */
static bool is_legacy(const struct boot_order *boot)
{
    return boot->legacy != NULL || !boot->explicit_order;
}

static const char *legacy_letters(const struct boot_order *boot)
{
    return boot->legacy == NULL ? "cdn" : boot->legacy;
}

static struct plan_disk *find_slot(struct plan_disk_set *set, const char *name)
{
    struct drive_slot slot;

    if (name == NULL || !drive_slot_parse(name, &slot)) {
        return NULL;
    }
    for (size_t i = 0; i < set->n; i++) {
        if (drive_slot_equal(set->items[i].place.slot, slot)) {
            return &set->items[i];
        }
    }
    return NULL;
}

/* The order in which PVE itself looks for a boot disk. */
static int autoselect_rank(enum drive_bus bus)
{
    switch (bus) {
    case DRIVE_IDE:
        return 0;
    case DRIVE_SCSI:
        return 1;
    case DRIVE_VIRTIO:
        return 2;
    case DRIVE_SATA:
    case DRIVE_BUSES:
        break;
    }
    return 3;
}

/* Nothing names a boot disk: the one that PVE would suggest. */
static void guess_boot_disk(struct plan_disk_set *set)
{
    struct plan_disk *first = NULL;

    for (size_t i = 0; i < set->n; i++) { /* by bus and index: the first of a bus comes first */
        struct plan_disk *disk = &set->items[i];

        if (first == NULL ||
            autoselect_rank(disk->place.slot.bus) < autoselect_rank(first->place.slot.bus)) {
            first = disk;
        }
    }
    if (first != NULL) {
        first->place.rank = 0;
        set->boot_unnamed = true;
    }
}

void plan_rank_disks(struct plan_disk_set *set)
{
    struct plan_disk *disk;

    if (is_legacy(&set->boot)) {
        disk = find_slot(set, set->boot.bootdisk);
        if (disk != NULL) {
            disk->place.rank = 0;
        } else if (strchr(legacy_letters(&set->boot), 'c') != NULL) {
            guess_boot_disk(set);
        }
        return;
    }
    for (size_t i = set->boot.n; i-- > 0;) { /* backwards: of two alike the first counts */
        disk = find_slot(set, set->boot.devices[i]);
        if (disk != NULL) {
            disk->place.rank = (int)i;
        }
    }
}

/* --- the boot order as it becomes ------------------------------------------------------------- */

static int boot_add(struct boot_order *boot, const char *name)
{
    CLEANUP_FREE char *copy = str_dup(name);
    int rc;

    for (size_t i = 0; i < boot->n; i++) {
        if (str_equal(boot->devices[i], name)) {
            return 0;
        }
    }
    rc = vec_reserve(&boot->devices, boot->n, &boot->cap, sizeof(boot->devices[0]));
    if (rc < 0 || copy == NULL) {
        return -ENOMEM;
    }
    boot->devices[boot->n++] = STEAL(copy);
    return 0;
}

static int boot_add_drives(struct plan_disk_set *set, bool cdrom)
{
    char name[DRIVE_SLOT_SIZE];
    int rc = 0;

    for (size_t i = 0; i < set->list.n && rc == 0; i++) {
        const struct drive *drive = &set->list.items[i];

        if (cdrom && drive->cdrom) {
            drive_slot_format(drive->slot, name);
            rc = boot_add(&set->boot, name);
        }
    }
    for (size_t i = 0; i < set->n && rc == 0; i++) {
        if (!cdrom && set->items[i].place.rank == 0) {
            drive_slot_format(set->items[i].place.slot, name);
            rc = boot_add(&set->boot, name);
        }
    }
    return rc;
}

static int boot_add_nics(struct plan_disk_set *set)
{
    const struct pveconf *conf = set->b->in->conf;
    int rc = 0;

    for (int i = 0; i < NETDEV_MAX && rc == 0; i++) {
        CLEANUP_FREE char *key = str_printf("net%d", i);

        if (key == NULL) {
            return -ENOMEM;
        }
        if (pveconf_get(conf, key) != NULL) {
            rc = boot_add(&set->boot, key);
        }
    }
    return rc;
}

/* Legacy letters without a boot disk, written out: the disk that boots now must boot then, however
 * the firmware sorts buses that nothing gives an order to. */
static int spell_out(struct plan_disk_set *set)
{
    const char *letters = legacy_letters(&set->boot);
    int rc = 0;

    for (size_t i = 0; letters[i] != '\0' && rc == 0; i++) {
        if (letters[i] == 'n') {
            rc = boot_add_nics(set);
        } else if (letters[i] != 'a') { /* QEMU's floppy is no device of PVE's */
            rc = boot_add_drives(set, letters[i] == 'd');
        }
    }
    set->boot.explicit_order = true;
    free(set->boot.legacy);
    set->boot.legacy = NULL;
    return rc;
}

/* PVE refuses an order that names what is not there. It was without effect, but would not be once a
 * disk moves to a slot of that name: so the first move takes it out. */
static int drop_absent(struct plan_disk_set *set)
{
    struct boot_order *boot = &set->boot;
    size_t kept = 0;
    int rc = 0;

    for (size_t i = 0; i < boot->n; i++) {
        if (pveconf_get(set->b->in->conf, boot->devices[i]) != NULL) {
            boot->devices[kept++] = boot->devices[i];
            continue;
        }
        if (rc == 0) {
            rc = notes_add(&set->b->plan->notes, "boot: %s is not there and leaves the boot order",
                           boot->devices[i]);
        }
        free(boot->devices[i]);
        set->boot_cleaned = true;
    }
    boot->n = kept;
    return rc;
}

int plan_boot_prepare(struct plan_disk_set *set)
{
    int rc;

    if (!set->boot_unnamed) {
        return is_legacy(&set->boot) ? 0 : drop_absent(set);
    }
    rc = spell_out(set);
    if (rc < 0) {
        return rc;
    }
    return notes_add(&set->b->plan->notes,
                     "boot: nothing names the boot disk: %s is taken for it, as PVE would",
                     set->boot.n > 0 ? set->boot.devices[0] : "none");
}

/* Which boot option this step sets: the order, the legacy boot disk, or none. */
int plan_boot_step(struct plan_disk_set *set, struct plan_step *step, const char *from,
                   const char *to, bool first_move)
{
    CLEANUP_FREE char *value = NULL;
    bool spelled; /* it must be written, whether this disk is in it or not */
    int rc;

    if (is_legacy(&set->boot)) {
        if (!str_equal(set->boot.bootdisk, from)) {
            return 0;
        }
        rc = str_replace(&set->boot.bootdisk, to);
        return rc < 0 ? rc : plan_step_set(step, "bootdisk", to);
    }
    rc = boot_order_replace(&set->boot, from, to);
    spelled = set->boot_unnamed || (set->boot_cleaned && set->boot.n > 0);
    if (rc < 0 || (rc == 0 && !(spelled && first_move))) {
        return rc;
    }
    value = boot_order_format(&set->boot);
    return value == NULL ? -ENOMEM : plan_step_set(step, "boot", value);
}

static const char *const boot_why = "the boot order follows the disks";

/* What the steps made of it, as changes: the present against the last value. */
int plan_boot_record(struct plan_disk_set *set)
{
    const struct pveconf *conf = set->b->in->conf;
    const char *old_disk = pveconf_get(conf, "bootdisk");
    const char *option = NULL, *last = NULL;
    int rc;

    for (size_t i = 0; i < set->b->plan->n_steps; i++) {
        const struct plan_step *step = &set->b->plan->steps[i];

        for (size_t j = 0; j < step->n_sets; j++) {
            if (str_equal(step->sets[j].option, "boot") ||
                str_equal(step->sets[j].option, "bootdisk")) {
                option = step->sets[j].option;
                last = step->sets[j].value;
            }
        }
    }
    if (option == NULL) {
        return 0;
    }
    rc = plan_edit_record(set->b->plan, &(struct plan_edit){option, pveconf_get(conf, option), last,
                                                            boot_why, PLAN_EXACT});
    if (rc < 0 || old_disk == NULL || str_equal(option, "bootdisk")) {
        return rc;
    }
    return plan_edit_record(
        set->b->plan, &(struct plan_edit){"bootdisk", old_disk, NULL,
                                          "PVE drops it where `boot` has an order", PLAN_EXACT});
}
