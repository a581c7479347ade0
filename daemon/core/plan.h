/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The plan (law 7): what has to change in a VM's configuration so that its guest sees what the
 * fingerprint says. A value: computed from texts alone, printed, refused, executed, journalled and
 * undone elsewhere, always this same one.
 *
 * A plan is carried out as steps, one API call each (facts/pve.md 4): step 0 holds everything but
 * disks; then each disk is a step of its own, in the order of the changes.
 */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/machine.h"
#include "core/notes.h"
#include "core/pveconf.h"

enum plan_match { PLAN_EXACT, PLAN_SUBSTITUTE };

struct plan_change {
    char *option; /* "smbios1", "net0", "scsi0", "boot", ... */
    char *old;    /* NULL: the option is new */
    char *new;    /* NULL: the option goes */
    char *why;    /* one clause for the administrator */
    enum plan_match match;
};

/* One API call. `probe` first: what must be found to be there (law 2). */
struct plan_step {
    struct plan_set {
        char *option;
        char *value;
        char *old; /* filled from the journal only: what must be there right before; NULL: nothing */
    } * sets;
    size_t n_sets, cap_sets;
    char *remove;      /* the slot that goes, or NULL: one disk per call */
    char *probe;       /* slot of the disk that moves or changes; NULL for step 0 */
    char *probe_value; /* exactly its present value */
};

struct plan {
    uint32_t vmid;               /* 0: not known */
    struct plan_change *changes; /* sorted as they are carried out: step 0, then disk by disk */
    size_t n_changes, cap_changes;
    struct plan_step *steps;
    size_t n_steps, cap_steps;
    struct notes notes;    /* what stays different or was replaced, and why */
    struct notes refusals; /* why nothing at all may be changed; then changes and steps are empty */
};

struct plan_input {
    uint32_t vmid;
    const struct pveconf *conf; /* [PENDING] already applied: pveconf_apply_pending() */
    const struct fingerprint *fp;
    const struct machine_list *machines; /* NULL or empty: unknown */
    /* Disks that must stay where and as they are, e.g. because their volume is away. */
    struct plan_fixed {
        const char *slot;
        const char *why;
    } const *fixed;
    size_t n_fixed;
};

/* -EINVAL: the configuration has values PVE itself could not read (named with file-less key). */
int plan_make(const struct plan_input *input, struct plan **ret_plan, struct err *err);
void plan_free(struct plan *plan);
DEFINE_CLEANUP(struct plan, plan_free)

/* Nothing to change and nothing refused. */
bool plan_is_empty(const struct plan *plan);

/* {"vmid":..,"changes":[{"option","old","new","why","match"}],"notes":[..],"refusals":[..]} */
json_t *plan_to_json(const struct plan *plan); /* new reference; NULL: no memory */
/* For people: one block per change, notes, refusals; ASCII, lines of at most 100 columns where
 * values allow. The caller's. smbios1 is shown decoded too. */
int plan_to_text(const struct plan *plan, char **ret_text, struct err *err);
/* One line of at most ~200 bytes for the task log: "smbios1, machine, net0, scsi0 -> sata0". */
char *plan_summary(const struct plan *plan);

#endif
