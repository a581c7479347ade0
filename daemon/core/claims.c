/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See claims.h: keeping the index. Two hash tables with chains of indices over two arrays: a sorted
 * array would be moved through memory ten thousand times while the daemon starts.
 */
#include "core/claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/claims_index.h"

enum { TABLE_FIRST = 64, NODES_MAX = 1024 /* corosync ends far below */ };

int claims_new(struct claims **ret)
{
    CLEANUP(claims_freep) struct claims *claims = calloc(1, sizeof(*claims));

    if (claims == NULL ||
        vec_reserve(&claims->nodes, 0, &claims->cap_nodes, sizeof(claims->nodes[0])) < 0) {
        return -ENOMEM;
    }
    claims->nodes[claims->n_nodes++] = NULL;
    claims->free_entry = claims->free_slot = CLAIMS_NONE;
    *ret = STEAL(claims);
    return 0;
}

void claims_free(struct claims *claims)
{
    if (claims == NULL) {
        return;
    }
    for (size_t i = 0; i < claims->n_nodes; i++) {
        free(claims->nodes[i]);
    }
    free(claims->nodes);
    free(claims->entries);
    free(claims->slots);
    free(claims->by_hash.heads);
    free(claims->by_owner.heads);
    free(claims->bounds);
    free(claims->gap);
    free(claims);
}

size_t claims_size(const struct claims *claims)
{
    return claims->used_slots;
}

int claims_set_gap(struct claims *claims, const char *why)
{
    return str_replace(&claims->gap, why);
}

/* --- the tables ------------------------------------------------------------------------------- */

static uint32_t *head_of(const struct claims_table *table, uint64_t hash)
{
    return table->size == 0 ? NULL : &table->heads[hash & (table->size - 1)];
}

/* Owners are spread by their number: VMIDs come in rows. */
static uint64_t owner_hash(uint32_t vmid, enum claims_where where)
{
    return ((uint64_t)vmid << 1 | (uint64_t)where) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
}

/* Twice as large, still empty: the caller puts everything in again. 0 or -ENOMEM, unchanged. */
static int table_grow(struct claims_table *table)
{
    size_t size = table->size == 0 ? TABLE_FIRST : table->size * 2;
    uint32_t *heads = calloc(size, sizeof(*heads));

    if (heads == NULL) {
        return -ENOMEM;
    }
    memset(heads, 0xff, size * sizeof(*heads)); /* CLAIMS_NONE */
    free(table->heads);
    *table = (struct claims_table){heads, size};
    return 0;
}

static int grow_entries(struct claims *claims)
{
    if (claims->used_entries < claims->by_hash.size) {
        return 0;
    }
    if (table_grow(&claims->by_hash) < 0) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < claims->n_entries; i++) {
        struct claims_entry *entry = &claims->entries[i];

        if (entry->owner != CLAIMS_NONE) {
            uint32_t *head = head_of(&claims->by_hash, entry->hash);

            entry->next = *head;
            *head = i;
        }
    }
    return 0;
}

static int grow_slots(struct claims *claims)
{
    if (claims->used_slots < claims->by_owner.size) {
        return 0;
    }
    if (table_grow(&claims->by_owner) < 0) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < claims->n_slots; i++) {
        struct claims_slot *slot = &claims->slots[i];

        if (slot->vmid != 0) {
            uint32_t *head = head_of(&claims->by_owner,
                                     owner_hash(slot->vmid, (enum claims_where)slot->where));

            slot->next = *head;
            *head = i;
        }
    }
    return 0;
}

uint32_t claims_chain(const struct claims *claims, uint64_t hash)
{
    const uint32_t *head = head_of(&claims->by_hash, hash);

    return head == NULL ? CLAIMS_NONE : *head;
}

static uint32_t find_slot(const struct claims *claims, uint32_t vmid, enum claims_where where)
{
    const uint32_t *head = head_of(&claims->by_owner, owner_hash(vmid, where));
    uint32_t at = head == NULL ? CLAIMS_NONE : *head;

    while (at != CLAIMS_NONE &&
           (claims->slots[at].vmid != vmid || claims->slots[at].where != (uint8_t)where)) {
        at = claims->slots[at].next;
    }
    return at;
}

