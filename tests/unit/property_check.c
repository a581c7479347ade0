/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See property_check.h. */
#include "property_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/str.h"
#include "driver_priv.h"
#include "fake_pve_priv.h"

void property_init(struct property *p, const struct driver *d)
{
    *p = (struct property){0};
    fake_map_copy(&d->pve.conf, &p->conf);
    fake_pve_effective(&d->pve, &p->effective);
    p->boot = fake_pve_boot_sequence(&p->effective);
    p->boot_before_stop = fake_pve_boot_sequence(&p->conf);
    for (size_t i = 0; i < d->pve.deletes.n; i++) {
        p->deletes_disk = p->deletes_disk || fake_pve_is_drive(d->pve.deletes.items[i].key);
    }
}

void property_fini(struct property *p)
{
    fake_map_fini(&p->conf);
    fake_map_fini(&p->effective);
    free(p->boot);
    free(p->boot_before_stop);
}

/* --- what was there is still there --------------------------------------------------------------
 */

/* Somebody else carried out a deletion that was pending, or took a disk off. */
static bool is_excused(const struct driver *d, const char *volume)
{
    return (d->pve.detached != NULL && strstr(d->pve.detached, volume) != NULL) ||
           d->pve.harmed_by_others;
}

static void check_volumes(const struct property *p, struct driver *d)
{
    for (size_t i = 0; i < p->effective.n; i++) {
        const struct fake_pair *pair = &p->effective.items[i];
        CLEANUP_FREE char *volume = fake_pve_volume_of(pair->value);
        unsigned used, unused;

        if (!fake_pve_is_drive(pair->key) || fake_pve_is_cdrom(pair->value)) {
            continue;
        }
        used = fake_pve_count_volume(&d->pve, volume, false);
        unused = fake_pve_count_volume(&d->pve, volume, true);
        if (volume[0] == '/' && is_excused(d, volume)) {
            continue; /* a device of the node: PVE keeps no unusedN of it */
        }
        /* Somebody meddled with the very disk that was half through: nobody can tell which slot is
         * meant, and everybody was told. */
        if (used == 2 && unused == 0 && d->pve.disk_edited && d->told_twice) {
            continue;
        }
        if (used + unused != 1 || (used == 0 && !is_excused(d, volume))) {
            fake_pve_problem(&d->pve, "%s was %s and is in %u slots and %u unused ones", volume,
                             pair->key, used, unused);
        }
    }
}

static bool is_nic(const char *key)
{
    return str_starts(key, "net") && ascii_is_digit(key[3]);
}

/* May we change it, and how it is checked elsewhere; or somebody of the faults does. */
static bool is_ours_or_theirs(const char *key, const char *value)
{
    static const char *const keys[] = {"smbios1",  "machine", "scsihw", "boot",
                                       "bootdisk", "tags",    "lock",   "parent"};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (str_equal(key, keys[i])) {
            return true;
        }
    }
    return is_nic(key) || (fake_pve_is_disk(key) && !fake_pve_is_cdrom(value));
}

static void check_keys(const struct property *p, struct driver *d)
{
    for (size_t i = 0; i < p->effective.n; i++) {
        const struct fake_pair *pair = &p->effective.items[i];
        const char *now = fake_pve_get(&d->pve, pair->key);

        /* A pending value may have met its stop by now or not. */
        if (is_nic(pair->key) && now == NULL) {
            fake_pve_problem(&d->pve, "%s is gone", pair->key);
        }
        if (!is_ours_or_theirs(pair->key, pair->value) && !str_equal(now, pair->value) &&
            !str_equal(now, fake_map_get(&p->conf, pair->key))) {
            fake_pve_problem(&d->pve, "%s: %s became %s", pair->key, pair->value,
                             now == NULL ? "nothing" : now);
        }
    }
    for (size_t i = 0; i < d->pve.conf.n; i++) {
        const struct fake_pair *pair = &d->pve.conf.items[i];
        bool unused = str_starts(pair->key, "unused");

        if (fake_map_get(&p->effective, pair->key) == NULL &&
            fake_map_get(&p->conf, pair->key) == NULL &&
            (is_nic(pair->key) || !is_ours_or_theirs(pair->key, pair->value)) &&
            !(unused && (is_excused(d, pair->value) || p->deletes_disk))) {
            fake_pve_problem(&d->pve, "%s: %s came from nowhere", pair->key, pair->value);
        }
    }
}

