/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The new value of one disk: the same volume with the options its new bus knows, and the identity
 * that the fingerprint gives it. The options are sorted, as PVE stores them (recording 06e2), so
 * that what is read back is what was sent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/plan_disks.h"

enum {
    /* QEMU's limit on a scsi disk, as long as PVE names the disk's device_id, too, which it does
     * for machines of version 10.0 and later; else QEMU stops the start at 21 (tried). VMware's
     * serials have 32. */
    SCSI_SERIAL_MAX = 36,
    SERIAL_ENCODED_MAX = 60, /* PVE: maxLength of the url-encoded text */
};

static const struct machine_version long_serials_since = {10, 0};

bool plan_disk_moves(const struct plan_disk *disk)
{
    return !drive_slot_equal(disk->place.slot, disk->to);
}

const char *plan_scsihw(const struct plan_disk_set *set)
{
    const char *now = pveconf_get(set->b->in->conf, "scsihw");

    if (set->scsihw_changes) {
        return "pvscsi";
    }
    return now == NULL ? "lsi" : now; /* PVE's default */
}

static const char *slot_name(const struct plan_disk *disk, char text[DRIVE_SLOT_SIZE])
{
    drive_slot_format(disk->place.slot, text);
    return text;
}

/* One reason behind the other. */
static struct buf *also(struct buf *why)
{
    if (why->len > 0) {
        buf_adds(why, "; ");
    }
    return why;
}

static void drop_unknown(struct drive *drive, struct buf *why)
{
    for (size_t i = 0; i < drive->options.n;) {
        const char *key = drive->options.items[i].key;

        if (key == NULL || drive_bus_knows(drive->slot.bus, key)) {
            i++;
            continue;
        }
        buf_addf(also(why), "%s goes, as %s does not know it", key,
                 drive_bus_name(drive->slot.bus));
        propstr_remove(&drive->options, key);
    }
}

static bool value_fits(const struct plan_disk_set *set, const struct drive *drive,
                       const char *option, const char *wanted, const char *encoded)
{
    bool serial = str_equal(option, "serial");

    if (strlen(wanted) == 0 || (serial && strlen(encoded) > SERIAL_ENCODED_MAX)) {
        return false;
    }
    if (serial && drive->slot.bus == DRIVE_SCSI &&
        machine_version_compare(set->b->version, long_serials_since) >= 0) {
        return strlen(wanted) <= SCSI_SERIAL_MAX;
    }
    return drive_value_fits(option, wanted);
}

static int note_misfit(struct plan_disk_set *set, const struct plan_disk *disk, const char *option,
                       const char *wanted)
{
    char slot[DRIVE_SLOT_SIZE];
    bool cure = str_equal(option, "serial") && disk->bus == DRIVE_SCSI &&
                strlen(wanted) <= SCSI_SERIAL_MAX;

    return notes_add(&set->b->plan->notes, "%s: the %s \"%s\" (%zu bytes) cannot be set: %s",
                     slot_name(disk, slot), option, wanted, strlen(wanted),
                     cure ? "QEMU takes more than 20 bytes only with a machine of version 10.0 or "
                            "later; machine.min_version 10.0 in the fingerprint would do"
                          : "PVE has no room for it, or refuses its characters");
}

/* 0, 1 set, -ENOMEM. */
static int set_identity(struct plan_disk_set *set, struct plan_disk *disk, struct drive *drive,
                        const char *option, const char *wanted)
{
    bool encode = str_equal(option, "serial") || str_equal(option, "model");
    const char *now = propstr_get(&drive->options, option);
    CLEANUP_FREE char *decoded = NULL;
    CLEANUP_FREE char *encoded = NULL;
    int rc;

    if (wanted == NULL || !drive_bus_knows(drive->slot.bus, option)) {
        return 0;
    }
    encoded = encode ? drive_url_encode(wanted) : str_dup(wanted);
    decoded = now == NULL ? NULL : encode ? drive_url_decode(now) : str_dup(now);
    if (encoded == NULL || (now != NULL && decoded == NULL)) {
        return -ENOMEM;
    }
    if (str_equal(decoded, wanted)) {
        return 0;
    }
    if (!value_fits(set, drive, option, wanted, encoded)) {
        rc = note_misfit(set, disk, option, wanted);
        return rc < 0 ? rc : 0;
    }
    rc = propstr_set(&drive->options, option, encoded);
    return rc < 0 ? rc : 1;
}

