/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See winguest_priv.h: devices by their PCI ids (facts/vmware.md 7). Windows knows no VMware
 * numbers: network cards and SCSI controllers are put into the order of their places on the PCI
 * bus, which is VMware's order unless somebody moved them by hand. Inferred, not stated by VMware:
 * hence the notes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/vmware.h"
#include "core/winguest_priv.h"

enum {
    ITEMS_MAX = 1000, /* of one array; a guest has about ten */
    BUSES_MAX = 16,   /* controllers of one kind */
    SHOWN_MAX = 64,
    WHAT_SIZE = 100,
    ADDRESS_MAX = 1000,
    MAC_DIGITS = 12,
    ATA_SERIAL_MAX = 20,
    PLACE_NONE = 0xffff,
};

/* --- PCI -------------------------------------------------------------------------------------- */

static bool has_id(const char *pnp, const char *id)
{
    return str_istarts(pnp, "PCI\\VEN_") && str_istarts(pnp + strlen("PCI\\VEN_"), id);
}

/* The last number of an instance path, "...\4&3AD87E0A&0&00A8": in hexadecimal, device * 8 +
 * function. VMware numbers its bridge ports by function first (slots 160, 192, ..., then 1184). */
static int place_of(const char *pnp)
{
    const char *last = strrchr(pnp, '&');
    int value = 0;

    if (last == NULL || ascii_hex(last[1]) < 0) {
        return PLACE_NONE;
    }
    for (last++; ascii_hex(*last) >= 0 && value < PLACE_NONE >> 4; last++) {
        value = value << 4 | ascii_hex(*last);
    }
    return (value & 7) << 8 | value >> 3;
}

struct placed {
    struct jsonread at; /* an object of the array */
    const char *pnp;
    int place;
    size_t index;
};

struct placed_list {
    struct placed *items;
    size_t n, cap;
};

static void placed_fini(struct placed_list *list)
{
    free(list->items);
}

static int compare_places(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;

    if (a->place != b->place) {
        return a->place < b->place ? -1 : 1;
    }
    return a->index < b->index ? -1 : 1;
}

/* ConvertTo-Json of PowerShell makes of an array of one its item alone, and of one that went
 * through a pipeline before {"value": [...], "Count": n}. Ours keeps arrays; what others made of it
 * may not. */
static size_t unwrap(struct jsonread *array)
{
    json_t *value = json_object_get(array->value, "value");

    if (json_is_array(value) && json_object_get(array->value, "Count") != NULL) {
        array->value = value;
    }
    return json_is_object(array->value) ? 1 : json_array_size(array->value);
}

/* The objects of the array `key`, in the order of the file; `list` may stay empty. */
static void read_list(struct winguest *w, const struct jsonread *root, struct jsonread *array,
                      const char *key, struct placed_list *list)
{
    size_t n;

    if (w->rc != 0 || !jsonread_enter(root, key, array) || json_is_null(array->value)) {
        return;
    }
    n = unwrap(array);
    if ((!json_is_array(array->value) && !json_is_object(array->value)) || n > ITEMS_MAX) {
        w->rc = jsonread_wrong(array, NULL, w->err, "an array [ ... ] of at most %d is needed here",
                               ITEMS_MAX);
        return;
    }
    for (size_t i = 0; i < n && w->rc == 0; i++) {
        struct placed item = {.at = json_is_array(array->value) ? jsonread_item(array, i) : *array,
                              .index = i};

        if (!json_is_object(item.at.value)) {
            w->rc = jsonread_wrong(&item.at, NULL, w->err, "an object { ... } is needed here");
            return;
        }
        item.pnp = winguest_text(w, &item.at, "pnp");
        item.pnp = item.pnp != NULL ? item.pnp : "";
        item.place = place_of(item.pnp);
        if (vec_reserve(&list->items, list->n, &list->cap, sizeof(*list->items)) < 0) {
            w->b.error = -ENOMEM;
            return;
        }
        list->items[list->n++] = item;
    }
}

static void sort_list(struct placed_list *list)
{
    if (list->n > 1) {
        qsort(list->items, list->n, sizeof(*list->items), compare_places);
    }
}

static const char *name_item(struct winguest *w, const struct placed *item, const char *kind,
                             char what[WHAT_SIZE])
{
    const char *name = winguest_text(w, &item->at, "name");

    (void)snprintf(what, WHAT_SIZE, "%s \"%.*s\"", kind, SHOWN_MAX, name != NULL ? name : "");
    return what;
}

/* --- network cards ---------------------------------------------------------------------------- */

static enum fingerprint_nic_model nic_model(struct winguest *w, const char *pnp, const char *what)
{
    static const struct {
        const char *id;
        enum fingerprint_nic_model model;
    } models[] = {{"15AD&DEV_07B0", FINGERPRINT_NIC_VMXNET3},
                  {"15AD&DEV_0720", FINGERPRINT_NIC_VMXNET},
                  {"8086&DEV_100F", FINGERPRINT_NIC_E1000},
                  {"8086&DEV_10D3", FINGERPRINT_NIC_E1000E},
                  {"1022&DEV_2000", FINGERPRINT_NIC_VLANCE}};

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        if (has_id(pnp, models[i].id)) {
            return models[i].model;
        }
    }
    builder_note(&w->b, "%s is none of VMware's (%.*s): only its MAC is kept", what, SHOWN_MAX,
                 pnp);
    return FINGERPRINT_NIC_UNKNOWN;
}

