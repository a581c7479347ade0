/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hold of a VM: a file VMID.hold beside its fingerprint, which root's command line writes and
 * takes away. While it is there pve-hwid leaves the VM as it is. The file is the truth, not the
 * daemon's memory: it works without a daemon, and PVE replicates it to the node the VM goes to. A
 * hold that cannot be read or understood holds all the same: that is the safe side.
 */
#ifndef CORE_HOLD_H
#define CORE_HOLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

enum {
    HOLD_FORMAT = 1,
    HOLD_MAX = 4096,    /* bytes of the file */
    HOLD_WHY_MAX = 300, /* a reason is one line of a task log */
    HOLD_BY_MAX = 128,  /* user@host */
    HOLD_SINCE_MAX = 40 /* ISO 8601 UTC */
};

struct hold {
    char *since;
    char *by;
    char *why; /* NULL: none was given */
};

/* -EINVAL with the place, -EFBIG, -ENOMEM. */
int hold_parse(const char *text, size_t len, struct hold **ret, struct err *err);
/* The file's text; the caller's. -EINVAL where a part is too long, has control characters or is no
 * UTF-8. */
int hold_format(const struct hold *hold, char **ret_text, struct err *err);
void hold_free(struct hold *hold);
DEFINE_CLEANUP(struct hold, hold_free)

/* "on hold since 2026-11-23T10:00:00Z by root@pve1 (waiting for the vendor)": of the file's text,
 * or of `problem` where it could not be read (text NULL). Always something; NULL: no memory. */
char *hold_describe(const char *text, size_t len, const char *path, const char *problem);

#endif
