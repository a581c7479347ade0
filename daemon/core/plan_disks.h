/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The disks of a plan: private to plan_disks.c (what becomes of each), plan_match.c (which is
 * which), plan_slots.c (free slots), plan_disk_value.c (the new value of one), plan_steps.c (the
 * calls) and plan_boot.c (the boot order).
 */
#ifndef CORE_PLAN_DISKS_H
#define CORE_PLAN_DISKS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/drive.h"
#include "core/plan_builder.h"

enum {
    PLAN_DISKS_MAX = 57,      /* all slots of all buses: 4 + 6 + 31 + 16 */
    PLAN_SLOTS_MAX = 31,      /* of one bus */
    PLAN_NO_DISK = -1,        /* not in the fingerprint */
    PLAN_RANK_NONE = INT_MAX, /* not in the boot order */
};

/* What tells a disk from another one. */
struct plan_place {
    const char *volume;
    const char *serial; /* decoded; NULL */
    struct drive_slot slot;
    int rank; /* in the boot order, where names follow the disk: it stays when the disk moves */
    int want; /* index into the fingerprint's disks, or PLAN_NO_DISK */
};

struct plan_disk {
    const struct drive *drive; /* borrowed */
    struct plan_place place;   /* as it is now */
    char *serial;              /* behind place.serial */
    const char *fixed;         /* why it must stay as it is; NULL */
    enum drive_bus bus;        /* where the fingerprint wants it */
    bool exact;                /* that bus is what VMware had */
    struct drive_slot to;
    char *value; /* as it will be; NULL: nothing changes */
    const char *serial_after;
    char *why;
};

struct plan_disk_set {
    struct plan_builder *b;
    struct drive_list list;
    struct boot_order boot;
    bool boot_unnamed; /* nothing names the boot disk: rank 0 is our guess, to be written down */
    bool boot_cleaned; /* the order named what is not there, and does no more */
    struct plan_disk items[PLAN_DISKS_MAX];
    size_t n;
    bool scsihw_changes; /* to pvscsi */
};

/* plan_slots.c: which slots are taken, whatever by. */
struct plan_slots {
    bool taken[DRIVE_BUSES][PLAN_SLOTS_MAX];
};

void plan_slots_read(const struct plan_disk_set *set, struct plan_slots *slots);
/*
 * Takes the lowest free slot of the bus behind those of the disks that come before this one (their
 * `to`), else the lowest: the order of the disks is kept within a bus. False: none is free.
 */
bool plan_slots_choose(struct plan_slots *slots, const struct plan_disk_set *set,
                       const struct plan_disk *disk, struct drive_slot *ret_slot);
/* Would a plan made after the disk `last_done` choose the slots that this one has for the rest? */
bool plan_slots_agree_after(const struct plan_disk_set *set, int last_done);

/* plan_match.c */
enum plan_matched {
    PLAN_MATCHED,
    PLAN_MATCH_NUMBERS,     /* the numbers of disks differ */
    PLAN_MATCH_VOLUME_AWAY, /* a named volume is no disk of this VM, or is named twice */
};

/* The bus for a controller; *ret_exact false where it only stands in. */
enum drive_bus plan_disk_bus(enum fingerprint_controller controller, bool *ret_exact);
/* Sets `want` of each; the order of `places` changes. */
enum plan_matched plan_match_disks(const struct fingerprint *fp, struct plan_place *places,
                                   size_t n);
/* Would a new plan, made after any of the steps, tell the disks apart as this one does? */
bool plan_match_is_stable(const struct plan_disk_set *set);

/* plan_disk_value.c: fills value, serial_after and why of a disk that may change. 0 or -ENOMEM. */
int plan_disk_value(struct plan_disk_set *set, struct plan_disk *disk);
bool plan_disk_moves(const struct plan_disk *disk);
const char *plan_scsihw(const struct plan_disk_set *set);

/* plan_boot.c. 0 or -ENOMEM. */
/* Boot order to ranks. */
void plan_rank_disks(struct plan_disk_set *set);
/* Before the first move: an order that PVE will take. */
int plan_boot_prepare(struct plan_disk_set *set);
/* Puts what this move makes of `boot` (or `bootdisk`) into its step. */
int plan_boot_step(struct plan_disk_set *set, struct plan_step *step, const char *from,
                   const char *to, bool first_move);
/* After all steps: what they made of it, as changes. */
int plan_boot_record(struct plan_disk_set *set);

/* plan_steps.c: all changes to steps. 0 or -ENOMEM. */
int plan_disk_steps(struct plan_disk_set *set);

#endif
