/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a disk is that a step of ours moves: for the state machine, which puts it back, and for the
 * hook, which must not let a VM run without it while nobody is there to do that. */
#ifndef CORE_DISK_PLACE_H
#define CORE_DISK_PLACE_H

#include "core/plan.h"
#include "core/pveconf.h"
#include "core/record.h"

enum disk_place {
    DISK_IN_SLOT, /* or the step moves none */
    DISK_UNUSED,  /* a deletion that we left pending was carried out */
    DISK_NOWHERE, /* neither in a slot nor an unusedN: somebody took it away */
};

/* *ret_key (may be NULL): where it was found, borrowed from `conf`; NULL where nowhere. */
enum disk_place disk_place_find(const struct plan_step *step, const struct pveconf *conf,
                                const char **ret_key);

/* The disk of the step that was under way when the journal ended: the only one that a call of ours
 * can have left without its slot. */
struct disk_astray {
    char *slot, *value; /* what it was, and has to become again */
    char *unused;       /* unusedN; NULL: its deletion is pending */
};
/* 1: it is neither in a slot nor was it taken away on purpose, as far as this VM's configuration
 * tells; 0: all is well with it; -ENOMEM. */
int disk_place_look(const struct record_memory *memory, const struct pveconf *conf,
                    struct disk_astray *ret);
void disk_astray_fini(struct disk_astray *disk);

#endif
