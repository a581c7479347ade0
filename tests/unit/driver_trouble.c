/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See driver.h: what a run meets, set up, rolled and shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "driver_priv.h"

void driver_meet(struct driver *d, const struct driver_trouble *t)
{
    d->pve.edited_fingerprint = t->edited;
    d->pve.volume = t->volume;
    d->pve.ha_managed = t->ha;
    d->pve.auditor = t->auditor;
    d->on_error = t->refuse ? FINGERPRINT_ERROR_REFUSE : FINGERPRINT_ERROR_START;
    d->pve.dice = t->dice;
    memcpy(d->pve.faults, t->faults, sizeof(d->pve.faults));
    d->pve.n_faults = t->n_faults;
    d->pve.n_requests = 0;
    memcpy(d->crashes, t->crashes, sizeof(d->crashes));
    d->n_crashes = t->n_crashes;
    d->actions = 0;
    d->raw_start_in_crash = t->raw_start;
    d->stop_in_crash = t->stop;
    d->journal_fails_at = t->journal_fails_at == 0 ? 0 : d->records + t->journal_fails_at;
    d->journal_fails_more = t->journal_fails_more;
    d->hold = t->hold;
    d->hold_at = t->hold_at;
}

void driver_explain(const struct driver_trouble *t)
{
    static const char *const when[] = {
        [DRIVER_DIES_BEFORE] = "before",
        [DRIVER_DIES_AFTER] = "after",
        [DRIVER_DIES_LATE] = "with PVE still at",
    };

    printf("%s%s%s%s%s; volume that goes away: %s\n",
           t->ha       ? ", HA"
           : t->refuse ? ", on_error: refuse"
                       : "",
           t->raw_start ? ", started while dead" : "", t->stop ? ", stopped while dead" : "",
           t->auditor ? ", with Sys.Audit" : "", t->hold != NULL ? ", on hold" : "",
           t->volume == NULL ? "(none)" : t->volume);
    for (size_t i = 0; i < t->n_faults; i++) {
        printf("    %s at request %u%s\n", fake_fault_name(t->faults[i].kind), t->faults[i].at,
               t->faults[i].at == 0 ? ", which is the one after a call that broke" : "");
    }
    for (size_t i = 0; i < t->n_crashes; i++) {
        printf("    killed %s action %u\n", when[t->crashes[i].when], t->crashes[i].at);
    }
    if (t->journal_fails_at != 0) {
        printf("    records %u to %u not written\n", t->journal_fails_at,
               t->journal_fails_at + t->journal_fails_more);
    }
    if (t->hold != NULL && t->hold_at > 0) {
        printf("    the hold comes before action %u\n", t->hold_at);
    }
}

void driver_print_line(const char *line)
{
    printf("    %s\n", line);
}

void driver_show_end(struct driver *d)
{
    CLEANUP_FREE char *text = fake_pve_text(&d->pve);

    printf("--- the VM in the end:\n%s\n", text == NULL ? "(gone)" : text);
    driver_fini(d);
}

/* --- dice ------------------------------------------------------------------------------------- */

uint64_t driver_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t value;

    return text != NULL && str_to_u64(text, UINT64_MAX, &value) ? value : otherwise;
}

void driver_roll_crashes(struct gen *g, struct driver_trouble *t, unsigned n, unsigned actions)
{
    t->n_crashes = n;
    for (size_t i = 0; i < n; i++) {
        t->crashes[i].at = 1 + gen_roll(g, actions);
        t->crashes[i].when = (enum driver_death)gen_roll(g, DRIVER_DEATHS);
    }
}

void driver_roll_faults(struct gen *g, struct driver_trouble *t, unsigned n)
{
    t->n_faults = n;
    for (size_t i = 0; i < n; i++) {
        t->faults[i].at = 1 + gen_roll(g, 40);
        t->faults[i].kind = (enum fake_fault_kind)gen_roll(g, FAULT_KINDS);
    }
}
