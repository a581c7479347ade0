/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The plan (law 7): what has to change in a VM's configuration so that its guest sees what the
 * fingerprint says. A value: computed from texts alone, printed, refused, executed, journalled and
 * undone elsewhere, always this same one.
 *
 * A plan is carried out as steps, one API call each (facts/pve.md 4), in order: at most one step
 * for everything but disks, always the first (steps[0]), left out where it would be empty; then one
 * step per disk. plan_step_is_disk() tells which kind it is. A crash may fall between any two: each
 * state in between is bootable, names every volume once, and planning again from there ends where
 * this plan would have ended.
 */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/claims.h"
#include "core/drive.h"
#include "core/fingerprint.h"
#include "core/machine.h"
#include "core/notes.h"
#include "core/pveconf.h"

enum plan_match { PLAN_EXACT, PLAN_SUBSTITUTE };

/*
 * What changes in the end, whatever the number of calls: each option at most once, so that `old` is
 * what is there now and `new` what will be there. A moved disk is two changes, one behind the
 * other: the slot that goes (new NULL), the slot that comes (old NULL). `boot` follows at the end.
 */
struct plan_change {
    char *option; /* "smbios1", "net0", "scsi0", "boot", ... */
    char *old;    /* NULL: the option is new */
    char *new;    /* NULL: the option goes */
    char *why;    /* one clause for the administrator */
    enum plan_match match;
};

/*
 * One API call: `sets` and, with a disk that moves, `delete=<remove>`. `probe` first: what must be
 * found to be there (law 2). `boot` in a step is the value that is right at that point: disks not
 * yet moved stand there under their old names. Setting `boot: order=` makes PVE drop `bootdisk` by
 * itself; that is among the changes, but in no step.
 */
struct plan_step {
    struct plan_set {
        char *option;
        char *value; /* NULL: the option goes; never a disk's, that is `remove` */
        char
            *old; /* filled from the journal only: what must be there right before; NULL: nothing */
    } * sets;
    size_t n_sets, cap_sets;
    char *remove;      /* the slot that goes, or NULL: one disk per call */
    char *probe;       /* slot of the disk that moves or changes; NULL: not a disk step */
    char *probe_value; /* exactly its present value */
};

struct plan {
    uint32_t vmid;               /* 0: not known */
    struct plan_change *changes; /* in the order of the steps, `boot` and `bootdisk` last */
    size_t n_changes, cap_changes;
    struct plan_step *steps;
    size_t n_steps, cap_steps;
    struct notes notes;    /* what stays different or was replaced, and why */
    struct notes refusals; /* why nothing at all may be changed; then changes and steps are empty */
};

struct plan_input {
    uint32_t vmid;
    const struct pveconf *conf; /* without [PENDING]: pveconf_apply_pending() */
    const struct fingerprint *fp;
    const struct machine_list *machines; /* NULL or empty: unknown */
    /* Disks that must stay where and as they are, e.g. because their volume is away. */
    struct plan_fixed {
        const char *slot;
        const char *why;
    } const *fixed;
    size_t n_fixed;
    const struct claims_findings *others; /* who else has this identity; NULL: not asked */
};

/*
 * 0 with a plan, also where it refuses; -ENOMEM; -EINVAL: `conf` still has a [PENDING] section (a
 * bug of the caller). What keeps PVE from taking changes (lock:, template:, lines or values it
 * would drop, a volume attached twice, an identity that another VM has) is a refusal where
 * something would change, and a note where nothing does: a VM that is in sync is never reported as
 * refused.
 */
int plan_make(const struct plan_input *input, struct plan **ret_plan, struct err *err);
void plan_free(struct plan *plan);
DEFINE_CLEANUP(struct plan, plan_free)

/*
 * Which device of the VM each of the fingerprint's is, by the rules that a plan goes by; "" where
 * nothing tells. Slots and keys are those of `in->conf`. 0 or -ENOMEM.
 */
struct plan_pairs {
    char disks[FINGERPRINT_DISKS_MAX][DRIVE_SLOT_SIZE]; /* "scsi0" */
    char nics[FINGERPRINT_NICS_MAX][DRIVE_SLOT_SIZE];   /* "net0" */
};

int plan_pair(const struct plan_input *in, struct plan_pairs *ret);

/* All changes and steps go: what is refused is not done in part. */
void plan_clear_changes(struct plan *plan);
/* Nothing to change and nothing refused. */
bool plan_is_empty(const struct plan *plan);
/* Does this step change or move a disk (so: probe it first)? */
bool plan_step_is_disk(const struct plan_step *step);

/* {"vmid":..,"changes":[{"option","old","new","why","match"}],"notes":[..],"refusals":[..]}, match
 * "exact" or "substitute", old and new null where absent, bytes that are not UTF-8 as '?'. */
json_t *plan_to_json(const struct plan *plan); /* new reference; NULL: no memory */
/* For people: one block per change, notes, refusals; ASCII, lines of at most 100 columns where
 * values allow. The caller's. smbios1 is shown decoded too. */
int plan_to_text(const struct plan *plan, char **ret_text, struct err *err);
/* One ASCII line of at most PLAN_SUMMARY_MAX bytes for the task log: "smbios1, machine, net0, scsi0
 * -> sata0", "nothing to do" or "refused: ...". `boot` goes without saying. NULL: no memory. */
enum { PLAN_SUMMARY_MAX = 200 };
char *plan_summary(const struct plan *plan);

#endif
