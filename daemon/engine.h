/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine: what the daemon knows of its VMs and does for them. Answers hooks, rewrites stopped
 * VMs early, holds and restarts where it must, recovers from the journal. All decisions are made in
 * core; here they meet files, the API, the journal and time. engine.c alone sees both API and
 * journal.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <jansson.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "core/settings.h"
#include "core/smbios_uuid.h"
#include "core/wire.h"
#include "counters.h"

struct engine;

/* `settings` is taken over. The token is read from its place. Starts with recovery of unfinished
 * business, then a look at every VM that has a fingerprint. */
int engine_new(sd_event *event, struct settings *settings, struct engine **ret, struct err *err);
void engine_free(struct engine *engine);

/* New settings, taken over on success. On error nothing has changed. A change of state_dir or node
 * needs a restart and is refused with that sentence. */
int engine_reload(struct engine *engine, struct settings *settings, struct err *err);

/* Since its start: VMs are still to be looked at or are being rewritten, or PVE's API, without
 * which that cannot begin, has not answered yet. False for good only as far as nothing new comes
 * up. */
bool engine_is_settling(struct engine *engine);
/* The `ready_patience_s` of the settings in force. */
unsigned engine_ready_patience_s(const struct engine *engine);

/* --- hooks --- */

/* The answer; lines are borrowed. Called at once or later, exactly once. */
typedef void (*engine_hook_done)(void *userdata, enum wire_hook_exit exit_code,
                                 const struct notes *lines);
int engine_hook(struct engine *engine, const struct wire_hook_call *call, engine_hook_done done,
                void *userdata);

/* The hook with that `userdata` went away before its answer: it has decided by itself, or its start
 * was ended. Nothing is held for it, and `done` is called as ever. */
void engine_hook_gone(struct engine *engine, const void *userdata);

/* --- questions; JSON in the shapes of conf/io.pvehwid.varlink, new references --- */

/* -ENOENT: no fingerprint; -ESRCH: no such VM here; -EINVAL: bad input, with a sentence. */
int engine_plan(struct engine *engine, uint32_t vmid, json_t **ret_plan, struct err *err);
/* The hold in words, the caller's; NULL: it is not on hold, or nobody can say. */
char *engine_on_hold(struct engine *engine, uint32_t vmid);
int engine_report(struct engine *engine, uint32_t vmid, json_t **ret_report, struct err *err);
/* Afresh from the files. Same errors, but a VM in a bad state is an answer, not an error. */
int engine_check(struct engine *engine, uint32_t vmid, json_t **ret_state, struct err *err);
/* As last known. `vmids` of all fingerprints: engine_vmids(); the caller frees. */
int engine_state(struct engine *engine, uint32_t vmid, json_t **ret_state);
int engine_vmids(struct engine *engine, uint32_t **ret_vmids, size_t *ret_n);
int engine_log(struct engine *engine, uint32_t vmid, json_t **ret_records, size_t *ret_unreadable,
               struct err *err);
int engine_status(struct engine *engine, json_t **ret_status);

/* --- verify --- */

struct engine_verification;
/* Once, from the loop: the answer of method Verify (borrowed), or a code and its sentence. */
typedef void (*engine_verify_done)(void *userdata, const json_t *answer, int code,
                                   const struct err *err);
/* -ENOENT, -ESRCH, -EINVAL as above. */
int engine_verify(struct engine *engine, uint32_t vmid, engine_verify_done done, void *userdata,
                  struct engine_verification **ret, struct err *err);
/* Nobody waits any more: `done` is not called. */
void engine_verify_forget(struct engine_verification *verification);

/* --- hold and resume --- */

/* The hold file of this VM came or went: written down, and what follows from it done.
 * *ret_on_hold: the hold in words, the caller's; NULL: there is none. -ESRCH: no such VM here. */
int engine_hold_changed(struct engine *engine, uint32_t vmid, char **ret_on_hold, struct err *err);

/* --- numbers for monitoring --- */

int engine_metrics(struct engine *engine, json_t **ret_metrics); /* -ENOMEM */
/* A hook was answered, `us` microseconds after it had asked. */
void engine_count_hook(struct engine *engine, enum wire_phase phase, enum counters_answer answer,
                       uint64_t us);

/* Does the VM run, on that node of the cluster? Answered later, exactly once; `err` NULL: it is
 * known. */
struct engine_question;
typedef void (*engine_running_done)(void *userdata, bool running, const struct err *err);
int engine_running(struct engine *engine, uint32_t vmid, const char *node, engine_running_done done,
                   void *userdata, struct engine_question **ret, struct err *err);
/* Nobody wants to know any more: `done` is not called. */
void engine_running_forget(struct engine_question *question);

/* --- apply --- */

struct engine_watch;
/* A sentence while it works; then, once, the outcome ("unchanged", "done", "partial",
 * "busy", "refused", "failed") with its sentence and the plan (borrowed, may be NULL). */
struct engine_watcher {
    void (*progress)(void *userdata, const char *text);
    void (*done)(void *userdata, const char *outcome, const char *detail, const json_t *plan);
    void *userdata;
};
int engine_apply(struct engine *engine, uint32_t vmid, const struct engine_watcher *watcher,
                 struct engine_watch **ret_watch, struct err *err);
/* Takes a change set back (`txn` NULL: the last; core/undo.h). The VM must be on hold, or the
 * outcome is "refused". ret_txn: which one. -EINVAL: there is none, with those that are there. */
int engine_undo(struct engine *engine, uint32_t vmid, const char *txn,
                const struct engine_watcher *watcher, char ret_txn[SMBIOS_UUID_SIZE],
                struct engine_watch **ret_watch, struct err *err);
/* What that would change; changes nothing. */
int engine_undo_plan(struct engine *engine, uint32_t vmid, const char *txn,
                     char ret_txn[SMBIOS_UUID_SIZE], json_t **ret_plan, struct err *err);
/* The watcher is not called any more; what is under way goes on. */
void engine_unwatch(struct engine_watch *watch);

#endif
