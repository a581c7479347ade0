/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See report.h: rows of network cards, disks, CD-ROMs and the SCSI controller. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/netdev.h"
#include "core/plan_disks.h"
#include "core/qemu_args.h"
#include "core/report_priv.h"

enum { ATTRIBUTE_SIZE = 40 };

/* --- network cards ---------------------------------------------------------------------------- */

/* PCI ids as a guest sees them (facts/vmware.md 7). */
static const char *vmware_nic(enum fingerprint_nic_model model)
{
    switch (model) {
    case FINGERPRINT_NIC_VMXNET3:
        return "vmxnet3 (15ad:07b0)";
    case FINGERPRINT_NIC_VMXNET2:
        return "vmxnet2";
    case FINGERPRINT_NIC_VMXNET:
        return "vmxnet";
    case FINGERPRINT_NIC_E1000:
        return "e1000, 82545EM (8086:100f)";
    case FINGERPRINT_NIC_E1000E:
        return "e1000e (8086:10d3)";
    case FINGERPRINT_NIC_VLANCE:
        return "vlance (1022:2000)";
    case FINGERPRINT_NIC_FLEXIBLE:
        return "flexible (1022:2000)";
    case FINGERPRINT_NIC_UNKNOWN:
        break;
    }
    return NULL;
}

static const char *pve_nic_ids(const char *model)
{
    static const struct {
        const char *model, *ids;
    } known[] = {
        {"vmxnet3", "15ad:07b0"},       {"e1000", "8086:100e"},  {"e1000-82540em", "8086:100e"},
        {"e1000-82545em", "8086:100f"}, {"e1000e", "8086:10d3"}, {"pcnet", "1022:2000"},
        {"virtio", "1af4:1000"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (str_equal(known[i].model, model)) {
            return known[i].ids;
        }
    }
    return NULL;
}

/* Who owns the subsystem id of this card: `args` may give VMware's to an e1000e. */
static enum report_verdict judge_subsystem(struct report_builder *b, const struct guest *guest,
                                           const char *key)
{
    CLEANUP_FREE char *vendor = NULL;

    if (qemu_args_set(guest->args, key, "subsys_ven", &vendor) < 0) {
        b->error = -ENOMEM;
    }
    return str_iequal(vendor, "0x15ad") ? REPORT_EQUAL : REPORT_SUBSTITUTE;
}

static enum report_verdict judge_nic(struct report_builder *b, const struct guest *guest,
                                     const char *key, enum fingerprint_nic_model wanted,
                                     const char *model)
{
    bool exact;
    const char *best = netdev_model_for(wanted, &exact);

    if (best == NULL) {
        return REPORT_UNKNOWN;
    }
    if (!str_equal(best, model)) {
        return REPORT_DIFFERS;
    }
    if (wanted == FINGERPRINT_NIC_VMXNET3) {
        return REPORT_EQUAL;
    }
    return wanted == FINGERPRINT_NIC_E1000E ? judge_subsystem(b, guest, key) : REPORT_SUBSTITUTE;
}

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        *text = ascii_lower(*text);
    }
}

/* One side of the two rows of a card. */
static void read_nic(struct report_builder *b, const struct guest *guest, const char *key,
                     char **ret_model, char **ret_mac, enum report_verdict *ret_verdict,
                     enum fingerprint_nic_model wanted)
{
    CLEANUP(netdev_fini) struct netdev net = {0};
    const char *value = pveconf_get(guest->conf, key);
    const char *ids;
    int rc;

    *ret_verdict = wanted == FINGERPRINT_NIC_UNKNOWN ? REPORT_UNKNOWN : REPORT_DIFFERS;
    rc = value == NULL ? -ENOENT : netdev_parse(value, &net, NULL);
    if (rc == -ENOMEM) {
        b->error = rc;
    }
    if (rc < 0) {
        return;
    }
    ids = pve_nic_ids(net.model);
    *ret_verdict = judge_nic(b, guest, key, wanted, net.model);
    *ret_model = report_keep(b, ids == NULL ? str_dup(net.model)
                                            : str_printf("%s (%s)", net.model, ids));
    if (net.mac[0] != '\0') {
        lower(net.mac);
        *ret_mac = report_keep(b, str_dup(net.mac));
    }
}

