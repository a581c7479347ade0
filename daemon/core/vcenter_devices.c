/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vcenter_priv.h: network cards in the order of their device keys (4000 is ethernet0), drives
 * in that of a .vmx file, so that the two captures of one VM agree; within one bus that is the
 * order of the keys, too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/vcenter_priv.h"

enum {
    SHOWN_MAX = 64,
    DEVICES_MAX = 1024, /* of one map */
    NUMBER_MAX = 999,   /* what is read as a bus or unit; what VMware has is less */
    WHAT_SIZE = 32,     /* "disks.16000" */
};

/* One entry of a map of devices. */
struct device {
    unsigned long key;
    size_t order; /* in the answer: decides between equal keys */
    const json_t *value;
    char what[WHAT_SIZE]; /* for notes */
};

struct devices {
    struct device *items;
    size_t n, cap;
};

static void devices_fini(struct devices *devices)
{
    free(devices->items);
}

static int compare(const void *left, const void *right)
{
    const struct device *a = left, *b = right;

    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    return a->order < b->order ? -1 : 1;
}

/* A key that is no number comes last: it still names a device. */
static void add_device(struct builder *b, struct devices *devices, const char *map, const char *key,
                       const json_t *value)
{
    struct device device = {.order = devices->n, .value = value};
    uint64_t number;

    if (b->error != 0 || devices->n == DEVICES_MAX || !json_is_object(value)) {
        return;
    }
    if (vec_reserve(&devices->items, devices->n, &devices->cap, sizeof(devices->items[0])) < 0) {
        b->error = -ENOMEM;
        return;
    }
    device.key = str_to_u64(key, INT32_MAX, &number) ? number : (unsigned long)INT32_MAX + 1;
    (void)snprintf(device.what, sizeof(device.what), "%s.%.12s", map, key); /* cut is fine */
    devices->items[devices->n++] = device;
}

/* A map of either dialect, in the order of its keys. */
static void read_devices(struct builder *b, const json_t *vm, const char *map,
                         struct devices *devices)
{
    json_t *entries = json_object_get(vm, map);
    const json_t *entry;
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach (entries, key, value) {
        add_device(b, devices, map, key, value);
    }
    json_array_foreach (entries, i, entry) {
        add_device(b, devices, map, vcenter_text(entry, "key"), json_object_get(entry, "value"));
    }
    if (devices->n > 1) {
        qsort(devices->items, devices->n, sizeof(devices->items[0]), compare);
    }
}

/* --- network cards ---------------------------------------------------------------------------- */

static enum fingerprint_nic_model nic_model(struct builder *b, const struct device *device)
{
    static const struct {
        const char *name;
        enum fingerprint_nic_model model;
    } models[] = {
        {"VMXNET3", FINGERPRINT_NIC_VMXNET3}, {"VMXNET2", FINGERPRINT_NIC_VMXNET2},
        {"VMXNET", FINGERPRINT_NIC_VMXNET},   {"E1000", FINGERPRINT_NIC_E1000},
        {"E1000E", FINGERPRINT_NIC_E1000E},   {"PCNET32", FINGERPRINT_NIC_VLANCE},
    };
    const char *type = vcenter_text(device->value, "type");

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        if (str_equal(type, models[i].name)) {
            return models[i].model;
        }
    }
    builder_note(b, "%s: type \"%.*s\" is not known here: only its MAC is kept", device->what,
                 SHOWN_MAX, type);
    return FINGERPRINT_NIC_UNKNOWN;
}

static void capture_nics(struct builder *b, const json_t *vm)
{
    CLEANUP(devices_fini) struct devices devices = {0};

    read_devices(b, vm, "nics", &devices);
    for (size_t i = 0; i < devices.n; i++) {
        const struct device *device = &devices.items[i];

        builder_nic(b, nic_model(b, device), vcenter_text(device->value, "mac_address"),
                    device->what);
    }
}

/* --- drives ----------------------------------------------------------------------------------- */

struct drives {
    struct builder *b;
    struct devices adapters; /* scsi_adapters */
};

