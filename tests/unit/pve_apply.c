/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See pve_apply.h. Comments and keys of sections are the only things kept of the rest. */
#include "pve_apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"

/* Is the option set, or deleted, by this step? */
static bool step_names(const struct plan_step *step, const char *option)
{
    for (size_t i = 0; i < step->n_sets; i++) {
        if (str_equal(step->sets[i].option, option)) {
            return true;
        }
    }
    return false;
}

static const char *step_value(const struct plan_step *step, const char *option)
{
    for (size_t i = 0; i < step->n_sets; i++) {
        if (str_equal(step->sets[i].option, option)) {
            return step->sets[i].value;
        }
    }
    return NULL;
}

/* Is the device there once the step is done? */
static bool will_be_there(const struct pveconf *conf, const struct plan_step *step,
                          const char *device)
{
    if (str_equal(step->remove, device)) {
        return false;
    }
    return pveconf_get(conf, device) != NULL || step_value(step, device) != NULL;
}

static int check_boot(const struct pveconf *conf, const struct plan_step *step, struct err *err)
{
    const char *value = step_value(step, "boot");
    CLEANUP_FREE char *devices = NULL;
    char *state = NULL;

    if (value == NULL || !str_starts(value, "order=")) {
        return 0;
    }
    devices = str_dup(value + strlen("order="));
    for (char *d = strtok_r(devices, ";", &state); d != NULL; d = strtok_r(NULL, ";", &state)) {
        if (!will_be_there(conf, step, d)) {
            return err_set(err, -EINVAL, "invalid bootorder: device '%s' does not exist'", d);
        }
    }
    return 0;
}

static int volume_of(const char *slot_name, const char *value, char **ret_volume)
{
    CLEANUP(drive_fini) struct drive drive = {0};
    struct drive_slot slot;
    int rc;

    if (!drive_slot_parse(slot_name, &slot)) {
        return 1;
    }
    rc = drive_parse(slot, value, &drive, NULL);
    if (rc == 0) {
        *ret_volume = STEAL(drive.volume);
    }
    return rc;
}

/* What PVE refuses, and what would make an unused disk or a disk attached twice of it. */
static int check_set(const struct pveconf *conf, const struct plan_step *step,
                     const struct plan_set *set, struct err *err)
{
    CLEANUP_FREE char *volume = NULL;
    CLEANUP_FREE char *old = NULL;
    const char *now = pveconf_get(conf, set->option);
    struct drive_slot slot;
    int rc;

    if (set->value == NULL) { /* with a disk in the same call PVE would rewrite the boot order */
        return now == NULL || drive_slot_parse(set->option, &slot) || step->probe != NULL
                   ? err_set(err, -EINVAL, "delete=%s", set->option)
                   : 0;
    }
    rc = volume_of(set->option, set->value, &volume);
    if (rc > 0) {
        return 0;
    }
    if (rc < 0) {
        return err_set(err, -EINVAL, "%s: invalid format: %s", set->option, set->value);
    }
    if (now == NULL) {
        if (step->remove == NULL) {
            return err_set(err, -EINVAL, "%s: the volume would be attached twice", set->option);
        }
        now = pveconf_get(conf, step->remove);
    }
    if (now == NULL ||
        volume_of(step->remove == NULL ? set->option : step->remove, now, &old) < 0 ||
        !str_equal(volume, old)) {
        return err_set(err, -EINVAL, "%s: %s would become unused", set->option, old);
    }
    return 0;
}

static int check_step(const struct pveconf *conf, const struct plan_step *step, struct err *err)
{
    int rc = check_boot(conf, step, err);

    if (rc == 0 && step->remove != NULL && str_equal(pveconf_get(conf, "protection"), "1")) {
        rc = err_set(err, -EINVAL, "can't remove drive '%s' - protection mode enabled",
                     step->remove);
    }
    if (rc == 0 && step->remove != NULL && pveconf_get(conf, step->remove) == NULL) {
        rc = err_set(err, -EINVAL, "cannot delete '%s' - not set", step->remove);
    }
    if (rc == 0 && pveconf_get(conf, "lock") != NULL) {
        rc = err_set(err, -EINVAL, "VM is locked");
    }
    if (rc == 0 && step->probe != NULL &&
        !str_equal(step->probe_value, pveconf_get(conf, step->probe))) {
        rc = err_set(err, -EINVAL, "%s is not what the step takes it for", step->probe);
    }
    for (size_t i = 0; i < step->n_sets && rc == 0; i++) {
        rc = check_set(conf, step, &step->sets[i], err);
    }
    return rc;
}

