/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the parts of the reconciliation share: reconcile.c (frame, first look), reconcile_rewrite.c
 * (probes, steps, verification), reconcile_revert.c and reconcile_clean.c (leftovers),
 * reconcile_start.c (our start).
 * Each state has an enter function, which yields the state's one action, and an on function, which
 * takes the event that answers it. A retry is: sleep, then enter again.
 */
#ifndef CORE_RECONCILE_IMPL_H
#define CORE_RECONCILE_IMPL_H

#include "core/drive.h"
#include "core/reconcile.h"
#include "core/reconcile_fit.h"

enum {
    RECONCILE_FIXED_MAX = 64,
    RECONCILE_REPLANS_MAX = 5,  /* others may change the VM meanwhile this often */
    RECONCILE_STARTS_MAX = 3,   /* asking again after an answer was lost */
    RECONCILE_SLEEP_MS = 1000,  /* between two tries for the lock or the API */
    RECONCILE_LOST_MS = 11000,  /* PVE itself waits at most 10 s for the lock */
    RECONCILE_STUCK_MS = 30000, /* between two tries to take a deletion back */
    RECONCILE_WATCH_MS = 300,   /* between two looks at the start task */
    RECONCILE_CLOCK_S = 1,      /* PVE's clock of seconds lags by a tick of the kernel's */
};

enum reconcile_state {
    STATE_NEW,
    STATE_WAIT_WORKER,
    STATE_STATUS,
    STATE_DIGEST,
    STATE_READ,
    STATE_PROBE,
    STATE_BEGIN,
    STATE_GATE,
    STATE_STEP_DIGEST,
    STATE_STEP_READ,
    STATE_STEP,
    STATE_STEP_RECORD,
    STATE_REOPEN_RECORD,
    STATE_VERIFY_PENDING,
    STATE_VERIFY_READ,
    STATE_END,
    STATE_LOOK_STATUS,
    STATE_LOOK,
    STATE_REVERT,
    STATE_SET_BACK,
    STATE_STUCK_RECORD,
    STATE_LOOK_READ,
    STATE_LOOK_RECORD,
    STATE_START_STATUS,
    STATE_START_LOOK,
    STATE_START_RECORD,
    STATE_START,
    STATE_WATCH,
    STATE_STARTED_RECORD,
    STATE_FINISHED,
    STATES,
};

struct reconcile {
    struct reconcile_params params;
    enum reconcile_cause cause;
    enum reconcile_state state;
    enum reconcile_outcome outcome;
    char *text;

    bool owes_start, ha_managed, retry, begun, stuck, recovering;
    bool undo_open; /* the journal has an undo that is not ended, under way or left */
    bool gone;      /* not on this node any more */
    bool another;   /* the number has another machine by now */
    bool not_owed;  /* the start that was held was that of another machine of this number */
    bool disk_lost; /* somebody carried out a deletion that was pending of ours */
    bool runs;      /* as the look at the leftovers saw it */
    bool verified_twice;
    bool blind;          /* it was told that nobody answers */
    bool told_down;      /* likewise, and that a start is owed */
    char *digest;        /* PVE's, of the configuration the plan was made from */
    json_t *seen_by_pve; /* what PVE reads out of that configuration */
    struct assessment *assessment;
    struct plan *plan; /* the last plan with changes, for those who ask later */
    struct assess_fixed fixed[RECONCILE_FIXED_MAX];
    size_t n_fixed, n_probed;
    char probed[RECONCILE_FIXED_MAX][DRIVE_SLOT_SIZE];
    unsigned replans;

    struct plan_step *steps; /* being carried out; after that set has ended, the last one's */
    size_t n_steps, step, n_applied;
    size_t sent;        /* the one that PVE got last, or may have got, from 1; 0: none */
    bool may_come_late; /* PVE may still have in its hands what a daemon asked for that died */
    int64_t late_until; /* until then */
    bool told_detached; /* that somebody took a disk off meanwhile */
    bool told_order;    /* that a disk is not in the boot order of a VM that runs */
    bool ran;           /* it was seen running while its boot order had to wait for its stop */

