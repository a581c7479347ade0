/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vcenter_priv.h: disks and CD-ROM drives. Listed as a .vmx file's are (SCSI, SATA, NVMe, IDE;
 * then bus and unit), so that the two captures of one VM agree. Within one kind that is the order
 * of the device keys, which are 2000, 16000, 31000, 3000 and up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/vcenter_priv.h"

enum {
    SHOWN_MAX = 64,
    SERIAL_UNIT_MAX = 9, /* two digits have been seen; how more look is not known */
    NUMBER_MAX = 999,    /* what is read as a bus or unit; what VMware has is less */
};

enum bus_kind { BUS_SCSI, BUS_SATA, BUS_NVME, BUS_IDE, BUS_KINDS };

static const char *const type_names[BUS_KINDS] = {
    [BUS_SCSI] = "SCSI", [BUS_SATA] = "SATA", [BUS_NVME] = "NVME", [BUS_IDE] = "IDE"};
static const char *const address_names[BUS_KINDS] = {
    [BUS_SCSI] = "scsi", [BUS_SATA] = "sata", [BUS_NVME] = "nvme", [BUS_IDE] = "ide"};

/* One list of drives on its way: `map` names it in notes. */
struct drives {
    const char *map;
    bool cdroms;
    struct fingerprint_disk *items;
    size_t n, cap;
};

/* --- where it is ------------------------------------------------------------------------------ */

static enum fingerprint_controller scsi_type(const char *type)
{
    static const struct {
        const char *name;
        enum fingerprint_controller controller;
    } types[] = {
        {"PVSCSI", FINGERPRINT_PVSCSI},
        {"LSILOGIC", FINGERPRINT_LSILOGIC},
        {"LSILOGICSAS", FINGERPRINT_LSISAS1068},
        {"BUSLOGIC", FINGERPRINT_BUSLOGIC},
    };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (str_equal(type, types[i].name)) {
            return types[i].controller;
        }
    }
    return FINGERPRINT_SATA; /* none of SCSI */
}

/* The adapter of that SCSI bus; its address is in scsi.bus. FINGERPRINT_SATA: not known. */
static enum fingerprint_controller find_scsi(struct vcenter *v, int bus)
{
    CLEANUP(vcenter_devices_fini) struct vcenter_devices adapters = {0};

    vcenter_devices_read(v, "scsi_adapters", &adapters);
    for (size_t i = 0; i < adapters.n; i++) {
        const json_t *adapter = adapters.items[i].value;

        if (vcenter_number(json_object_get(adapter, "scsi"), "bus", NUMBER_MAX) == bus) {
            return scsi_type(vcenter_text(adapter, "type"));
        }
    }
    return FINGERPRINT_SATA;
}

/* An IDE address is two booleans: {"primary": true, "master": true} is ide0:0. */
static int read_address(const json_t *address, enum bus_kind kind, int *ret_bus, int *ret_unit)
{
    long bus = vcenter_number(address, "bus", NUMBER_MAX);
    long unit = vcenter_number(address, "unit", NUMBER_MAX);

    if (kind == BUS_IDE && json_is_boolean(json_object_get(address, "primary"))) {
        bus = json_is_true(json_object_get(address, "primary")) ? 0 : 1;
        unit = json_is_true(json_object_get(address, "master")) ? 0 : 1;
    }
    if (bus < 0 || unit < 0) {
        return -EINVAL;
    }
    *ret_bus = (int)bus;
    *ret_unit = (int)unit;
    return 0;
}

static enum fingerprint_controller controller_of(struct vcenter *v, enum bus_kind kind, int bus)
{
    switch (kind) {
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
    return find_scsi(v, bus);
}

/* True: *drive has a place that exists. */
static bool place(struct vcenter *v, const char *map, const struct vcenter_device *device,
                  enum bus_kind *ret_kind, struct fingerprint_disk *drive)
{
    const char *type = vcenter_text(device->value, "type");
    enum bus_kind kind = BUS_SCSI;

