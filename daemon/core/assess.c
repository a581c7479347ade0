/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See assess.h. */
#include "core/assess.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "core/hold.h"

bool assess_is_our_hook(const char *volid)
{
    return volid != NULL && str_ends(volid, ":snippets/pve-hwid");
}

void assessment_free(struct assessment *a)
{
    if (a == NULL) {
        return;
    }
    plan_free(a->plan);
    fingerprint_free(a->fp);
    pveconf_free(a->conf);
    free(a->problem);
    free(a->twin);
    free(a->on_hold);
    free(a);
}

static int make_key(const struct assess_texts *texts, char key[SMBIOS_UUID_SIZE])
{
    CLEANUP(buf_fini) struct buf both = BUF_INIT(0);

    if (texts->fingerprint != NULL) {
        buf_add(&both, texts->fingerprint, texts->fingerprint_len);
    }
    buf_addc(&both, '\0');
    if (texts->config != NULL) {
        buf_add(&both, texts->config, texts->config_len);
    }
    if (both.error != 0) {
        return both.error;
    }
    smbios_uuid_digest(both.data, both.len, key);
    return 0;
}

/* Keeps memory errors as such; everything else is the outcome `bad` with its sentence. */
static int problem(struct assessment *a, enum assess_outcome bad, const char *path, int rc,
                   const struct err *why)
{
    if (rc == -ENOMEM) {
        return rc;
    }
    a->outcome = bad;
    a->problem = str_printf("%s: %s", path, why->text);
    return a->problem == NULL ? -ENOMEM : 0;
}

static bool any_disk_deletion_pending(const struct pveconf *conf)
{
    const struct pveconf_section *main_section = &conf->sections[0];
    struct drive_slot slot;

    for (size_t i = 0; i < main_section->n; i++) {
        const char *key = main_section->keys[i].key;

        if (drive_slot_parse(key, &slot) && pveconf_pending_deletes(conf, key)) {
            return true;
        }
    }
    return false;
}

static int name_machine(struct assessment *a)
{
    CLEANUP(identity_fini) struct identity wanted = {0}, now = {0};
    int rc = identity_of_fingerprint(a->fp, &wanted);

    rc = rc < 0 ? rc : identity_name(&wanted, a->name);
    rc = rc < 0 ? rc : identity_of_config(a->conf, &now);
    a->ctime = now.ctime;
    return rc;
}

/* In sync, but not alone: the plan has no refusal then, and few read its notes. */
static int keep_twin(struct assessment *a, const struct claims_findings *others)
{
    const struct notes *first = others->refusals.n > 0 ? &others->refusals : &others->notes;

    return first->n > 0 && plan_is_empty(a->plan) ? str_replace(&a->twin, first->items[0]) : 0;
}

static int make_plan(struct assessment *a, const struct assess_params *params,
                     const struct assess_fixed *fixed, size_t n_fixed, struct err *err)
{
    CLEANUP(pveconf_freep) struct pveconf *next = NULL;
    CLEANUP_FREE struct plan_fixed *slots = NULL;
    CLEANUP(claims_findings_fini) struct claims_findings others = {0};
    struct plan_input input = {
        .vmid = params->vmid, .fp = a->fp, .machines = params->machines, .n_fixed = n_fixed};
    int rc;

    slots = calloc(n_fixed + 1, sizeof(slots[0]));
    if (slots == NULL) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n_fixed; i++) {
        slots[i] = (struct plan_fixed){.slot = fixed[i].slot, .why = fixed[i].why};
    }
    input.fixed = slots;
    rc = pveconf_apply_pending(a->conf, &next);
    rc = rc < 0 ? rc : name_machine(a);
    rc = rc < 0 ? rc : claims_judge(params->claims, params->vmid, a->fp, next, &others);
    if (rc < 0) {
        return err_oom(err);
    }
    a->elsewhere = others.elsewhere;
    input.others = &others;
    input.conf = next;
    rc = plan_make(&input, &a->plan, err);
    return rc < 0 ? rc : keep_twin(a, &others) < 0 ? err_oom(err) : 0;
}

static int refuse_return(struct assessment *a, const struct claims_findings *others)
{
    int rc = 0;

    a->elsewhere = others->elsewhere;
    for (size_t i = 0; i < others->notes.n && rc == 0; i++) {
        rc = notes_add(&a->plan->notes, "%s", others->notes.items[i]);
    }
    for (size_t i = 0; i < others->refusals.n && rc == 0; i++) {
        rc = notes_add(&a->plan->refusals, "%s", others->refusals.items[i]);
    }
    if (rc == 0 && others->refusals.n > 0) {
        plan_clear_changes(a->plan);
    }
    return rc;
}

