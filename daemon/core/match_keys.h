/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What tells a machine, out of a fingerprint or a configuration: identity and name; for match.c. */
#ifndef CORE_MATCH_KEYS_H
#define CORE_MATCH_KEYS_H

#include "core/identity.h"

struct match_keys {
    struct identity id;
    char
        *name; /* as PVE would have to write it: lower case, '-' for what a host name cannot have */
};

/* 0 or -ENOMEM. */
int match_keys_of_fingerprint(const struct fingerprint *fp, struct match_keys *ret);
int match_keys_of_config(const struct pveconf *conf, struct match_keys *ret);
void match_keys_free(struct match_keys *keys, size_t n);
/* How many of `a`'s addresses `b` has. */
size_t match_keys_common_macs(const struct match_keys *a, const struct match_keys *b);

#endif
