/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a VM is that is not on this node, and what is known of it all the same: one sentence for
 * all verbs that take the number of a VM. By the files of the cluster, which root can read; it
 * needs no daemon, and where the files cannot be read the sentence says less.
 */
#ifndef CLI_WHERE_H
#define CLI_WHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "core/settings.h"

enum where_is {
    WHERE_UNKNOWN, /* pmxcfs does not run, or somebody asks who is not root */
    WHERE_HERE,
    WHERE_ELSEWHERE,
    WHERE_NOWHERE, /* not in the whole cluster */
};

struct where {
    enum where_is is;
    char *node;       /* where it is; NULL: not known, or nowhere */
    bool fingerprint; /* it has one, here or in the cluster */
    bool journal;     /* it was changed while it was here */
};

/* Never fails: what cannot be found out is not known. */
void where_find(const struct settings *settings, uint32_t vmid, struct where *ret);
void where_fini(struct where *where);

/* Why `verb` can do nothing for it, without the VM's number, which stands before it; and how to go
 * on. The caller's; NULL: no memory. */
char *where_why_not(const struct where *where, uint32_t vmid, const char *verb);
/* The same found out and told: CLI_ERROR. */
enum cli_exit where_fail(const struct cli *cli, uint32_t vmid);

#endif
