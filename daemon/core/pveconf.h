/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reader of PVE's /etc/pve/qemu-server/VMID.conf as PVE itself reads it (recordings 12, 12b): main
 * section, [PENDING], [special:NAME], snapshots, the description in leading and inner comments
 * (decoded bytes, not checked to be UTF-8; other sections have theirs as the key "description").
 * Unknown keys are kept; a key that comes twice counts with its last value, as with PVE. Lines PVE
 * would ignore now and delete with the next change are collected in `bad`: nobody may change such
 * a file through the API without losing them. We never write this format (law 4).
 */
#ifndef CORE_PVECONF_H
#define CORE_PVECONF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
    PVECONF_MAX = 1024 * 1024, /* pmxcfs: the largest file */
    PVECONF_KEYS_MAX = 2048,   /* keys of one section */
    PVECONF_SECTIONS_MAX = 1024,
    PVECONF_BAD_MAX = 100, /* that many bad lines are told; nobody reads more */
};

enum pveconf_kind { PVECONF_MAIN, PVECONF_PENDING, PVECONF_SPECIAL, PVECONF_SNAPSHOT };

struct pveconf_key {
    char *key;
    char *value;
    unsigned line; /* 1-based */
};

struct pveconf_section {
    enum pveconf_kind kind;
    char *name; /* of a snapshot, or behind "special:"; "" else */
    struct pveconf_key *keys;
    size_t n, cap;
};

struct pveconf_bad {
    unsigned line;
    char *text; /* the line, cut to 120 bytes, unprintable bytes as '?' */
    char *why;
};

struct pveconf {
    struct pveconf_section *sections; /* [0] is always the main section */
    size_t n_sections, cap_sections;
    char *description; /* decoded; NULL: none */
    struct pveconf_bad *bad;
    size_t n_bad, cap_bad;
};

/* -EINVAL only where it cannot be a VM configuration at all (a NUL byte, over the limits). */
int pveconf_parse(const char *text, size_t len, struct pveconf **ret_conf, struct err *err);
void pveconf_free(struct pveconf *conf);
DEFINE_CLEANUP(struct pveconf, pveconf_free)

/* Value of a key of the main section; NULL where absent. */
const char *pveconf_get(const struct pveconf *conf, const char *key);
/* As QEMU gets it after the next start or stop: [PENDING] applied, its deletions too. */
const char *pveconf_get_pending(const struct pveconf *conf, const char *key);
const struct pveconf_section *pveconf_section(const struct pveconf *conf, enum pveconf_kind kind);
bool pveconf_has_pending(const struct pveconf *conf);
/* True where [PENDING] would delete `key`. `delete:` items may carry a leading '!' (force). */
bool pveconf_pending_deletes(const struct pveconf *conf, const char *key);
/* A copy whose main section is what the next start sees and which has no [PENDING]. */
int pveconf_apply_pending(const struct pveconf *conf, struct pveconf **ret_conf);
/* An option of the main section in memory, to look at what would be; value NULL takes it away. */
int pveconf_set(struct pveconf *conf, const char *key, const char *value);

#endif