static enum report_verdict judge_mac(const char *vmware, const char *here)
{
    if (vmware[0] == '\0') {
        return REPORT_UNKNOWN;
    }
    return str_iequal(vmware, here) ? REPORT_EQUAL : REPORT_DIFFERS;
}

static void add_nic(struct report_builder *b, size_t i)
{
    const struct fingerprint_nic *nic = &b->in->fp->nics[i];
    const char *key = b->pairs.nics[i];
    const char *vmware = vmware_nic(nic->model);
    struct report_cells model = {0}, mac = {0};
    char attribute[ATTRIBUTE_SIZE];

    read_nic(b, &b->now, key, &model.now, &mac.now, &model.verdict_now, nic->model);
    read_nic(b, &b->after, key, &model.after, &mac.after, &model.verdict, nic->model);
    model.vmware = vmware == NULL ? NULL : report_keep(b, str_dup(vmware));
    mac.vmware = nic->mac[0] == '\0' ? NULL : report_keep(b, str_dup(nic->mac));
    mac.verdict_now = judge_mac(nic->mac, mac.now);
    mac.verdict = judge_mac(nic->mac, mac.after);
    (void)snprintf(attribute, sizeof(attribute), "nics[%zu].model", i); /* fits */
    report_add(b, REPORT_CLASSES, attribute, &model);
    (void)snprintf(attribute, sizeof(attribute), "nics[%zu].mac", i); /* likewise */
    report_add(b, REPORT_NIC, attribute, &mac);
}

static bool is_paired(const struct report_builder *b, const char *key)
{
    for (size_t i = 0; i < b->in->fp->n_nics && i < FINGERPRINT_NICS_MAX; i++) {
        if (str_equal(b->pairs.nics[i], key)) {
            return true;
        }
    }
    return false;
}

/* Cards of the VM that VMware did not have. */
static void add_extra_nics(struct report_builder *b)
{
    const struct pveconf_section *section = &b->now.conf->sections[0];
    int index;

    for (size_t i = 0; i < section->n; i++) {
        const char *key = section->keys[i].key;
        struct report_cells cells = {.verdict_now = REPORT_DIFFERS, .verdict = REPORT_DIFFERS};

        if (!netdev_key_index(key, &index) || is_paired(b, key)) {
            continue;
        }
        cells.vmware = report_keep(b, str_dup("none"));
        cells.now = report_keep(b, str_dup(section->keys[i].value));
        cells.after = report_keep(b, str_dup(section->keys[i].value));
        report_add(b, REPORT_CLASSES, key, &cells);
    }
}

/* --- disks ------------------------------------------------------------------------------------ */

static bool is_scsi(enum fingerprint_controller controller)
{
    return controller < FINGERPRINT_SATA;
}

static enum report_verdict judge_place(const struct guest *guest, const struct drive *drive,
                                       enum fingerprint_controller controller)
{
    bool exact;
    enum drive_bus wanted = plan_disk_bus(controller, &exact);

    if (drive == NULL || drive->slot.bus != wanted ||
        (wanted == DRIVE_SCSI && !str_equal(guest_scsihw(guest), "pvscsi"))) {
        return REPORT_DIFFERS;
    }
    if (wanted == DRIVE_IDE && guest->machine.kind == MACHINE_Q35) {
        return REPORT_SUBSTITUTE;
    }
    return exact ? REPORT_EQUAL : REPORT_SUBSTITUTE;
}

