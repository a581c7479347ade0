/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See builder.h. */
#include "core/builder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/vmware.h"
#include "core/vmx_text.h"

enum { SHOWN_MAX = 64 };

int builder_init(struct builder *b, const char *kind, const char *captured, struct notes *notes)
{
    *b = (struct builder){.fp = fingerprint_new(), .notes = notes};
    if (b->fp == NULL) {
        return -ENOMEM;
    }
    builder_set(b, &b->fp->source.kind, kind);
    builder_set(b, &b->fp->source.captured, captured);
    return b->error;
}

void builder_fini(struct builder *b)
{
    fingerprint_free(b->fp);
    b->fp = NULL;
}

void builder_note(struct builder *b, const char *format, ...)
{
    va_list args;

    if (b->error != 0) {
        return;
    }
    va_start(args, format);
    b->error = notes_add_bounded(b->notes, &b->n_notes, format, args);
    va_end(args);
}

void builder_set(struct builder *b, char **at, const char *text)
{
    if (b->error == 0) {
        b->error = str_replace(at, text);
    }
}

void builder_text(struct builder *b, char **at, const char *text, size_t max, const char *what)
{
    CLEANUP_FREE char *clean = NULL;
    bool lossy = false;

    if (b->error != 0 || text == NULL || *text == '\0') {
        return;
    }
    b->error = vmx_text_decode(text, NULL, max, &clean, &lossy);
    if (b->error != 0) {
        return;
    }
    if (lossy) {
        builder_note(b, "%s could not be kept character by character: it reads \"%s\" now", what,
                     clean);
    }
    if (*clean != '\0') {
        free(*at);
        *at = STEAL(clean);
    }
}

bool builder_uuid(struct builder *b, const struct smbios_uuid *raw)
{
    char serial[sizeof(VMWARE_SERIAL_PREFIX) + SMBIOS_UUID_VMWARE_SIZE] = VMWARE_SERIAL_PREFIX;
    struct smbios_uuid told = smbios_uuid_swap(*raw);
    char text[SMBIOS_UUID_SIZE];

    if (b->error != 0 || smbios_uuid_is_none(raw)) {
        return false;
    }
    smbios_uuid_format_vmware(raw, serial + strlen(serial));
    smbios_uuid_format(&told, text);
    builder_set(b, &b->fp->smbios.serial, serial);
    builder_set(b, &b->fp->smbios.uuid, text);
    b->fp->has_smbios = true;
    return true;
}

void builder_type1(struct builder *b, bool efi, int hardware)
{
    const char *product = vmware_product(efi, hardware);

    if (b->error != 0) {
        return;
    }
    b->fp->has_smbios = true;
    builder_set(b, &b->fp->smbios.manufacturer, VMWARE_MANUFACTURER);
    builder_set(b, &b->fp->smbios.product, product);
    builder_set(b, &b->fp->smbios.version, VMWARE_SYSTEM_VERSION);
    if (efi && (hardware == 0 || hardware >= VMWARE_HARDWARE_20)) {
        builder_note(b,
                     "smbios.product \"%s\" follows from EFI and %s, which VMware does not "
                     "promise: compare it with what the guest shows "
                     "(Win32_ComputerSystemProduct.Name)",
                     product,
                     hardware == 0 ? "an unknown hardware version"
                                   : "hardware version 20 or later");
    }
}

void builder_firmware(struct builder *b, const char *product, const char *bios_vendor)
{
    if (b->error != 0) {
        return;
    }
    if (str_istarts(product, "VMware") && ascii_is_digit(product[strlen("VMware")])) {
        builder_set(b, &b->fp->firmware, "efi");
    } else if (str_iequal(product, "VMware Virtual Platform") ||
               (bios_vendor != NULL && str_istarts(bios_vendor, "Phoenix"))) {
        builder_set(b, &b->fp->firmware, "bios");
    }
}

void builder_machine(struct builder *b)
{
    if (b->error == 0) {
        b->fp->has_machine = true;
        builder_set(b, &b->fp->machine_type, "q35");
    }
}

