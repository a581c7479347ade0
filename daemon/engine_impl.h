/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the engine's files share: engine.c (life, API, journal), engine_vm.c (what is known of each
 * VM), engine_queue.c (looking at VMs, one after the other), engine_drive.c (a reconciliation and
 * its I/O), engine_hook.c (answers to hooks), engine_query.c (questions), engine_metrics.c
 * (numbers), engine_claims.c (who has which identity, by this node's files), engine_survey.c (the
 * same of other nodes, by the API).
 */
#ifndef ENGINE_IMPL_H
#define ENGINE_IMPL_H

#include "core/prestart.h"
#include "core/reconcile.h"
#include "counters.h"
#include "engine.h"
#include "pve.h"
#include "store.h"
#include "store_index.h"
#include "worker.h"

struct journal;

enum {
    ENGINE_ACTIVE_MAX = 8,             /* reconciliations of the queue at once; holds come on top */
    ENGINE_HOLD_CHECK_MS = 1600,       /* may PVE's API take before a hold; the hook waits 1900 */
    ENGINE_FRESH_MS = 1000,            /* so old an answer still shows that pvedaemon is alive */
    ENGINE_WORKER_LIMIT_MS = 60000,    /* for the end of a start worker we stopped */
    ENGINE_STARTING_LIMIT_MS = 600000, /* for the end of one that we let go */
    ENGINE_RETRY_FIRST_S = 5,
    ENGINE_RETRY_MAX_S = 300,
    ENGINE_MACHINES_S = 3600, /* the list of machine types is asked for again */
    ENGINE_LOCK_POLL_MS = 200,
    ENGINE_DEBT_MAX_S = 600,        /* so long after we stopped a start we still make it */
    ENGINE_DEBT_AHEAD_S = 86400,    /* a clock that was wrong then was wrong by no more */
    ENGINE_CONFIGS_FRESH_MS = 1000, /* a look at all configurations of this node is good for that */
    ENGINE_LOAD_STEP_MS = 5,        /* of reading all files, per turn of the event loop */
    ENGINE_LOAD_HOOK_MS = 700,      /* what a hook may wait for it */
    ENGINE_SURVEYS_MAX = 3,         /* a read waits for no more of them */
    ENGINE_UNREAD_S = 5,            /* until a fingerprint that gave an error is read again */
};

/* As in conf/io.pvehwid.varlink, type VmState. */
enum vm_state {
    VM_UNKNOWN,
    VM_IN_SYNC,
    VM_DIFFERS,
    VM_HELD,
    VM_REWRITING,
    VM_VERIFYING,
    VM_STARTING,
    VM_FAILED,
    VM_STUCK,
    VM_NO_CONFIG,
    VM_BAD_FINGERPRINT,
    VM_REFUSED, /* a guard says no */
    VM_ON_HOLD, /* an administrator said hands off; VM_HELD is a start that we stopped */
    VM_STATES,
};

/* Of every VM that has a fingerprint: small, because there may be ten thousand. */
struct vm_summary {
    uint32_t vmid;
    uint8_t state;  /* enum vm_state */
    uint8_t queued; /* 1 + enum reconcile_cause; 0: not queued */
    uint16_t changes;
    char *detail; /* NULL: nothing to say */
};

/* Of a VM that something is going on with. */
struct vm {
    struct engine *engine;
    struct vm *next;
    uint32_t vmid;
    struct record_memory memory;

    struct reconcile *reconcile;
    enum reconcile_cause cause;
    struct undo *undo; /* what it undoes; NULL: it goes by the fingerprint */
    struct pve_call *call;
    struct api_request *delayed; /* waits for PVE's lock to be free */
    int64_t delayed_until;
    bool delayed_once; /* the lock was not free when it was to be sent */
    sd_event_source *timer;
    struct worker_wait *worker; /* the reconciliation's */
    int32_t hold_pid;           /* whose end it waits for */
    uint64_t hold_start;

    struct worker_wait *starting; /* a start that we let go is under way */
    struct worker_wait *stopping; /* a stop, likewise */
    struct hook_wait *hook;       /* a pre-start waits for its answer */
    struct engine_watch *watches;

    bool awaits_survey; /* the reconciliation's next read does */
    unsigned surveys;   /* ... so often for that read */
    bool survey_over;   /* ... and is about to be made */
    bool look_again;    /* somebody asked for a look while something was going on */
    sd_event_source *retry;
    unsigned retry_s;
    unsigned busy;  /* on the stack so often: not to be freed */
    bool unwritten; /* `memory` knows what the journal could not be told: likewise */
};

/* Embedded, first, in what waits for answers of PVE on somebody's behalf and is no VM's. Where the
 * engine goes first, it ends them while their calls still are. */