    enum record_outcome end_outcome; /* what STATE_END will write */
    bool after_end_look;             /* then look afresh instead of going on */
    char end_key[SMBIOS_UUID_SIZE];

    unsigned revert_tries, order_tries;
    char *reverts;          /* of revert_keys: those for revert= */
    struct api_param *back; /* the others, with the value that somebody had pending there */
    size_t n_back, cap_back;
    char *revert_keys, *revert_slot, *revert_value, *revert_boot;
    bool step_may_pass; /* the trouble of the current step: it may be worth another try */
    char *step_error;   /* why the current step failed */

    char *upid;
    unsigned starts;
    int64_t start_asked; /* PVE may have been asked already, since then; 0: it was not */
    bool start_guessed;  /* no record says so */
    bool start_found;    /* `upid` is from PVE's list, not the answer to our call */
    int64_t held_at;     /* when the start that is owed was stopped; 0: not known */
    /* When PVE made the VM whose change set is open, and the one whose start is owed; 0: not known,
     * or (the latter) it was held just now. */
    int64_t made_at, held_made_at;
    const char *dropped; /* why no start is owed any more; NULL: it was made */

    int64_t patience_until; /* 0: nothing is being waited for */
    int64_t now_ms;         /* of the event being handled */
    const char *now;        /* likewise */

    struct reconcile_told *told;
    size_t n_told, cap_told;
};

typedef int (*reconcile_enter_fn)(struct reconcile *r, struct reconcile_action *out);
typedef int (*reconcile_on_fn)(struct reconcile *r, const struct reconcile_event *event,
                               struct reconcile_action *out);

/* What an answer must be before anything is concluded from it. */
enum reconcile_shape { SHAPE_ANY, SHAPE_STATUS, SHAPE_PENDING, SHAPE_LIST, SHAPE_UPID };

struct reconcile_state_row {
    const char *name;
    reconcile_enter_fn enter;
    reconcile_on_fn on;
    bool changing;
    enum reconcile_shape shape;
};
extern const struct reconcile_state_row reconcile_states[STATES];

/* Frame (reconcile.c) */
int reconcile_go_to(struct reconcile *r, enum reconcile_state state, struct reconcile_action *out);
int reconcile_sleep_then(struct reconcile *r, enum reconcile_state state, int64_t ms,
                         struct reconcile_action *out);
int reconcile_request(struct api_request *request, struct reconcile_action *out);
int reconcile_record(json_t *record, struct reconcile_action *out);
int reconcile_tell(struct reconcile *r, enum reconcile_tell kind, const char *format, ...)
    PRINTF_LIKE(3, 4);
int reconcile_tell_change(struct reconcile *r, const struct plan_change *change);
/* Sets outcome and sentence, then ends: END record where begun, our start where owed, FINISH. */
int reconcile_conclude(struct reconcile *r, enum reconcile_outcome outcome,
                       struct reconcile_action *out, const char *format, ...) PRINTF_LIKE(4, 5);
/* The owed start cannot be made now: it is told, and stays owed. */
int reconcile_start_later(struct reconcile *r, const char *why, struct reconcile_action *out);
int reconcile_conclude_gone(struct reconcile *r, struct reconcile_action *out);
/* Was the VM with this number, made at that time (0: not known), made after the one whose change
 * set is open? Then nothing of it is gone on with. */
bool reconcile_is_another(const struct reconcile *r, int64_t made_at);
int reconcile_conclude_another(struct reconcile *r, int64_t made_at, struct reconcile_action *out);
/* The files give no plan: no fingerprint (any more), or one that cannot be read. */
int reconcile_conclude_unplanned(struct reconcile *r, struct reconcile_action *out);
/* PVE holds a `lock:`. With a start owed it is waited for: the rewrite comes before the start. */
int reconcile_wait_for_unlock(struct reconcile *r, const char *why, struct reconcile_action *out);
/* An answer that is no success, outside of the steps: again later, or the end with a sentence. */
int reconcile_api_trouble(struct reconcile *r, const struct api_reply *reply,
                          enum reconcile_state again, struct reconcile_action *out);
