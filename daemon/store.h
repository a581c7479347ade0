/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where fingerprints, holds and VM configurations lie. Watches <fingerprint_dir>/VMID.json (wins),
 * <pve_dir>/pve-hwid/VMID.json and VMID.hold in both by inotify on the directories and by a rescan
 * timer (names, sizes, times: pmxcfs tells of other nodes' changes by nothing else; a directory
 * that is missing or comes back later is normal). Keeps a small index only, never contents: 10,000
 * fingerprints cost well under 1 MiB. Half-written files are told of once they are whole: a change
 * is reported when size and time have been still for 150 ms; and once more where the time is too
 * coarse to show a second change (store_index.h).
 */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "core/settings.h"

struct store;

/* A fingerprint, or a hold, came, changed or went since store_new(). From the event loop. */
typedef void (*store_changed)(void *userdata, uint32_t vmid);

int store_new(sd_event *event, const struct settings *settings, store_changed changed,
              void *userdata, struct store **ret, struct err *err);
/* Not from inside a store_changed. */
void store_free(struct store *store);
DEFINE_CLEANUP(struct store, store_free)

/* Is there a fingerprint file by the index? */
bool store_has(const struct store *store, uint32_t vmid);
/* VMIDs in ascending order; the caller frees. */
int store_list(const struct store *store, uint32_t **ret_vmids, size_t *ret_n);

enum store_origin { STORE_NONE, STORE_LOCAL, STORE_CLUSTER, STORE_BOTH /* local wins */ };

enum store_origin store_origin(const struct store *store, uint32_t vmid);

struct store_file {
    char *text;
    size_t len;
    char *path; /* for messages */
    enum store_origin origin;
};
void store_file_fini(struct store_file *file);

/* Reads afresh from disk, always. -ENOENT: there is none. Refuses symlinks below the directories,
 * what is not a regular file, what others than root or our own user could have written, and more
 * than FINGERPRINT_MAX bytes, with a sentence. A local one that is refused is not made up for by
 * the cluster's. */
int store_read_fingerprint(const struct store *store, uint32_t vmid, struct store_file *ret,
                           struct err *err);
/* The VM's hold, which counts in either place: the cluster's VMID.hold, or the local one. Likewise;
 * anything but -ENOENT is a hold, too. */
int store_read_hold(const struct store *store, uint32_t vmid, struct store_file *ret,
                    struct err *err);
/* <pve_dir>/qemu-server/VMID.conf; -ENOENT: not on this node; -ENOTCONN: there is no
 * qemu-server directory (pmxcfs is not mounted). At most PVECONF_MAX bytes. */
int store_read_config(const struct store *store, uint32_t vmid, struct store_file *ret,
                      struct err *err);
/* Which configurations there are on this node now, and a stamp of each (store_index.h); 0 for those
 * *ret_unseen that are there and cannot be looked at. -errno: nobody can say; *ret is as before. */
struct store_index;
int store_scan_configs(const struct store *store, struct store_index *ret, size_t *ret_unseen);
/* The same of item->vmid alone; stamp 0: not on this node. */
struct store_item;
int store_stamp_config(const struct store *store, struct store_item *item);

#endif