/* `boot` without the deleted slot, as PVE does it where the call has no boot of its own. */
static void add_boot_without(struct buf *out, const char *value, const char *gone)
{
    CLEANUP_FREE char *devices = NULL;
    char *state = NULL;
    bool first = true;

    if (gone == NULL || !str_starts(value, "order=")) {
        buf_addf(out, "boot: %s\n", value);
        return;
    }
    devices = str_dup(value + strlen("order="));
    buf_adds(out, "boot: ");
    for (char *d = strtok_r(devices, ";", &state); d != NULL; d = strtok_r(NULL, ";", &state)) {
        if (!str_equal(d, gone)) {
            buf_addf(out, "%s%s", first ? "order=" : ";", d);
            first = false;
        }
    }
    buf_addc(out, '\n');
}

static void add_kept(struct buf *out, const struct pveconf_section *main,
                     const struct plan_step *step)
{
    const char *boot = step_value(step, "boot");
    bool ordered = boot != NULL && str_starts(boot, "order=");

    for (size_t i = 0; i < main->n; i++) {
        const char *key = main->keys[i].key;

        if (str_equal(key, step->remove) || step_names(step, key) ||
            (ordered && str_equal(key, "bootdisk"))) {
            continue;
        }
        if (str_equal(key, "boot")) {
            add_boot_without(out, main->keys[i].value, step->remove);
        } else {
            buf_addf(out, "%s: %s\n", key, main->keys[i].value);
        }
    }
}

static void add_section(struct buf *out, const struct pveconf_section *section)
{
    buf_addf(out, "\n[%s%s]\n", section->kind == PVECONF_SPECIAL ? "special:" : "", section->name);
    for (size_t i = 0; i < section->n; i++) {
        buf_addf(out, "%s: %s\n", section->keys[i].key, section->keys[i].value);
    }
}

int pve_apply_step(const char *text, const struct plan_step *step, char **ret_text, struct err *err)
{
    CLEANUP(pveconf_freep) struct pveconf *raw = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    struct buf out = BUF_INIT(0);
    int rc = pveconf_parse(text, strlen(text), &raw, err);

    if (rc == 0) {
        rc = pveconf_apply_pending(raw, &conf); /* PVE does it with whatever change comes */
    }
    if (rc == 0) {
        rc = check_step(conf, step, err);
    }
    if (rc < 0) {
        return rc;
    }
    add_kept(&out, &conf->sections[0], step);
    for (size_t i = 0; i < step->n_sets; i++) {
        if (step->sets[i].value != NULL) {
            buf_addf(&out, "%s: %s\n", step->sets[i].option, step->sets[i].value);
        }
    }
    for (size_t i = 1; i < conf->n_sections; i++) {
        add_section(&out, &conf->sections[i]);
    }
    *ret_text = buf_steal(&out);
    return *ret_text == NULL ? err_oom(err) : 0;
}

int pve_apply_plan(const char *text, const struct plan *plan, char **ret_text, struct err *err)
{
    CLEANUP_FREE char *now = str_dup(text);
    int rc = now == NULL ? err_oom(err) : 0;

    for (size_t i = 0; i < plan->n_steps && rc == 0; i++) {
        char *next = NULL;

        rc = pve_apply_step(now, &plan->steps[i], &next, err);
        if (rc == 0) {
            free(now);
            now = next;
        }
    }
    if (rc == 0) {
        *ret_text = STEAL(now);
    }
    return rc;
}

int pve_check_volumes(const char *text, struct err *err)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(drive_list_fini) struct drive_list list = {0};
    int rc = pveconf_parse(text, strlen(text), &conf, err);

    if (rc == 0) {
        rc = drive_list_read(conf, &list, err);
    }
    for (size_t i = 0; i < list.n && rc == 0; i++) {
        for (size_t j = 0; j < i && rc == 0; j++) {
            if (!list.items[i].cdrom && str_equal(list.items[i].volume, list.items[j].volume)) {
                rc = err_set(err, -EINVAL, "%s is attached twice", list.items[i].volume);
            }
        }
    }
    return rc;
}