/* "005056B90001", as Get-NetAdapter writes it, with colons. */
static const char *spread(const char *digits, char mac[MAC_SIZE])
{
    if (strlen(digits) != MAC_DIGITS) {
        return digits;
    }
    for (size_t i = 0; i < MAC_DIGITS / 2; i++) {
        mac[3 * i] = digits[2 * i];
        mac[3 * i + 1] = digits[2 * i + 1];
        mac[3 * i + 2] = i + 1 < MAC_DIGITS / 2 ? ':' : '\0';
    }
    return mac;
}

/* The permanent address is what counts for Windows; the other one may be set in the driver. */
static void capture_nics(struct winguest *w, const struct jsonread *root)
{
    CLEANUP(placed_fini) struct placed_list list = {0};
    struct jsonread array;

    read_list(w, root, &array, "nics", &list);
    sort_list(&list);
    for (size_t i = 0; i < list.n && w->rc == 0; i++) {
        const struct placed *item = &list.items[i];
        const char *permanent = winguest_text(w, &item->at, "permanent_mac");
        const char *mac = winguest_text(w, &item->at, "mac");
        char what[WHAT_SIZE], text[MAC_SIZE];
        enum fingerprint_nic_model model;

        name_item(w, item, "the network card", what);
        model = nic_model(w, item->pnp, what);
        builder_nic(&w->b, model, permanent != NULL ? spread(permanent, text) : mac, what);
    }
    if (list.n > 1) {
        builder_note(&w->b, "the network cards are in the order of their places on the PCI bus: "
                            "compare it with VMware's list");
    }
}

/* --- drives ----------------------------------------------------------------------------------- */

/* The controllers that have drives, each with the number that VMware probably gave it. */
struct bus {
    const char *pnp;
    enum fingerprint_controller controller;
    int number;
};

struct buses {
    struct bus items[BUSES_MAX];
    size_t n;
};

static bool controller_of(const char *pnp, enum fingerprint_controller *ret)
{
    static const struct {
        const char *id;
        enum fingerprint_controller controller;
    } models[] = {
        {"15AD&DEV_07C0", FINGERPRINT_PVSCSI},   {"1000&DEV_0054", FINGERPRINT_LSISAS1068},
        {"1000&DEV_0030", FINGERPRINT_LSILOGIC}, {"104B&DEV_1040", FINGERPRINT_BUSLOGIC},
        {"15AD&DEV_07E0", FINGERPRINT_SATA},     {"8086&DEV_7111", FINGERPRINT_IDE},
        {"15AD&DEV_07F0", FINGERPRINT_NVME},
    };

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        if (has_id(pnp, models[i].id)) {
            *ret = models[i].controller;
            return true;
        }
    }
    return false;
}

/* scsi0, scsi1, ... count over all kinds of SCSI; the others have numbers of their own. */
static void number_controllers(struct winguest *w, const struct jsonread *root, struct buses *buses)
{
    CLEANUP(placed_fini) struct placed_list list = {0};
    int scsi = 0, sata = 0, nvme = 0;
    struct jsonread array;

    read_list(w, root, &array, "controllers", &list);
    sort_list(&list);
    for (size_t i = 0; i < list.n && buses->n < BUSES_MAX; i++) {
        struct bus bus = {.pnp = list.items[i].pnp};

        if (!controller_of(bus.pnp, &bus.controller)) {
            continue;
        }
        if (vmware_is_scsi(bus.controller)) {
            bus.number = scsi++;
        } else if (bus.controller == FINGERPRINT_SATA) {
            bus.number = sata++;
        } else if (bus.controller == FINGERPRINT_NVME) {
            bus.number = nvme++;
        }
        buses->items[buses->n++] = bus;
    }
    if (scsi > 1 || sata > 1 || nvme > 1) {
        builder_note(&w->b, "the storage controllers are numbered by their places on the PCI bus: "
                            "compare `bus` of disks with VMware's scsi0, scsi1, ...");
    }
}

static const struct bus *find_bus(const struct buses *buses, const char *pnp)
{
    for (size_t i = 0; pnp != NULL && i < buses->n; i++) {
        if (str_iequal(buses->items[i].pnp, pnp)) {
            return &buses->items[i];
        }
    }
    return NULL;
}

/*
 * Where the drive is in VMware's numbers. SCSI: the target is the unit. AHCI: Windows shows the
 * port as the bus (storahci). NVMe: a namespace is a LUN (stornvme). IDE: the channel, whose path
 * ends in its number, is the bus, and the target is master or slave.
 */
