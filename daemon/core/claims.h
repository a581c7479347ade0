/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who in the cluster claims which identity: by a fingerprint, or because a configuration carries
 * it. And the judgement whether a VM may be given what its fingerprint says (docs/DESIGN.md, "The
 * identity guard"). In short: the guard watches the *giving*. What a VM carries already is its own,
 * whoever else claims it; what it does not carry yet it gets only if nobody else has it.
 *
 * An index by hash, never the texts: ten thousand fingerprints take about 1.5 MiB.
 */
#ifndef CORE_CLAIMS_H
#define CORE_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/identity.h"
#include "core/notes.h"
#include "core/pveconf.h"

enum claims_where { CLAIMS_FINGERPRINT, CLAIMS_CONFIG };

struct claims_owner {
    uint32_t vmid;
    enum claims_where where;
    const char *node; /* of a configuration; NULL: this node. Copied */
    uint64_t stamp;   /* whatever the caller knows its source by */
    bool is_template;
};

struct claims;

int claims_new(struct claims **ret); /* 0 or -ENOMEM */
void claims_free(struct claims *claims);
DEFINE_CLEANUP(struct claims, claims_free)

/* What `owner` claims from now on, in the place of what it did: the keys of `n` identities (a
 * configuration with pending changes has two). n 0: known, and claims nothing. On -ENOMEM it claims
 * nothing and is not known. */
int claims_set(struct claims *claims, const struct claims_owner *owner, const struct identity *ids,
               size_t n);
void claims_drop(struct claims *claims, uint32_t vmid, enum claims_where where);
/* False: not known. ret->node is borrowed. */
bool claims_find(const struct claims *claims, uint32_t vmid, enum claims_where where,
                 struct claims_owner *ret);
/* One after the other, *at starting at 0; false at the end. Dropping the one shown is fine. */
bool claims_next(const struct claims *claims, size_t *at, struct claims_owner *ret);
size_t claims_size(const struct claims *claims); /* owners */

/* This VM, created at `ctime`, was once changed into the machine `name` (identity_name()). */
int claims_bind(struct claims *claims, uint32_t vmid, int64_t ctime, const char *name);

/* Whose configurations are not known, as a sentence; told wherever something would be given. NULL:
 * all are. 0 or -ENOMEM. */
int claims_set_gap(struct claims *claims, const char *why);

struct claims_findings {
    struct notes refusals; /* why VM must not be given its identity */
    struct notes notes;    /* who else has it, where nothing is given */
    bool elsewhere;        /* a refusal rests on a configuration of another node */
};

/* May VM `vmid` with this configuration ([PENDING] applied) become what `fp` says? `claims` NULL:
 * nothing is known of others. 0 or -ENOMEM. */
int claims_judge(const struct claims *claims, uint32_t vmid, const struct fingerprint *fp,
                 const struct pveconf *conf, struct claims_findings *ret);
/* May it become what `after` says, where that is a configuration it had before (an undo)? About
 * what it does not carry now, uuid and MACs: a serial number stays with clones, and may have been
 * theirs all the time. Else as above. */
int claims_judge_return(const struct claims *claims, uint32_t vmid, const struct pveconf *conf,
                        const struct pveconf *after, struct claims_findings *ret);
void claims_findings_fini(struct claims_findings *findings);

/* The other VMs that share a key with VM's fingerprint, by fingerprint or by configuration. */
struct claims_rivals {
    uint32_t *vmids;
    size_t n, cap;
};
int claims_rivals(const struct claims *claims, uint32_t vmid, const struct fingerprint *fp,
                  enum claims_where where, struct claims_rivals *ret);
void claims_rivals_fini(struct claims_rivals *rivals);

#endif