/* The same while nobody knows what is left of a call of ours: for ever, and told. */
int reconcile_look_in_vain(struct reconcile *r, const struct api_reply *reply,
                           enum reconcile_state again, struct reconcile_action *out);
/* The step whose call PVE got last, or may have got: the only one of which half may be there, and
 * so the only one that is repaired. NULL: none. */
const struct plan_step *reconcile_sent_step(const struct reconcile *r);
/* A change set that a crash left is looked at and closed: everything afresh. */
int reconcile_recover(struct reconcile *r, struct reconcile_action *out);
/* True until `ms` after the first call; a success calls reconcile_patience_reset(). */
bool reconcile_has_patience(struct reconcile *r, int64_t ms);
void reconcile_patience_reset(struct reconcile *r);
struct record_head reconcile_head(const struct reconcile *r);
/* What this status/current answer says: does it run, is it HA's to start? */
bool reconcile_reply_runs(const struct api_reply *reply);
bool reconcile_reply_is_ha(const struct api_reply *reply);
int reconcile_take_steps(struct reconcile *r, const json_t *steps);
/* Makes r->assessment from texts; -ENOMEM. */
int reconcile_assess(struct reconcile *r, const struct assess_texts *texts);

/* PVE's words for conditions that are not failures (recordings 04, 07, 08). */
bool reconcile_is_passing(const struct api_reply *reply); /* no answer, overload, the lock */
bool reconcile_is_lock_timeout(const struct api_reply *reply);
bool reconcile_is_checksum(const struct api_reply *reply);
bool reconcile_is_vm_locked(const struct api_reply *reply);

#define RECONCILE_STATE(x)                                                                         \
    int reconcile_enter_##x(struct reconcile *r, struct reconcile_action *out);                    \
    int reconcile_on_##x(struct reconcile *r, const struct reconcile_event *event,                 \
                         struct reconcile_action *out)
RECONCILE_STATE(wait_worker);
RECONCILE_STATE(status);
RECONCILE_STATE(digest);
RECONCILE_STATE(read);
RECONCILE_STATE(probe);
RECONCILE_STATE(begin);
RECONCILE_STATE(gate);
RECONCILE_STATE(step_digest);
RECONCILE_STATE(step_read);
RECONCILE_STATE(step);
RECONCILE_STATE(step_record);
RECONCILE_STATE(reopen_record);
RECONCILE_STATE(verify_pending);
RECONCILE_STATE(verify_read);
RECONCILE_STATE(end);
RECONCILE_STATE(look_status);
RECONCILE_STATE(look);
RECONCILE_STATE(revert);
RECONCILE_STATE(set_back);
RECONCILE_STATE(stuck_record);
RECONCILE_STATE(look_read);
RECONCILE_STATE(look_record);
RECONCILE_STATE(start_status);
RECONCILE_STATE(start_look);
RECONCILE_STATE(start_record);
RECONCILE_STATE(start);
RECONCILE_STATE(watch);
RECONCILE_STATE(started_record);
RECONCILE_STATE(finished);
#undef RECONCILE_STATE

/* Is all that the fresh plan changes what an opened set of changes, begun and not ended, had left
 * to do? Then it may be ended although a hold came meanwhile. */
bool reconcile_ends_what_is_open(const struct reconcile *r);
/* An item of GET pending: is it what a call of ours left behind? What somebody else left pending
 * under the same key is not. */
bool reconcile_is_leftover(const struct reconcile *r, const json_t *item);
/* The item of this key in an answer of GET pending; NULL: none. */
const json_t *reconcile_pending_item(const json_t *pending, const char *key);
/* From that answer: what is to be taken back, and how; r->revert_keys becomes NULL where nothing of
 * ours is pending. 0 or -ENOMEM. */
int reconcile_collect_leftovers(struct reconcile *r, const json_t *pending);
void reconcile_back_clear(struct reconcile *r);
/* What was set back before was for another step. */
void reconcile_begin_looking(struct reconcile *r);
/* That step, whose record says that it was done, was not: says so in the journal, then looks. */
int reconcile_reopen(struct reconcile *r, size_t step, struct reconcile_action *out);

#endif
