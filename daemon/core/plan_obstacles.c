/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What keeps PVE from taking a change, or would make one dangerous. Found whether or not anything
 * is to be changed; plan.c makes refusals or notes of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/drive.h"
#include "core/plan_builder.h"

int plan_unreadable(struct plan_builder *b, bool needed, const char *why)
{
    return notes_add(needed ? &b->plan->refusals : &b->obstacles,
                     "%s: PVE ignores this line and deletes it with the next change; correct or "
                     "remove it",
                     why);
}

bool plan_args_name(const struct plan_builder *b, const char *device)
{
    const char *args = pveconf_get(b->in->conf, "args");
    size_t len = strlen(device);

    for (const char *at = args; at != NULL && (at = strstr(at, device)) != NULL; at++) {
        if ((at == args || !ascii_is_alnum(at[-1])) && !ascii_is_alnum(at[len])) {
            return true;
        }
    }
    return false;
}

static int find_bad_lines(struct plan_builder *b)
{
    const struct pveconf *conf = b->in->conf;

    for (size_t i = 0; i < conf->n_bad; i++) {
        const struct pveconf_bad *bad = &conf->bad[i];
        int rc = notes_add(&b->obstacles,
                           "line %u (\"%s\"): %s; PVE ignores this line and deletes it with the "
                           "next change",
                           bad->line, bad->text, bad->why);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int find_states(struct plan_builder *b)
{
    const char *lock = pveconf_get(b->in->conf, "lock");
    const char *template = pveconf_get(b->in->conf, "template");
    bool is_template = false;
    int rc = 0;

    if (lock != NULL) {
        rc = notes_add(&b->obstacles, "VM is locked (%s): PVE takes no change until that has ended",
                       lock);
    }
    if (rc == 0 && template != NULL && propstr_bool(template, &is_template) && is_template) {
        rc = notes_add(&b->obstacles, "VM is a template: it is never started, and its clones get "
                                      "fingerprints of their own");
    }
    return rc;
}

/* The volume of any key that holds one; NULL: none, or one that may well be attached twice. */
static int read_volume(const struct pveconf_key *key, char **ret_volume)
{
    CLEANUP(drive_fini) struct drive drive = {0};
    struct drive_slot slot = {DRIVE_SCSI, 0}; /* efidisk0 and tpmstate0 read like any other disk */
    int rc;

    if (!drive_slot_parse(key->key, &slot) && !str_equal(key->key, "efidisk0") &&
        !str_equal(key->key, "tpmstate0")) {
        return 0;
    }
    rc = drive_parse(slot, key->value, &drive, NULL);
    if (rc < 0) {
        return rc == -ENOMEM ? rc : 0; /* what cannot be read is told by plan_disks() */
    }
    if (drive.cdrom || str_equal(drive.volume, "none")) {
        return 0;
    }
    *ret_volume = STEAL(drive.volume);
    return 0;
}

/* One image behind two slots is how data is lost. PVE would start that VM, and moving one of the
 * two would make it harder to see. */
static int find_shared_volumes(struct plan_builder *b)
{
    const struct pveconf_section *main = &b->in->conf->sections[0];
    struct notes volumes = {0}, slots = {0};
    int rc = 0;

    for (size_t i = 0; i < main->n && rc == 0; i++) {
        CLEANUP_FREE char *volume = NULL;

        rc = read_volume(&main->keys[i], &volume);
        if (rc < 0 || volume == NULL) {
            continue;
        }
        for (size_t j = 0; j < volumes.n && rc == 0; j++) {
            if (str_equal(volumes.items[j], volume)) {
                rc = notes_add(&b->obstacles,
                               "%s and %s both name the volume %s: two disks on one image destroy "
                               "each other's data; remove one of the two",
                               slots.items[j], main->keys[i].key, volume);
            }
        }
        if (rc == 0) {
            rc = notes_add(&volumes, "%s", volume);
        }
        if (rc == 0) {
            rc = notes_add(&slots, "%s", main->keys[i].key);
        }
    }
    notes_fini(&volumes);
    notes_fini(&slots);
    return rc;
}

int plan_obstacles(struct plan_builder *b)
{
    int rc = find_states(b);

    if (rc == 0) {
        rc = find_bad_lines(b);
    }
    return rc == 0 ? find_shared_volumes(b) : rc;
}
