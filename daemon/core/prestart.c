/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See prestart.h. The order of the questions is the order of the laws: not ours, stuck, under way,
 * a disk that is nowhere, on hold, broken, in sync, policy, tried before, hold. */
#include "core/prestart.h"

#include <errno.h>

#include "base/str.h"

void prestart_fini(struct prestart *p)
{
    notes_fini(&p->lines);
}

/* PVE's task log takes ASCII; problems quote foreign files. */
static void make_ascii(struct notes *lines)
{
    for (size_t i = 0; i < lines->n; i++) {
        for (char *c = lines->items[i]; *c != '\0'; c++) {
            *c = ascii_is_print(*c) ? *c : '?';
        }
    }
}

static int answer(struct prestart *p, enum prestart_answer answer)
{
    p->answer = answer;
    return 0;
}

/* Something is wrong with us or with the fingerprint: on_error decides. */
static int give_up(const struct prestart_input *in, const char *problem, struct prestart *p)
{
    const struct assessment *a = in->assessment;

    if (a->on_error == FINGERPRINT_ERROR_REFUSE) {
        if (notes_add(&p->lines, "VM %u is not started (on_error: refuse): %s", in->vmid, problem) <
            0) {
            return -ENOMEM;
        }
        return answer(p, PRESTART_REFUSE);
    }
    if (notes_add(&p->lines,
                  "WARNING: VM %u starts although its hardware may differ from what it "
                  "had on VMware: %s",
                  in->vmid, problem) < 0) {
        return -ENOMEM;
    }
    return answer(p, PRESTART_WARN);
}

/* "smbios1, machine, net0"; the caller frees; NULL: no memory. */
static char *what_differs(const struct prestart_input *in)
{
    return plan_summary(in->assessment->plan);
}

/* Hands off, whatever the policies say. No line where nothing is to do with us. */
static int on_hold(const struct prestart_input *in, struct prestart *p)
{
    const struct assessment *a = in->assessment;
    CLEANUP_FREE char *differs = NULL;
    const char *what = a->problem;

    if (a->outcome == ASSESS_NO_FINGERPRINT || a->outcome == ASSESS_NO_CONFIG) {
        return 0;
    }
    if (a->outcome == ASSESS_PLANNED && plan_is_empty(a->plan)) {
        p->in_sync = true;
        what = "its hardware is as its fingerprint says";
    } else if (a->outcome == ASSESS_PLANNED) {
        CLEANUP_FREE char *summary = what_differs(in);

        /* "refused: ..." is a sentence of its own. */
        differs = summary == NULL
                      ? NULL
                      : str_printf("%s%s", a->plan->refusals.n > 0 ? "" : "differs in ", summary);
        what = differs;
    }
    return what == NULL ? -ENOMEM
                        : notes_add(&p->lines,
                                    "VM %u is %s: it starts as it is; %s; to end the hold: "
                                    "pve-hwid resume %u",
                                    in->vmid, a->on_hold, what, in->vmid);
}

static int settled(const struct prestart_input *in, struct prestart *p)
{
    const struct record_memory *memory = in->memory;
    CLEANUP_FREE char *problem = NULL;
    CLEANUP_FREE char *differs = what_differs(in);

    if (differs == NULL) {
        return -ENOMEM;
    }
    if (str_equal(memory->settled_key, in->assessment->key)) {
        problem = str_printf("%s differ and could not be changed: %s", differs,
                             memory->settled_why == NULL ? "see pve-hwid log"
                                                         : memory->settled_why);
    } else if (in->ours) {
        problem = str_printf("%s differ again although a start was stopped for the same just now: "
                             "somebody changed configuration or fingerprint since, and no start is "
                             "stopped twice; see pve-hwid log %u",
                             differs, in->vmid);
    } else {
        problem = str_printf("%s differ again although a start was stopped for the same before: "
                             "somebody changes the configuration back; see pve-hwid log %u",
                             differs, in->vmid);
    }
    return problem == NULL ? -ENOMEM : give_up(in, problem, p);
}

static int by_policy(const struct prestart_input *in, struct prestart *p)
{
    CLEANUP_FREE char *differs = what_differs(in);
    int rc = 0;

    if (differs == NULL) {
        return -ENOMEM;
    }
    switch (in->assessment->on_drift) {
    case FINGERPRINT_DRIFT_REFUSE:
        rc = notes_add(&p->lines,
                       "VM %u is not started (on_drift: refuse): %s differ from the fingerprint; "
                       "run 'pve-hwid apply %u', then start it again",
                       in->vmid, differs, in->vmid);
        return rc < 0 ? rc : answer(p, PRESTART_REFUSE);
    case FINGERPRINT_DRIFT_START:
        rc = notes_add(&p->lines,
                       "WARNING: VM %u starts with hardware that differs from its fingerprint "
                       "(on_drift: start): %s; run 'pve-hwid apply %u' when it is stopped",
                       in->vmid, differs, in->vmid);
        return rc < 0 ? rc : answer(p, PRESTART_WARN);
    case FINGERPRINT_DRIFT_RESTART:
        if (notes_add(&p->lines, "VM %u differs from its fingerprint: %s", in->vmid, differs) < 0 ||
            notes_add(&p->lines,
                      "this start is stopped on purpose; the hardware is changed now and VM %u is "
                      "started again in a moment, nothing needs to be done (pve-hwid log %u)",
                      in->vmid, in->vmid) < 0) {
            return -ENOMEM;
        }
        return answer(p, PRESTART_HOLD);
    }
    return -EINVAL;
}

