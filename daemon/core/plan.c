/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The plan as a whole: asks each part, then settles what may be done at all. Why not stop at the
 * first obstacle: a VM that is in sync must not be reported as refused because a backup runs, so it
 * has to be known first whether there is anything to change.
 */
#include "core/plan.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/plan_builder.h"

/* --- the value ------------------------------------------------------------------------------- */

void plan_step_fini(struct plan_step *step)
{
    for (size_t i = 0; i < step->n_sets; i++) {
        free(step->sets[i].option);
        free(step->sets[i].value);
        free(step->sets[i].old);
    }
    free(step->sets);
    free(step->remove);
    free(step->probe);
    free(step->probe_value);
}

void plan_clear_changes(struct plan *plan)
{
    for (size_t i = 0; i < plan->n_changes; i++) {
        free(plan->changes[i].option);
        free(plan->changes[i].old);
        free(plan->changes[i].new);
        free(plan->changes[i].why);
    }
    for (size_t i = 0; i < plan->n_steps; i++) {
        plan_step_fini(&plan->steps[i]);
    }
    plan->n_changes = 0;
    plan->n_steps = 0;
}

void plan_free(struct plan *plan)
{
    if (plan == NULL) {
        return;
    }
    plan_clear_changes(plan);
    free(plan->changes);
    free(plan->steps);
    notes_fini(&plan->notes);
    notes_fini(&plan->refusals);
    free(plan);
}

bool plan_is_empty(const struct plan *plan)
{
    return plan->n_changes == 0 && plan->refusals.n == 0;
}

bool plan_step_is_disk(const struct plan_step *step)
{
    return step->probe != NULL;
}

/* --- building it ----------------------------------------------------------------------------- */

int plan_edit_record(struct plan *plan, const struct plan_edit *edit)
{
    struct plan_change *change;
    int rc = vec_reserve(&plan->changes, plan->n_changes, &plan->cap_changes,
                         sizeof(plan->changes[0]));

    if (rc < 0) {
        return rc;
    }
    change = &plan->changes[plan->n_changes++];
    *change = (struct plan_change){
        .option = str_dup(edit->option),
        .old = str_dup(edit->old),
        .new = str_dup(edit->new),
        .why = str_dup(edit->why),
        .match = edit->match,
    };
    if (change->option == NULL || change->why == NULL ||
        (edit->old != NULL && change->old == NULL) || (edit->new != NULL && change->new == NULL)) {
        return -ENOMEM;
    }
    return 0;
}

int plan_step_add(struct plan *plan, struct plan_step **ret_step)
{
    int rc = vec_reserve(&plan->steps, plan->n_steps, &plan->cap_steps, sizeof(plan->steps[0]));

    if (rc < 0) {
        return rc;
    }
    *ret_step = &plan->steps[plan->n_steps++];
    **ret_step = (struct plan_step){0};
    return 0;
}

int plan_step_set(struct plan_step *step, const char *option, const char *value)
{
    struct plan_set *set;
    int rc = vec_reserve(&step->sets, step->n_sets, &step->cap_sets, sizeof(step->sets[0]));

    if (rc < 0) {
        return rc;
    }
    set = &step->sets[step->n_sets++];
    *set = (struct plan_set){.option = str_dup(option), .value = str_dup(value)};
    return set->option == NULL || (value != NULL && set->value == NULL) ? -ENOMEM : 0;
}

int plan_edit_first(struct plan *plan, const struct plan_edit *edit)
{
    struct plan_step *step = NULL;
    int rc = plan_edit_record(plan, edit);

    if (rc < 0) {
        return rc;
    }
    if (plan->n_steps == 0) {
        rc = plan_step_add(plan, &step);
        if (rc < 0) {
            return rc;
        }
    }
    return plan_step_set(&plan->steps[0], edit->option, edit->new);
}

/* --- everything else that is only compared ---------------------------------------------------- */

