/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hook: a process of a few milliseconds between PVE and a VM's start. Its parts share this one
 * value. It runs as root, so it trusts nothing it reads; it may stop a start only with 75 or 78 and
 * only on purpose (law 9): in doubt it says so and exits 0.
 */
#ifndef HOOKS_HOOK_H
#define HOOKS_HOOK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/notes.h"
#include "core/pveconf.h"
#include "core/settings.h"
#include "core/wire.h"

enum {
    HOOK_LIMIT_MS = 2000,      /* the longest a start is held up, whatever happens */
    HOOK_ANSWER_MS = 1900,     /* of it: for the daemon's answer; the rest is for our own check */
    HOOK_LAST_WORD_MS = 500,   /* post-start, pre-stop, post-stop: the daemon is told, no more */
    HOOK_PATH_SIZE = 4096,     /* PATH_MAX of Linux */
    HOOK_OUT_MAX = 4096,       /* PIPE_BUF: one write that is whole and does not block */
    HOOK_LINE_MAX = 512,       /* a task log shows lines, not pages */
    HOOK_REPLY_MAX = 64 * 1024 /* of the daemon */
};

struct hook {
    const char *root; /* before every path; "" in real life, else a simulator's directory */
    struct settings *settings; /* the daemon's; its defaults where they cannot be read */
    uint64_t deadline_ms;      /* of everything, by clock_monotonic_ms() */
    struct wire_hook_call call;
    char **argv; /* VMID and PHASE as PVE gave them, NULL behind */
};

/* The daemon's settings: where fingerprints lie, and the policies. Missing or wrong ones are the
 * defaults: they never stop a start. Below a `root` the places are always the default ones. */
int hook_read_settings(struct hook *hook);

/* These give root + path; false where it does not fit. */
bool hook_path(const struct hook *hook, char path[HOOK_PATH_SIZE], const char *format, ...)
    PRINTF_LIKE(3, 4);
bool hook_local_fingerprint(const struct hook *hook, char path[HOOK_PATH_SIZE]);
bool hook_cluster_fingerprint(const struct hook *hook, char path[HOOK_PATH_SIZE]);
/* VMID.hold: beside the cluster's fingerprint, or beside the local one. */
bool hook_hold_file(const struct hook *hook, bool local, char path[HOOK_PATH_SIZE]);
bool hook_former(const struct hook *hook, char path[HOOK_PATH_SIZE]);
bool hook_storages(const struct hook *hook, char path[HOOK_PATH_SIZE]);
bool hook_config(const struct hook *hook, char path[HOOK_PATH_SIZE]);
/* The daemon's change journal of this VM. */
bool hook_journal(const struct hook *hook, char path[HOOK_PATH_SIZE]);

/* context.c: what only a child of the start worker and root can see, into hook->call. */
void hook_read_context(struct hook *hook);

/* ask.c: the daemon's answer, or a sentence why there is none. -errno. */
int hook_ask(const struct hook *hook, struct wire_hook_reply *ret_reply, struct err *err);

/* say.c: prints lines into the task log, if stdout takes them in time: each with "pve-hwid: " in
 * front, ASCII only, long ones cut, at most HOOK_OUT_MAX bytes in one write. */
void hook_say(const struct hook *hook, const struct notes *lines);
void hook_sayf(const struct hook *hook, const char *format, ...) PRINTF_LIKE(2, 3);

/* former.c: becomes the hookscript that the VM had before ours, if it had one, and does not return
 * then: its output, time and exit code are as if PVE had called it. Returns 0 where there is none,
 * and what PVE would make of one that cannot be run. */
int hook_run_former(const struct hook *hook);

/* fallback.c: pre-start without a daemon. `why` there is none, in a few words. The exit code. */
int hook_decide_alone(const struct hook *hook, const char *why);

/* lost.c: does the journal hold a change set of this VM that was begun and not ended? Then the VM
 * is our business also where its fingerprint is gone. Costs a VM without a journal one system call;
 * a journal that cannot be read is none (law 9). */
bool hook_has_open_changes(const struct hook *hook);

/* lost.c: is a disk of this VM gone from its configuration because a move of ours was cut off in
 * the middle? Then says so, and returns true: the start is refused. A journal that cannot be read
 * is none (law 9). `next`: as of the next start. */
bool hook_refuse_lost_disk(const struct hook *hook, const char *why, const struct pveconf *now,
                           const struct pveconf *next);

#endif
