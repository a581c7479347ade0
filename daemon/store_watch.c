/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two signs of a change, one way to the report: an inotify event or a difference found
 * by a rescan puts the VMID among the `waiting` ones with the stamp seen; once the stamp has been
 * the same for SETTLE_MS it is compared with the index, and only a difference is told. So a file
 * that is written in pieces, or replaced by delete and create, is one change. A change whose stamp
 * is young (store_index.h) is told of again when it is not any more: on pmxcfs another one may have
 * come under the same stamp, without an event where another node made it.
 *
 * Ten thousand that come or go at once are told of over many turns of the event loop, so that no
 * hook waits for all of them.
 *
 * What cannot be seen is not gone: where a directory cannot be read (pmxcfs restarts) the index
 * stays, or each restart of pve-cluster would be ten thousand deletions and arrivals.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/str.h"
#include "io/clock.h"
#include "io/file.h"
#include "store_private.h"

enum {
    SETTLE_MS = 150,
    RETRY_MS = 1000, /* for what cannot be looked at right now */
    ACCURACY_US = 5000,
    TURN_US = 5000, /* of telling, per turn of the event loop: each one that is told of is read */
};

static const uint32_t FILE_EVENTS = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE |
                                    IN_MOVED_FROM | IN_MOVED_TO;
static const uint32_t SELF_EVENTS = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED |
                                    IN_Q_OVERFLOW;

/* --- waiting until a file is still --------------------------------------------------------- */

/* Milliseconds that wrap after 49 days: compared by differences only. */
static uint32_t store_now(const struct store *store)
{
    uint64_t usec = 0;

    (void)sd_event_now(store->event, CLOCK_MONOTONIC, &usec); /* that clock is always there */
    return (uint32_t)(usec / 1000);
}

static bool is_due(uint32_t due, uint32_t now)
{
    return (int32_t)(due - now) <= 0;
}

/* How long until the first of them is due; UINT32_MAX: none is there. */
static uint32_t time_left(const struct store_index *index, uint32_t now)
{
    uint32_t least = UINT32_MAX;

    for (size_t i = 0; i < index->n; i++) {
        uint32_t due = index->items[i].due;
        uint32_t left = is_due(due, now) ? 0 : due - now;

        least = left < least ? left : least;
    }
    return least;
}

static void store_arm(struct store *store)
{
    uint32_t now = store_now(store);
    uint32_t least = UINT32_MAX;

    for (size_t d = 0; d < STORE_DIRS; d++) {
        uint32_t waiting = time_left(&store->dirs[d].waiting, now);
        uint32_t young = time_left(&store->dirs[d].young, now);

        least = waiting < least ? waiting : least;
        least = young < least ? young : least;
    }
    if (least == UINT32_MAX) {
        return;
    }
    /* Neither can fail for a timer that exists. */
    (void)sd_event_source_set_time_relative(store->settle_timer, (uint64_t)least * 1000);
    (void)sd_event_source_set_enabled(store->settle_timer, SD_EVENT_ONESHOT);
}

/* Without memory the rescan sees the difference again later. */
static void dir_wait(struct store_dir *dir, uint32_t vmid, uint64_t stamp)
{
    struct store_item *item = store_index_add(&dir->waiting, vmid);

    if (item != NULL) {
        item->stamp = stamp;
        item->due = store_now(dir->store) + SETTLE_MS;
    }
}

/* Without memory a second change within that second is seen at the VM's next start or stop. */
static void dir_tell_again(struct store_dir *dir, uint32_t vmid)
{
    struct store_item *item = store_index_add(&dir->young, vmid);

    if (item != NULL) {
        item->due = store_now(dir->store) + STORE_YOUNG_MS;
    }
}

/* True: nothing more to wait for. */
static bool dir_settle(struct store_dir *dir, int dir_fd, struct store_item *item)
{
    struct store *store = dir->store;
    struct store_item now = {.vmid = item->vmid};
    struct store_item *known;

    if (dir_fd >= 0 && store_stamp(dir_fd, dir->suffix, &now) < 0) {
        item->due = store_now(store) + RETRY_MS;
        return false;
    }
    if (now.stamp != item->stamp) {
        item->stamp = now.stamp;
        item->due = store_now(store) + SETTLE_MS;
        return false;
    }
    if (now.young) {
        dir_tell_again(dir, item->vmid);
    }
    if (now.stamp == store_index_stamp(&dir->index, item->vmid)) {
        /* As it was, for example gone and back again. A hold that came and went may have met a look
         * in between, which wrote it down: so it is told all the same. */
        if (dir == &store->dirs[STORE_HOLD_LOCAL] || dir == &store->dirs[STORE_HOLD_CLUSTER]) {
            store->changed(store->userdata, item->vmid);
        }
        return true;
    }
    if (now.stamp == 0) {
        store_index_remove(&dir->index, item->vmid);
    } else {
        known = store_index_add(&dir->index, item->vmid);
        if (known == NULL) {
            item->due = store_now(store) + RETRY_MS;
            return false;
        }
        known->stamp = now.stamp;
    }
    store->changed(store->userdata, item->vmid);
    return true;
}

