/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of the fake node share: fake_pve.c (calls, starts), fake_faults.c, fake_pve_conf.c
 * (the file), fake_pve_put.c (PUT), fake_late.c (calls that come late), fake_pve_watch.c (what must
 * never be asked), fake_schema.c
 * (what PVE can read), fake_map.c.
 */
#ifndef TESTS_FAKE_PVE_PRIV_H
#define TESTS_FAKE_PVE_PRIV_H

#include "fake_pve.h"

const char *fake_map_get(const struct fake_map *map, const char *key);
void fake_map_set(struct fake_map *map, const char *key, const char *value); /* NULL: away */
void fake_map_copy(const struct fake_map *from, struct fake_map *ret_to);
void fake_map_fini(struct fake_map *map);

/* ide, sata, scsi, virtio: a slot with a controller. */
bool fake_pve_is_disk(const char *key);
/* Those, efidisk0 and tpmstate0: whatever holds a volume in use. */
bool fake_pve_is_drive(const char *key);
bool fake_pve_is_cdrom(const char *value);
/* The volume (or path, or "none") that a drive's value names; the caller's. */
char *fake_pve_volume_of(const char *value);
bool fake_pve_volume_is_away(const struct fake_pve *pve, const char *value);
/* As a start, or any later PUT to a stopped VM, does it. */
void fake_pve_apply_pending(struct fake_pve *pve);
/* What can be plugged at once of a running VM. True: something could not be done now. */
bool fake_pve_hotplug(struct fake_pve *pve);
void fake_pve_register_unused(struct fake_pve *pve, const char *value);
/* PVE writes the file: what it did not read is gone, an unused volume that is in use is none. */
void fake_pve_write(struct fake_pve *pve);
/* What the next start sees. */
void fake_pve_effective(const struct fake_pve *pve, struct fake_map *ret);

struct fake_put {
    struct fake_map sets, deletes, reverts;
    const char *digest;
};
void fake_put_fini(struct fake_put *put);
/* PUT config: NULL, or PVE's words (the caller's). */
char *fake_pve_put(struct fake_pve *pve, const struct api_request *request, int *ret_status);
char *fake_pve_digest(const struct fake_pve *pve);

/* What is in two slots; NULL: nothing. */
const char *fake_pve_attached_twice(const struct fake_pve *pve);
/* Before a PUT of ours, and after it. */
void fake_watch_before(struct fake_pve *pve, const struct fake_put *put);
/* Its digest fits, nothing is locked: now it is carried out. */
void fake_watch_accepted(struct fake_pve *pve, const struct fake_put *put);
void fake_watch_after(struct fake_pve *pve, const struct fake_put *put,
                      const struct fake_map *before);

/* What boots, in order: volumes for disks, names for the rest; "" where it is not spelled out. The
 * caller's. */
char *fake_pve_boot_sequence(const struct fake_map *map);

/* Without faults, and without counting it. */
void fake_pve_answer(struct fake_pve *pve, const struct api_request *request,
                     struct api_reply *reply);
/* The VM was started; `asked`: the hook agreed. */
void fake_late_note_start(struct fake_pve *pve, bool ours, bool asked);
/* A call that changes something is accepted: may it come so late? */
void fake_late_watch(struct fake_pve *pve);
void fake_late_fini(struct fake_pve *pve);

/* True: the answer is in `reply` already. */
bool fake_pve_strike(struct fake_pve *pve, enum fake_fault_kind kind, struct api_reply *reply);
void fake_pve_refuse(struct api_reply *reply, int status, char *message); /* takes the message */

/* Does PVE keep this line of a file, take this value in a call? (docs: facts/pve.md 4 and 5) */
bool fake_schema_reads(const char *key, const char *value);
/* May a drive on `bus` have this option? */
bool fake_schema_bus_knows(const char *bus, const char *option);

#endif
