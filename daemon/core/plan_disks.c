/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The disks: what becomes of each. Either the whole set goes where the fingerprint wants it, or,
 * where anything about it is doubtful, all disks stay as they are with a note: half a set on the
 * wrong bus is worse than none, and the rest of the identity does not depend on it. Only a disk
 * that cannot be touched (its volume is away) stays on its own while the others go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/plan_disks.h"

static void disk_set_fini(struct plan_disk_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        free(set->items[i].serial);
        free(set->items[i].value);
        free(set->items[i].why);
    }
    drive_list_fini(&set->list);
    boot_order_fini(&set->boot);
}

/* --- what is there ---------------------------------------------------------------------------- */

static const char *why_fixed(const struct plan_input *in, const struct drive *drive)
{
    char slot[DRIVE_SLOT_SIZE];

    drive_slot_format(drive->slot, slot);
    for (size_t i = 0; i < in->n_fixed; i++) {
        if (str_equal(in->fixed[i].slot, slot)) {
            return in->fixed[i].why;
        }
    }
    /* Recording 06o: "Only root can pass arbitrary filesystem paths". */
    return drive->volume[0] == '/' ? "PVE lets only root@pam attach a path of the node" : NULL;
}

static int add_disk(struct plan_disk_set *set, const struct drive *drive)
{
    struct plan_disk *disk = &set->items[set->n];
    const char *serial = propstr_get(&drive->options, "serial");

    *disk = (struct plan_disk){
        .drive = drive,
        .place = {.volume = drive->volume,
                  .slot = drive->slot,
                  .rank = PLAN_RANK_NONE,
                  .want = PLAN_NO_DISK},
        .fixed = why_fixed(set->b->in, drive),
        .to = drive->slot,
    };
    set->n++;
    if (serial != NULL) {
        disk->serial = drive_url_decode(serial);
        disk->place.serial = disk->serial;
    }
    return serial != NULL && disk->serial == NULL ? -ENOMEM : 0;
}

/* 0, 1: something cannot be read (told), -ENOMEM. */
static int read_disks(struct plan_disk_set *set, bool needed)
{
    struct err err = {""};
    int rc = drive_list_read(set->b->in->conf, &set->list, &err);

    if (rc == 0) {
        rc = boot_order_parse(set->b->in->conf, &set->boot, &err);
    }
    if (rc < 0 && rc != -ENOMEM) {
        rc = plan_unreadable(set->b, needed, err.text);
        return rc < 0 ? rc : 1;
    }
    for (size_t i = 0; i < set->list.n && rc == 0; i++) {
        if (drive_is_disk(&set->list.items[i]) && set->n < PLAN_DISKS_MAX) {
            rc = add_disk(set, &set->list.items[i]);
        }
    }
    return rc;
}

/* --- which is which, and may they move at all ------------------------------------------------- */

static bool is_mixed(const struct fingerprint *fp)
{
    bool pvscsi = false, other = false;

    for (size_t i = 0; i < fp->n_disks; i++) {
        enum fingerprint_controller c = fp->disks[i].controller;

        pvscsi = pvscsi || c == FINGERPRINT_PVSCSI;
        other = other || c == FINGERPRINT_LSILOGIC || c == FINGERPRINT_LSISAS1068 ||
                c == FINGERPRINT_BUSLOGIC;
    }
    return pvscsi && other;
}

/* All disks stay: the note, and 1. */
static int all_stay(struct plan_disk_set *set, const char *why)
{
    int rc = notes_add(&set->b->plan->notes, "disks stay as they are: %s", why);

    return rc < 0 ? rc : 1;
}

static int match_numbers(struct plan_disk_set *set)
{
    CLEANUP_FREE char *why = str_printf(
        "the fingerprint has %zu, this VM has %zu, and nothing tells which is which; "
        "correct the one or the other, or name each disk's \"volume\"",
        set->b->in->fp->n_disks, set->n);

    return why == NULL ? -ENOMEM : all_stay(set, why);
}

static void take_over_matches(struct plan_disk_set *set, const struct plan_place *places)
{
    for (size_t i = 0; i < set->n; i++) {
        for (size_t j = 0; j < set->n; j++) {
            if (drive_slot_equal(places[j].slot, set->items[i].place.slot)) {
                set->items[i].place.want = places[j].want;
            }
        }
    }
}