/* 0 and *ret_fd, which is -1 where the directory is missing and that means empty; or -errno: nobody
 * can say what is in there. */
static int dir_open(const struct store_dir *dir, int *ret_fd)
{
    int rc = file_open_dir(AT_FDCWD, dir->path, ret_fd, NULL);

    if (rc == -ENOENT && (dir->alive == NULL || file_exists(AT_FDCWD, dir->alive))) {
        *ret_fd = -1;
        return 0;
    }
    return rc;
}

static void dir_settle_due(struct store_dir *dir, uint64_t until_us)
{
    struct store_index *waiting = &dir->waiting;
    uint32_t now = store_now(dir->store);
    CLEANUP_FD int fd = -1;
    bool readable;
    size_t kept = 0;

    if (waiting->n == 0) {
        return;
    }
    readable = dir_open(dir, &fd) == 0;
    for (size_t i = 0; i < waiting->n; i++) {
        struct store_item item = waiting->items[i];

        if (is_due(item.due, now) && clock_monotonic_us() < until_us) {
            if (!readable) {
                continue; /* the rescan will see the difference when the directory is back */
            }
            if (dir_settle(dir, fd, &item)) {
                continue;
            }
        }
        waiting->items[kept++] = item;
    }
    waiting->n = kept;
    if (kept == 0) {
        store_index_fini(waiting); /* gives back what a mass of changes took */
    }
}

static void dir_tell_young(struct store_dir *dir, uint64_t until_us)
{
    struct store_index *young = &dir->young;
    uint32_t now = store_now(dir->store);
    size_t kept = 0;

    for (size_t i = 0; i < young->n; i++) {
        if (is_due(young->items[i].due, now) && clock_monotonic_us() < until_us) {
            dir->store->changed(dir->store->userdata, young->items[i].vmid);
        } else {
            young->items[kept++] = young->items[i];
        }
    }
    young->n = kept;
    if (kept == 0) {
        store_index_fini(young);
    }
}

static int store_on_settle(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct store *store = userdata;
    uint64_t until_us = clock_monotonic_us() + TURN_US;

    (void)source;
    (void)usec;
    for (size_t d = 0; d < STORE_DIRS; d++) {
        dir_settle_due(&store->dirs[d], until_us);
        dir_tell_young(&store->dirs[d], until_us);
    }
    store_arm(store);
    return 0;
}

/* --- noticing ------------------------------------------------------------------------------ */

static void store_rescan_in(struct store *store, uint64_t usec)
{
    /* Neither can fail for a timer that exists. */
    (void)sd_event_source_set_time_relative(store->rescan_timer, usec);
    (void)sd_event_source_set_enabled(store->rescan_timer, SD_EVENT_ONESHOT);
}

static void dir_on_file_event(struct store_dir *dir, const char *name)
{
    struct store_item item = {.vmid = store_vmid_of(name, dir->suffix)};
    CLEANUP_FD int fd = -1;

    if (item.vmid == 0 || dir_open(dir, &fd) < 0) {
        return;
    }
    if (fd >= 0 && store_stamp(fd, dir->suffix, &item) < 0) {
        item.stamp = 0; /* dir_settle() looks again */
    }
    dir_wait(dir, item.vmid, item.stamp);
    store_arm(dir->store);
}

static int dir_on_inotify(sd_event_source *source, const struct inotify_event *e, void *userdata)
{
    struct store_dir *dir = userdata;

    (void)source;
    if ((e->mask & SELF_EVENTS) != 0) {
        dir->dev = 0; /* the watch is worth nothing any more: numbers may come again */
        dir->ino = 0;
        store_rescan_in(dir->store, 0);
    } else if (dir->watch_is_parent) {
        if (e->len > 0 && str_equal(e->name, strrchr(dir->path, '/') + 1)) {
            store_rescan_in(dir->store, 0);
        }
    } else if (e->len > 0) {
        dir_on_file_event(dir, e->name);
    }
    return 0;
}