/* An ordinary start of a VM whose plan is known. */
static int decide_planned(const struct prestart_input *in, struct prestart *p)
{
    const struct assessment *a = in->assessment;

    if (a->plan->refusals.n > 0) {
        return give_up(in, a->plan->refusals.items[0], p);
    }
    if (plan_is_empty(a->plan)) {
        p->in_sync = true;
        return answer(p, PRESTART_GO);
    }
    if (in->ours || str_equal(in->memory->settled_key, a->key) ||
        str_equal(in->memory->held_key, a->key)) {
        return settled(in, p);
    }
    return by_policy(in, p);
}

/* Another VM got the number: it has no part in what was begun. */
static bool is_another(const struct prestart_input *in)
{
    const struct pveconf *conf = in->assessment->conf;

    return conf != NULL && record_is_another(in->memory, conf);
}

static int refuse_stuck(const struct prestart_input *in, struct prestart *p)
{
    return notes_add(&p->lines,
                     "VM %u must not start: the deletion of one of its disks was pending and "
                     "could not be taken back. Look at 'qm config %u' and 'pve-hwid log %u' before "
                     "anything else; the image itself was not touched",
                     in->vmid, in->vmid, in->vmid) < 0
               ? -ENOMEM
               : answer(p, PRESTART_REFUSE);
}

/* 1: refused, since a move of ours was cut off and its disk is nowhere, whatever else is the matter
 * with this VM: its fingerprint may be gone, and nobody at work on it. 0: that is not so. */
static int refuse_lost(const struct prestart_input *in, struct prestart *p)
{
    const struct pveconf *now = in->assessment->conf;
    CLEANUP(pveconf_freep) struct pveconf *next = NULL;
    const char *slot = NULL;
    const char *value;

    if (now == NULL || !in->memory->open) {
        return 0;
    }
    if (pveconf_apply_pending(now, &next) < 0) {
        return -ENOMEM;
    }
    value = record_lost_disk(in->memory, now, next, &slot);
    if (value == NULL) {
        return 0;
    }
    (void)answer(p, PRESTART_REFUSE);
    return notes_add(&p->lines,
                     "VM %u must not start: a move of its disk %s (%.200s) was cut off, and it is "
                     "attached nowhere now; the image itself was not touched. pve-hwid puts it "
                     "back as soon as PVE lets it ('pve-hwid log %u'); or by hand: 'qm set %u "
                     "--%s' with that value, and see that the boot order has it again",
                     in->vmid, slot, value, in->vmid, in->vmid, slot) < 0
               ? -ENOMEM
               : 1;
}

static int decide_ordinary(const struct prestart_input *in, struct prestart *p)
{
    int rc;

    if (in->stuck && !is_another(in)) {
        return refuse_stuck(in, p);
    }
    if (in->changing) {
        rc = notes_add(&p->lines,
                       "VM %u is being changed by pve-hwid right now: this start is stopped on "
                       "purpose, and the VM is started as soon as that is done",
                       in->vmid);
        return rc < 0 ? rc : answer(p, PRESTART_HOLD);
    }
    rc = refuse_lost(in, p);
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    if (in->assessment->on_hold != NULL) {
        return on_hold(in, p);
    }
    switch (in->assessment->outcome) {
    case ASSESS_NO_FINGERPRINT:
    case ASSESS_NO_CONFIG:
        return 0;
    case ASSESS_BAD_FINGERPRINT:
    case ASSESS_BAD_CONFIG:
        return give_up(in, in->assessment->problem, p);
    case ASSESS_PLANNED:
        return decide_planned(in, p);
    }
    return -EINVAL;
}

int prestart_decide(const struct prestart_input *in, struct prestart *ret)
{
    struct prestart p = {0};
    int rc = 0;

    if (in->verdict != GUARD_ORDINARY) {
        /* Law 3: the hardware must stay what it is. */
        rc = in->assessment->outcome == ASSESS_NO_FINGERPRINT
                 ? 0
                 : notes_add(&p.lines, "VM %u: %s", in->vmid, guard_reason(in->verdict));
    } else {
        rc = decide_ordinary(in, &p);
    }
    if (rc < 0) {
        prestart_fini(&p);
        return rc;
    }
    make_ascii(&p.lines);
    *ret = p;
    return 0;
}

int prestart_without_hold(const struct prestart_input *in, const char *why, struct prestart *ret)
{
    struct prestart p = {0};
    CLEANUP_FREE char *differs = what_differs(in);
    CLEANUP_FREE char *problem = NULL;
    int rc = -ENOMEM;

    if (differs != NULL) {
        problem = str_printf("%s differ, and they cannot be changed now: %s", differs, why);
    }
    if (problem != NULL) {
        rc = give_up(in, problem, &p);
    }
    if (rc < 0) {
        prestart_fini(&p);
        return rc;
    }
    make_ascii(&p.lines);
    *ret = p;
    return 0;
}
