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
    [FAULT_POWERED_OFF] = "powered off",
    [FAULT_DETACHED] = "detached",
    [FAULT_SNAPSHOT] = "snapshot",
    [FAULT_STARTED_BACKUP] = "started-backup",
    [FAULT_EDITED_DISK] = "edited-disk",
    [FAULT_EDITED_BOOT] = "edited-boot",
    [FAULT_HALF] = "half-applied",
    [FAULT_LATE] = "late",
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

    /* It may have been one of the two slots of one disk, before anybody saw that. */
    pve->twice_live = pve->twice_live && fake_pve_attached_twice(pve) != NULL;

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
    if (fake_map_get(&pve->conf, "lock") != NULL) {
        return;
    }
    fake_pve_set(pve, "lock", "backup");
    pve->locked_until_ms = pve->now_ms + LOCKED_MS;
}

static void go_away(struct fake_pve *pve)
{
    pve->gone = true;
    pve->running = false;
}

static void lose(struct fake_pve *pve)
{
    pve->now_ms += LOST_MS;
}

static void time_out(struct fake_pve *pve)
{
    pve->flock_calls += 3;
}

static void make_stale(struct fake_pve *pve)
{
    pve->stale = true; /* no digest fits the next changing call */
}

static void take_volume(struct fake_pve *pve)
{
    pve->away_until_ms = pve->now_ms + AWAY_MS;
}

static void blink(struct fake_pve *pve)
{
    pve->blinks = true;
}

static void take_storage(struct fake_pve *pve)
{
    pve->storage_until_ms = pve->now_ms + AWAY_MS;
}

static void break_soon(struct fake_pve *pve)
{
    pve->half_writes = 1 + (unsigned)(pve->now_ms / 30 % 4); /* any */
}

static void start_it(struct fake_pve *pve)
{
    (void)fake_pve_start_by_others(pve, true); /* or not: both is fine */
}

static void start_raw(struct fake_pve *pve)
{
    (void)fake_pve_start_by_others(pve, false); /* likewise */
}

static void edit_other(struct fake_pve *pve)
{
    edit(pve, "tags", "edited");
}

static void edit_same(struct fake_pve *pve)
{
    edit(pve, "smbios1", "uuid=11111111-2222-3333-4444-555555555555");
}

static void remove_fingerprint(struct fake_pve *pve)
{
    set_fingerprint(pve, NULL);
}

static void edit_fingerprint(struct fake_pve *pve)
{
    set_fingerprint(pve, pve->edited_fingerprint);
}

static void break_fingerprint(struct fake_pve *pve)
{
    set_fingerprint(pve, "{ not a fingerprint");
}

static void (*const effects[FAULT_KINDS])(struct fake_pve *) = {
    [FAULT_LOST_BEFORE] = lose,
    [FAULT_LOCK_TIMEOUT] = time_out,
    [FAULT_CHECKSUM] = make_stale,
    [FAULT_VM_LOCKED] = lock_for_backup,
    [FAULT_VOLUME_AWAY] = take_volume,
    [FAULT_VOLUME_BLINKS] = blink,
    [FAULT_STORAGE_AWAY] = take_storage,
    [FAULT_STARTED] = start_it,
    [FAULT_STARTED_RAW] = start_raw,
    [FAULT_EDITED_OTHER] = edit_other,
    [FAULT_EDITED_SAME] = edit_same,
    [FAULT_FP_REMOVED] = remove_fingerprint,
    [FAULT_FP_EDITED] = edit_fingerprint,
    [FAULT_FP_BROKEN] = break_fingerprint,
    [FAULT_VM_GONE] = go_away,
    [FAULT_STOPPED] = fake_pve_stop_by_others,
    [FAULT_DETACHED] = detach,
    [FAULT_SNAPSHOT] = take_snapshot,
    [FAULT_STARTED_BACKUP] = fake_pve_start_by_backup,
    [FAULT_EDITED_DISK] = edit_disk,
    [FAULT_EDITED_BOOT] = edit_boot,
    [FAULT_HALF] = break_soon,
    [FAULT_POWERED_OFF] = fake_pve_power_off,
};

/* Instead of PVE's own answer; FAULT_LOST_AFTER: fake_pve_call() drops that. */
static const struct {
    int status; /* as fake_pve_refuse() takes it */
    const char *message;
} answers[FAULT_KINDS] = {
    [FAULT_UNREACHABLE] = {0, "Connection refused"},
    [FAULT_LOST_BEFORE] = {504, "no answer"},
    [FAULT_LATE] = {504, "the connection was closed"},
    [FAULT_OVERLOAD] = {503, "Service Unavailable"},
    [FAULT_FORBIDDEN] = {403, "Permission check failed (/vms/105, VM.Config.Disk)"},
};

bool fake_pve_strike(struct fake_pve *pve, enum fake_fault_kind kind, struct api_reply *reply)
{
    if (effects[kind] != NULL) {
        effects[kind](pve);
    }
    if (kind == FAULT_GARBAGE) {
        pve->garbled = true;
        *reply = (struct api_reply){.result = API_OK, .status = 200, .data = json_string("?")};
        return true;
    }
    if (answers[kind].message == NULL) {
        return false;
    }
    fake_pve_refuse(reply, answers[kind].status, str_dup(answers[kind].message));
    return true;
}