bool claims_has(const struct claims *claims, uint32_t vmid, enum claims_where where, uint64_t hash)
{
    uint32_t slot = find_slot(claims, vmid, where);
    uint32_t at = slot == CLAIMS_NONE ? CLAIMS_NONE : claims->slots[slot].first;

    while (at != CLAIMS_NONE && claims->entries[at].hash != hash) {
        at = claims->entries[at].next_owned;
    }
    return at != CLAIMS_NONE;
}

/* --- taking out ------------------------------------------------------------------------------- */

static void drop_entries(struct claims *claims, struct claims_slot *slot)
{
    while (slot->first != CLAIMS_NONE) {
        uint32_t at = slot->first;
        struct claims_entry *entry = &claims->entries[at];
        uint32_t *link = head_of(&claims->by_hash, entry->hash);

        while (*link != at) {
            link = &claims->entries[*link].next;
        }
        *link = entry->next;
        slot->first = entry->next_owned;
        entry->owner = CLAIMS_NONE;
        entry->next = claims->free_entry;
        claims->free_entry = at;
        claims->used_entries--;
    }
}

void claims_drop(struct claims *claims, uint32_t vmid, enum claims_where where)
{
    uint32_t at = find_slot(claims, vmid, where);
    uint32_t *link;

    if (at == CLAIMS_NONE) {
        return;
    }
    drop_entries(claims, &claims->slots[at]);
    link = head_of(&claims->by_owner, owner_hash(vmid, where));
    while (*link != at) {
        link = &claims->slots[*link].next;
    }
    *link = claims->slots[at].next;
    claims->slots[at].vmid = 0;
    claims->slots[at].next = claims->free_slot;
    claims->free_slot = at;
    claims->used_slots--;
}

/* --- putting in ------------------------------------------------------------------------------- */

/* A few names, which stay until the end: a cluster has the same nodes for years. */
static int find_node(struct claims *claims, const char *node, uint16_t *ret)
{
    char *copy;

    for (size_t i = 0; i < claims->n_nodes; i++) {
        if (str_equal(claims->nodes[i], node) || (node == NULL && i == 0)) {
            *ret = (uint16_t)i;
            return 0;
        }
    }
    if (claims->n_nodes == NODES_MAX ||
        vec_reserve(&claims->nodes, claims->n_nodes, &claims->cap_nodes, sizeof(char *)) < 0) {
        return -ENOMEM;
    }
    copy = str_dup(node);
    if (copy == NULL) {
        return -ENOMEM;
    }
    *ret = (uint16_t)claims->n_nodes;
    claims->nodes[claims->n_nodes++] = copy;
    return 0;
}

static int add_slot(struct claims *claims, uint32_t vmid, enum claims_where where, uint32_t *ret)
{
    uint32_t at = claims->free_slot;
    uint32_t *head;

    if (grow_slots(claims) < 0) {
        return -ENOMEM;
    }
    if (at != CLAIMS_NONE) {
        claims->free_slot = claims->slots[at].next;
    } else {
        if (vec_reserve(&claims->slots, claims->n_slots, &claims->cap_slots,
                        sizeof(claims->slots[0])) < 0) {
            return -ENOMEM;
        }
        at = (uint32_t)claims->n_slots++;
    }
    head = head_of(&claims->by_owner, owner_hash(vmid, where));
    claims->slots[at] = (struct claims_slot){
        .vmid = vmid, .where = (uint8_t)where, .first = CLAIMS_NONE, .next = *head};
    *head = at;
    claims->used_slots++;
    *ret = at;
    return 0;
}

static int add_entry(struct claims *claims, uint32_t owner, uint64_t hash)
{
    uint32_t at = claims->free_entry;
    uint32_t *head;

    if (grow_entries(claims) < 0) {
        return -ENOMEM;
    }
    if (at != CLAIMS_NONE) {
        claims->free_entry = claims->entries[at].next;
    } else {
        if (vec_reserve(&claims->entries, claims->n_entries, &claims->cap_entries,
                        sizeof(claims->entries[0])) < 0) {
            return -ENOMEM;
        }
        at = (uint32_t)claims->n_entries++;
    }
    head = head_of(&claims->by_hash, hash);
    claims->entries[at] = (struct claims_entry){
        .hash = hash, .owner = owner, .next = *head, .next_owned = claims->slots[owner].first};
    *head = at;
    claims->slots[owner].first = at;
    claims->used_entries++;
    return 0;
}

