/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * For tests: one VM of a PVE node as a value, without I/O: its configuration with [PENDING], its
 * locks, its volumes, its starts, as facts/pve.md 4 and the recordings 04, 06n-06q, 07, 08 show
 * them. Faults happen at chosen requests. What must never be asked of PVE is noticed as it comes.
 *
 * Helpers of the test, not the code under test: they abort without memory.
 */
#ifndef TESTS_FAKE_PVE_H
#define TESTS_FAKE_PVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/api.h"

enum fake_fault_kind {
    FAULT_UNREACHABLE,
    FAULT_LOST_BEFORE,   /* no answer, and not carried out */
    FAULT_LOST_AFTER,    /* no answer, but carried out */
    FAULT_LOCK_TIMEOUT,  /* the flock is held during the next changing calls */
    FAULT_CHECKSUM,      /* the file changes between our look and our call, and back */
    FAULT_VM_LOCKED,     /* `lock: backup` for 90 s */
    FAULT_FORBIDDEN,     /* 403, once */
    FAULT_VOLUME_AWAY,   /* the volume of the first disk is away for ten minutes */
    FAULT_VOLUME_BLINKS, /* likewise, for this one request */
    FAULT_STORAGE_AWAY,  /* its storage is not there: refused before anything changes */
    FAULT_STARTED,       /* by somebody else; the hook is asked */
    FAULT_STARTED_RAW,   /* likewise, past the hook */
    FAULT_EDITED_OTHER,  /* somebody changes a key that is not ours, through the API */
    FAULT_EDITED_SAME,   /* somebody changes one of ours */
    FAULT_FP_REMOVED,
    FAULT_FP_EDITED,
    FAULT_FP_BROKEN,
    FAULT_VM_GONE,
    FAULT_OVERLOAD,       /* 503 */
    FAULT_GARBAGE,        /* 200, and nothing in it that makes sense */
    FAULT_STOPPED,        /* somebody stops the VM */
    FAULT_DETACHED,       /* somebody takes a disk off, through the API */
    FAULT_SNAPSHOT,       /* somebody takes a snapshot */
    FAULT_STARTED_BACKUP, /* vzdump starts it: not ours to hold */
    FAULT_EDITED_DISK,    /* somebody changes an option of a disk */
    FAULT_EDITED_BOOT,    /* somebody changes the boot order */
    FAULT_HALF,           /* the next changing call fails after some of its writes */
    FAULT_LATE,           /* no answer, at once, and carried out up to 10 s later */
    FAULT_POWERED_OFF,    /* the guest does it by itself: what is pending stays so */
    FAULT_KINDS,
};
const char *fake_fault_name(enum fake_fault_kind kind);

struct fake_fault {
    unsigned
        at; /* number of the request, from 1; 0: the first after a call that FAULT_HALF broke */
    enum fake_fault_kind kind;
};

struct fake_map {
    struct fake_pair {
        char *key;
        char *value;
    } * items; /* ascending by key */
    size_t n, cap;
};

/* A snapshot's section of the file: nobody of us may ever touch one. */
struct fake_snapshot {
    char *name;
    char *head; /* its description's lines; NULL: none */
    struct fake_map keys;
};

enum { FAKE_FAULTS_MAX = 12, FAKE_LATE_MAX = 4, FAKE_PROBLEM_SIZE = 600 };

/* A qmstart. */
struct fake_task {
    int64_t started_ms; /* on now_ms */
    char *exit;         /* NULL: OK */
    unsigned polls;     /* so many more answers say that it runs */
    bool ours;          /* by our token */
};

/* A call that waits for the VM's lock, and nobody for its answer. */
struct fake_late {
    struct api_request *request;
    int64_t due_ms;       /* on now_ms: not later than this, it is carried out or refused */
    bool started, let_go; /* the VM was started since: by us; by somebody, and the hook agreed */
};

struct fake_pve {
    bool gone, running, ha_managed;
    char *raw;              /* the file as somebody edited it by hand; NULL: as PVE writes it */
    char *head;             /* comment lines; NULL: none */
    struct fake_map unread; /* its lines that PVE ignores, and drops when it writes */
    struct fake_map conf, pending, deletes; /* deletes: keys only */
    struct fake_snapshot *snapshots;        /* ascending by name */
    size_t n_snapshots, cap_snapshots;
    struct fake_map volumes; /* that exist: size. What a file names in the beginning is there */
    char *fingerprint;       /* NULL: none */
    const char *edited_fingerprint; /* for FAULT_FP_EDITED; borrowed */
    const char *volume;             /* that faults take away; borrowed */
    int64_t away_until_ms, storage_until_ms, locked_until_ms;
    int64_t api_until_ms;             /* nobody answers at all */
    bool stops_with_lock;             /* the backup that started it ends */
    bool blinks, stale, always_stale; /* no digest fits (the next call with one; all) */
    unsigned half_writes; /* the next change fails after so many writes, less one; 0: it does not */
    unsigned broken_at;   /* number of the request that failed so; 0: none */
    unsigned flock_calls; /* the flock is held for so many changing calls */
    int64_t now_ms;       /* the driver's clock; calls take their time on it */
    uint64_t dice;        /* order in which PVE walks the options of a call */
    json_t *order;        /* gets that order, one name a time; NULL: nobody asks */
    bool unwatched;       /* calls of somebody who may do anything: for the comparison of models */
    bool may_undo;        /* an undo takes away what a change brought, scsihw among it */