/* An identity that another VM has by now does not come back: an undo gives, too. */
static int guard_undo(struct assessment *a, const struct assess_params *params,
                      const struct pveconf *next)
{
    CLEANUP(pveconf_freep) struct pveconf *after = NULL;
    CLEANUP(claims_findings_fini) struct claims_findings others = {0};
    int rc = pveconf_apply_pending(next, &after); /* a copy */

    for (size_t i = 0; i < a->plan->n_changes && rc == 0; i++) {
        rc = pveconf_set(after, a->plan->changes[i].option, a->plan->changes[i].new);
    }
    rc = rc < 0 ? rc : claims_judge_return(params->claims, params->vmid, next, after, &others);
    return rc < 0 ? rc : refuse_return(a, &others);
}

static int make_undo_plan(struct assessment *a, const struct assess_params *params, struct err *err)
{
    CLEANUP(pveconf_freep) struct pveconf *next = NULL;
    int rc = pveconf_apply_pending(a->conf, &next);

    rc = rc < 0 ? rc : undo_plan(params->undo, params->vmid, next, &a->plan);
    rc = rc < 0 ? rc : guard_undo(a, params, next);
    return rc < 0 ? err_oom(err) : 0;
}

static int read_config(const struct assess_texts *texts, struct assessment *a, struct err *err)
{
    int rc = pveconf_parse(texts->config, texts->config_len, &a->conf, err);

    if (rc == 0) {
        a->attached = assess_is_our_hook(pveconf_get(a->conf, "hookscript"));
        a->deletes_pending = any_disk_deletion_pending(a->conf);
    }
    return rc;
}

static int read_both(const struct assess_texts *texts, const struct assess_params *params,
                     struct assessment *a)
{
    struct err why = {""};
    int rc;

    rc = read_config(texts, a, &why);
    if (rc < 0) {
        return problem(a, ASSESS_BAD_CONFIG, texts->config_path, rc, &why);
    }
    if (params->undo != NULL) {
        return 0; /* what a fingerprint wants is not asked */
    }
    if (texts->fingerprint_problem != NULL) {
        (void)err_set(&why, -EINVAL, "%s", texts->fingerprint_problem); /* only the text counts */
        a->outcome = ASSESS_BAD_FINGERPRINT;
        return str_replace(&a->problem, why.text);
    }
    rc = fingerprint_parse(texts->fingerprint, texts->fingerprint_len, &a->fp, &why);
    if (rc < 0) {
        return problem(a, ASSESS_BAD_FINGERPRINT, texts->fingerprint_path, rc, &why);
    }
    a->on_drift = a->fp->policy.has_on_drift ? a->fp->policy.on_drift : params->on_drift;
    a->on_error = a->fp->policy.has_on_error ? a->fp->policy.on_error : params->on_error;
    return 0;
}

/* No part of the key: what was decided for a pair of files holds on and after a hold. */
static int read_hold(const struct assess_texts *texts, struct assessment *a)
{
    if (texts->hold == NULL && texts->hold_problem == NULL) {
        return 0;
    }
    a->on_hold = hold_describe(texts->hold, texts->hold_len, texts->hold_path, texts->hold_problem);
    return a->on_hold == NULL ? -ENOMEM : 0;
}

int assess(const struct assess_texts *texts, const struct assess_params *params,
           const struct assess_fixed *fixed, size_t n_fixed, struct assessment **ret,
           struct err *err)
{
    CLEANUP(assessment_freep) struct assessment *a = calloc(1, sizeof(*a));
    struct err why = {""};
    int rc;

    if (a == NULL) {
        return err_oom(err);
    }
    a->outcome = ASSESS_PLANNED;
    a->on_drift = params->on_drift;
    a->on_error = params->on_error;
    rc = make_key(texts, a->key);
    if (rc < 0 || read_hold(texts, a) < 0) {
        return err_oom(err);
    }
    if (texts->config == NULL) {
        a->outcome = ASSESS_NO_CONFIG;
    } else if (texts->fingerprint == NULL && texts->fingerprint_problem == NULL &&
               params->undo == NULL) {
        a->outcome = ASSESS_NO_FINGERPRINT;
        /* Nothing to do with us, so a file that cannot be read is none of our business. */
        if (read_config(texts, a, &why) == -ENOMEM) {
            return err_oom(err);
        }
    } else {
        rc = read_both(texts, params, a);
        if (rc < 0) {
            return err_oom(err);
        }
    }
    if (a->outcome == ASSESS_PLANNED) {
        rc = params->undo != NULL ? make_undo_plan(a, params, &why)
                                  : make_plan(a, params, fixed, n_fixed, &why);
        if (rc == 0 && a->on_hold != NULL && params->undo == NULL) {
            rc = notes_add(&a->plan->notes,
                           "the VM is %s: nothing is changed until 'pve-hwid resume %u'",
                           a->on_hold, params->vmid);
        }
        if (rc < 0) {
            rc = problem(a, ASSESS_BAD_CONFIG, texts->config_path, rc, &why);
            if (rc < 0) {
                return err_oom(err);
            }
        }
    }
    *ret = STEAL(a);
    return 0;
}