static int compare_firmware(struct plan_builder *b)
{
    const char *firmware = b->in->fp->firmware;
    bool efi;

    if (firmware == NULL) {
        return 0;
    }
    efi = str_equal(firmware, "efi");
    if (efi == b->ovmf) {
        return 0;
    }
    return notes_add(&b->plan->notes,
                     "the guest was started by %s on VMware, this VM starts by %s: it will hardly "
                     "boot so; `bios` is left to the administrator",
                     efi ? "EFI" : "BIOS", b->ovmf ? "OVMF (EFI)" : "SeaBIOS");
}

static int find_nothing_to_say(struct plan_builder *b)
{
    const struct fingerprint *fp = b->in->fp;

    if (fp->has_smbios || fp->has_machine || fp->has_nics || fp->has_disks) {
        return 0;
    }
    return notes_add(&b->plan->refusals, "the fingerprint names none of smbios, machine, nics and "
                                         "disks: there is nothing to go by");
}

/* What is in nobody's way where nothing is given: an obstacle like a lock. */
static int tell_others(struct plan_builder *b)
{
    const struct claims_findings *others = b->in->others;
    int rc = 0;

    for (size_t i = 0; others != NULL && rc == 0 && i < others->refusals.n; i++) {
        rc = notes_add(&b->obstacles, "%s", others->refusals.items[i]);
    }
    for (size_t i = 0; others != NULL && rc == 0 && i < others->notes.n; i++) {
        rc = notes_add(&b->plan->notes, "%s", others->notes.items[i]);
    }
    return rc;
}

/* --- the whole -------------------------------------------------------------------------------- */

int plan_settle(struct plan_builder *b)
{
    struct plan *plan = b->plan;
    bool refused = plan->refusals.n > 0 || plan->n_changes > 0;

    for (size_t i = 0; i < b->obstacles.n; i++) {
        int rc = notes_add(refused ? &plan->refusals : &plan->notes, "%s", b->obstacles.items[i]);

        if (rc < 0) {
            return rc;
        }
    }
    if (plan->refusals.n > 0) {
        plan_clear_changes(plan);
    }
    return 0;
}

static int build(struct plan_builder *b)
{
    static int (*const parts[])(struct plan_builder *) = {
        find_nothing_to_say, tell_others, plan_obstacles,   plan_smbios, plan_machine,
        plan_nics,           plan_disks,  compare_firmware, plan_settle,
    };

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        int rc = parts[i](b);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int plan_make(const struct plan_input *input, struct plan **ret_plan, struct err *err)
{
    CLEANUP(plan_freep) struct plan *plan = calloc(1, sizeof(*plan));
    struct plan_builder b = {.in = input, .plan = plan};
    int rc;

    if (plan == NULL) {
        return err_oom(err);
    }
    if (pveconf_section(input->conf, PVECONF_PENDING) != NULL && pveconf_has_pending(input->conf)) {
        return err_set(err, -EINVAL, "VM %u: pending changes must be applied before planning",
                       input->vmid);
    }
    plan->vmid = input->vmid;
    b.ovmf = str_equal(pveconf_get(input->conf, "bios"), "ovmf");
    rc = build(&b);
    notes_fini(&b.obstacles);
    if (rc < 0) {
        return err_oom(err);
    }
    *ret_plan = STEAL(plan);
    return 0;
}

int plan_pair(const struct plan_input *in, struct plan_pairs *ret)
{
    CLEANUP(plan_freep) struct plan *plan = calloc(1, sizeof(*plan)); /* for notes nobody reads */
    struct plan_builder b = {.in = in, .plan = plan};
    int rc;

    *ret = (struct plan_pairs){0};
    if (plan == NULL) {
        return -ENOMEM;
    }
    rc = plan_pair_nics(&b, ret);
    rc = rc < 0 ? rc : plan_pair_disks(&b, ret);
    notes_fini(&b.obstacles);
    return rc;
}