    while (kind < BUS_KINDS && !str_equal(type, type_names[kind])) {
        kind++;
    }
    if (kind == BUS_KINDS) {
        vcenter_note(v, "%s.%lu: type \"%.*s\" is not known here; left out", map, device->key,
                     SHOWN_MAX, type);
        return false;
    }
    if (read_address(json_object_get(device->value, address_names[kind]), kind, &drive->bus,
                     &drive->unit) < 0) {
        vcenter_note(v, "%s.%lu: the answer does not tell its place on the %s bus; left out", map,
                     device->key, type);
        return false;
    }
    drive->controller = controller_of(v, kind, drive->bus);
    if (kind == BUS_SCSI && drive->controller == FINGERPRINT_SATA) {
        vcenter_note(v, "%s.%lu: which adapter SCSI bus %d has is not known here; left out", map,
                     device->key, drive->bus);
        return false;
    }
    if (!fingerprint_slot_exists(drive->controller, drive->bus, drive->unit)) {
        vcenter_note(v, "%s.%lu: bus %d, unit %d is no slot of VMware's %s; left out", map,
                     device->key, drive->bus, drive->unit,
                     fingerprint_controller_name(drive->controller));
        return false;
    }
    *ret_kind = kind;
    return true;
}

/* --- how it names itself (facts/vmware.md 3, "Disk identity in the guest") ---------------------
 */

static void name_disk(struct vcenter *v, enum bus_kind kind, struct fingerprint_disk *disk)
{
    static const char *const models[BUS_KINDS] = {[BUS_SATA] = "VMware Virtual SATA Hard Drive",
                                                  [BUS_NVME] = "VMware Virtual NVMe Disk",
                                                  [BUS_IDE] = "VMware Virtual IDE Hard Drive"};
    bool two_digits = (kind == BUS_IDE || (kind == BUS_SATA && disk->bus == 0)) &&
                      disk->unit <= SERIAL_UNIT_MAX;
    char serial[] = "00000000000000000001";

    vcenter_set(v, &disk->model, models[kind]);
    if (kind == BUS_SCSI) {
        vcenter_set(v, &disk->vendor, "VMware");
        vcenter_set(v, &disk->product, "Virtual disk");
    }
    if (two_digits) {
        serial[0] = (char)('0' + disk->bus);
        serial[1] = (char)('0' + disk->unit);
        vcenter_set(v, &disk->serial, serial);
    }
}

static void name_cdrom(struct vcenter *v, enum bus_kind kind, struct fingerprint_disk *cdrom)
{
    static const char *const products[BUS_KINDS] = {
        [BUS_SATA] = "VMware SATA CD01", [BUS_IDE] = "VMware IDE CDR10"};

    if (products[kind] != NULL) {
        vcenter_set(v, &cdrom->vendor, "NECVMWar");
        vcenter_set(v, &cdrom->product, products[kind]);
    }
}

/* --- the lists -------------------------------------------------------------------------------- */

static void add_drive(struct vcenter *v, const struct vcenter_device *device, struct drives *drives)
{
    struct fingerprint_disk drive = {0};
    enum bus_kind kind;

    if (!place(v, drives->map, device, &kind, &drive)) {
        return;
    }
    if (drives->n == FINGERPRINT_DISKS_MAX) {
        vcenter_note(v, "%s.%lu is one drive too many (at most %d); left out", drives->map,
                     device->key, FINGERPRINT_DISKS_MAX);
        return;
    }
    if (vec_reserve(&drives->items, drives->n, &drives->cap, sizeof(drive)) < 0) {
        v->error = -ENOMEM;
        return;
    }
    drives->items[drives->n] = drive;
    if (drives->cdroms) {
        name_cdrom(v, kind, &drives->items[drives->n++]);
    } else {
        name_disk(v, kind, &drives->items[drives->n++]);
    }
}

/* SCSI of all kinds first, then SATA, NVMe, IDE. */
static int rank(const struct fingerprint_disk *drive)
{
    switch (drive->controller) {
    case FINGERPRINT_PVSCSI:
    case FINGERPRINT_LSILOGIC:
    case FINGERPRINT_LSISAS1068:
    case FINGERPRINT_BUSLOGIC:
        return BUS_SCSI;
    case FINGERPRINT_SATA:
        return BUS_SATA;
    case FINGERPRINT_NVME:
        return BUS_NVME;
    case FINGERPRINT_IDE:
        return BUS_IDE;
    }
    return BUS_KINDS;
}

static int compare(const void *left, const void *right)
{
    const struct fingerprint_disk *a = left, *b = right;

    if (rank(a) != rank(b)) {
        return rank(a) - rank(b);
    }
    return a->bus != b->bus ? a->bus - b->bus : a->unit - b->unit;
}

static void capture_list(struct vcenter *v, struct drives *drives,
                         struct fingerprint_disk **ret_items, size_t *ret_n)
{
    CLEANUP(vcenter_devices_fini) struct vcenter_devices devices = {0};

    vcenter_devices_read(v, drives->map, &devices);
    for (size_t i = 0; i < devices.n && v->error == 0; i++) {
        add_drive(v, &devices.items[i], drives);
    }
    if (drives->n > 1) {
        qsort(drives->items, drives->n, sizeof(drives->items[0]), compare);
    }
    *ret_items = drives->items; /* the fingerprint's, also half-filled */
    *ret_n = drives->n;
}

static void note_serials(struct vcenter *v)
{
    if ((vcenter_missing(v->fp) & VCENTER_MISSING_SERIAL) != 0) {
        vcenter_note(v, "vCenter's REST API does not tell the serial numbers of SCSI disks. Where "
                        "disk.EnableUUID is TRUE the guest saw them: capture the .vmx file with "
                        "its .vmdk descriptors, or a dump from inside the guest, and join it with "
                        "`pve-hwid capture --merge`");
    }
}

void vcenter_capture_drives(struct vcenter *v)
{
    struct drives disks = {.map = "disks"};
    struct drives cdroms = {.map = "cdroms", .cdroms = true};

    capture_list(v, &disks, &v->fp->disks, &v->fp->n_disks);
    capture_list(v, &cdroms, &v->fp->cdroms, &v->fp->n_cdroms);
    v->fp->has_disks = v->fp->n_disks > 0;
    note_serials(v);
}