static int add_keys(struct claims *claims, uint32_t owner, const struct identity *id)
{
    struct identity_key keys[IDENTITY_KEYS_MAX];
    size_t n = identity_keys(id, keys);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct claims_slot *slot = &claims->slots[owner];

        if (!claims_has(claims, slot->vmid, (enum claims_where)slot->where, keys[i].hash)) {
            rc = add_entry(claims, owner, keys[i].hash);
        }
    }
    return rc;
}

int claims_set(struct claims *claims, const struct claims_owner *owner, const struct identity *ids,
               size_t n)
{
    uint32_t at = find_slot(claims, owner->vmid, owner->where);
    uint16_t node = 0;
    int rc = find_node(claims, owner->node, &node);

    if (rc == 0 && at == CLAIMS_NONE) {
        rc = add_slot(claims, owner->vmid, owner->where, &at);
    } else if (rc == 0) {
        drop_entries(claims, &claims->slots[at]);
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = add_keys(claims, at, &ids[i]);
    }
    if (rc < 0) {
        claims_drop(claims, owner->vmid, owner->where);
        return rc;
    }
    claims->slots[at].node = node;
    claims->slots[at].stamp = owner->stamp;
    claims->slots[at].is_template = owner->is_template;
    return 0;
}

/* --- looking ---------------------------------------------------------------------------------- */

static struct claims_owner owner_of(const struct claims *claims, const struct claims_slot *slot)
{
    return (struct claims_owner){.vmid = slot->vmid,
                                 .where = (enum claims_where)slot->where,
                                 .node = claims->nodes[slot->node],
                                 .stamp = slot->stamp,
                                 .is_template = slot->is_template};
}

bool claims_find(const struct claims *claims, uint32_t vmid, enum claims_where where,
                 struct claims_owner *ret)
{
    uint32_t at = find_slot(claims, vmid, where);

    if (at == CLAIMS_NONE) {
        return false;
    }
    *ret = owner_of(claims, &claims->slots[at]);
    return true;
}

bool claims_next(const struct claims *claims, size_t *at, struct claims_owner *ret)
{
    while (*at < claims->n_slots) {
        const struct claims_slot *slot = &claims->slots[(*at)++];

        if (slot->vmid != 0) {
            *ret = owner_of(claims, slot);
            return true;
        }
    }
    return false;
}

/* --- bindings --------------------------------------------------------------------------------- */

static size_t bound_position(const struct claims *claims, uint32_t vmid)
{
    size_t low = 0, high = claims->n_bounds;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (claims->bounds[middle].vmid < vmid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct claims_bound *claims_bound(const struct claims *claims, uint32_t vmid)
{
    size_t at = bound_position(claims, vmid);

    return at < claims->n_bounds && claims->bounds[at].vmid == vmid ? &claims->bounds[at] : NULL;
}

int claims_bind(struct claims *claims, uint32_t vmid, int64_t ctime, const char *name)
{
    size_t at = bound_position(claims, vmid);
    struct claims_bound *bound;

    if (at == claims->n_bounds || claims->bounds[at].vmid != vmid) {
        if (vec_reserve(&claims->bounds, claims->n_bounds, &claims->cap_bounds,
                        sizeof(claims->bounds[0])) < 0) {
            return -ENOMEM;
        }
        memmove(&claims->bounds[at + 1], &claims->bounds[at],
                (claims->n_bounds - at) * sizeof(claims->bounds[0]));
        claims->n_bounds++;
    }
    bound = &claims->bounds[at];
    *bound = (struct claims_bound){.vmid = vmid, .ctime = ctime};
    memcpy(bound->name, name, strnlen(name, sizeof(bound->name) - 1));
    return 0;
}