static void check_boot(const struct property *p, struct driver *d)
{
    CLEANUP_FREE char *now = fake_pve_boot_sequence(&d->pve.conf);

    if (!d->pve.boot_edited && d->pve.detached == NULL && !p->deletes_disk && p->boot[0] != '\0' &&
        !str_equal(p->boot, now) && !str_equal(p->boot_before_stop, now)) {
        fake_pve_problem(&d->pve, "it booted from%s, and now from%s", p->boot, now);
    }
}

static void check_debts(struct driver *d)
{
    driver_check_starts(d);
    if (d->memory.start_owed && !d->pve.gone) {
        fake_pve_problem(&d->pve, "a start is still owed");
    }
    if (d->memory.open && !d->pve.gone) {
        fake_pve_problem(&d->pve, "a change set is still open");
    }
}

/* --- what the fingerprint says is there ---------------------------------------------------------
 */

/* The field of smbios1, decoded; the caller's; NULL: it is not there. */
static char *smbios_field(const char *value, const char *name)
{
    bool encoded = value != NULL && strstr(value, "base64=1") != NULL;
    size_t len = strlen(name);

    for (const char *at = value; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, ",");

        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            CLEANUP_FREE char *text = str_ndup(at + len + 1, n - len - 1);
            struct buf plain = BUF_INIT(0);

            if (!encoded || str_equal(name, "uuid")) {
                return STEAL(text);
            }
            base64_decode(text, &plain);
            return buf_steal(&plain);
        }
        at += n + (at[n] == ',');
    }
    return NULL;
}

static void check_smbios(struct driver *d, const struct fingerprint *fp)
{
    const struct {
        const char *name, *want;
    } fields[] = {
        {"uuid", fp->smbios.uuid},       {"manufacturer", fp->smbios.manufacturer},
        {"product", fp->smbios.product}, {"version", fp->smbios.version},
        {"serial", fp->smbios.serial},   {"sku", fp->smbios.sku},
        {"family", fp->smbios.family},
    };

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        CLEANUP_FREE char *now = smbios_field(fake_pve_get(&d->pve, "smbios1"), fields[i].name);

        if (fields[i].want != NULL && !str_iequal(now, fields[i].want)) {
            fake_pve_problem(&d->pve, "called done, but smbios1 %s is %s, not %s", fields[i].name,
                             now == NULL ? "absent" : now, fields[i].want);
        }
    }
}

static void check_result(struct driver *d)
{
    CLEANUP(assessment_freep) struct assessment *a = driver_assess(d);

    if (a->outcome != ASSESS_PLANNED || d->r != NULL || d->pve.gone ||
        (d->outcome != RECONCILE_DONE && d->outcome != RECONCILE_IN_SYNC)) {
        return;
    }
    if (!plan_is_empty(a->plan)) {
        CLEANUP_FREE char *why = plan_summary(a->plan);

        fake_pve_problem(&d->pve, "called done, but a second plan wants %s", why);
    }
    check_smbios(d, a->fp);
}

/* --- calm
 * ----------------------------------------------------------------------------------------- */

static bool may_stay_down(struct driver *d)
{
    CLEANUP(assessment_freep) struct assessment *a = driver_assess(d);

    return d->pve.gone || fake_pve_get(&d->pve, "lock") != NULL ||
           fake_pve_get(&d->pve, "template") != NULL || a->on_error == FINGERPRINT_ERROR_REFUSE ||
           a->on_drift == FINGERPRINT_DRIFT_REFUSE;
}