static int set_identities(struct plan_disk_set *set, struct plan_disk *disk, struct drive *drive,
                          struct buf *why)
{
    const struct fingerprint_disk *want = &set->b->in->fp->disks[disk->place.want];
    bool passthrough = propstr_get(&drive->options, "scsiblock") != NULL;
    const struct {
        const char *option, *value;
    } wishes[] = {
        {"serial", want->serial},
        {"model", want->model},
        /* PVE refuses these two for a disk that the host's own device answers for. */
        {"vendor", passthrough ? NULL : want->vendor},
        {"product", passthrough ? NULL : want->product},
    };
    bool any = false;

    for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
        int rc = set_identity(set, disk, drive, wishes[i].option, wishes[i].value);

        if (rc < 0) {
            return rc;
        }
        if (rc > 0) {
            buf_addf(any ? why : also(why), "%s%s", any ? ", " : "", wishes[i].option);
            any = true;
        }
        if (rc > 0 && i == 0) {
            disk->serial_after = wishes[i].value;
        }
    }
    if (any) {
        buf_adds(why, " as the guest saw it on VMware");
    }
    return 0;
}

static int compare_props(const void *left, const void *right)
{
    const struct prop *a = left;
    const struct prop *b = right;

    return strcmp(a->key == NULL ? "" : a->key, b->key == NULL ? "" : b->key);
}

static void explain_move(const struct plan_disk_set *set, const struct plan_disk *disk,
                         struct buf *why)
{
    enum fingerprint_controller controller = set->b->in->fp->disks[disk->place.want].controller;
    const char *was = fingerprint_controller_name(controller);

    buf_addf(also(why), "the guest saw it on %s on VMware", was);
    if (!disk->exact && !str_equal(was, drive_bus_name(disk->bus))) {
        buf_addf(why, ", for which %s stands in", drive_bus_name(disk->bus));
    }
}

int plan_disk_value(struct plan_disk_set *set, struct plan_disk *disk)
{
    CLEANUP(drive_fini) struct drive drive = {0};
    CLEANUP(buf_fini) struct buf why = BUF_INIT(0);
    int rc = drive_copy(disk->drive, &drive);

    if (rc < 0) {
        return rc;
    }
    drive.slot = disk->to;
    disk->serial_after = disk->place.serial;
    if (plan_disk_moves(disk)) {
        explain_move(set, disk, &why);
        drop_unknown(&drive, &why);
    }
    rc = set_identities(set, disk, &drive, &why);
    if (rc < 0) {
        return rc;
    }
    /* PVE only warns of an iothread that the controller cannot have: no reason to touch a disk
     * that is right otherwise. */
    if ((why.len > 0 || set->scsihw_changes) && drive.slot.bus == DRIVE_SCSI &&
        propstr_get(&drive.options, "iothread") != NULL &&
        !str_equal(plan_scsihw(set), "virtio-scsi-single")) {
        buf_addf(also(&why), "iothread goes, as %s does not know it", plan_scsihw(set));
        propstr_remove(&drive.options, "iothread");
    }
    if (why.error != 0) {
        return -ENOMEM;
    }
    if (why.len == 0) {
        return 0;
    }
    if (drive.options.n > 1) {
        qsort(drive.options.items, drive.options.n, sizeof(drive.options.items[0]), compare_props);
    }
    disk->value = drive_format(&drive);
    disk->why = buf_steal(&why);
    return disk->value == NULL || disk->why == NULL ? -ENOMEM : 0;
}