int builder_hardware(struct builder *b, const char *text)
{
    uint64_t number = 0;

    if (b->error != 0 || text == NULL || *text == '\0') {
        return 0;
    }
    if (!str_to_u64(str_istarts(text, "vmx-") ? text + 4 : text, FINGERPRINT_HARDWARE_MAX,
                    &number) ||
        number == 0) {
        builder_note(b, "the hardware version \"%.*s\" is not known here and was left out",
                     SHOWN_MAX, text);
        return 0;
    }
    b->fp->source.hardware_version = (int)number;
    return (int)number;
}

void builder_cpu(struct builder *b, uint64_t cpus, uint64_t cores_per_socket)
{
    uint64_t cores = cores_per_socket > 0 ? cores_per_socket : 1;

    if (b->error != 0) {
        return;
    }
    if (cpus == 0 || cpus > FINGERPRINT_CPU_MAX || cpus % cores != 0) {
        builder_note(b,
                     "%llu CPUs with %llu cores per socket make no whole sockets: sockets and "
                     "cores were left out",
                     (unsigned long long)cpus, (unsigned long long)cores);
        return;
    }
    b->fp->sockets = (int)(cpus / cores);
    b->fp->cores = (int)cores;
}

void builder_memory(struct builder *b, uint64_t mib)
{
    if (b->error != 0) {
        return;
    }
    if (mib == 0 || mib > FINGERPRINT_MEMORY_MIB_MAX) {
        builder_note(b, "%llu MiB cannot be the size of a memory and were left out",
                     (unsigned long long)mib);
        return;
    }
    b->fp->memory_mib = (long)mib;
}

void builder_nic(struct builder *b, enum fingerprint_nic_model model, const char *mac,
                 const char *what)
{
    struct fingerprint_nic nic = {.model = model};
    struct fingerprint *fp = b->fp;

    if (b->error != 0) {
        return;
    }
    if (fp->n_nics == FINGERPRINT_NICS_MAX) {
        builder_note(b, "%s is one network card too many (at most %d); left out", what,
                     FINGERPRINT_NICS_MAX);
        return;
    }
    if (vec_reserve(&fp->nics, fp->n_nics, &b->nics_cap, sizeof(*fp->nics)) < 0) {
        b->error = -ENOMEM;
        return;
    }
    if (mac == NULL || *mac == '\0') {
        builder_note(b,
                     "%s has no MAC address here: read it in the guest and add it as nics[%zu].mac",
                     what, fp->n_nics);
    } else if (!vmware_parse_mac(mac, nic.mac)) {
        builder_note(b, "%s: \"%.*s\" is no address of a network card; left out", what, SHOWN_MAX,
                     mac);
    }
    fp->nics[fp->n_nics++] = nic;
    fp->has_nics = true;
}

static void name_disk(struct builder *b, struct fingerprint_disk *disk)
{
    char serial[VMWARE_SERIAL_SIZE];

    builder_set(b, &disk->model, vmware_disk_model(disk->controller));
    if (vmware_is_scsi(disk->controller)) {
        builder_set(b, &disk->vendor, VMWARE_DISK_VENDOR);
        builder_set(b, &disk->product, VMWARE_DISK_PRODUCT);
    }
    if (vmware_disk_serial(disk->controller, disk->bus, disk->unit, serial)) {
        builder_set(b, &disk->serial, serial);
    }
}

static void name_cdrom(struct builder *b, struct fingerprint_disk *cdrom)
{
    const char *product = vmware_cdrom_product(cdrom->controller);

    if (product != NULL) {
        builder_set(b, &cdrom->vendor, VMWARE_CDROM_VENDOR);
        builder_set(b, &cdrom->product, product);
    }
}

