/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See driver.h: questions about a run, and what must hold after it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "driver_priv.h"
#include "fake_pve_priv.h"

const char *driver_now(struct driver *d)
{
    time_t when = FAKE_PVE_EPOCH + d->pve.now_ms / 1000;
    struct tm tm;

    if (gmtime_r(&when, &tm) == NULL ||
        strftime(d->now, sizeof(d->now), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        abort();
    }
    return d->now;
}

unsigned driver_count(const struct driver *d, const char *word)
{
    CLEANUP_FREE char *copy = str_dup(d->requests);
    char *state = NULL;
    unsigned n = 0;

    for (char *w = copy == NULL ? NULL : strtok_r(copy, " ", &state); w != NULL;
         w = strtok_r(NULL, " ", &state)) {
        n += str_equal(w, word);
    }
    return n;
}

unsigned driver_count_records(const struct driver *d, const char *type)
{
    const json_t *record;
    unsigned n = 0;
    size_t i;

    json_array_foreach (d->journal, i, record) {
        n += str_equal(json_string_value(json_object_get(record, "type")), type);
    }
    return n;
}

const json_t *driver_last_record(const struct driver *d, const char *type)
{
    const json_t *record, *found = NULL;
    size_t i;

    json_array_foreach (d->journal, i, record) {
        if (str_equal(json_string_value(json_object_get(record, "type")), type)) {
            found = record;
        }
    }
    return found;
}

/* The step of the open change set that may have been under way: the one after those that are
 * recorded. */
static bool is_under_way(const struct driver *d, const char *slot)
{
    const json_t *step = json_array_get(d->memory.steps, d->memory.steps_done);

    return d->memory.open && str_equal(json_string_value(json_object_get(step, "probe")), slot);
}

/* A call with the digest of an older file: PVE refuses it. */
static bool is_stale(const struct driver *d, const struct api_request *request)
{
    CLEANUP_FREE char *digest = d->pve.gone ? NULL : fake_pve_digest(&d->pve);

    for (size_t i = 0; i < request->n_params && digest != NULL; i++) {
        if (str_equal(request->params[i].key, "digest")) {
            return !str_equal(request->params[i].value, digest);
        }
    }
    return false;
}

void driver_watch_put_back(struct driver *d, const struct api_request *request)
{
    if (d->pve.detached == NULL || is_stale(d, request)) {
        return;
    }
    for (size_t i = 0; i < request->n_params; i++) {
        const struct api_param *param = &request->params[i];
        CLEANUP_FREE char *volume = str_ndup(param->value, strcspn(param->value, ","));

        if (request->method == API_PUT && strchr(volume, ':') != NULL &&
            strstr(d->pve.detached, volume) != NULL &&
            fake_pve_count_volume(&d->pve, volume, true) == 1 && !is_under_way(d, param->key)) {
            fake_pve_problem(&d->pve, "%s was taken off by somebody and is put back", volume);
        }
    }
}

static void check_volumes(struct driver *d, const char *const *volumes)
{
    for (size_t i = 0; volumes[i] != NULL; i++) {
        unsigned used = fake_pve_count_volume(&d->pve, volumes[i], false);
        unsigned unused = fake_pve_count_volume(&d->pve, volumes[i], true);
        /* What somebody else took off may stay off, but is nowhere lost. */
        bool theirs = d->pve.detached != NULL && strstr(d->pve.detached, volumes[i]) != NULL;

        /* Nor is one whose slot somebody set anew while it was half through: told, and not ours. */
        if ((theirs && used + unused == 1) ||
            (used == 2 && unused == 0 && d->pve.disk_edited && d->told_twice)) {
            continue;
        }
        if (used != 1 || unused != 0) {
            fake_pve_problem(&d->pve, "%s is in %u slots and %u unused ones", volumes[i], used,
                             unused);
        }
    }
}

void driver_check_starts(struct driver *d)
{
    if (d->pve.our_starts > d->held) {
        fake_pve_problem(&d->pve, "%u starts for %u held", d->pve.our_starts, d->held);
    }
}

/* A start that was held must have been made up for, or there is a reason why not. */
static void check_debt(struct driver *d)
{
    driver_check_starts(d);
    if (d->held == 0 || d->pve.n_runs > d->runs_at_hold || d->pve.gone || d->pve.ha_managed ||
        d->stuck || d->on_error == FINGERPRINT_ERROR_REFUSE ||
        (d->unwritten_hold && d->lives > 0)) {
        return;
    }
    if (d->told[RECONCILE_TELL_FAILED] + d->told[RECONCILE_TELL_DOWN] == 0) {
        fake_pve_problem(&d->pve, "a held start was never made, and nobody was told");
    }
    /* A start that somebody else made meanwhile counts as well. */
    if (!str_starts(d->pve.task_exit == NULL ? d->text : d->pve.task_exit, "volume of")) {
        fake_pve_problem(&d->pve, "a held start was never made: %s", d->text);
    }
}

static bool any_leftovers(const struct driver *d)
{
    return d->pve.deletes.n > 0 && !d->pve.gone;
}

bool driver_waits_to_boot(const struct driver *d)
{
    return d->r != NULL && !d->stuck && d->pve.harmed_by_others && d->memory.open &&
           d->told[RECONCILE_TELL_WARNING] > 0;
}

void driver_check(struct driver *d, const char *const *volumes)
{
    bool ran = d->ended_running =
        d->pve.running; /* so that somebody may have changed it after us */
    struct assessment *a;

    d->pve.now_ms += 60000; /* nothing is under way any more */
    fake_pve_catch_up(&d->pve);
    driver_replay_memory(d);
    check_debt(d);
    if (ran) {
        fake_pve_stop(&d->pve); /* what is pending for a running VM must be right, too */
    }
    if (!d->pve.gone && !(d->pve.harmed_by_others && (d->stuck || ran))) {
        check_volumes(d, volumes);
    }
    if (any_leftovers(d) && !d->stuck) {
        fake_pve_problem(&d->pve, "the deletion of %s is pending, and we are not at it",
                         d->pve.deletes.items[0].key);
    }
    if (d->pve.twice_live && d->told[RECONCILE_TELL_STUCK] == 0 && !d->pve.gone) {
        fake_pve_problem(&d->pve, "runs with one image attached twice, and nobody was told");
    }
    if (d->stuck && d->told[RECONCILE_TELL_STUCK] == 0) {
        fake_pve_problem(&d->pve, "stuck, and nobody was told");
    }
    if (!d->stuck && d->r != NULL && !(ran && driver_waits_to_boot(d))) {
        fake_pve_problem(&d->pve, "still in state %s", reconcile_state_name(d->r));
    }
    a = driver_assess(d);
    if (a->outcome == ASSESS_PLANNED && !plan_is_empty(a->plan) && d->r == NULL &&
        (d->outcome == RECONCILE_DONE || d->outcome == RECONCILE_IN_SYNC) && !ran && !d->undone) {
        fake_pve_problem(&d->pve, "called done, but it differs");
    }
    assessment_free(a);
}
