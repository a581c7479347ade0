/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The records of a VM's change journal and what they add up to. A record is one JSON object of one
 * line; intent comes before the deed, outcome after (law 8). `struct record_memory` is nothing but
 * the fold of record_apply() over all records, so that a daemon that was killed knows exactly what
 * one that lived on would know.
 *
 *   held        a start was stopped on purpose; we owe the VM a start
 *   begin       changes and the API calls that make them, before the first of them
 *   step        one API call was carried out, or was not
 *   stuck       a pending deletion cannot be taken back: the worst state there is
 *   end         of the change set: outcome, and the key of what the VM looks like now; alone where
 *               nothing could be begun, with the reason
 *   start       we are about to ask PVE to start the VM
 *   started     it did; or `dropped`: no start is owed any more, and why
 *   in-sync     an ordinary start went through with nothing to change
 *   hold        the VM is on hold from now on (core/hold.h): noticed, not made; or `resume`
 */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/plan.h"
#include "core/smbios_uuid.h"

enum {
    RECORD_FORMAT = 1,
    RECORD_TAIL_MAX = 4 * 1024 * 1024, /* the newest bytes that are read: thousands of changes */
};

/* In a journal file: closes a line that a crash cut off, so that it never counts (journal.c). */
#define RECORD_TORN_MARK "#torn\n"

enum record_outcome {
    RECORD_DONE,        /* everything is as the fingerprint says */
    RECORD_PARTIAL,     /* what could be changed was; the rest has a reason */
    RECORD_FAILED,      /* stopped with an error, leftovers taken back */
    RECORD_SUPERSEDED,  /* somebody else changed the VM meanwhile; planned anew */
    RECORD_INTERRUPTED, /* the daemon died in between; followed by a new look */
};

struct record_head {
    uint32_t vmid;
    const char *txn;
    const char *time; /* ISO 8601 UTC */
};

/* Builders: a new reference, or NULL where there is no memory. */
/* `ctime`: when PVE made the VM; 0: not said. */
json_t *record_held(struct record_head head, const char *key, const char *why, int64_t ctime);
json_t *record_begin(struct record_head head, const char *cause, const char *key,
                     const struct plan *plan);
/* A `begin` that says which VM becomes which machine: its creation (0: not known) and its name
 * (identity_name()). Takes the reference and gives it back. */
json_t *record_bind(json_t *begin, int64_t ctime, const char *name);
/* Likewise: it undoes that change set. */
json_t *record_undoes(json_t *begin, const char *txn);
/* `message` NULL: it was carried out. */
json_t *record_step(struct record_head head, size_t step, const char *message);
json_t *record_stuck(struct record_head head, const char *keys, const char *message);
json_t *record_end(struct record_head head, enum record_outcome outcome, const char *key,
                   const char *message);
json_t *record_start(struct record_head head);
json_t *record_started(struct record_head head, const char *upid);
json_t *record_dropped(struct record_head head, const char *why);
json_t *record_in_sync(struct record_head head);
json_t *record_on_hold(struct record_head head, const char *what);
json_t *record_resume(struct record_head head);

const char *record_outcome_name(enum record_outcome outcome);

struct record_memory {
    bool open;                  /* a `begin` without its `end` */
    bool stuck;                 /* of the open one */
    bool start_owed;            /* a `held` without started or dropped */
    bool hold_noted;            /* a `hold` without its `resume`; the file is the truth */
    char *hold_why;             /* what the last `hold` said; NULL: none */
    char txn[SMBIOS_UUID_SIZE]; /* of the open change set, or of the owed start; else "" */
    /* What the open change set undoes; kept while it was left, planned anew, and not ended:
     * somebody asked for it. "": nothing. */
    char undoes[SMBIOS_UUID_SIZE];
    json_t *steps; /* of the open change set, as in its `begin`; own reference; NULL: none */
    size_t steps_done;
    char held_key[SMBIOS_UUID_SIZE]; /* a start was stopped for this pair; "" : none */
    char *held_time;                 /* of the last `held`; NULL: never */
    int64_t held_ctime;              /* when PVE made the VM that was held; 0: not known */
    /* Of the first `start` since then, in seconds since 1970: PVE may have been asked for the start
     * that is owed. 0: it was not. */
    int64_t start_asked;
    char settled_key[SMBIOS_UUID_SIZE]; /* what an end left different for a reason; "" : none */
    enum record_outcome settled;        /* with settled_key */
    char *settled_why;                  /* likewise */
    char *last_time;                    /* of the last begin; NULL: never changed */
    char last_txn[SMBIOS_UUID_SIZE];
    int64_t bound_ctime; /* of the VM that was last changed under this number; 0: not known */
    char bound_name[SMBIOS_UUID_SIZE]; /* of the machine it was made, with it */
    unsigned long changes;             /* change sets that ended with done or partial */
};

/* Unknown types and foreign shapes are ignored: an older daemon may read a newer journal. -ENOMEM.
 */
int record_apply(struct record_memory *memory, const json_t *record);
int record_replay(const json_t *records, struct record_memory *ret_memory);
/* The whole lines of a journal file, appended to the array `records`. Unreadable ones are skipped
 * and counted in *ret_bad; what a crash cut off is not counted. -ENOMEM. */
int record_parse_lines(const char *text, size_t len, json_t *records, size_t *ret_bad);
/* When PVE made this VM; 0: it does not say, or there is no memory. */
int64_t record_made_at(const struct pveconf *conf);
/* Made at another time than the VM that was changed: its number was used again, and a new VM's
 * images have the old one's names. What is not known is taken for the same. */
bool record_is_another(const struct record_memory *memory, const struct pveconf *conf);
/* Has the disk whose move was under way when the records end no slot in `next` (as of the next
 * start, without [PENDING]), while `now` (as it is) has it as an unusedN, or in a slot that is to
 * go? Then the value that its slot had, borrowed from `memory`'s steps, and *ret_slot likewise;
 * else NULL. The one harm that a start without us could do: see docs/DESIGN.md, Stuck. A disk that
 * `now` does not have at all was taken away by somebody, or `now` is another VM's of that number.
 */
const char *record_lost_disk(const struct record_memory *memory, const struct pveconf *now,
                             const struct pveconf *next, const char **ret_slot);
void record_memory_fini(struct record_memory *memory);

/* Steps to JSON and back, as in `begin`. Each set carries the value it replaces (`old`), so that
 * somebody else's change in between is seen and never overwritten. */
json_t *record_steps_to_json(const struct plan *plan);
/* The option of a step that no record can hold, because its value is not UTF-8; NULL: none. */
const char *record_steps_unfit(const struct plan *plan);
int record_steps_from_json(const json_t *json, struct plan_step **ret_steps, size_t *ret_n);
void record_steps_free(struct plan_step *steps, size_t n);

#endif