static bool scsi_type(const char *type, enum fingerprint_controller *ret)
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
            *ret = types[i].controller;
            return true;
        }
    }
    return false;
}

/* What the adapter of that SCSI bus is; its own address is in scsi.bus. */
static bool find_scsi(const struct drives *drives, long bus, enum fingerprint_controller *ret)
{
    for (size_t i = 0; i < drives->adapters.n; i++) {
        const json_t *adapter = drives->adapters.items[i].value;

        if (vcenter_number(json_object_get(adapter, "scsi"), "bus", NUMBER_MAX) == bus) {
            return scsi_type(vcenter_text(adapter, "type"), ret);
        }
    }
    return false;
}

/* An IDE address is two booleans: {"primary": true, "master": true} is ide0:0. */
static bool read_address(const json_t *address, long *ret_bus, long *ret_unit)
{
    const json_t *primary = json_object_get(address, "primary");
    const json_t *master = json_object_get(address, "master");

    if (json_is_boolean(primary) && json_is_boolean(master)) {
        *ret_bus = json_is_true(primary) ? 0 : 1;
        *ret_unit = json_is_true(master) ? 0 : 1;
        return true;
    }
    *ret_bus = vcenter_number(address, "bus", NUMBER_MAX);
    *ret_unit = vcenter_number(address, "unit", NUMBER_MAX);
    return *ret_bus >= 0 && *ret_unit >= 0;
}

static void add_drive(struct drives *drives, const struct device *device, bool cdrom)
{
    static const struct {
        const char *type, *address;
        enum fingerprint_controller controller;
    } kinds[] = {
        {"SCSI", "scsi", FINGERPRINT_PVSCSI}, /* or what its adapter is */
        {"SATA", "sata", FINGERPRINT_SATA},
        {"NVME", "nvme", FINGERPRINT_NVME},
        {"IDE", "ide", FINGERPRINT_IDE},
    };
    const char *type = vcenter_text(device->value, "type");
    enum fingerprint_controller controller;
    size_t kind = 0;
    long bus, unit;

    while (kind < ARRAY_SIZE(kinds) && !str_equal(type, kinds[kind].type)) {
        kind++;
    }
    if (kind == ARRAY_SIZE(kinds)) {
        builder_note(drives->b, "%s: type \"%.*s\" is not known here; left out", device->what,
                     SHOWN_MAX, type);
        return;
    }
    controller = kinds[kind].controller;
    if (!read_address(json_object_get(device->value, kinds[kind].address), &bus, &unit)) {
        builder_note(drives->b, "%s: the answer does not tell its place on the %s bus; left out",
                     device->what, type);
    } else if (kind == 0 && !find_scsi(drives, bus, &controller)) {
        builder_note(drives->b, "%s: which adapter SCSI bus %ld has is not known here; left out",
                     device->what, bus);
    } else {
        (void)builder_drive(drives->b, cdrom, controller, (int)bus, (int)unit, device->what);
    }
}

static void capture_drives(struct drives *drives, const json_t *vm, const char *map, bool cdroms)
{
    CLEANUP(devices_fini) struct devices devices = {0};

    read_devices(drives->b, vm, map, &devices);
    for (size_t i = 0; i < devices.n; i++) {
        add_drive(drives, &devices.items[i], cdroms);
    }
}

void vcenter_capture_devices(struct builder *b, const json_t *vm)
{
    struct drives drives = {.b = b};

    capture_nics(b, vm);
    read_devices(b, vm, "scsi_adapters", &drives.adapters);
    capture_drives(&drives, vm, "disks", false);
    capture_drives(&drives, vm, "cdroms", true);
    devices_fini(&drives.adapters);
    builder_sort(b);
    if (b->error == 0 && (vcenter_missing(b->fp) & VCENTER_MISSING_SERIAL) != 0) {
        builder_note(b, "vCenter's REST API does not tell the serial numbers of SCSI disks. Where "
                        "disk.EnableUUID is TRUE the guest saw them: capture the .vmx file with "
                        "its .vmdk descriptors, or a dump from inside the guest, and join it with "
                        "`pve-hwid capture --merge`");
    }
}