/* 0, 1: all stay, -ENOMEM. */
static int match_disks(struct plan_disk_set *set)
{
    const struct fingerprint *fp = set->b->in->fp;
    struct plan_place places[PLAN_DISKS_MAX];

    if (is_mixed(fp)) {
        return all_stay(set, "VMware had pvscsi and another SCSI controller, PVE has one kind for "
                             "all scsi disks");
    }
    for (size_t i = 0; i < set->n; i++) {
        places[i] = set->items[i].place;
    }
    switch (plan_match_disks(fp, places, set->n)) {
    case PLAN_MATCHED:
        break;
    case PLAN_MATCH_NUMBERS:
        return match_numbers(set);
    case PLAN_MATCH_VOLUME_AWAY:
        return all_stay(set, "a \"volume\" of the fingerprint is no disk of this VM, or is named "
                             "twice");
    }
    take_over_matches(set, places);
    return 0;
}

/* --- where each goes -------------------------------------------------------------------------- */

static struct plan_disk *find_wanted(struct plan_disk_set *set, size_t want)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->items[i].place.want == (int)want) {
            return &set->items[i];
        }
    }
    return NULL;
}

static int note_no_slot(struct plan_disk_set *set, enum drive_bus bus)
{
    CLEANUP_FREE char *why = str_printf("%s has no free slot for all that belong there (%d in all)",
                                        drive_bus_name(bus), drive_bus_slots(bus));

    return why == NULL ? -ENOMEM : all_stay(set, why);
}

static int note_fixed(struct plan_disk_set *set, const struct plan_disk *disk)
{
    char slot[DRIVE_SLOT_SIZE];

    drive_slot_format(disk->place.slot, slot);
    return notes_add(&set->b->plan->notes, "%s stays on %s instead of %s: %s", slot,
                     drive_bus_name(disk->place.slot.bus), drive_bus_name(disk->bus), disk->fixed);
}

/* In the fingerprint's order, so that the first disk gets the lowest slot. */
static int choose_slots(struct plan_disk_set *set)
{
    struct plan_slots slots;

    plan_slots_read(set, &slots);
    for (size_t want = 0; want < set->b->in->fp->n_disks; want++) {
        struct plan_disk *disk = find_wanted(set, want);
        int rc = 0;

        if (disk == NULL || disk->place.slot.bus == disk->bus) {
            continue;
        }
        if (disk->fixed != NULL) {
            rc = note_fixed(set, disk);
        } else if (!plan_slots_choose(&slots, set, disk, &disk->to)) {
            rc = note_no_slot(set, disk->bus);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void set_targets(struct plan_disk_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        struct plan_disk *disk = &set->items[i];

        if (disk->place.want == PLAN_NO_DISK) {
            continue;
        }
        disk->bus = plan_disk_bus(set->b->in->fp->disks[disk->place.want].controller, &disk->exact);
        if (disk->bus == DRIVE_IDE && set->b->q35) {
            disk->exact = false; /* a q35 of PVE has its ide drives on AHCI */
        }
    }
}

static bool wants_pvscsi(const struct plan_disk *disk)
{
    return disk->place.want != PLAN_NO_DISK && disk->bus == DRIVE_SCSI;
}

/* A disk that keeps its place on scsi though pvscsi is not for it. */
static const struct plan_disk *find_bystander(const struct plan_disk_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->items[i].to.bus == DRIVE_SCSI && !wants_pvscsi(&set->items[i])) {
            return &set->items[i];
        }
    }
    return NULL;
}

/*
 * The controller is one for all scsi disks. A disk that stays there against the fingerprint's wish
 * may be what the guest boots from, with the driver for the present controller: then nothing about
 * scsi changes. The disks that would have gone there stay, the others go.
 */
static int choose_scsihw(struct plan_disk_set *set)
{
    const struct plan_disk *bystander = find_bystander(set);
    char slot[DRIVE_SLOT_SIZE];
    bool wanted = false;

    for (size_t i = 0; i < set->n; i++) {
        wanted = wanted || (wants_pvscsi(&set->items[i]) && set->items[i].to.bus == DRIVE_SCSI);
    }
    if (!wanted || str_equal(plan_scsihw(set), "pvscsi")) {
        return 0;
    }
    if (bystander == NULL) {
        set->scsihw_changes = true;
        return 0;
    }
    for (size_t i = 0; i < set->n; i++) {
        if (wants_pvscsi(&set->items[i])) {
            set->items[i].to = set->items[i].place.slot;
        }
    }
    drive_slot_format(bystander->place.slot, slot);
    return notes_add(&set->b->plan->notes,
                     "scsihw and the disks for pvscsi stay as they are: %s stays on scsi and is "
                     "not meant for pvscsi",
                     slot);
}

/* --- whether it is done ----------------------------------------------------------------------- */

static bool is_true(const struct pveconf *conf, const char *key)
{
    const char *value = pveconf_get(conf, key);
    bool truth = false;

    return value != NULL && propstr_bool(value, &truth) && truth;
}

