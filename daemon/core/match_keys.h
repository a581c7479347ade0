/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What identifies a machine, out of a fingerprint or a configuration; for match.c. */
#ifndef CORE_MATCH_KEYS_H
#define CORE_MATCH_KEYS_H

#include <stdbool.h>

#include "core/fingerprint.h"
#include "core/pveconf.h"
#include "core/smbios_uuid.h"

struct match_keys {
    bool has_uuid;
    struct smbios_uuid uuid; /* as QEMU is told it */
    char *serial;            /* VMware's in one spelling, others as they are; NULL: none */
    char macs[FINGERPRINT_NICS_MAX][MAC_SIZE]; /* lower case */
    size_t n_macs;
    char
        *name; /* as PVE would have to write it: lower case, '-' for what a host name cannot have */
    bool is_template;
};

/* 0 or -ENOMEM. */
int match_keys_of_fingerprint(const struct fingerprint *fp, struct match_keys *ret);
int match_keys_of_config(const struct pveconf *conf, struct match_keys *ret);
void match_keys_free(struct match_keys *keys, size_t n);
/* How many of `a`'s addresses `b` has. */
size_t match_keys_common_macs(const struct match_keys *a, const struct match_keys *b);

#endif
