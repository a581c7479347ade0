/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What store.c (the whole), store_watch.c (noticing changes) and store_read.c share. */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include <sys/types.h>

#include "store.h"
#include "store_index.h"

/* Fingerprints, and in the same two directories the holds: watched and compared alike, but an index
 * of its own for each, since a hold alone makes no VM one of ours. */
enum {
    STORE_DIR_LOCAL,
    STORE_DIR_CLUSTER,
    STORE_HOLD_LOCAL,
    STORE_HOLD_CLUSTER,
    STORE_DIRS,
};

struct store_dir {
    struct store *store;
    char *path;
    const char *suffix; /* of the files that count here */
    char *alive; /* only while this exists is a missing directory an empty one; NULL: always */
    sd_event_source *watch;
    bool watch_is_parent; /* the directory is missing: waiting for it to appear */
    dev_t dev;            /* of what is watched */
    ino_t ino;
    struct store_index index;
    struct store_index waiting;
    struct store_index young; /* told of, and to be told of again */
};

struct store {
    sd_event *event;
    sd_event_source *rescan_timer, *settle_timer;
    uint64_t rescan_us;
    struct store_dir dirs[STORE_DIRS];
    store_changed changed;
    void *userdata;
};

/* Looks at the directory for the first time and watches it. */
int store_watch_init(struct store *store);

#endif
