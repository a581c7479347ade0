/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The index behind claims.h, for claims.c (keeping it) and claims_judge.c (asking it). */
#ifndef CORE_CLAIMS_INDEX_H
#define CORE_CLAIMS_INDEX_H

#include "core/claims.h"

#define CLAIMS_NONE UINT32_MAX /* no enumerator: ISO C wants those to be an int */

/* One key of one owner: in the chain of its hash, and in that of its owner. */
struct claims_entry {
    uint64_t hash;
    uint32_t owner;
    uint32_t next;       /* of the same bucket, or of the free ones */
    uint32_t next_owned; /* of the same owner */
};

struct claims_slot {
    uint32_t vmid; /* 0: free */
    uint8_t where; /* enum claims_where */
    bool is_template;
    uint16_t node; /* index; 0: this node */
    uint64_t stamp;
    uint32_t first; /* entry */
    uint32_t next;  /* of the same bucket, or of the free ones */
};

struct claims_bound {
    uint32_t vmid;
    int64_t ctime;
    char name[SMBIOS_UUID_SIZE];
};

struct claims_table {
    uint32_t *heads;
    size_t size; /* a power of two; 0: nothing yet */
};

struct claims {
    struct claims_entry *entries;
    size_t n_entries, cap_entries, used_entries;
    uint32_t free_entry;
    struct claims_table by_hash;
    struct claims_slot *slots;
    size_t n_slots, cap_slots, used_slots;
    uint32_t free_slot;
    struct claims_table by_owner;
    char **nodes; /* [0] is NULL: this node */
    size_t n_nodes, cap_nodes;
    struct claims_bound *bounds; /* ascending by vmid */
    size_t n_bounds, cap_bounds;
    char *gap; /* NULL: none */
};

/* The first entry of the chain that `hash` is in; CLAIMS_NONE. Others share the chain. */
uint32_t claims_chain(const struct claims *claims, uint64_t hash);
/* Does that owner claim the key? */
bool claims_has(const struct claims *claims, uint32_t vmid, enum claims_where where, uint64_t hash);
const struct claims_bound *claims_bound(const struct claims *claims, uint32_t vmid);

#endif
