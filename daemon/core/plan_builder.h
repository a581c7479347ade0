/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a plan is put together: private to plan*.c. Each part (smbios, machine, nics, disks) looks at
 * the same input, adds its changes through plan_edit_*(), tells what it could not do in notes, and
 * returns 0 or -ENOMEM; a value that it cannot read is a refusal, not an error.
 */
#ifndef CORE_PLAN_BUILDER_H
#define CORE_PLAN_BUILDER_H

#include <stdbool.h>

#include "core/plan.h"

struct plan_builder {
    const struct plan_input *in;
    struct plan *plan;
    /* What keeps PVE from taking any change. Refusals if there is a change, else notes. */
    struct notes obstacles;
    bool ovmf;
    bool q35;                       /* after the plan */
    struct machine_version version; /* of the machine after the plan; 0.0: not known */
};

struct plan_edit {
    const char *option;
    const char *old; /* NULL: not there now */
    const char *new; /* NULL: goes */
    const char *why;
    enum plan_match match;
};

/* Adds a change only; the caller puts it into a step. */
int plan_edit_record(struct plan *plan, const struct plan_edit *edit);
/* Adds a change and its part of the first step, which is made at need: before any disk step. */
int plan_edit_first(struct plan *plan, const struct plan_edit *edit);
/* Appends an empty step. */
int plan_step_add(struct plan *plan, struct plan_step **ret_step);
/* `value` NULL: the option goes. */
int plan_step_set(struct plan_step *step, const char *option, const char *value);
void plan_step_fini(struct plan_step *step);
/* At the end: obstacles become refusals where something would change, else notes; with refusals
 * nothing changes. */
int plan_settle(struct plan_builder *b);

/* plan_obstacles.c */
/* A value that PVE could not read, with the parser's sentence, which names the option: refused
 * where the fingerprint needs it, else an obstacle. */
int plan_unreadable(struct plan_builder *b, bool needed, const char *why);

/* Does `args` speak of this device, as in `-set device.scsi0.ver=2.0`? QEMU would not start if the
 * device were gone or of another kind, and only root@pam may change `args`. */
bool plan_args_name(const struct plan_builder *b, const char *device);

/* Into a builder that nobody asks afterwards. 0 or -ENOMEM. */
int plan_pair_nics(struct plan_builder *b, struct plan_pairs *pairs);
int plan_pair_disks(struct plan_builder *b, struct plan_pairs *pairs);

int plan_obstacles(struct plan_builder *b);
int plan_smbios(struct plan_builder *b);
int plan_machine(struct plan_builder *b);
int plan_nics(struct plan_builder *b);
int plan_disks(struct plan_builder *b);

#endif
