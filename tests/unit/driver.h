/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * For tests: plays the engine for one VM against fake_pve: carries out what the reconciliation
 * asks for, keeps a journal in memory, answers the hook, retries, dies where told and comes back
 * from the journal alone (daemon/engine_drive.c, engine_hook.c, engine.c recover()). Time is
 * virtual.
 */
#ifndef TESTS_DRIVER_H
#define TESTS_DRIVER_H

#include "core/prestart.h"
#include "core/reconcile.h"
#include "fake_pve.h"
#include "gen_conf.h"

enum { DRIVER_CRASHES_MAX = 4, DRIVER_TOLD_KINDS = RECONCILE_TELL_DOWN + 1 };

enum driver_death {
    DRIVER_DIES_BEFORE, /* the effect of the action */
    DRIVER_DIES_AFTER,
    DRIVER_DIES_LATE, /* after the call was sent; PVE carries it out later. No call: as AFTER */
    DRIVER_DEATHS,
};

/* The daemon dies at its n-th action, counted over all its lives, from 1. */
struct driver_crash {
    unsigned at;
    enum driver_death when;
};

/* What a run meets, counted from when it does (driver_meet()). */
struct driver_trouble {
    bool ha, refuse, auditor;
    bool raw_start, stop; /* while the daemon is dead */
    struct fake_fault faults[FAKE_FAULTS_MAX];
    size_t n_faults;
    struct driver_crash crashes[DRIVER_CRASHES_MAX];
    size_t n_crashes;
    unsigned journal_fails_at, journal_fails_more;
    const char *hold; /* as in struct driver */
    unsigned hold_at;
    const char *edited, *volume; /* as in struct fake_pve */
    uint64_t dice;               /* likewise; never 0 */
};

struct driver_event; /* of the log */

struct driver {
    struct fake_pve pve;
    enum fingerprint_on_error on_error;
    struct driver_crash crashes[DRIVER_CRASHES_MAX];
    size_t n_crashes;
    bool raw_start_in_crash;      /* somebody starts the VM while the daemon is dead */
    bool stop_in_crash;           /* or stops it, if it runs then */
    unsigned journal_fails_at;    /* the n-th record cannot be written; 0: none */
    const char *hold;             /* text of the hold file; NULL: none; borrowed */
    unsigned hold_at;             /* the action before which it appears; 0: it is there at once */
    unsigned journal_fails_more;  /* nor so many after it */
    bool quiet;                   /* no d->requests: it grows with every call */
    bool keep_log;                /* of events, for test_alloc_reconcile */
    bool once;                    /* no retries: look at one reconciliation */
    int64_t give_up_ms;           /* virtual time after which a run ends, whatever it does */
    void (*trace)(const char *s); /* NULL: none */

    struct undo *undo; /* what the machine undoes; NULL: it goes by the fingerprint */
    bool undone;       /* the last thing asked for was an undo */
    struct reconcile *r;
    struct reconcile_action action; /* to be carried out next */
    json_t *journal;
    struct record_memory memory;
    enum reconcile_outcome outcome; /* of the last one that finished */
    char *text;
    bool unwritten_hold, ended_running, stuck, again, look, retry_hold;
    unsigned actions, records, lives, reconciles, retries, held, holds_of_own_start, runs_at_hold;
    unsigned told[DRIVER_TOLD_KINDS];
    bool told_twice;      /* that a disk is attached twice */
    bool waited_for_stop; /* property_check.c saw it wait so, and stopped the VM */
    char *last_failed;    /* text of the last TELL_FAILED or STUCK */
    char *requests;       /* one word per call: "status config probe:scsi0 put:... start" */
    struct driver_event *log;
    size_t n_log, cap_log;
    char now[sizeof("2026-11-23T10:00:00Z")];
};

void driver_init(struct driver *d, const char *config, const char *fingerprint);
void driver_fini(struct driver *d);
/* One look for this cause, and all that follows from it. */
void driver_run(struct driver *d, enum reconcile_cause cause);
/* Somebody starts the VM: the hook decides; where it holds, all that follows. */
void driver_start(struct driver *d);
/* Goes on with what is unfinished, for another few hours. */
void driver_settle(struct driver *d);
/* Somebody undoes the last change set, on hold; and all that follows. False: there is none. */
bool driver_undo(struct driver *d);
/* Does `word` come in d->requests? How often? */
unsigned driver_count(const struct driver *d, const char *word);
/* Told: the VM runs, with a disk that is not in its boot order, and is put right at its stop. */
bool driver_waits_to_boot(const struct driver *d);
/* What must hold when all is over; fills d->pve.problem. `volumes`: NULL-terminated. */
void driver_check(struct driver *d, const char *const *volumes);
/* At most one start was made by us for each that was held. */
void driver_check_starts(struct driver *d);
/* All records of a type. */
unsigned driver_count_records(const struct driver *d, const char *type);
const json_t *driver_last_record(const struct driver *d, const char *type);
/* The plan that would be made now; the caller's. */
struct assessment *driver_assess(struct driver *d);

/* From now on. */
void driver_meet(struct driver *d, const struct driver_trouble *trouble);
/* For a failing run: prints it, from behind a word about the run to the end of a line. */
void driver_explain(const struct driver_trouble *trouble);
void driver_print_line(const char *line); /* for d->trace */
/* Prints the file as it is, and frees the driver. */
void driver_show_end(struct driver *d);
/* The number that this variable of the environment has. */
uint64_t driver_number(const char *name, uint64_t otherwise);
/* `n` of them, at any request, before or after any of the first `actions`. */
void driver_roll_faults(struct gen *g, struct driver_trouble *trouble, unsigned n);
void driver_roll_crashes(struct gen *g, struct driver_trouble *trouble, unsigned n,
                         unsigned actions);

/* Feeds the log to a new machine: 0, or -ENOMEM where it was out of memory. */
int driver_replay_log(const struct driver *d, enum reconcile_cause cause);

#endif
