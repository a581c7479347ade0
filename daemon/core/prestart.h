/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The answer to a pre-start (laws 1, 3, 9): go, go with a loud line, refuse, or hold this start in
 * order to rewrite the VM and start it again. Pure; what can go wrong on the way to a hold is
 * decided with prestart_without_hold().
 */
#ifndef CORE_PRESTART_H
#define CORE_PRESTART_H

#include "core/assess.h"
#include "core/guard.h"
#include "core/notes.h"
#include "core/record.h"

enum prestart_answer {
    PRESTART_GO,     /* exit 0 */
    PRESTART_WARN,   /* exit 0 with a loud line: the guest sees other hardware than before */
    PRESTART_HOLD,   /* exit 75 */
    PRESTART_REFUSE, /* exit 78 */
};

struct prestart_input {
    uint32_t vmid;
    enum guard_verdict verdict;
    const struct assessment *assessment;
    const struct record_memory *memory;
    bool changing; /* a rewrite is under way right now: this start would meet half of it */
    bool ours;     /* the start that we owed and made: never held again, that would be a circle */
    bool stuck;    /* a pending deletion of ours could not be taken back */
    /* A disk that the journal says is nowhere is looked for besides: no machine may be at it. */
};

struct prestart {
    enum prestart_answer answer;
    bool in_sync;       /* an ordinary start with nothing to change */
    struct notes lines; /* for the task log, ASCII */
};

/* 0 or -ENOMEM. */
int prestart_decide(const struct prestart_input *input, struct prestart *ret);
/* A hold was decided, but cannot be done (API away, privilege missing, ...): what then. `why` is a
 * whole clause with its cure. */
int prestart_without_hold(const struct prestart_input *input, const char *why,
                          struct prestart *ret);
void prestart_fini(struct prestart *p);

#endif
