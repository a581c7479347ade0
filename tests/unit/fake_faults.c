/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See fake_pve.h: what goes wrong, and what other people do meanwhile. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "fake_pve_priv.h"

enum {
    LOST_MS = 15000, /* until the client gives up waiting */
    AWAY_MS = 600000,
    LOCKED_MS = 90000,
};

static const char *const names[FAULT_KINDS] = {
    [FAULT_UNREACHABLE] = "unreachable",
    [FAULT_LOST_BEFORE] = "lost-before",
    [FAULT_LOST_AFTER] = "lost-after",
    [FAULT_LOCK_TIMEOUT] = "lock-timeout",
    [FAULT_CHECKSUM] = "checksum",
    [FAULT_VM_LOCKED] = "vm-locked",
    [FAULT_FORBIDDEN] = "forbidden",
    [FAULT_VOLUME_AWAY] = "volume-away",
    [FAULT_VOLUME_BLINKS] = "volume-blinks",
    [FAULT_STORAGE_AWAY] = "storage-away",
    [FAULT_STARTED] = "started",
    [FAULT_STARTED_RAW] = "started-raw",
    [FAULT_EDITED_OTHER] = "edited-other",
    [FAULT_EDITED_SAME] = "edited-same",
    [FAULT_FP_REMOVED] = "fp-removed",
    [FAULT_FP_EDITED] = "fp-edited",
    [FAULT_FP_BROKEN] = "fp-broken",
    [FAULT_VM_GONE] = "vm-gone",
    [FAULT_OVERLOAD] = "overload",
    [FAULT_GARBAGE] = "garbage",
    [FAULT_STOPPED] = "stopped",
    [FAULT_DETACHED] = "detached",
    [FAULT_SNAPSHOT] = "snapshot",
    [FAULT_STARTED_BACKUP] = "started-backup",
    [FAULT_EDITED_DISK] = "edited-disk",
    [FAULT_EDITED_BOOT] = "edited-boot",
    [FAULT_HALF] = "half-applied",
};

const char *fake_fault_name(enum fake_fault_kind kind)
{
    return names[kind];
}

/* --- faults --------------------------------------------------------------------------------- */

static void edit(struct fake_pve *pve, const char *key, const char *value)
{
    free(fake_pve_edit(pve, key, value)); /* PVE refuses somebody else, too: both is fine */
}

/* The n-th disk that may be taken off, and is not the only one. */
static const struct fake_pair *any_disk(const struct fake_pve *pve)
{
    const struct fake_pair *last = NULL;
    unsigned n = 0;

    for (size_t i = 0; i < pve->conf.n; i++) {
        const struct fake_pair *pair = &pve->conf.items[i];

        if (fake_pve_is_disk(pair->key) && !fake_pve_is_cdrom(pair->value)) {
            last = pair;
            n++;
        }
    }
    return n > 1 ? last : NULL;
}

static void detach(struct fake_pve *pve)
{
    const struct fake_pair *disk = any_disk(pve);
    char *key = disk == NULL ? NULL : str_dup(disk->key);
    char *volume = disk == NULL ? NULL : fake_pve_volume_of(disk->value);
    char *error = key == NULL ? NULL : fake_pve_edit(pve, key, NULL);

    /* Of a running VM it may have to wait for the stop. */
    if (key != NULL &&
        (fake_map_get(&pve->conf, key) == NULL || fake_map_get(&pve->deletes, key) != NULL)) {
        char *all = str_printf("%s%s\n", pve->detached == NULL ? "" : pve->detached, volume);

        free(pve->detached);
        pve->detached = all;
    }
    free(error);
    free(key);
    free(volume);
}

/* Another cache mode: an option that must survive whatever we do with the disk. */
static void edit_disk(struct fake_pve *pve)
{
    const struct fake_pair *disk = any_disk(pve);
    char *key = disk == NULL ? NULL : str_dup(disk->key);
    char *value = disk == NULL ? NULL
                  : strstr(disk->value, "replicate=") != NULL
                      ? str_dup(disk->value)
                      : str_printf("%s,replicate=0", disk->value);

    if (key != NULL) {
        edit(pve, key, value);
        pve->disk_edited = true;
    }
    free(key);
    free(value);
}

static void edit_boot(struct fake_pve *pve)
{
    pve->boot_edited = true;
    edit(pve, "boot", fake_map_get(&pve->conf, "net0") != NULL ? "order=net0" : "cdn");
}

