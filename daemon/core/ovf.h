/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VMware's OVF descriptor to fingerprints, one for each VM in it (facts/vmware.md 2). An export
 * mostly leaves out what tells one machine from another: the notes say what is missing and where to
 * get it.
 */
#ifndef CORE_OVF_H
#define CORE_OVF_H

#include <stddef.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/notes.h"

enum { OVF_MAX = 8 * 1024 * 1024 }; /* bytes; real ones have 5 to 50 KiB */

struct ovf_vm {
    struct fingerprint *fp;
    struct notes notes;
};

struct ovf_vms {
    struct ovf_vm *items;
    size_t n, cap;
};

void ovf_vms_fini(struct ovf_vms *vms);

/* At least one VM, or a sentence. `captured` (ISO 8601) may be NULL. */
int ovf_capture(const char *text, size_t len, const char *captured, struct ovf_vms *ret_vms,
                struct err *err);

#endif
