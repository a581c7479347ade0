/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PVE's disk slots and what each bus knows (facts/pve.md 4, "Options by bus").
 */
#ifndef CORE_DRIVE_H
#define CORE_DRIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/propstr.h"
#include "core/pveconf.h"

enum drive_bus { DRIVE_IDE, DRIVE_SATA, DRIVE_SCSI, DRIVE_VIRTIO, DRIVE_BUSES };

enum { DRIVE_SLOT_SIZE = 16 };

struct drive_slot {
    enum drive_bus bus;
    int index;
};

struct drive {
    struct drive_slot slot;
    char *volume;           /* storage:name, a path, or "none" */
    struct propstr options; /* without the volume */
    bool cdrom;             /* media=cdrom */
    bool cloudinit;         /* volume of a cloud-init drive: ...:cloudinit or vm-N-cloudinit */
};

/* All drives of a main section in PVE's order: bus (ide, sata, scsi, virtio), then index. */
struct drive_list {
    struct drive *items;
    size_t n, cap;
};

const char *drive_bus_name(enum drive_bus bus);
/* Slots: ide0-3, sata0-5, scsi0-30, virtio0-15. */
int drive_bus_slots(enum drive_bus bus);
/* "scsi0" to a slot; false for any other key, also "scsihw" and "scsi31". */
bool drive_slot_parse(const char *key, struct drive_slot *ret_slot);
void drive_slot_format(struct drive_slot slot, char text[DRIVE_SLOT_SIZE]);
bool drive_slot_equal(struct drive_slot a, struct drive_slot b);

/* `file=`, `volume=` and the keyless form are the same. -EINVAL where PVE would drop the line: no
 * volume, an option of other buses only, a wwn or serial it does not read. Options that no bus of
 * ours has are kept. */
int drive_parse(struct drive_slot slot, const char *value, struct drive *ret, struct err *err);
void drive_fini(struct drive *drive);
int drive_copy(const struct drive *from, struct drive *ret_to);
/* volume first, then the options in their order; NULL: no memory. */
char *drive_format(const struct drive *drive);
/* May this option stand on that bus (`iothread` on sata: no)? Unknown options: yes. */
bool drive_bus_knows(enum drive_bus bus, const char *option);
/* May the value be written there (serial at most 20 bytes, vendor 8, product 16, model 40)? */
bool drive_value_fits(const char *option, const char *value);
/* PVE's url-encoding of serial and model. The caller's; NULL: no memory. */
char *drive_url_encode(const char *value);
char *drive_url_decode(const char *value);
/* Is it a disk that may be moved: not a cdrom, not cloud-init, a volume other than "none"? */
bool drive_is_disk(const struct drive *drive);

int drive_list_read(const struct pveconf *conf, struct drive_list *ret_list, struct err *err);
void drive_list_fini(struct drive_list *list);

/* `boot:` in its forms: "order=a;b;c", legacy letters ("cdn", "order" absent) with bootdisk, or
 * absent. One blank (PVE's own spelling when the last device went) is an explicit order of none. */
struct boot_order {
    bool explicit_order; /* an `order=` was there, possibly empty */
    char **devices;      /* of order=, in order */
    size_t n, cap;
    char *legacy;   /* "cdn" and the like; NULL */
    char *bootdisk; /* the option of that name; NULL */
};

int boot_order_parse(const struct pveconf *conf, struct boot_order *ret, struct err *err);
void boot_order_fini(struct boot_order *boot);
/* "order=a;b"; only for explicit_order. NULL: no memory. */
char *boot_order_format(const struct boot_order *boot);
/* A boot order may have named what was not there, without effect; PVE takes that no more. This
 * order=... of the devices that are there, or are `also` (NULL: none); the caller's; NULL: no
 * memory.
 */
char *boot_order_present(const struct pveconf *conf, const char *order, const char *also);
/* Puts `to` where `from` stood among the devices; bootdisk is an option of its own. 0: it was not
 * there, 1: replaced, -ENOMEM. */
int boot_order_replace(struct boot_order *boot, const char *from, const char *to);

#endif
