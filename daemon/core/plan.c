/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The plan as a whole: asks each part, then settles what may be done at all. Why not stop at the
 * first obstacle: a VM that is in sync must not be reported as refused because a backup runs, so it
 * has to be known first whether there is anything to change.
 */
#include "core/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "core/plan_builder.h"

/* --- the value ------------------------------------------------------------------------------- */

static void plan_clear_changes(struct plan *plan)
{
    for (size_t i = 0; i < plan->n_changes; i++) {
        free(plan->changes[i].option);
        free(plan->changes[i].old);
        free(plan->changes[i].new);
        free(plan->changes[i].why);
    }
    for (size_t i = 0; i < plan->n_steps; i++) {
        struct plan_step *step = &plan->steps[i];

        for (size_t j = 0; j < step->n_sets; j++) {
            free(step->sets[j].option);
            free(step->sets[j].value);
        }
        free(step->sets);
        free(step->remove);
        free(step->probe);
        free(step->probe_value);
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
    set->option = str_dup(option);
    set->value = str_dup(value);
    return set->option == NULL || set->value == NULL ? -ENOMEM : 0;
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

int plan_unreadable(struct plan_builder *b, bool needed, const char *why)
{
    return notes_add(needed ? &b->plan->refusals : &b->obstacles,
                     "%s: PVE ignores this line and deletes it with the next change; correct or "
                     "remove it",
                     why);
}

bool plan_args_name(const struct plan_builder *b, const char *device)
{
    const char *args = pveconf_get(b->in->conf, "args");
    size_t len = strlen(device);

    for (const char *at = args; at != NULL && (at = strstr(at, device)) != NULL; at++) {
        if ((at == args || !ascii_is_alnum(at[-1])) && !ascii_is_alnum(at[len])) {
            return true;
        }
    }
    return false;
}

/* --- what keeps PVE from taking a change ------------------------------------------------------ */

static int find_bad_lines(struct plan_builder *b)
{
    const struct pveconf *conf = b->in->conf;

    for (size_t i = 0; i < conf->n_bad; i++) {
        const struct pveconf_bad *bad = &conf->bad[i];
        int rc = notes_add(&b->obstacles,
                           "line %u (\"%s\"): %s; PVE ignores this line and deletes it with the "
                           "next change",
                           bad->line, bad->text, bad->why);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int find_states(struct plan_builder *b)
{
    const char *lock = pveconf_get(b->in->conf, "lock");
    const char *template = pveconf_get(b->in->conf, "template");
    bool is_template = false;
    int rc = 0;

    if (lock != NULL) {
        rc = notes_add(&b->obstacles, "VM is locked (%s): PVE takes no change until that has ended",
                       lock);
    }
    if (rc == 0 && template != NULL && propstr_bool(template, &is_template) && is_template) {
        rc = notes_add(&b->obstacles, "VM is a template: it is never started, and its clones get "
                                      "fingerprints of their own");
    }
    return rc;
}

/* The volume of any key that holds one; NULL: none, or one that may well be attached twice. */
static int read_volume(const struct pveconf_key *key, char **ret_volume)
{
    CLEANUP(drive_fini) struct drive drive = {0};
    struct drive_slot slot = {DRIVE_SCSI, 0}; /* efidisk0 and tpmstate0 read like any other disk */
    int rc;

    if (!drive_slot_parse(key->key, &slot) && !str_equal(key->key, "efidisk0") &&
        !str_equal(key->key, "tpmstate0")) {
        return 0;
    }
    rc = drive_parse(slot, key->value, &drive, NULL);
    if (rc < 0) {
        return rc == -ENOMEM ? rc : 0; /* what cannot be read is told by plan_disks() */
    }
    if (drive.cdrom || str_equal(drive.volume, "none")) {
        return 0;
    }
    *ret_volume = STEAL(drive.volume);
    return 0;
}

/* One image behind two slots is how data is lost. PVE would start that VM, and moving one of the
 * two would make it harder to see. */
static int find_shared_volumes(struct plan_builder *b)
{
    const struct pveconf_section *main = &b->in->conf->sections[0];
    struct notes volumes = {0}, slots = {0};
    int rc = 0;

    for (size_t i = 0; i < main->n && rc == 0; i++) {
        CLEANUP_FREE char *volume = NULL;

        rc = read_volume(&main->keys[i], &volume);
        if (rc < 0 || volume == NULL) {
            continue;
        }
        for (size_t j = 0; j < volumes.n && rc == 0; j++) {
            if (str_equal(volumes.items[j], volume)) {
                rc = notes_add(&b->obstacles,
                               "%s and %s both name the volume %s: two disks on one image destroy "
                               "each other's data; remove one of the two",
                               slots.items[j], main->keys[i].key, volume);
            }
        }
        if (rc == 0) {
            rc = notes_add(&volumes, "%s", volume);
        }
        if (rc == 0) {
            rc = notes_add(&slots, "%s", main->keys[i].key);
        }
    }
    notes_fini(&volumes);
    notes_fini(&slots);
    return rc;
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

/* --- the whole -------------------------------------------------------------------------------- */

static int settle(struct plan_builder *b)
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
        find_nothing_to_say, find_states, find_bad_lines, find_shared_volumes, plan_smbios,
        plan_machine,        plan_nics,   plan_disks,     compare_firmware,    settle,
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
