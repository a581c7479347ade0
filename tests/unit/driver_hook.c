/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See driver.h: the hook, as daemon/engine_hook.c answers it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "driver_priv.h"

static int record_hold(struct driver *d, const struct assessment *a)
{
    char txn[SMBIOS_UUID_SIZE];
    json_t *record;
    int rc;

    (void)snprintf(txn, sizeof(txn), "00000000-0000-0000-0001-%012u", d->held % 1000000); /* fits */
    record = record_held(
        (struct record_head){DRIVER_VMID, d->memory.open ? d->memory.txn : txn, driver_now(d)},
        a->key, "why", a->ctime);
    rc = driver_record(d, record);
    json_decref(record);
    return rc;
}

static void note_in_sync(struct driver *d)
{
    json_t *record;

    if (d->memory.held_key[0] == '\0' && d->memory.settled_key[0] == '\0') {
        return;
    }
    record = record_in_sync(
        (struct record_head){DRIVER_VMID, "00000000-0000-0000-0002-000000000000", driver_now(d)});
    (void)driver_record(d, record); /* unwritten is fine */
    json_decref(record);
}

static int hold(struct driver *d, const struct assessment *a, bool changing, bool ours)
{
    d->held++;
    d->runs_at_hold = d->pve.n_runs;
    d->holds_of_own_start += ours && d->pve.landing == NULL; /* a dead daemon's is another's */
    if (record_hold(d, a) < 0) {
        if (!changing) {
            d->held--;
            return 0; /* cannot_hold(): on_error is start in these tests */
        }
        d->unwritten_hold = true; /* a crash now, too, is one trouble too many */
    }
    if (changing) {
        reconcile_owe_start(d->r);
    } else if (d->r == NULL || !reconcile_owes_start(d->r)) {
        if (d->r != NULL) {
            reconcile_free(d->r);
            d->r = NULL;
        }
        d->retry_hold = true;
    }
    return 75;
}

static int ask_daemon(struct driver *d, bool ours, const char *worker)
{
    CLEANUP(assessment_freep) struct assessment *a = driver_assess(d);
    bool changing = d->r != NULL && reconcile_is_changing(d->r);
    const struct guard_signs signs = {.worker_type = worker, .conf = a->conf};
    struct prestart_input input = {
        .vmid = DRIVER_VMID,
        .verdict = guard_decide(&signs),
        .assessment = a,
        .memory = &d->memory,
        .changing = changing,
        .ours = d->r != NULL && reconcile_owes_start(d->r),
        .looked = d->r != NULL && !reconcile_is_recovering(d->r),
        .stuck = d->r != NULL ? reconcile_is_stuck(d->r) : d->memory.stuck,
    };
    CLEANUP(prestart_fini) struct prestart answer = {0};

    if (prestart_decide(&input, &answer) < 0) {
        abort();
    }
    driver_say(d, "hook", answer.lines.n > 0 ? answer.lines.items[0] : "go");
    switch (answer.answer) {
    case PRESTART_HOLD:
        return hold(d, a, changing, ours);
    case PRESTART_REFUSE:
        return 78;
    case PRESTART_GO:
    case PRESTART_WARN:
        if (answer.in_sync) {
            note_in_sync(d);
        }
        if (d->r != NULL && !changing && !reconcile_owes_start(d->r)) {
            reconcile_free(d->r);
            d->r = NULL;
        }
        return 0;
    }
    abort();
}

int driver_pre_start(void *userdata, bool ours, const char *worker)
{
    struct driver *d = userdata;

    /* hooks/pve-hwid-hook.c does not even ask. */
    return d->pve.fingerprint == NULL && !d->memory.open ? 0 : ask_daemon(d, ours, worker);
}
