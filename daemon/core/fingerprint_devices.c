/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See fingerprint_read.c: the devices of a fingerprint, network cards and drives. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint.h"
#include "core/fingerprint_priv.h"

enum {
    BUS_MAX = 3,
    IDE_BUS_MAX = 1,
    SCSI_UNIT_MAX = 15,
    PVSCSI_UNIT_MAX = 64, /* from vSphere 6.7 on */
    SCSI_UNIT_ADAPTER = 7,
    SATA_UNIT_MAX = 29,
    NVME_UNIT_MAX = 63,
    IDE_UNIT_MAX = 1,
};

/* Six pairs with colons; not a group address, which no card may have, nor all zero. */
static int read_mac(const struct jsonread *at, char mac[MAC_SIZE], struct err *err)
{
    CLEANUP_FREE char *text = NULL;
    int rc = jsonread_text(at, "mac", FINGERPRINT_STRING_MAX, &text, err);
    bool ok = text != NULL && strlen(text) == MAC_SIZE - 1;

    if (rc < 0 || text == NULL) {
        return rc;
    }
    for (size_t i = 0; ok && i < MAC_SIZE - 1; i++) {
        ok = i % 3 == 2 ? text[i] == ':' : ascii_hex(text[i]) >= 0;
        text[i] = ascii_lower(text[i]);
    }
    if (!ok) {
        return jsonread_wrong(at, "mac", err,
                              "\"%.32s\" is no MAC address such as \"00:50:56:8a:01:02\"", text);
    }
    if (ascii_hex(text[1]) % 2 != 0 || str_equal(text, "00:00:00:00:00:00")) {
        return jsonread_wrong(at, "mac", err, "%s cannot be the address of one network card", text);
    }
    memcpy(mac, text, MAC_SIZE);
    return 0;
}

static int read_nic(const struct jsonread *at, struct fingerprint_nic *nic, struct err *err)
{
    static const char *const keys[] = {"model", "mac"};
    int model = -1;
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys), err);

    rc = rc < 0 ? rc
                : jsonread_choice(at, "model", fingerprint_nic_names,
                                  ARRAY_SIZE(fingerprint_nic_names), &model, err);
    if (rc == 0 && model < 0) {
        return jsonread_wrong(at, "model", err,
                              "is missing; write \"unknown\" where only the MAC is to be kept");
    }
    nic->model = rc < 0 ? FINGERPRINT_NIC_UNKNOWN : (enum fingerprint_nic_model)model;
    return rc < 0 ? rc : read_mac(at, nic->mac, err);
}

int fingerprint_read_nics(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    int rc = jsonread_array(at, FINGERPRINT_NICS_MAX, err);

    fp->has_nics = true;
    if (rc < 0) {
        return rc;
    }
    fp->nics = calloc(json_array_size(at->value), sizeof(*fp->nics));
    if (fp->nics == NULL) {
        return err_oom(err);
    }
    fp->n_nics = json_array_size(at->value);
    for (size_t i = 0; rc == 0 && i < fp->n_nics; i++) {
        struct jsonread item = jsonread_item(at, i);

        rc = read_nic(&item, &fp->nics[i], err);
    }
    return rc;
}

int fingerprint_bus_max(enum fingerprint_controller controller)
{
    return controller == FINGERPRINT_IDE ? IDE_BUS_MAX : BUS_MAX;
}

int fingerprint_unit_max(enum fingerprint_controller controller)
{
    switch (controller) {
    case FINGERPRINT_PVSCSI:
        return PVSCSI_UNIT_MAX;
    case FINGERPRINT_LSILOGIC:
    case FINGERPRINT_LSISAS1068:
    case FINGERPRINT_BUSLOGIC:
        return SCSI_UNIT_MAX;
    case FINGERPRINT_SATA:
        return SATA_UNIT_MAX;
    case FINGERPRINT_IDE:
        return IDE_UNIT_MAX;
    case FINGERPRINT_NVME:
        return NVME_UNIT_MAX;
    }
    return 0;
}