static void place_drive(struct winguest *w, const struct placed *item, const struct bus *bus,
                        int *ret_bus, int *ret_unit)
{
    const char *parent = winguest_text(w, &item->at, "parent_pnp");
    long scsi_bus = 0, target = 0, lun = 0;

    (void)winguest_number(w, &item->at, "bus", ADDRESS_MAX, &scsi_bus); /* absent is 0 */
    (void)winguest_number(w, &item->at, "target", ADDRESS_MAX, &target);
    (void)winguest_number(w, &item->at, "lun", ADDRESS_MAX, &lun);
    *ret_bus = bus->number;
    *ret_unit = (int)target;
    if (bus->controller == FINGERPRINT_SATA) {
        *ret_unit = (int)scsi_bus;
    } else if (bus->controller == FINGERPRINT_NVME) {
        *ret_unit = (int)lun;
    } else if (bus->controller == FINGERPRINT_IDE) {
        const char *last = parent != NULL ? strrchr(parent, '&') : NULL;

        *ret_bus = last != NULL && str_equal(last, "&1") ? 1 : 0;
    }
}

/* The guest's own words go over what VMware is known to show. */
static void name_disk(struct winguest *w, const struct placed *item, struct fingerprint_disk *disk)
{
    const char *serial = winguest_text(w, &item->at, "serial");
    bool scsi = vmware_is_scsi(disk->controller);
    size_t len = serial != NULL ? strlen(serial) : 0;

    /* Windows 7 shows an ATA serial as 40 hex digits with its bytes turned round: not as it is. */
    if (scsi || (len > 0 && len <= ATA_SERIAL_MAX)) {
        builder_text(&w->b, &disk->serial, serial, FINGERPRINT_SERIAL_MAX, "a disk's serial");
    }
    if (scsi && strstr(item->pnp, "PROD_VMWARE_VIRTUAL_S") != NULL) {
        builder_set(&w->b, &disk->vendor, "VMware,");
        builder_set(&w->b, &disk->product, "VMware Virtual S");
    }
}

static void add_drives(struct winguest *w, const struct jsonread *root, const char *key,
                       const struct buses *buses)
{
    CLEANUP(placed_fini) struct placed_list list = {0};
    bool cdrom = str_equal(key, "cdroms");
    struct jsonread array;

    read_list(w, root, &array, key, &list);
    for (size_t i = 0; i < list.n && w->rc == 0; i++) {
        const struct placed *item = &list.items[i];
        const char *pnp = winguest_text(w, &item->at, "controller_pnp");
        const struct bus *bus = find_bus(buses, pnp);
        struct fingerprint_disk *drive;
        char what[WHAT_SIZE];
        int number = 0, unit = 0;

        name_item(w, item, cdrom ? "the CD-ROM drive" : "the disk", what);
        if (bus == NULL) {
            builder_note(&w->b, "%s hangs on no controller of VMware's (%.*s); left out", what,
                         SHOWN_MAX, pnp != NULL ? pnp : "not told");
            continue;
        }
        place_drive(w, item, bus, &number, &unit);
        drive = builder_drive(&w->b, cdrom, bus->controller, number, unit, what);
        if (drive != NULL && !cdrom) {
            name_disk(w, item, drive);
        }
    }
}

/* --- the rest --------------------------------------------------------------------------------- */

static void capture_cpu(struct winguest *w, const struct jsonread *root)
{
    struct jsonread at;
    long sockets, cores;

    if (winguest_enter(w, root, "cpu", &at) &&
        winguest_number(w, &at, "sockets", FINGERPRINT_CPU_MAX, &sockets) &&
        winguest_number(w, &at, "cores", FINGERPRINT_CPU_MAX, &cores)) {
        builder_cpu(&w->b, (uint64_t)sockets * (uint64_t)cores, (uint64_t)cores);
    }
}

static void capture_memory(struct winguest *w, const struct jsonread *root)
{
    const long mib = 1024 * 1024;
    long bytes;

    if (winguest_number(w, root, "memory_bytes", FINGERPRINT_MEMORY_MIB_MAX * mib, &bytes) &&
        bytes > 0) {
        builder_memory(&w->b, (uint64_t)(bytes / mib));
    }
}

static void capture_display(struct winguest *w, const struct jsonread *root)
{
    CLEANUP(placed_fini) struct placed_list list = {0};
    struct jsonread array;

    read_list(w, root, &array, "video", &list);
    for (size_t i = 0; i < list.n; i++) {
        if (has_id(list.items[i].pnp, "15AD&DEV_0405")) {
            builder_set(&w->b, &w->b.fp->display, VMWARE_DISPLAY);
        }
    }
}

void winguest_capture_devices(struct winguest *w, const struct jsonread *root)
{
    struct buses buses = {0};

    capture_nics(w, root);
    number_controllers(w, root, &buses);
    add_drives(w, root, "disks", &buses);
    add_drives(w, root, "cdroms", &buses);
    builder_sort(&w->b);
    capture_cpu(w, root);
    capture_memory(w, root);
    capture_display(w, root);
}
