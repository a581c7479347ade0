/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See guest.h: the drives. Names and serial numbers as QEMU gives them to a guest, with what
 * `args` puts over them. */
#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "core/guest.h"
#include "core/qemu_args.h"

const struct drive *guest_drive(const struct guest *guest, const char *slot_name)
{
    struct drive_slot slot;

    if (!drive_slot_parse(slot_name, &slot)) {
        return NULL;
    }
    for (size_t i = 0; i < guest->drives.n; i++) {
        if (drive_slot_equal(guest->drives.items[i].slot, slot)) {
            return &guest->drives.items[i];
        }
    }
    return NULL;
}

static const char *controller_of(const struct guest *guest, enum drive_bus bus)
{
    switch (bus) {
    case DRIVE_IDE:
        return guest->machine.kind == MACHINE_Q35 ? "IDE on AHCI" : "IDE";
    case DRIVE_SATA:
        return "AHCI";
    case DRIVE_SCSI:
        return guest_scsihw(guest);
    case DRIVE_VIRTIO:
    case DRIVE_BUSES:
        break;
    }
    return "virtio-blk";
}

char *guest_drive_place(const struct guest *guest, const struct drive *drive)
{
    char slot[DRIVE_SLOT_SIZE];

    drive_slot_format(drive->slot, slot);
    return str_printf("%s (%s)", slot, controller_of(guest, drive->slot.bus));
}

/* An option of the drive, or what `args` sets over it; `fallback` where neither says it. */
static char *property(const struct guest *guest, const struct drive *drive, const char *name,
                      const char *fallback)
{
    const char *said = propstr_get(&drive->options, name);
    char slot[DRIVE_SLOT_SIZE];
    char *set = NULL;

    drive_slot_format(drive->slot, slot);
    if (qemu_args_set(guest->args, slot, name, &set) < 0) {
        return NULL;
    }
    if (set != NULL) {
        return set;
    }
    return said != NULL ? drive_url_decode(said) : str_dup(fallback);
}

static char *scsi_name(const struct guest *guest, const struct drive *drive)
{
    CLEANUP_FREE char *vendor = property(guest, drive, "vendor", "QEMU");
    CLEANUP_FREE char *product = property(guest, drive, "product",
                                          drive->cdrom ? "QEMU CD-ROM" : "QEMU HARDDISK");

    return vendor == NULL || product == NULL ? NULL : str_printf("%s %s", vendor, product);
}

char *guest_drive_name(const struct guest *guest, const struct drive *drive)
{
    switch (drive->slot.bus) {
    case DRIVE_SCSI:
        return scsi_name(guest, drive);
    case DRIVE_IDE:
    case DRIVE_SATA:
        return property(guest, drive, "model", drive->cdrom ? "QEMU DVD-ROM" : "QEMU HARDDISK");
    case DRIVE_VIRTIO:
    case DRIVE_BUSES:
        break;
    }
    return str_dup("Red Hat VirtIO");
}

char *guest_drive_serial(const struct guest *guest, const struct drive *drive)
{
    bool ata = drive->slot.bus == DRIVE_IDE || drive->slot.bus == DRIVE_SATA;

    return property(guest, drive, "serial", ata ? "QM (QEMU's own)" : "");
}