static void take_snapshot(struct fake_pve *pve)
{
    struct fake_snapshot *s;

    if (pve->gone || fake_map_get(&pve->conf, "lock") != NULL ||
        vec_reserve(&pve->snapshots, pve->n_snapshots, &pve->cap_snapshots,
                    sizeof(pve->snapshots[0])) < 0) {
        return;
    }
    s = &pve->snapshots[pve->n_snapshots++];
    *s = (struct fake_snapshot){.name = str_printf("zz%zu", pve->n_snapshots)};
    fake_map_copy(&pve->conf, &s->keys);
    fake_pve_write(pve);
}

static void set_fingerprint(struct fake_pve *pve, const char *text)
{
    free(pve->fingerprint);
    pve->fingerprint = str_dup(text);
}

static void lock_for_backup(struct fake_pve *pve)
{
    fake_pve_set(pve, "lock", "backup");
    pve->locked_until_ms = pve->now_ms + LOCKED_MS;
}

static void go_away(struct fake_pve *pve)
{
    pve->gone = true;
    pve->running = false;
}

/* True: the answer is in `reply` already. */
bool fake_pve_strike(struct fake_pve *pve, enum fake_fault_kind kind, struct api_reply *reply)
{
    switch (kind) {
    case FAULT_UNREACHABLE:
        fake_pve_refuse(reply, 0, str_dup("Connection refused"));
        return true;
    case FAULT_LOST_BEFORE:
        pve->now_ms += LOST_MS;
        fake_pve_refuse(reply, 504, str_dup("no answer"));
        return true;
    case FAULT_OVERLOAD:
        fake_pve_refuse(reply, 503, str_dup("Service Unavailable"));
        return true;
    case FAULT_FORBIDDEN:
        fake_pve_refuse(reply, 403, str_dup("Permission check failed (/vms/105, VM.Config.Disk)"));
        return true;
    case FAULT_LOST_AFTER:
        return false; /* fake_pve_call() drops the answer */
    case FAULT_LOCK_TIMEOUT:
        pve->flock_calls += 3;
        return false;
    case FAULT_CHECKSUM:
        pve->stale = true; /* no digest fits the next changing call */
        return false;
    case FAULT_VM_LOCKED:
        lock_for_backup(pve);
        return false;
    case FAULT_VOLUME_AWAY:
        pve->away_until_ms = pve->now_ms + AWAY_MS;
        return false;
    case FAULT_VOLUME_BLINKS:
        pve->blinks = true;
        return false;
    case FAULT_STORAGE_AWAY:
        pve->storage_until_ms = pve->now_ms + AWAY_MS;
        return false;
    case FAULT_STARTED:
    case FAULT_STARTED_RAW:
        (void)fake_pve_start_by_others(pve, kind == FAULT_STARTED); /* or not: both is fine */
        return false;
    case FAULT_EDITED_OTHER:
        edit(pve, "tags", "edited");
        return false;
    case FAULT_EDITED_SAME:
        edit(pve, "smbios1", "uuid=11111111-2222-3333-4444-555555555555");
        return false;
    case FAULT_FP_REMOVED:
        set_fingerprint(pve, NULL);
        return false;
    case FAULT_FP_EDITED:
        set_fingerprint(pve, pve->edited_fingerprint);
        return false;
    case FAULT_FP_BROKEN:
        set_fingerprint(pve, "{ not a fingerprint");
        return false;
    case FAULT_VM_GONE:
        go_away(pve);
        return false;
    case FAULT_GARBAGE:
        *reply = (struct api_reply){.result = API_OK, .status = 200, .data = json_string("?")};
        return true;
    case FAULT_STOPPED:
        fake_pve_stop_by_others(pve);
        return false;
    case FAULT_DETACHED:
        detach(pve);
        return false;
    case FAULT_SNAPSHOT:
        take_snapshot(pve);
        return false;
    case FAULT_STARTED_BACKUP:
        fake_pve_start_by_backup(pve);
        return false;
    case FAULT_EDITED_DISK:
        edit_disk(pve);
        return false;
    case FAULT_EDITED_BOOT:
        edit_boot(pve);
        return false;
    case FAULT_HALF:
        pve->half_writes = 1 + (unsigned)(pve->now_ms / 30 % 4); /* any */
        return false;
    case FAULT_KINDS:
        break;
    }
    abort();
}