/* Somebody starts the VM: one start is enough, or two where HA makes the second. */
static void start_it(struct driver *d)
{
    unsigned held = d->held, starts = d->pve.our_starts;

    driver_start(d);
    if (d->pve.ha_managed && !d->pve.running) {
        d->pve.now_ms += 10000;
        driver_start(d);
    }
    if (d->pve.problem[0] != '\0') {
        return;
    }
    if (!d->pve.running && !may_stay_down(d)) {
        fake_pve_problem(&d->pve, "all is calm, somebody starts the VM, and it does not run: %s",
                         d->pve.task_exit != NULL ? d->pve.task_exit : "held");
    }
    if (d->held > held + 1 || d->pve.our_starts > starts + 1) {
        fake_pve_problem(&d->pve, "one start was stopped %u times and made %u times",
                         d->held - held, d->pve.our_starts - starts);
    }
}

/* Somebody started the VM when a deletion of ours was pending, and runs it without that disk,
 * or with that disk in its new slot and not in the boot order. Nothing is changed in a running VM:
 * it has been told, the change set is open, and goes on at the stop. */
static bool waits_for_the_stop(const struct property *p, const struct driver *d)
{
    bool unused = false;

    for (size_t i = 0; i < p->effective.n; i++) {
        const struct fake_pair *pair = &p->effective.items[i];
        CLEANUP_FREE char *volume = fake_pve_volume_of(pair->value);

        unused = unused || (fake_pve_is_disk(pair->key) &&
                            fake_pve_count_volume(&d->pve, volume, true) == 1 &&
                            fake_pve_count_volume(&d->pve, volume, false) == 0);
    }
    return (unused && d->r != NULL && d->stuck && d->pve.running && d->pve.harmed_by_others &&
            d->memory.open && d->memory.stuck && d->told[RECONCILE_TELL_STUCK] > 0) ||
           (d->pve.running && driver_waits_to_boot(d));
}

/* Whatever it still waits for must come in time; here it does. */
static void go_on(const struct property *p, struct driver *d)
{
    driver_settle(d);
    if (d->pve.problem[0] == '\0' && waits_for_the_stop(p, d)) {
        d->waited_for_stop = true;
        fake_pve_stop_by_others(&d->pve);
        driver_settle(d);
    }
    if (d->pve.problem[0] == '\0' && d->r != NULL) {
        fake_pve_problem(&d->pve, "all is calm, and it is still in state %s",
                         reconcile_state_name(d->r));
    }
}

/* Each disk is in a slot again. */
static void check_put_back(const struct property *p, struct driver *d)
{
    for (size_t i = 0; i < p->effective.n; i++) {
        const struct fake_pair *pair = &p->effective.items[i];
        CLEANUP_FREE char *volume = fake_pve_volume_of(pair->value);
        bool theirs = d->pve.detached != NULL && strstr(d->pve.detached, volume) != NULL;

        if (fake_pve_is_disk(pair->key) && !fake_pve_is_cdrom(pair->value) && !theirs &&
            fake_pve_count_volume(&d->pve, volume, false) != 1) {
            fake_pve_problem(&d->pve, "the VM has stopped, and %s is not back", volume);
        }
    }
}

void property_check_calm(const struct property *p, struct driver *d)
{
    fake_pve_calm(&d->pve);
    d->n_crashes = 0;
    d->journal_fails_at = 0;
    d->pve.now_ms += 3600 * 1000;
    d->look = true; /* its own timer, or the next restart */
    go_on(p, d);
    if (d->pve.problem[0] == '\0' && d->waited_for_stop && !d->pve.gone) {
        check_put_back(p, d);
    }
    if (d->pve.problem[0] == '\0' && !d->pve.running) {
        start_it(d);
    }
    if (d->pve.problem[0] == '\0') {
        fake_pve_stop_by_others(&d->pve);
        d->look = true;
        driver_settle(d);
    }
    driver_replay_memory(d);
    if (d->holds_of_own_start > 0) {
        fake_pve_problem(&d->pve, "our own start was held");
    }
    check_debts(d);
    if (d->pve.gone) {
        return;
    }
    if (!d->pve.running) {
        check_result(d);
    } else {
        fake_pve_stop(&d->pve);
    }
    check_volumes(p, d);
    check_keys(p, d);
    check_boot(p, d);
}