bool fingerprint_slot_exists(enum fingerprint_controller controller, int bus, int unit)
{
    bool scsi = controller < FINGERPRINT_SATA;

    return bus >= 0 && bus <= fingerprint_bus_max(controller) && unit >= 0 &&
           unit <= fingerprint_unit_max(controller) && !(scsi && unit == SCSI_UNIT_ADAPTER);
}

static int read_slot(const struct jsonread *at, struct fingerprint_disk *disk, struct err *err)
{
    int controller = -1;
    int rc = jsonread_choice(at, "controller", fingerprint_controller_names,
                             FINGERPRINT_CONTROLLER_NAMES, &controller, err);

    if (rc == 0 && controller < 0) {
        return jsonread_wrong(at, "controller", err, "is missing; e.g. \"pvscsi\" or \"sata\"");
    }
    if (rc < 0) {
        return rc;
    }
    disk->controller = controller > FINGERPRINT_NVME ? FINGERPRINT_SATA
                                                     : (enum fingerprint_controller)controller;
    rc = jsonread_int(at, "bus", 0, fingerprint_bus_max(disk->controller), &disk->bus, err);
    rc = rc < 0 ? rc
                : jsonread_int(at, "unit", 0, fingerprint_unit_max(disk->controller), &disk->unit,
                               err);
    if (rc == 0 && !fingerprint_slot_exists(disk->controller, disk->bus, disk->unit)) {
        return jsonread_wrong(at, "unit", err, "unit 7 of a SCSI bus is the controller itself");
    }
    return rc;
}

/* storage:name or an absolute path, as PVE names volumes. */
static bool is_volume(const char *text)
{
    const char *colon = strchr(text, ':');

    if (strpbrk(text, " ,") != NULL) {
        return false;
    }
    return text[0] == '/' || (colon != NULL && colon != text && colon[1] != '\0');
}

static int read_disk(const struct jsonread *at, bool cdrom, struct fingerprint_disk *disk,
                     struct err *err)
{
    static const char *const keys[] = {"controller", "bus",     "unit",  "serial",
                                       "vendor",     "product", "model", "volume"};
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys) - cdrom, err);

    rc = rc < 0 ? rc : read_slot(at, disk, err);
    rc = rc < 0 ? rc : jsonread_text(at, "serial", FINGERPRINT_SERIAL_MAX, &disk->serial, err);
    rc = rc < 0 ? rc : jsonread_text(at, "vendor", FINGERPRINT_VENDOR_MAX, &disk->vendor, err);
    rc = rc < 0 ? rc : jsonread_text(at, "product", FINGERPRINT_PRODUCT_MAX, &disk->product, err);
    rc = rc < 0 ? rc : jsonread_text(at, "model", FINGERPRINT_MODEL_MAX, &disk->model, err);
    rc = rc < 0 ? rc : jsonread_text(at, "volume", FINGERPRINT_STRING_MAX, &disk->volume, err);
    if (rc == 0 && disk->volume != NULL && !is_volume(disk->volume)) {
        return jsonread_wrong(at, "volume", err,
                              "\"%.64s\" is no volume of PVE such as \"local-lvm:vm-105-disk-0\"",
                              disk->volume);
    }
    return rc;
}

static int read_disks(const struct jsonread *at, bool cdroms, struct fingerprint_disk **ret_disks,
                      size_t *ret_n, struct err *err)
{
    int rc = jsonread_array(at, FINGERPRINT_DISKS_MAX, err);

    if (rc < 0) {
        return rc;
    }
    *ret_disks = calloc(json_array_size(at->value), sizeof(**ret_disks));
    if (*ret_disks == NULL) {
        return err_oom(err);
    }
    *ret_n = json_array_size(at->value);
    for (size_t i = 0; rc == 0 && i < *ret_n; i++) {
        struct jsonread item = jsonread_item(at, i);

        rc = read_disk(&item, cdroms, &(*ret_disks)[i], err);
    }
    return rc;
}

int fingerprint_read_disks(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    fp->has_disks = true;
    return read_disks(at, false, &fp->disks, &fp->n_disks, err);
}

int fingerprint_read_cdroms(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    return read_disks(at, true, &fp->cdroms, &fp->n_cdroms, err);
}