/* The drive that is in that place already; two of one place cannot be. */
static bool is_taken(const struct fingerprint_disk *drives, size_t n,
                     const struct fingerprint_disk *drive)
{
    for (size_t i = 0; i < n; i++) {
        bool scsi = vmware_is_scsi(drive->controller) && vmware_is_scsi(drives[i].controller);
        bool same_bus = drives[i].bus == drive->bus;
        bool same = drives[i].controller == drive->controller;

        if (same_bus && ((same && drives[i].unit == drive->unit) || (scsi && !same))) {
            return true;
        }
    }
    return false;
}

static bool fits(struct builder *b, const struct fingerprint_disk *drive, size_t n,
                 const char *what)
{
    const char *controller = fingerprint_controller_name(drive->controller);
    const struct fingerprint *fp = b->fp;

    if (n == FINGERPRINT_DISKS_MAX) {
        builder_note(b, "%s is one drive too many (at most %d); left out", what,
                     FINGERPRINT_DISKS_MAX);
        return false;
    }
    if (!fingerprint_slot_exists(drive->controller, drive->bus, drive->unit)) {
        builder_note(b, "%s: bus %d, unit %d is no slot of VMware's %s; left out", what, drive->bus,
                     drive->unit, controller);
        return false;
    }
    if (is_taken(fp->disks, fp->n_disks, drive) || is_taken(fp->cdroms, fp->n_cdroms, drive)) {
        builder_note(b, "%s: bus %d, unit %d of %s is taken by another drive; left out", what,
                     drive->bus, drive->unit, controller);
        return false;
    }
    return true;
}

struct fingerprint_disk *builder_drive(struct builder *b, bool cdrom,
                                       enum fingerprint_controller controller, int bus, int unit,
                                       const char *what)
{
    struct fingerprint_disk drive = {.controller = controller, .bus = bus, .unit = unit};
    struct fingerprint *fp = b->fp;
    struct fingerprint_disk **items;
    size_t *n;

    if (b->error != 0) {
        return NULL;
    }
    items = cdrom ? &fp->cdroms : &fp->disks;
    n = cdrom ? &fp->n_cdroms : &fp->n_disks;
    if (!fits(b, &drive, *n, what)) {
        return NULL;
    }
    if (vec_reserve(items, *n, cdrom ? &b->cdroms_cap : &b->disks_cap, sizeof(**items)) < 0) {
        b->error = -ENOMEM;
        return NULL;
    }
    (*items)[(*n)++] = drive;
    if (cdrom) {
        name_cdrom(b, &fp->cdroms[fp->n_cdroms - 1]);
    } else {
        name_disk(b, &fp->disks[fp->n_disks - 1]);
        fp->has_disks = true;
    }
    return &(*items)[*n - 1];
}

static int rank(enum fingerprint_controller controller)
{
    switch (controller) {
    case FINGERPRINT_PVSCSI:
    case FINGERPRINT_LSILOGIC:
    case FINGERPRINT_LSISAS1068:
    case FINGERPRINT_BUSLOGIC:
        return 0;
    case FINGERPRINT_SATA:
        return 1;
    case FINGERPRINT_NVME:
        return 2;
    case FINGERPRINT_IDE:
        return 3;
    }
    return 3;
}

static int compare(const void *left, const void *right)
{
    const struct fingerprint_disk *a = left, *b = right;

    if (rank(a->controller) != rank(b->controller)) {
        return rank(a->controller) - rank(b->controller);
    }
    return a->bus != b->bus ? a->bus - b->bus : a->unit - b->unit;
}

void builder_sort(struct builder *b)
{
    if (b->error == 0 && b->fp->n_disks > 1) {
        qsort(b->fp->disks, b->fp->n_disks, sizeof(b->fp->disks[0]), compare);
    }
    if (b->error == 0 && b->fp->n_cdroms > 1) {
        qsort(b->fp->cdroms, b->fp->n_cdroms, sizeof(b->fp->cdroms[0]), compare);
    }
}

int builder_finish(struct builder *b, struct fingerprint **ret_fp, struct err *err)
{
    int rc = b->error != 0 ? err_oom(err) : fingerprint_check(b->fp, err);

    if (rc == 0) {
        *ret_fp = STEAL(b->fp);
    }
    return rc;
}