static void add_place(struct report_builder *b, size_t i, const struct drive *now,
                      const struct drive *after)
{
    const struct fingerprint_disk *disk = &b->in->fp->disks[i];
    struct report_cells cells = {
        .vmware = report_keep(b,
                              str_printf("%s %d:%d", fingerprint_controller_name(disk->controller),
                                         disk->bus, disk->unit)),
        .now = now == NULL ? NULL : report_keep(b, guest_drive_place(&b->now, now)),
        .after = after == NULL ? NULL : report_keep(b, guest_drive_place(&b->after, after)),
        .verdict_now = judge_place(&b->now, now, disk->controller),
        .verdict = judge_place(&b->after, after, disk->controller),
    };
    char attribute[ATTRIBUTE_SIZE];

    (void)snprintf(attribute, sizeof(attribute), "disks[%zu].bus", i); /* fits */
    report_add(b, REPORT_CLASSES, attribute, &cells);
}

/* "VMware Virtual disk" of a SCSI disk, the model of any other; NULL: not said. */
static char *name_of(const struct fingerprint_disk *disk)
{
    if (disk->vendor != NULL && disk->product != NULL) {
        return str_printf("%s %s", disk->vendor, disk->product);
    }
    return str_dup(disk->model != NULL ? disk->model : disk->product);
}

static bool names_itself(const struct fingerprint_disk *disk)
{
    return disk->model != NULL || disk->product != NULL;
}

static char *identity(struct report_builder *b, const char *name, const char *serial)
{
    if (serial == NULL || *serial == '\0') {
        return report_keep(b, str_printf("%s, no serial", name));
    }
    return report_keep(b, str_printf("%s, serial %s", name, serial));
}

/* One side: what the guest reads off a drive, and whether that is what VMware's said. */
static char *read_identity(struct report_builder *b, const struct guest *guest,
                           const struct drive *drive, const struct fingerprint_disk *disk,
                           enum report_verdict *ret_verdict)
{
    CLEANUP_FREE char *name = NULL;
    CLEANUP_FREE char *serial = NULL;
    CLEANUP_FREE char *wanted = NULL;

    *ret_verdict = REPORT_DIFFERS;
    if (drive == NULL) {
        return NULL;
    }
    name = report_keep(b, guest_drive_name(guest, drive));
    serial = report_keep(b, guest_drive_serial(guest, drive));
    wanted = names_itself(disk) ? report_keep(b, name_of(disk)) : NULL;
    if (name == NULL || serial == NULL) {
        return NULL;
    }
    if ((wanted == NULL || str_iequal(wanted, name)) &&
        (disk->serial == NULL || str_iequal(disk->serial, serial))) {
        *ret_verdict = wanted == NULL || disk->serial == NULL ? REPORT_UNKNOWN : REPORT_EQUAL;
    }
    return identity(b, name, serial);
}

static void add_identity(struct report_builder *b, size_t i, const struct drive *now,
                         const struct drive *after)
{
    const struct fingerprint_disk *disk = &b->in->fp->disks[i];
    CLEANUP_FREE char *name = names_itself(disk) ? report_keep(b, name_of(disk)) : NULL;
    struct report_cells cells = {0};
    char attribute[ATTRIBUTE_SIZE];

    if (disk->serial != NULL || name != NULL) {
        cells.vmware = report_keep(
            b, str_printf("%s%s%s", name != NULL ? name : "(name not known)",
                          disk->serial != NULL ? ", serial " : ", serial not known",
                          disk->serial != NULL ? disk->serial : ""));
    }
    cells.now = read_identity(b, &b->now, now, disk, &cells.verdict_now);
    cells.after = read_identity(b, &b->after, after, disk, &cells.verdict);
    (void)snprintf(attribute, sizeof(attribute), "disks[%zu].serial", i); /* fits */
    report_add(b, REPORT_DISK, attribute, &cells);
}

static void add_disks(struct report_builder *b)
{
    for (size_t i = 0; i < b->in->fp->n_disks && i < FINGERPRINT_DISKS_MAX; i++) {
        const struct drive *now = guest_drive(&b->now, b->pairs.disks[i]);
        const struct drive *after = guest_drive(&b->after, b->moved[i]);

        add_place(b, i, now, after);
        add_identity(b, i, now, after);
    }
}

/* --- CD-ROMs ---------------------------------------------------------------------------------- */