/* What forbids a move, once it is known that there is one. */
static int check_moves(struct plan_disk_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        char slot[DRIVE_SLOT_SIZE];

        if (!plan_disk_moves(&set->items[i])) {
            continue;
        }
        drive_slot_format(set->items[i].place.slot, slot);
        if (is_true(set->b->in->conf, "protection")) {
            return all_stay(set, "`protection: 1` keeps PVE from taking a disk off its slot; "
                                 "switch it off for the move");
        }
        if (plan_args_name(set->b, slot)) {
            return all_stay(set, "`args` speaks of one that would move, and QEMU would not start; "
                                 "only root@pam may change `args`");
        }
    }
    return 0;
}

/* A disk that must stay as it is keeps its identity, too: said only where it would change. */
static int keep_value(struct plan_disk_set *set, struct plan_disk *disk)
{
    char slot[DRIVE_SLOT_SIZE];
    int rc = 0;

    drive_slot_format(disk->place.slot, slot);
    if (disk->value != NULL && disk->place.slot.bus == disk->bus) {
        rc = notes_add(&set->b->plan->notes, "%s stays as it is (%s): %s", slot, disk->why,
                       disk->fixed);
    }
    free(disk->value);
    disk->value = NULL;
    return rc;
}

static int choose_values(struct plan_disk_set *set)
{
    int rc = 0;

    for (size_t want = 0; want < set->b->in->fp->n_disks && rc == 0; want++) {
        struct plan_disk *disk = find_wanted(set, want);

        rc = disk == NULL ? 0 : plan_disk_value(set, disk);
        if (rc == 0 && disk != NULL && disk->fixed != NULL) {
            rc = keep_value(set, disk);
        }
    }
    return rc;
}

/* What stands in for what, once per kind. */
static int note_substitutes(struct plan_disk_set *set)
{
    bool told[FINGERPRINT_NVME + 1] = {false};
    int rc = 0;

    for (size_t i = 0; i < set->n && rc == 0; i++) {
        const struct plan_disk *disk = &set->items[i];
        enum fingerprint_controller controller;

        if (disk->place.want == PLAN_NO_DISK || disk->exact || disk->to.bus != disk->bus) {
            continue;
        }
        controller = set->b->in->fp->disks[disk->place.want].controller;
        if (told[controller]) {
            continue;
        }
        told[controller] = true;
        rc = controller == FINGERPRINT_IDE
                 ? notes_add(&set->b->plan->notes,
                             "disks: a q35 has its ide drives on an AHCI controller")
                 : notes_add(&set->b->plan->notes,
                             "disks: PVE has no %s, sata stands in for it: every Windows since "
                             "Vista boots from that",
                             fingerprint_controller_name(controller));
    }
    return rc;
}

/* 0: carry on, 1: all stay, -ENOMEM. */
static int decide(struct plan_disk_set *set)
{
    int rc = match_disks(set);

    if (rc != 0) {
        return rc;
    }
    set_targets(set);
    rc = choose_slots(set);
    if (rc == 0) {
        rc = check_moves(set);
    }
    if (rc == 0) {
        rc = choose_scsihw(set);
    }
    if (rc == 0) {
        rc = choose_values(set);
    }
    if (rc == 0 && !plan_match_is_stable(set)) {
        rc = all_stay(set, "their places after the move would not tell them apart; name each "
                           "disk's \"volume\" in the fingerprint");
    }
    return rc;
}

int plan_disks(struct plan_builder *b)
{
    const struct fingerprint *fp = b->in->fp;
    bool needed = fp->has_disks && fp->policy.disks == FINGERPRINT_MATCH && fp->n_disks > 0;
    CLEANUP(disk_set_fini) struct plan_disk_set set = {.b = b};
    int rc = read_disks(&set, needed);

    if (rc != 0 || !needed) {
        return rc < 0 ? rc : 0;
    }
    plan_rank_disks(&set);
    rc = decide(&set);
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    rc = note_substitutes(&set);
    return rc < 0 ? rc : plan_disk_steps(&set);
}

int plan_pair_disks(struct plan_builder *b, struct plan_pairs *pairs)
{
    CLEANUP(disk_set_fini) struct plan_disk_set set = {.b = b};
    struct plan_place places[PLAN_DISKS_MAX];
    int rc = read_disks(&set, false);

    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    plan_rank_disks(&set);
    for (size_t i = 0; i < set.n; i++) {
        places[i] = set.items[i].place;
    }
    if (plan_match_disks(b->in->fp, places, set.n) != PLAN_MATCHED) {
        return 0;
    }
    for (size_t i = 0; i < set.n; i++) {
        if (places[i].want != PLAN_NO_DISK) {
            drive_slot_format(places[i].slot, pairs->disks[places[i].want]);
        }
    }
    return 0;
}
