/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See store.h: making it, and questions to the index. store_watch.c keeps the index true. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "store_private.h"

static int store_init_paths(struct store *store, const struct settings *settings)
{
    for (size_t d = 0; d < STORE_DIRS; d++) {
        struct store_dir *dir = &store->dirs[d];
        bool local = d == STORE_DIR_LOCAL || d == STORE_HOLD_LOCAL;

        dir->store = store;
        dir->suffix = d == STORE_DIR_LOCAL || d == STORE_DIR_CLUSTER ? ".json" : ".hold";
        dir->path = local ? str_dup(settings->fingerprint_dir)
                          : str_printf("%s/pve-hwid", settings->pve_dir);
        dir->alive = local ? NULL : str_printf("%s/qemu-server", settings->pve_dir);
        if (dir->path == NULL || (!local && dir->alive == NULL)) {
            return -ENOMEM;
        }
    }
    return 0;
}

int store_new(sd_event *event, const struct settings *settings, store_changed changed,
              void *userdata, struct store **ret, struct err *err)
{
    CLEANUP(store_freep) struct store *store = NULL;
    int rc;

    if (settings->fingerprint_dir[0] != '/' || settings->pve_dir[0] != '/') {
        return err_set(err, -EINVAL, "fingerprint_dir and pve_dir must be absolute paths");
    }
    store = calloc(1, sizeof(*store));
    if (store == NULL || store_init_paths(store, settings) < 0) {
        return err_oom(err);
    }
    store->event = sd_event_ref(event);
    store->rescan_us = (uint64_t)settings->rescan_s * 1000000;
    store->changed = changed;
    store->userdata = userdata;
    rc = store_watch_init(store);
    if (rc < 0) {
        return err_set(err, rc, "cannot watch the fingerprints: %s", strerror(-rc));
    }
    *ret = STEAL(store);
    return 0;
}

void store_free(struct store *store)
{
    if (store == NULL) {
        return;
    }
    for (size_t d = 0; d < STORE_DIRS; d++) {
        struct store_dir *dir = &store->dirs[d];

        sd_event_source_disable_unref(dir->watch);
        store_index_fini(&dir->index);
        store_index_fini(&dir->waiting);
        store_index_fini(&dir->young);
        free(dir->path);
        free(dir->alive);
    }
    sd_event_source_disable_unref(store->rescan_timer);
    sd_event_source_disable_unref(store->settle_timer);
    sd_event_unref(store->event);
    free(store);
}

bool store_has(const struct store *store, uint32_t vmid)
{
    return store_index_stamp(&store->dirs[STORE_DIR_LOCAL].index, vmid) != 0 ||
           store_index_stamp(&store->dirs[STORE_DIR_CLUSTER].index, vmid) != 0;
}

enum store_origin store_origin(const struct store *store, uint32_t vmid)
{
    bool local = store_index_stamp(&store->dirs[STORE_DIR_LOCAL].index, vmid) != 0;
    bool cluster = store_index_stamp(&store->dirs[STORE_DIR_CLUSTER].index, vmid) != 0;

    if (local) {
        return cluster ? STORE_BOTH : STORE_LOCAL;
    }
    return cluster ? STORE_CLUSTER : STORE_NONE;
}

int store_list(const struct store *store, uint32_t **ret_vmids, size_t *ret_n)
{
    const struct store_index *a = &store->dirs[STORE_DIR_LOCAL].index;
    const struct store_index *b = &store->dirs[STORE_DIR_CLUSTER].index;
    uint32_t *vmids = calloc(a->n + b->n + 1, sizeof(*vmids));
    size_t i = 0;
    size_t k = 0;
    size_t n = 0;

    if (vmids == NULL) {
        return -ENOMEM;
    }
    while (i < a->n || k < b->n) {
        bool from_a = k == b->n || (i < a->n && a->items[i].vmid <= b->items[k].vmid);

        vmids[n] = from_a ? a->items[i].vmid : b->items[k].vmid;
        i += i < a->n && a->items[i].vmid == vmids[n] ? 1 : 0;
        k += k < b->n && b->items[k].vmid == vmids[n] ? 1 : 0;
        n++;
    }
    *ret_vmids = vmids;
    *ret_n = n;
    return 0;
}
