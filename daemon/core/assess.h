/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One look at a VM: its configuration and its fingerprint, both read afresh, and the plan between
 * them. The daemon's hook answer, its early rewriting and its verification all start from this one
 * value, so that they cannot disagree.
 */
#ifndef CORE_ASSESS_H
#define CORE_ASSESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/claims.h"
#include "core/fingerprint.h"
#include "core/plan.h"
#include "core/pveconf.h"
#include "core/smbios_uuid.h"
#include "core/undo.h"

enum assess_outcome {
    ASSESS_NO_FINGERPRINT,  /* nothing to do with us; conf is there where it can be read */
    ASSESS_NO_CONFIG,       /* no such VM on this node */
    ASSESS_BAD_FINGERPRINT, /* `problem` names file, place and cure */
    ASSESS_BAD_CONFIG,      /* likewise */
    ASSESS_PLANNED,         /* conf, fp (but for an undo) and plan are there */
};

struct assess_texts {
    const char *config; /* NULL: no such file on this node */
    size_t config_len;
    const char *config_path; /* for sentences */
    const char *fingerprint; /* NULL: there is none */
    size_t fingerprint_len;
    const char *fingerprint_path;
    const char *fingerprint_problem; /* it is there but could not be read: why */
    const char *hold;                /* NULL: there is none */
    size_t hold_len;
    const char *hold_path;
    const char *hold_problem; /* likewise; it holds all the same */
};

struct assess_params {
    uint32_t vmid;
    const struct machine_list *machines; /* may be NULL */
    enum fingerprint_drift on_drift;     /* for fingerprints that do not say */
    enum fingerprint_on_error on_error;
    /* Where the plan comes from: NULL: the fingerprint; else a change set that is to be undone,
     * whatever the fingerprint says, or none. */
    const struct undo *undo;
    const struct claims *claims; /* who else has which identity; may be NULL */
};

/* A disk that must stay where it is in this look, and why (its volume is away). */
struct assess_fixed {
    char slot[16];
    char why[200];
};

struct assessment {
    enum assess_outcome outcome;
    char *problem; /* with the BAD outcomes; NULL else */
    struct pveconf *conf;
    struct fingerprint *fp;
    struct plan *plan;
    /* Names both texts: what was decided once holds until one of them changes. */
    char key[SMBIOS_UUID_SIZE];
    enum fingerprint_drift on_drift;
    enum fingerprint_on_error on_error;
    int64_t ctime;               /* when PVE made the VM; 0: not said */
    char name[SMBIOS_UUID_SIZE]; /* of the fingerprint's machine, identity_name(); "" */
    char *twin;     /* in sync, but another VM has its identity, too: the first sentence; or NULL */
    bool elsewhere; /* refused for what a VM on another node has: look there again */
    char *on_hold;  /* by whom and why, a clause; NULL: it is not on hold (core/hold.h) */
    bool attached;  /* its hookscript is ours */
    bool
        deletes_pending; /* [PENDING] would delete a disk: any change by the API carries that out */
};

int assess(const struct assess_texts *texts, const struct assess_params *params,
           const struct assess_fixed *fixed, size_t n_fixed, struct assessment **ret,
           struct err *err);
void assessment_free(struct assessment *a);
DEFINE_CLEANUP(struct assessment, assessment_free)

/* Is `volid` (the value of hookscript:) our hook? By its name, as setup installs it. */
bool assess_is_our_hook(const char *volid);

#endif