struct engine_waiter {
    struct engine_waiter *next;
    void (*end)(struct engine_waiter *waiter, const struct err *why); /* answers, leaves, frees */
};

struct engine {
    sd_event *event;
    struct settings *settings;
    char *node;
    struct pve *pve;
    char client_key[SMBIOS_UUID_SIZE]; /* names what `pve` was made from */
    struct retired *retired;           /* clients of old settings with calls under way */
    struct journal *journal;
    struct store *store;
    struct machine_list machines;
    sd_event_source *machines_timer;
    struct pve_call *machines_call;
    unsigned machines_retry_s;
    bool api_ok;
    char *api_detail;
    int64_t pvedaemon_ms; /* when it last answered well */
    int64_t started_ms;
    struct counters counters;

    struct vm_summary *summaries; /* ascending by vmid */
    size_t n_summaries, cap_summaries;
    struct vm *vms;

    uint32_t *queue; /* vmids, first in first out */
    size_t n_queue, cap_queue, queue_head;
    sd_event_source *queue_source;
    size_t active; /* reconciliations that came from the queue */
    struct engine_waiter *waiters;

    struct claims *claims; /* who has which identity */
    uint32_t *to_load;     /* fingerprints not read yet since the start */
    size_t n_to_load, next_to_load;
    bool listed;              /* to_load is all there are */
    bool loaded;              /* all of them, and all configurations, have been read */
    int64_t configs_ms;       /* when this node's configurations were last looked at; 0: never */
    size_t unseen_configs;    /* of this node, when they were last looked at */
    struct store_index young; /* configurations that may change under the stamp they were read by */
    struct store_index unread; /* fingerprints that could not be read: claimed is what was */
    sd_event_source *unread_timer;
    bool refused_again; /* what was refused may not be any more: look when the queue is empty */
    struct survey *survey;
};

/* --- engine.c: the only place that knows API and journal --- */
/* Takes over `request`. An error to send it is an answer too (UNREACHABLE), from the loop. */
int engine_send(struct engine *engine, struct api_request *request, pve_done done, void *userdata,
                struct pve_call **ret_call);
void engine_cancel(struct pve_call *call);
/* Appends and, once it is on disk, applies to vm->memory. */
int engine_record(struct vm *vm, const json_t *record, struct err *err);
int engine_load_memory(struct engine *engine, uint32_t vmid, struct record_memory *ret,
                       struct err *err);
int engine_read_log(struct engine *engine, uint32_t vmid, json_t **ret_records, size_t *ret_bad,
                    struct err *err);
int engine_journal_vmids(struct engine *engine, uint32_t **ret, size_t *ret_n);
void engine_tell(struct vm *vm, const struct reconcile_told *told);
/* For what is no part of a reconciliation. */
void engine_say(struct engine *engine, uint32_t vmid, int priority, const char *message_id,
                const char *format, ...) PRINTF_LIKE(5, 6);
void engine_queue_counts(const struct engine *engine, size_t *ret_changes, size_t *ret_reads);
int64_t engine_now(void); /* monotonic ms */
void engine_fresh_id(char id[SMBIOS_UUID_SIZE]);

/* --- engine_vm.c --- */
struct vm_summary *engine_summary(struct engine *engine, uint32_t vmid); /* NULL: none */
int engine_summary_add(struct engine *engine, uint32_t vmid, struct vm_summary **ret);
void engine_summary_remove(struct engine *engine, uint32_t vmid);
/* Removes it, of a VM without a fingerprint, unless there is something that must be ended. */
void engine_forget_unprinted(struct engine *engine, uint32_t vmid);
void engine_set_state(struct engine *engine, uint32_t vmid, enum vm_state state, size_t changes,
                      const char *detail);
const char *engine_state_name(enum vm_state state);
struct vm *engine_find(struct engine *engine, uint32_t vmid);
/* Does the journal hold something that was begun and must be ended? */
bool engine_has_debt(const struct vm *vm);
/* Finds or makes it, with its memory from the journal. */
int engine_activate(struct engine *engine, uint32_t vmid, struct vm **ret, struct err *err);
/* Frees it where nothing is going on any more. */
void engine_settle(struct vm *vm);
void engine_vm_free(struct vm *vm);
/* Both files afresh, judged. */
int engine_assess(struct engine *engine, uint32_t vmid, struct assessment **ret, struct err *err);
/* The same where there is a plan; no fingerprint (-ENOENT), no VM (-ESRCH) and bad texts (-EINVAL)
 * are errors. */
int engine_assess_planned(struct engine *engine, uint32_t vmid, struct assessment **ret,
                          struct err *err);
struct engine_texts {
    struct store_file config, fingerprint, hold;
    struct err problem, hold_problem;
    struct assess_texts texts; /* points into the above */
    char fallback_config[64], fallback_fingerprint[64];
};
int engine_read_texts(struct engine *engine, uint32_t vmid, struct engine_texts *ret,
                      struct err *err);
