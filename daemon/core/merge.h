/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Several fingerprints of one VM, from several sources, to one: they complete one another, and
 * where they contradict each other that is told, attribute by attribute, with both values and both
 * sources.
 *
 * Whom to trust: the guest's own word (windows, dmidecode, slmgr) before the hypervisor's (vmx,
 * vcenter, ovf), because the guest is whom the identity is for. Only what the guest cannot know is
 * the hypervisor's: how many devices there are, in which order and in which slots. A contradiction
 * in the identity (uuid, serial, MAC, serial of a disk) is for people to settle: it means that one
 * of the files is about another VM, or was altered.
 */
#ifndef CORE_MERGE_H
#define CORE_MERGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/notes.h"

enum { MERGE_INPUTS_MAX = 16 };

struct merge_input {
    const struct fingerprint *fp;
    const char *name; /* for sentences: the file */
};

struct merge_conflict {
    char *attribute; /* "smbios.uuid", "nics[1].mac" */
    char *kept, *kept_from;
    char *other, *other_from; /* from: "windows, guest.json" */
    char *hint;               /* what it looks like, e.g. swapped bytes; NULL */
    bool identity;
    bool settled; /* by `prefer` */
};

struct merge {
    struct fingerprint *fp;
    struct merge_conflict *conflicts;
    size_t n, cap;
    struct notes notes; /* devices that only some of the sources name */
};

/*
 * `prefer`: a kind of source that is right where there is a contradiction; NULL. 0, also with
 * contradictions: ask merge_unsettled() before using the fingerprint. -EINVAL: nothing to merge, or
 * what comes out cannot be a fingerprint; -E2BIG: too many inputs; -ENOMEM.
 */
int merge_fingerprints(const struct merge_input *inputs, size_t n, const char *prefer,
                       struct merge **ret, struct err *err);
void merge_free(struct merge *merge);
DEFINE_CLEANUP(struct merge, merge_free)

/* Contradictions in the identity that nobody settled. */
size_t merge_unsettled(const struct merge *merge);
/* "smbios.uuid: A (windows, guest.json) against B (vmx, web1.vmx): hint". NULL: no memory. */
char *merge_conflict_text(const struct merge_conflict *conflict);

#endif