    struct fake_fault faults[FAKE_FAULTS_MAX];
    size_t n_faults;
    unsigned n_requests, n_changing, n_struck, n_moved;

    struct fake_late late[FAKE_LATE_MAX]; /* in the order in which they came */
    size_t n_late;
    const struct fake_late *landing; /* being carried out; NULL: none */
    unsigned n_landed;

    /* Exit code of the hook; `worker`: type of the task that starts. NULL: not attached. */
    int (*pre_start)(void *userdata, bool ours, const char *worker);
    void (*stopped)(void *userdata); /* post-stop */
    void *userdata;
    char *task_exit;         /* of the last start task we asked for */
    struct fake_task *tasks; /* in order */
    size_t n_tasks, cap_tasks;
    bool auditor;         /* our token has Sys.Audit: it sees the tasks of others, too */
    unsigned our_starts;  /* that succeeded */
    unsigned n_runs;      /* starts of anybody that succeeded */
    unsigned n_stops;     /* by somebody else */
    unsigned start_calls; /* POST status/start that reached PVE */
    bool own_start_refused;

    /* Somebody else carried out a deletion that was pending of ours. */
    struct fake_map probed; /* slots whose present value PVE has taken during this reconciliation */
    bool garbled; /* an answer said 200 to a call that was not carried out: perhaps a probe */
    bool
        told_started; /* the task of our start was said to have ended well, and the VM runs since */
    bool harmed_by_others;
    char *detached;        /* volumes that somebody else took off, one a line; NULL: none */
    bool deletes_at_first; /* somebody's deletions were pending in the file as it was found */
    bool twice_live;       /* a running VM was given one image twice */
    bool disk_edited;      /* somebody else changed an option of a disk */
    bool boot_edited;      /* somebody else did; the order is not ours to answer for */
    bool we_know_it_runs;  /* PVE told us so since it was started */
    unsigned changes_while_running;
    char problem[FAKE_PROBLEM_SIZE]; /* the first thing that must never happen; "" */
};

/* `config`: a whole file; it is taken for one that PVE itself wrote last, unless `raw` is set to
 * it. */
void fake_pve_init(struct fake_pve *pve, const char *config, const char *fingerprint);
void fake_pve_fini(struct fake_pve *pve);
enum { FAKE_PVE_EPOCH = 1795428000 }; /* 2026-11-23T10:00:00Z, where now_ms is 0 */
/* The caller frees the reply. */
void fake_pve_call(struct fake_pve *pve, const struct api_request *request,
                   struct api_reply *ret_reply);
/* The call reaches PVE, is carried out later, and nobody hears of it. */
void fake_pve_put_off(struct fake_pve *pve, const struct api_request *request);
/* Carries out what is due by now. */
void fake_pve_catch_up(struct fake_pve *pve);
/* The file's text; the caller's; NULL: there is no VM. */
char *fake_pve_text(const struct fake_pve *pve);
/* The VM stops: what is pending is carried out. */
void fake_pve_stop(struct fake_pve *pve);
/* Somebody starts the VM (through the hook where `hook`). True: it runs. */
bool fake_pve_start_by_others(struct fake_pve *pve, bool hook);
/* vzdump does, for a backup of the stopped VM. */
void fake_pve_start_by_backup(struct fake_pve *pve);
/* Takes task.exit. */
void fake_pve_add_task(struct fake_pve *pve, struct fake_task task);
/* If it runs and no lock forbids it; post-stop is told. */
void fake_pve_stop_by_others(struct fake_pve *pve);
/* The guest powers off: likewise, but what is pending waits for the next start or change. */
void fake_pve_power_off(struct fake_pve *pve);
/* One PUT of somebody else, without a digest; NULL: it went through; else PVE's words, the
 * caller's. `value` NULL: the key is deleted. */
char *fake_pve_edit(struct fake_pve *pve, const char *key, const char *value);
/* A reconciliation begins: what was probed before does not count. */
void fake_pve_forget_probes(struct fake_pve *pve);
/* All that was wrong for a while is over. */
void fake_pve_calm(struct fake_pve *pve);
const char *fake_pve_get(const struct fake_pve *pve, const char *key);
void fake_pve_set(struct fake_pve *pve, const char *key, const char *value); /* NULL: away */
/* In how many slots of the main section is this volume; how many unusedN name it? */
unsigned fake_pve_count_volume(const struct fake_pve *pve, const char *volume, bool unused);
void fake_pve_problem(struct fake_pve *pve, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
