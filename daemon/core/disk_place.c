/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See disk_place.h. */
#include "core/disk_place.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "core/drive.h"
#include "core/identity.h"
#include "core/reconcile_fit.h"

enum disk_place disk_place_find(const struct plan_step *step, const struct pveconf *conf,
                                const char **ret_key)
{
    const struct pveconf_section *main_keys = &conf->sections[0];
    enum disk_place place = DISK_NOWHERE;
    const char *found = NULL;
    struct drive_slot slot;

    if (step->remove == NULL || step->probe_value == NULL) {
        return DISK_IN_SLOT;
    }
    for (size_t i = 0; i < main_keys->n && place != DISK_IN_SLOT; i++) {
        const struct pveconf_key *key = &main_keys->keys[i];
        bool same = reconcile_same_volume(key->value, step->probe_value);

        if (same && drive_slot_parse(key->key, &slot)) {
            place = DISK_IN_SLOT;
            found = key->key;
        } else if (same && str_starts(key->key, "unused")) {
            place = DISK_UNUSED;
            found = key->key;
        }
    }
    if (ret_key != NULL) {
        *ret_key = found;
    }
    return place;
}

void disk_astray_fini(struct disk_astray *disk)
{
    free(disk->slot);
    free(disk->value);
    free(disk->unused);
    *disk = (struct disk_astray){0};
}

/* `unused` NULL: its deletion is pending. */
static int fill(const struct plan_step *step, const char *unused, struct disk_astray *ret)
{
    struct disk_astray disk = {.slot = str_dup(step->probe), .value = str_dup(step->probe_value)};

    if (disk.slot == NULL || disk.value == NULL || str_replace(&disk.unused, unused) < 0) {
        disk_astray_fini(&disk);
        return -ENOMEM;
    }
    *ret = disk;
    return 1;
}

static int look_at(const struct plan_step *step, const struct pveconf *conf,
                   struct disk_astray *ret)
{
    const char *key = NULL;
    struct drive_slot slot;

    if (step->remove == NULL || step->probe == NULL || step->probe_value == NULL ||
        !drive_slot_parse(step->probe, &slot)) {
        return 0;
    }
    switch (disk_place_find(step, conf, &key)) {
    case DISK_IN_SLOT:
        return pveconf_pending_deletes(conf, key) ? fill(step, NULL, ret) : 0;
    case DISK_UNUSED:
        return fill(step, key, ret);
    case DISK_NOWHERE:
        return 0;
    }
    return 0;
}

/* A VM of another time than the journal speaks of: its number was used again. 1, 0 or -ENOMEM. */
static int is_another(const struct record_memory *memory, const struct pveconf *conf)
{
    CLEANUP(identity_fini) struct identity id = {0};
    int rc = identity_of_config(conf, &id);

    return rc < 0 ? rc
                  : memory->bound_ctime != 0 && id.ctime != 0 && memory->bound_ctime != id.ctime;
}

int disk_place_look(const struct record_memory *memory, const struct pveconf *conf,
                    struct disk_astray *ret)
{
    struct plan_step *steps = NULL;
    size_t n = 0;
    size_t at;
    int rc;

    if (!memory->open) {
        return 0;
    }
    rc = is_another(memory, conf);
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    rc = record_steps_from_json(memory->steps, &steps, &n);
    if (rc < 0) {
        return rc == -ENOMEM ? rc : 0; /* of another version: nobody knows what it was about */
    }
    at = memory->steps_done < n ? memory->steps_done : n - 1;
    rc = n == 0 ? 0 : look_at(&steps[at], conf, ret);
    record_steps_free(steps, n);
    return rc;
}