/* Watches what `fd` is, unless that is watched already. Without a watch (too many in the system)
 * there is still the rescan. */
static void dir_watch(struct store_dir *dir, int fd, bool parent)
{
    uint32_t events = FILE_EVENTS | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    struct stat st;

    if (fstat(fd, &st) < 0 || (dir->watch != NULL && dir->watch_is_parent == parent &&
                               dir->dev == st.st_dev && dir->ino == st.st_ino)) {
        return;
    }
    dir->watch = sd_event_source_disable_unref(dir->watch);
    if (sd_event_add_inotify_fd(dir->store->event, &dir->watch, fd, events, dir_on_inotify, dir) >=
        0) {
        dir->watch_is_parent = parent;
        dir->dev = st.st_dev;
        dir->ino = st.st_ino;
    }
}

static void dir_watch_parent(struct store_dir *dir)
{
    CLEANUP_FREE char *parent = str_ndup(dir->path, (size_t)(strrchr(dir->path, '/') - dir->path));
    CLEANUP_FD int fd = -1;

    if (parent != NULL &&
        file_open_dir(AT_FDCWD, parent[0] != '\0' ? parent : "/", &fd, NULL) == 0) {
        dir_watch(dir, fd, true);
    }
}

/* What is there now. The watch comes first, so that nothing falls between the two. -errno: nobody
 * can say. */
static int dir_look(struct store_dir *dir, struct store_index *ret)
{
    CLEANUP_FD int fd = -1;
    int rc = dir_open(dir, &fd);

    if (rc == 0 && fd >= 0) {
        dir_watch(dir, fd, false);
        return store_scan(fd, dir->suffix, ret, NULL);
    }
    if (rc == 0 || rc == -ENOENT) {
        dir_watch_parent(dir);
        if (rc == 0 && file_exists(AT_FDCWD, dir->path)) {
            store_rescan_in(dir->store, 0); /* it came between the two */
        }
    }
    return rc;
}

/* Two sorted arrays, side by side. */
static void dir_compare(struct store_dir *dir, const struct store_index *found)
{
    const struct store_index *known = &dir->index;
    size_t k = 0;
    size_t f = 0;

    while (k < known->n || f < found->n) {
        const struct store_item *old = k < known->n ? &known->items[k] : NULL;
        const struct store_item *new = f < found->n ? &found->items[f] : NULL;

        if (new == NULL || (old != NULL && old->vmid < new->vmid)) {
            dir_wait(dir, old->vmid, 0);
            k++;
        } else if (old == NULL || new->vmid < old->vmid) {
            dir_wait(dir, new->vmid, new->stamp);
            f++;
        } else {
            if (old->stamp != new->stamp) {
                dir_wait(dir, new->vmid, new->stamp);
            }
            k++;
            f++;
        }
    }
}

static int store_on_rescan(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct store *store = userdata;

    (void)source;
    (void)usec;
    store_rescan_in(store, store->rescan_us);
    for (size_t d = 0; d < STORE_DIRS; d++) {
        CLEANUP(store_index_fini) struct store_index found = {0};

        if (dir_look(&store->dirs[d], &found) == 0) {
            dir_compare(&store->dirs[d], &found);
        }
    }
    store_arm(store);
    return 0;
}

static int store_init_timers(struct store *store)
{
    int rc = sd_event_add_time_relative(store->event, &store->rescan_timer, CLOCK_MONOTONIC,
                                        store->rescan_us, ACCURACY_US, store_on_rescan, store);

    if (rc >= 0) {
        rc = sd_event_add_time_relative(store->event, &store->settle_timer, CLOCK_MONOTONIC, 0,
                                        ACCURACY_US, store_on_settle, store);
    }
    return rc < 0 ? rc : sd_event_source_set_enabled(store->settle_timer, SD_EVENT_OFF);
}

int store_watch_init(struct store *store)
{
    int rc = store_init_timers(store);

    for (size_t d = 0; d < STORE_DIRS && rc >= 0; d++) {
        struct store_dir *dir = &store->dirs[d];

        if (dir_look(dir, &dir->index) == -ENOMEM) {
            rc = -ENOMEM; /* anything else may be better at the next rescan */
        }
        for (size_t i = 0; i < dir->index.n; i++) {
            if (dir->index.items[i].young) {
                dir_tell_again(dir, dir->index.items[i].vmid);
            }
        }
    }
    store_arm(store);
    return rc;
}