static const struct drive *cdrom_at(const struct guest *guest, size_t index)
{
    for (size_t i = 0; i < guest->drives.n; i++) {
        if (guest->drives.items[i].cdrom && index-- == 0) {
            return &guest->drives.items[i];
        }
    }
    return NULL;
}

static char *cdrom_name(struct report_builder *b, const struct guest *guest, size_t index)
{
    const struct drive *drive = cdrom_at(guest, index);

    return report_keep(b, drive == NULL ? str_dup("none") : guest_drive_name(guest, drive));
}

static void add_cdrom(struct report_builder *b, size_t index, char *vmware)
{
    struct report_cells cells = {
        .vmware = vmware,
        .now = cdrom_name(b, &b->now, index),
        .after = cdrom_name(b, &b->after, index),
        .verdict_now = REPORT_UNKNOWN,
        .verdict = REPORT_UNKNOWN,
    };
    char attribute[ATTRIBUTE_SIZE];

    if (vmware != NULL) {
        cells.verdict_now = str_iequal(vmware, cells.now) ? REPORT_EQUAL : REPORT_DIFFERS;
        cells.verdict = str_iequal(vmware, cells.after) ? REPORT_EQUAL : REPORT_DIFFERS;
    }
    (void)snprintf(attribute, sizeof(attribute), "cdroms[%zu]", index); /* fits */
    report_add(b, REPORT_CDROM, attribute, &cells);
}

static void add_cdroms(struct report_builder *b)
{
    const struct fingerprint *fp = b->in->fp;

    if (fp->n_cdroms == 0) { /* who names disks and no CD-ROM saw none */
        add_cdrom(b, 0, fp->has_disks ? report_keep(b, str_dup("none")) : NULL);
        return;
    }
    for (size_t i = 0; i < fp->n_cdroms; i++) {
        const struct fingerprint_disk *cdrom = &fp->cdroms[i];

        add_cdrom(b, i, names_itself(cdrom) ? report_keep(b, name_of(cdrom)) : NULL);
    }
}

/* --- the SCSI controller ---------------------------------------------------------------------- */

static const char *vmware_scsi(const struct fingerprint *fp)
{
    static const char *const names[] = {
        [FINGERPRINT_PVSCSI] = "pvscsi (15ad:07c0)",
        [FINGERPRINT_LSILOGIC] = "lsilogic (1000:0030)",
        [FINGERPRINT_LSISAS1068] = "lsisas1068 (1000:0054)",
        [FINGERPRINT_BUSLOGIC] = "buslogic",
    };

    if (!fp->has_disks) {
        return NULL;
    }
    for (size_t i = 0; i < fp->n_disks + fp->n_cdroms; i++) {
        enum fingerprint_controller controller = i < fp->n_disks
                                                     ? fp->disks[i].controller
                                                     : fp->cdroms[i - fp->n_disks].controller;

        if (is_scsi(controller)) {
            return names[controller];
        }
    }
    return "none";
}

static void add_scsi(struct report_builder *b)
{
    const char *vmware = vmware_scsi(b->in->fp);
    struct report_cells cells = {
        .vmware = vmware == NULL ? NULL : report_keep(b, str_dup(vmware)),
        .now = report_keep(b, guest_text(&b->now, GUEST_SCSI)),
        .after = report_keep(b, guest_text(&b->after, GUEST_SCSI)),
        .verdict_now = REPORT_UNKNOWN,
        .verdict = REPORT_UNKNOWN,
    };

    if (vmware != NULL) {
        cells.verdict_now = str_equal(vmware, cells.now) ? REPORT_EQUAL : REPORT_DIFFERS;
        cells.verdict = str_equal(vmware, cells.after) ? REPORT_EQUAL : REPORT_DIFFERS;
    }
    report_add(b, REPORT_SCSI, "scsi", &cells);
}

void report_devices(struct report_builder *b)
{
    for (size_t i = 0; i < b->in->fp->n_nics && i < FINGERPRINT_NICS_MAX; i++) {
        add_nic(b, i);
    }
    if (b->in->fp->has_nics) {
        add_extra_nics(b);
    }
    add_disks(b);
    add_scsi(b);
    add_cdroms(b);
}
