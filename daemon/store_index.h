/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A sorted array of VMIDs, each with a stamp: a hash of size and times of its file. 24 bytes a file
 * and no contents, so that thousands of fingerprints cost nothing worth mentioning. For the
 * store, and for engine_claims.c, which watches this node's configurations by it.
 *
 * A stamp is no proof. pmxcfs has times in whole seconds, and no inode, version or generation that
 * would tell more: what is written twice within a second with one length has one stamp. But once
 * STORE_YOUNG_MS have gone by since a stamp was first seen, nobody writes under it any more, and
 * what is read after that is what stays. That is measured by our monotonic clock: other nodes,
 * whose wall clocks the times are from, may be seconds off.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORE_VMID_MAX = 999999999, /* PVE's own limit */
    STORE_YOUNG_MS = 2000,      /* twice what it needs: the timer is no exact one */
};

struct store_item {
    uint32_t vmid;
    uint32_t due;   /* of an item that waits: ms, wraps; see store.c */
    uint64_t stamp; /* 0: no such file */
    bool young;     /* its time is of whole seconds and lately: it may change under this stamp */
};

struct store_index {
    struct store_item *items; /* by vmid, ascending */
    size_t n, cap;
};

void store_index_fini(struct store_index *index);
struct store_item *store_index_find(const struct store_index *index, uint32_t vmid);
uint64_t store_index_stamp(const struct store_index *index, uint32_t vmid); /* 0: not there */
/* The item of `vmid`, made (all zero but vmid) where it is not there; NULL: no memory. */
struct store_item *store_index_add(struct store_index *index, uint32_t vmid);
void store_index_remove(struct store_index *index, uint32_t vmid);

/* `suffix`: ".json" or ".hold". The VMID of "105.json"; 0: some other name. */
uint32_t store_vmid_of(const char *name, const char *suffix);
/* Stamps item->vmid's file in that directory. -errno: nobody can say, *item is as before. */
int store_stamp(int dir_fd, const char *suffix, struct store_item *item);
/* All VMID.json of that directory. On failure *ret is as before. One that is there and cannot be
 * looked at is a failure, or, where ret_unseen asks for their number, has the stamp 0. */
int store_scan(int dir_fd, const char *suffix, struct store_index *ret, size_t *ret_unseen);

#endif
