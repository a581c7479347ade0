/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vmx_priv.h: disks and CD-ROM drives. Slots are found by their names in the dictionary and
 * sorted as numbers: scsi0:2 comes before scsi0:10.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/vmware.h"
#include "core/vmx_priv.h"

enum {
    SLOT_NUMBER_MAX = 999, /* what is read as a number; what VMware has is less */
    SLOTS_MAX = 1024,
    SHOWN_MAX = 96,
    SLOT_NAME_SIZE = 24,
};

/* In the order in which the fingerprint lists them. */
enum bus_kind { BUS_SCSI, BUS_SATA, BUS_NVME, BUS_IDE, BUS_KINDS };

static const char *const bus_names[BUS_KINDS] = {
    [BUS_SCSI] = "scsi", [BUS_SATA] = "sata", [BUS_NVME] = "nvme", [BUS_IDE] = "ide"};

struct slot {
    enum bus_kind kind;
    int bus, unit;
};

struct slots {
    struct slot *items;
    size_t n, cap;
};

static void slots_fini(struct slots *slots)
{
    free(slots->items);
}

/* "scsi0:1" at the start of `name`: true, *ret and what follows. */
static bool slot_parse(const char *name, struct slot *ret, const char **ret_rest)
{
    for (enum bus_kind kind = BUS_SCSI; kind < BUS_KINDS; kind++) {
        if (str_istarts(name, bus_names[kind])) {
            const char *at = name + strlen(bus_names[kind]);

            ret->kind = kind;
            if (!vmx_take_number(&at, SLOT_NUMBER_MAX, &ret->bus) || *at++ != ':' ||
                !vmx_take_number(&at, SLOT_NUMBER_MAX, &ret->unit)) {
                return false;
            }
            *ret_rest = at;
            return true;
        }
    }
    return false;
}

static int compare(const void *left, const void *right)
{
    const struct slot *a = left, *b = right;

    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return a->bus != b->bus ? a->bus - b->bus : a->unit - b->unit;
}

static void find_slots(struct vmx *v, struct slots *slots)
{
    for (size_t i = 0; i < v->dict.n && slots->n < SLOTS_MAX; i++) {
        struct slot slot;
        const char *rest;

        if (!slot_parse(v->dict.entries[i].name, &slot, &rest) || !str_equal(rest, ".present") ||
            !vmx_true(v->dict.entries[i].value, false)) {
            continue;
        }
        if (vec_reserve(&slots->items, slots->n, &slots->cap, sizeof(*slots->items)) < 0) {
            v->error = -ENOMEM;
            return;
        }
        slots->items[slots->n++] = slot;
    }
    if (slots->n > 0) {
        qsort(slots->items, slots->n, sizeof(*slots->items), compare);
    }
}

static void slot_name(const struct slot *slot, char name[SLOT_NAME_SIZE])
{
    (void)snprintf(name, SLOT_NAME_SIZE, "%s%d:%d", bus_names[slot->kind], slot->bus, slot->unit);
}

static const char *slot_get(const struct vmx *v, const struct slot *slot, const char *key)
{
    return vmx_get(v, "%s%d:%d.%s", bus_names[slot->kind], slot->bus, slot->unit, key);
}

/* --- controllers ------------------------------------------------------------------------------ */

static enum fingerprint_controller scsi_controller(struct vmx *v, int bus, bool first)
{
    const char *device = vmx_get(v, "scsi%d.virtualdev", bus);
    enum fingerprint_controller model;

    for (model = FINGERPRINT_PVSCSI; device != NULL && model <= FINGERPRINT_BUSLOGIC; model++) {
        if (str_iequal(device, fingerprint_controller_name(model))) {
            return model;
        }
    }
    model = vmware_default_scsi(v->guest);
    if (first && device != NULL && *device != '\0') {
        vmx_note(v, "scsi%d.virtualDev = \"%.*s\" is not known here: taken as %s", bus, SHOWN_MAX,
                 device, fingerprint_controller_name(model));
    } else if (first) {
        vmx_note(v,
                 "scsi%d has no virtualDev: taken as %s, VMware's usual choice for guestOS "
                 "\"%.*s\"; compare it with what the guest shows",
                 bus, fingerprint_controller_name(model), SHOWN_MAX, v->guest);
    }
    return model;
}

static enum fingerprint_controller controller_of(struct vmx *v, const struct slot *slot, bool first)
{
    switch (slot->kind) {
    case BUS_SATA:
        return FINGERPRINT_SATA;
    case BUS_NVME:
        return FINGERPRINT_NVME;
    case BUS_IDE:
        return FINGERPRINT_IDE;
    case BUS_SCSI:
    case BUS_KINDS:
        break;
    }
    return scsi_controller(v, slot->bus, first);
}

