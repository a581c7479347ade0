/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bringing one VM's configuration to what its fingerprint says: a state machine without I/O.
 *
 * The engine feeds events (texts it read, answers of the API, the end of a process, time) and
 * carries out the one action each event leads to. Every action but SLEEP, WAIT_WORKER and FINISH is
 * answered by exactly one event. Order of the calls and what must never happen: facts/pve.md 4 and
 * law 2; what is on disk when: law 8 and core/record.h.
 *
 *   wait worker -> status -> digest -> read -> probe* -> begin
 *        -> { gate -> digest -> read -> step -> record }*  -> verify -> end
 *   any error in a step -> look -> revert -> look -> set back -> look -> stuck (for ever)
 *   a disk that a start detached meanwhile -> set back, as above
 *   after a crash -> status -> look, as above -> end -> status, all afresh
 *   a start is owed -> status -> record -> start -> watch -> record
 *   ... and may have been asked for -> status -> look at PVE's tasks -> watch it, or as above
 */
#ifndef CORE_RECONCILE_H
#define CORE_RECONCILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/api.h"
#include "core/assess.h"
#include "core/record.h"
#include "core/requests.h"

struct reconcile;

enum reconcile_cause {
    RECONCILE_FOR_FINGERPRINT, /* dropped or edited */
    RECONCILE_FOR_STOP,        /* the VM stopped */
    RECONCILE_FOR_DAEMON,      /* the daemon started */
    RECONCILE_FOR_RETRY,       /* an earlier try could not finish */
    RECONCILE_FOR_APPLY,       /* an administrator said so */
    RECONCILE_FOR_HOLD,        /* a start was stopped on purpose */
    RECONCILE_FOR_RECOVERY,    /* the journal has unfinished business */
    RECONCILE_FOR_UNDO,        /* an administrator wants a change set undone: params.assess.undo */
};

enum reconcile_outcome {
    RECONCILE_UNDER_WAY,
    RECONCILE_IN_SYNC, /* nothing to change */
    RECONCILE_DONE,    /* rewritten */
    RECONCILE_PARTIAL, /* rewritten as far as possible */
    RECONCILE_RUNNING, /* the VM runs: nothing was changed */
    RECONCILE_LOCKED,  /* PVE holds a lock on it: nothing was changed */
    RECONCILE_REFUSED, /* a guard said no */
    RECONCILE_NOTHING, /* no fingerprint, or no such VM here */
    RECONCILE_ON_HOLD, /* an administrator said hands off: nothing was changed */
    RECONCILE_FAILED,  /* and leftovers were taken back */
};

struct reconcile_params {
    struct requests_vm vm;       /* node is borrowed and must outlive the machine */
    struct assess_params assess; /* machines and undo likewise */
    int64_t lock_patience_ms;
    int64_t start_patience_ms;
    char txn[SMBIOS_UUID_SIZE]; /* a fresh id; the hold's own where there was one */
    bool wait_worker;           /* first wait for the process that holds the VM's lock */
};

enum reconcile_event_type {
    RECONCILE_EV_GO,          /* once, first */
    RECONCILE_EV_WORKER_GONE, /* answers WAIT_WORKER */
    RECONCILE_EV_WOKEN,       /* answers SLEEP */
    RECONCILE_EV_TEXTS,       /* answers READ */
    RECONCILE_EV_REPLY,       /* answers REQUEST */
    RECONCILE_EV_RECORDED,    /* answers RECORD: it is on disk, or `error` */
};

struct reconcile_event {
    enum reconcile_event_type type;
    int64_t now_ms;  /* monotonic */
    const char *now; /* ISO 8601 UTC, for records */
    const struct assess_texts *texts;
    const struct api_reply *reply;
    int error;
    const char *error_text;
};

enum reconcile_action_type {
    RECONCILE_DO_WAIT_WORKER,
    RECONCILE_DO_SLEEP,
    RECONCILE_DO_READ,
    RECONCILE_DO_REQUEST,
    RECONCILE_DO_RECORD,
    RECONCILE_DO_FINISH,
};

struct reconcile_action {
    enum reconcile_action_type type;
    int64_t sleep_ms;
    struct api_request *request; /* the engine's to free (or to hand to pve_send()) */
    json_t *record;              /* new reference, the engine's */
};

/* What an administrator is told; drained by the engine after every event. */
enum reconcile_tell {
    RECONCILE_TELL_INFO,
    RECONCILE_TELL_CHANGE, /* one option was changed: option, old, new are set */
    RECONCILE_TELL_DONE,
    RECONCILE_TELL_WARNING,
    RECONCILE_TELL_REVERTED,
    RECONCILE_TELL_FAILED,
    RECONCILE_TELL_STUCK,
    RECONCILE_TELL_START,
    RECONCILE_TELL_STARTED,
    RECONCILE_TELL_DOWN, /* a VM whose start we stopped does not run */
};

struct reconcile_told {
    enum reconcile_tell kind;
    char *text;
    char *option, *old, *new;
};

/* `memory` is read for unfinished business (open change set, owed start) and not kept. */
int reconcile_new(const struct reconcile_params *params, enum reconcile_cause cause,
                  const struct record_memory *memory, struct reconcile **ret, struct err *err);
void reconcile_free(struct reconcile *r);
DEFINE_CLEANUP(struct reconcile, reconcile_free)

/* <0: out of memory, the machine must be freed. *ret_action is set on 0 only. */
int reconcile_event(struct reconcile *r, const struct reconcile_event *event,
                    struct reconcile_action *ret_action, struct err *err);

/* May a call that changes the VM be under way, or follow without another look at it? A start that
 * comes now must be held: it would meet a half-done configuration. Also true while a start is owed
 * and the rewrite for it has yet to begin. */
bool reconcile_is_changing(const struct reconcile *r);
/* A pending deletion that cannot be taken back, or (after a crash) could not be when it was last
 * looked at: the VM must not start. What a live machine says counts more than the journal. */
bool reconcile_is_stuck(const struct reconcile *r);
/* Is it still to look at what a crash left? Else it knows more than the journal, which may not have
 * been writable. */
bool reconcile_is_recovering(const struct reconcile *r);
/* A start was stopped while this was under way: it is ours to make when all is done. */
void reconcile_owe_start(struct reconcile *r);
bool reconcile_owes_start(const struct reconcile *r);

enum reconcile_outcome reconcile_outcome(const struct reconcile *r);
const char *reconcile_text(const struct reconcile *r); /* the outcome in a sentence; "" */
const char *reconcile_txn(const struct reconcile *r);
const struct plan *reconcile_plan(const struct reconcile *r); /* the last one made; NULL: none */
/* May the same be worth another try without anybody doing anything? */
bool reconcile_is_worth_retry(const struct reconcile *r);
const char *reconcile_state_name(const struct reconcile *r);
const char *reconcile_cause_name(enum reconcile_cause cause);

/* The oldest sentence not told yet: true and *ret_told (the caller's) or false. */
bool reconcile_next_told(struct reconcile *r, struct reconcile_told *ret_told);
void reconcile_told_fini(struct reconcile_told *told);

#endif