void engine_texts_fini(struct engine_texts *texts);
/* State and detail as the assessment shows them. */
void engine_note_assessment(struct engine *engine, uint32_t vmid, const struct assessment *a);

/* --- engine_queue.c --- */
int engine_enqueue(struct engine *engine, uint32_t vmid, enum reconcile_cause cause);
void engine_queue_kick(struct engine *engine);
int engine_queue_turn(sd_event_source *source, void *userdata); /* the source of the queue */
int engine_queue_all(struct engine *engine, enum reconcile_cause cause);

/* --- engine_running.c --- */
void engine_waiter_add(struct engine *engine, struct engine_waiter *waiter);
void engine_waiter_remove(struct engine *engine, struct engine_waiter *waiter);
void engine_waiters_end(struct engine *engine);

/* --- engine_hold.c --- */
/* Writes down that a hold came or went since it was last looked for. */
void engine_note_hold(struct engine *engine, uint32_t vmid, const struct assessment *a);
/* At the daemon's start, of a VM with a journal: did its hold go while nobody watched? */
int engine_recover_hold(struct vm *vm, struct err *err);

/* --- engine_recover.c --- */
/* What a crash left open, before anything else looks at those VMs. */
int engine_recover(struct engine *engine, struct err *err);
/* Has the VM's number another machine by now? Then what was begun is given up, in the journal too,
 * also if it is under way. */
int engine_drop_debt_of_another(struct vm *vm, struct err *err);

/* --- engine_claims.c --- */
void engine_claims_fini(struct engine *engine);
void engine_claims_restart(struct engine *engine); /* all files are to be read */
/* Reads on, until all is known or that many ms have gone by (engine->loaded tells). <0: no memory,
 * or nobody can say now. */
int engine_claims_load(struct engine *engine, int64_t ms);
/* All is read, and this node's configurations anew, unless that was a moment ago. True: something
 * was looked at. */
bool engine_claims_refresh(struct engine *engine);
/* The same, at any rate of those on this node that share something with this fingerprint: what an
 * administrator has just set right is no obstacle any more. */
bool engine_claims_recheck(struct engine *engine, uint32_t vmid, const struct fingerprint *fp);
/* We changed that VM's configuration: what it carries now must not be given to another one. */
void engine_claims_changed(struct engine *engine, uint32_t vmid);
/* Which VM it is that was made what its fingerprint says, as its journal has it. */
int engine_claims_bind(struct vm *vm);
/* That fingerprint came, changed or went. */
void engine_claims_fingerprint(struct engine *engine, uint32_t vmid);

/* --- engine_survey.c --- */
int engine_survey_new(struct engine *engine);
void engine_survey_free(struct engine *engine);
/* In a while, and then again and again. */
void engine_survey_in(struct engine *engine, unsigned seconds);
/* A VM of this node went: perhaps to another one. */
void engine_survey_doubt(struct engine *engine);
/* Before a reconciliation reads: true where what is known of other nodes is too old. Then
 * engine_drive_resume() comes when it is not, or cannot be had, or takes too long. */
bool engine_survey_needed(struct vm *vm);
/* The same after one was waited for: true, a few times, where a VM went from here meanwhile. */
bool engine_survey_needed_again(struct vm *vm);

/* --- engine_undo.c --- */
/* The undo that the journal says was left half done, into vm->undo. One that cannot be read any
 * more is closed in the journal. */
int engine_undo_reload(struct vm *vm, struct err *err);

/* --- engine_drive.c --- */
void engine_drive_resume(struct vm *vm); /* ends awaits_survey */
int engine_reconcile(struct vm *vm, enum reconcile_cause cause, bool wait_worker, struct err *err);
/* What the journal holds that was begun; tried again later where it cannot even be gone on with. */
void engine_take_up(struct vm *vm, enum reconcile_cause cause);
/* Drops one that has not changed anything yet. */
void engine_drop_reconcile(struct vm *vm);
/* Drops it in any case: the VM it was for is gone. What PVE still has of it fails by its digest. */
void engine_abandon(struct vm *vm, const char *why);
void engine_retry_later(struct vm *vm);
/* Begins one for somebody who watches it. -EBUSY: the VM is being started, or something else is
 * under way that is not what they asked for. */
int engine_reconcile_watched(struct vm *vm, enum reconcile_cause cause,
                             const struct engine_watcher *watcher, struct engine_watch **ret_watch,
                             struct err *err);
void engine_watch_done(struct vm *vm, const char *outcome, const char *detail,
                       const struct plan *plan);

/* --- engine_hook.c --- */
void engine_hook_drop(struct vm *vm);
/* The engine goes: on_error decides for those who wait. */
void engine_hooks_end(struct engine *engine);

#endif