/* IDE is always there; the other controllers must be said to be. */
static bool has_controller(struct vmx *v, const struct slot *slot, bool first)
{
    const char *present = vmx_get(v, "%s%d.present", bus_names[slot->kind], slot->bus);

    if (vmx_true(present, slot->kind == BUS_IDE)) {
        return true;
    }
    if (first) {
        vmx_note(v,
                 "%s%d.present is not TRUE, so the guest did not see the devices of %s%d; left "
                 "out",
                 bus_names[slot->kind], slot->bus, bus_names[slot->kind], slot->bus);
    }
    return false;
}

/* --- drives ----------------------------------------------------------------------------------- */

enum drive_type { DRIVE_DISK, DRIVE_CDROM, DRIVE_OTHER };

static enum drive_type drive_type(const char *type, const char *file)
{
    static const char *const cdroms[] = {"cdrom-image", "cdrom-raw", "atapi-cdrom"};
    static const char *const disks[] = {"disk",          "plainDisk",    "rawDisk",
                                        "scsi-hardDisk", "ata-hardDisk", "sata-hardDisk",
                                        "nvme-hardDisk"};

    if (type == NULL || *type == '\0') {
        bool medium = file != NULL && (str_iequal(file, "emptyBackingString") ||
                                       str_iequal(file, "auto detect") || str_ends(file, ".iso"));

        return medium ? DRIVE_CDROM : DRIVE_DISK;
    }
    for (size_t i = 0; i < ARRAY_SIZE(cdroms); i++) {
        if (str_iequal(type, cdroms[i])) {
            return DRIVE_CDROM;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(disks); i++) {
        if (str_iequal(type, disks[i])) {
            return DRIVE_DISK;
        }
    }
    return DRIVE_OTHER;
}

/* facts/vmware.md 3, "Disk identity in the guest". */
static void name_disk(struct vmx *v, const struct slot *slot, struct fingerprint_disk *disk)
{
    const char *vendor = slot_get(v, slot, "vendorid");
    const char *product = slot_get(v, slot, "productid");
    char serial[VMWARE_SERIAL_SIZE];

    vmx_set(v, &disk->model, vmware_disk_model(disk->controller));
    if (slot->kind == BUS_SCSI) {
        vmx_set(v, &disk->vendor, VMWARE_DISK_VENDOR);
        vmx_set(v, &disk->product, VMWARE_DISK_PRODUCT);
        vmx_set_text(v, &disk->vendor, vendor, FINGERPRINT_VENDOR_MAX, "vendorID");
        vmx_set_text(v, &disk->product, product, FINGERPRINT_PRODUCT_MAX, "productID");
    }
    if (vmware_disk_serial(disk->controller, disk->bus, disk->unit, serial)) {
        vmx_set(v, &disk->serial, serial);
    }
}

static void name_cdrom(struct vmx *v, struct fingerprint_disk *cdrom)
{
    const char *product = vmware_cdrom_product(cdrom->controller);

    if (product != NULL) {
        vmx_set(v, &cdrom->vendor, VMWARE_CDROM_VENDOR);
        vmx_set(v, &cdrom->product, product);
    }
}

static bool has_serial(struct vmx *v, const struct slot *slot)
{
    return slot->kind == BUS_SCSI && vmx_true(vmx_get(v, "disk.enableuuid"), false);
}

static const struct vmx_disk_file *find_file(const struct vmx_disk_files *files, const char *name)
{
    for (size_t i = 0; files != NULL && name != NULL && i < files->n; i++) {
        if (str_equal(files->items[i].file, name)) {
            return &files->items[i];
        }
    }
    return NULL;
}

/* The serial of a SCSI disk is in the descriptor of its .vmdk, if somebody had a look there. */
static void capture_serial(struct vmx *v, const struct slot *slot, const char *file, size_t index)
{
    const struct vmx_disk_file *known = find_file(v->files, file);
    CLEANUP_FREE char *name = NULL;

    if (!has_serial(v, slot)) {
        return;
    }
    if (known != NULL && known->serial != NULL) {
        vmx_set(v, &v->fp->disks[index].serial, known->serial);
        return;
    }
    vmx_set_text(v, &name, file, SHOWN_MAX, "a fileName");
    vmx_note(v,
             "disk.EnableUUID: the guest saw a serial number for scsi%d:%d. It is `ddb.uuid` in "
             "the descriptor of %s; add its 32 digits without blanks as disks[%zu].serial%s%s",
             slot->bus, slot->unit, name != NULL ? name : "its .vmdk", index,
             known != NULL && known->why != NULL ? ": " : "",
             known != NULL && known->why != NULL ? known->why : "");
}

static bool has_numbers(struct vmx *v, const struct slot *slot,
                        enum fingerprint_controller controller)
{
    if (fingerprint_slot_exists(controller, slot->bus, slot->unit)) {
        return true;
    }
    vmx_note(v, "%s%d:%d is no slot of VMware's %s; left out", bus_names[slot->kind], slot->bus,
             slot->unit, fingerprint_controller_name(controller));
    return false;
}

/* The next free item of disks or cdroms; NULL: no room or no memory. */
static struct fingerprint_disk *append(struct vmx *v, struct fingerprint_disk **items, size_t *n,
                                       size_t *cap, const char *slot)
{
    if (*n == FINGERPRINT_DISKS_MAX) {
        vmx_note(v, "%s is one drive too many (at most %d); left out", slot, FINGERPRINT_DISKS_MAX);
        return NULL;
    }
    if (vec_reserve(items, *n, cap, sizeof(**items)) < 0) {
        v->error = -ENOMEM;
        return NULL;
    }
    (*items)[*n] = (struct fingerprint_disk){0};
    return &(*items)[(*n)++];
}

struct room {
    size_t disks, cdroms; /* capacities of the two arrays */
};

static void add_drive(struct vmx *v, const struct slot *slot, bool first, struct room *room)
{
    struct fingerprint *fp = v->fp;
    const char *type = slot_get(v, slot, "devicetype");
    const char *file = slot_get(v, slot, "filename");
    enum drive_type kind = drive_type(type, file);
    enum fingerprint_controller controller = controller_of(v, slot, first);
    struct fingerprint_disk *drive;
    char name[SLOT_NAME_SIZE];

    slot_name(slot, name);
    if (!has_numbers(v, slot, controller)) {
        return;
    }
    if (kind == DRIVE_OTHER) {
        vmx_note(v, "%s is neither disk nor CD-ROM (deviceType \"%.*s\"); left out", name,
                 SHOWN_MAX, type);
        return;
    }
    drive = kind == DRIVE_DISK ? append(v, &fp->disks, &fp->n_disks, &room->disks, name)
                               : append(v, &fp->cdroms, &fp->n_cdroms, &room->cdroms, name);
    if (drive == NULL) {
        return;
    }
    drive->controller = controller;
    drive->bus = slot->bus;
    drive->unit = slot->unit;
    if (kind == DRIVE_CDROM) {
        name_cdrom(v, drive);
        return;
    }
    fp->has_disks = true;
    name_disk(v, slot, drive);
    capture_serial(v, slot, file, fp->n_disks - 1);
}

/* bios.hddOrder = "scsi0:1,scsi0:0": the boot disk need not be the first by number. */
static void note_boot_disk(struct vmx *v)
{
    const char *order = vmx_get(v, "bios.hddorder");
    const struct fingerprint *fp = v->fp;
    struct slot boot;
    const char *rest;

    if (order == NULL || fp->n_disks < 2 || !slot_parse(order, &boot, &rest)) {
        return;
    }
    for (size_t i = 1; i < fp->n_disks; i++) {
        const struct fingerprint_disk *disk = &fp->disks[i];

        if (disk->bus == boot.bus && disk->unit == boot.unit &&
            disk->controller == controller_of(v, &boot, false)) {
            vmx_note(v,
                     "bios.hddOrder starts with %s%d:%d, which is disks[%zu] here: if that is "
                     "the boot disk in PVE too, move it to the front of disks",
                     bus_names[boot.kind], boot.bus, boot.unit, i);
            return;
        }
    }
}

void vmx_capture_disks(struct vmx *v)
{
    CLEANUP(slots_fini) struct slots slots = {0};
    struct room room = {0};

    find_slots(v, &slots);
    for (size_t i = 0; i < slots.n && v->error == 0; i++) {
        const struct slot *slot = &slots.items[i];
        bool first = i == 0 || slot[-1].kind != slot->kind || slot[-1].bus != slot->bus;

        if (has_controller(v, slot, first)) {
            add_drive(v, slot, first, &room);
        }
    }
    note_boot_disk(v);
}

void vmx_list_disk_files(struct vmx *v, struct vmx_disk_files *files)
{
    CLEANUP(slots_fini) struct slots slots = {0};

    find_slots(v, &slots);
    for (size_t i = 0; i < slots.n && v->error == 0; i++) {
        const struct slot *slot = &slots.items[i];
        const char *file = slot_get(v, slot, "filename");

        if (!has_serial(v, slot) || file == NULL || *file == '\0' ||
            drive_type(slot_get(v, slot, "devicetype"), file) != DRIVE_DISK ||
            find_file(files, file) != NULL) {
            continue;
        }
        if (vec_reserve(&files->items, files->n, &files->cap, sizeof(*files->items)) < 0) {
            v->error = -ENOMEM;
            return;
        }
        files->items[files->n] = (struct vmx_disk_file){0};
        vmx_set(v, &files->items[files->n++].file, file);
    }
}
