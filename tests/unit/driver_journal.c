/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The driver's journal: records as the daemon writes them, and what one that reads them knows. */
#include "driver_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"

int driver_record(struct driver *d, json_t *record)
{
    CLEANUP_FREE char *text = d->trace == NULL ? NULL : json_dumps(record, JSON_SORT_KEYS);

    d->records++;
    driver_say(d, "record", text);
    if (d->journal_fails_at != 0 && d->records >= d->journal_fails_at &&
        d->records <= d->journal_fails_at + d->journal_fails_more) {
        return -EIO;
    }
    json_array_append(d->journal, record);
    return record_apply(&d->memory, record);
}

static void compare_texts(struct driver *d, const char *what, const char *a, const char *b)
{
    if (!str_equal(a, b)) {
        fake_pve_problem(&d->pve, "replayed memory differs in %s: %s, %s", what,
                         a == NULL ? "(none)" : a, b == NULL ? "(none)" : b);
    }
}

/* What a daemon that lived on knows is what one that reads the journal knows. */
static void compare_memory(struct driver *d, const struct record_memory *other)
{
    const struct record_memory *m = &d->memory;

    if (m->open != other->open || m->stuck != other->stuck || m->start_owed != other->start_owed ||
        m->steps_done != other->steps_done || m->start_asked != other->start_asked ||
        m->changes != other->changes || (m->steps == NULL) != (other->steps == NULL) ||
        (m->steps != NULL && !json_equal(m->steps, other->steps))) {
        fake_pve_problem(&d->pve, "replayed memory differs");
    }
    compare_texts(d, "txn", m->txn, other->txn);
    compare_texts(d, "held_key", m->held_key, other->held_key);
    compare_texts(d, "settled_key", m->settled_key, other->settled_key);
    compare_texts(d, "settled_why", m->settled_why, other->settled_why);
    compare_texts(d, "undoes", m->undoes, other->undoes);
    compare_texts(d, "last_txn", m->last_txn, other->last_txn);
    compare_texts(d, "last_time", m->last_time, other->last_time);
}

void driver_replay_memory(struct driver *d)
{
    struct record_memory fresh = {0};

    if (record_replay(d->journal, &fresh) < 0) {
        abort();
    }
    compare_memory(d, &fresh);
    record_memory_fini(&d->memory);
    d->memory = fresh;
}
