/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See fingerprint.h: life, names and meaning. The JSON is in fingerprint_read.c and _write.c. */
#include "core/fingerprint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint_priv.h"

struct fingerprint *fingerprint_new(void)
{
    struct fingerprint *fp = calloc(1, sizeof(*fp));

    if (fp == NULL) {
        return NULL;
    }
    fp->machine_major = FINGERPRINT_MACHINE_MAJOR;
    fp->machine_minor = FINGERPRINT_MACHINE_MINOR;
    fp->policy = (struct fingerprint_policy){
        .on_drift = FINGERPRINT_DRIFT_RESTART,
        .on_error = FINGERPRINT_ERROR_START,
        .disks = FINGERPRINT_MATCH,
        .nics = FINGERPRINT_MATCH,
    };
    return fp;
}

static void disks_free(struct fingerprint_disk *disks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(disks[i].serial);
        free(disks[i].vendor);
        free(disks[i].product);
        free(disks[i].model);
        free(disks[i].volume);
    }
    free(disks);
}

void fingerprint_free(struct fingerprint *fp)
{
    if (fp == NULL) {
        return;
    }
    free(fp->source.kind);
    free(fp->source.name);
    free(fp->source.captured);
    for (size_t i = 0; i < FINGERPRINT_PARTS; i++) {
        free(fp->source.parts[i]);
    }
    free(fp->smbios.uuid);
    free(fp->smbios.manufacturer);
    free(fp->smbios.product);
    free(fp->smbios.version);
    free(fp->smbios.serial);
    free(fp->smbios.sku);
    free(fp->smbios.family);
    free(fp->bios.vendor);
    free(fp->bios.version);
    free(fp->bios.date);
    free(fp->firmware);
    free(fp->machine_type);
    free(fp->nics);
    disks_free(fp->disks, fp->n_disks);
    disks_free(fp->cdroms, fp->n_cdroms);
    free(fp->display);
    free(fp->vmgenid);
    free(fp->license_channel);
    free(fp->license_status);
    free(fp->license_product);
    free(fp->license_partial_key);
    free(fp->license_kms_host);
    free(fp);
}

const char *fingerprint_part_name(enum fingerprint_part part)
{
    return fingerprint_part_names[part];
}

const char *fingerprint_nic_name(enum fingerprint_nic_model model)
{
    return fingerprint_nic_names[model];
}

const char *fingerprint_controller_name(enum fingerprint_controller controller)
{
    return fingerprint_controller_names[controller];
}

const char *fingerprint_drift_name(enum fingerprint_drift drift)
{
    return fingerprint_drift_names[drift];
}

const char *fingerprint_on_error_name(enum fingerprint_on_error on_error)
{
    return fingerprint_on_error_names[on_error];
}

const char *const fingerprint_part_names[FINGERPRINT_PARTS] = {
    [FINGERPRINT_PART_NAME] = "name",
    [FINGERPRINT_PART_HARDWARE_VERSION] = "hardware_version",
    [FINGERPRINT_PART_UUID] = "smbios.uuid",
    [FINGERPRINT_PART_MANUFACTURER] = "smbios.manufacturer",
    [FINGERPRINT_PART_PRODUCT] = "smbios.product",
    [FINGERPRINT_PART_VERSION] = "smbios.version",
    [FINGERPRINT_PART_SERIAL] = "smbios.serial",
    [FINGERPRINT_PART_SKU] = "smbios.sku",
    [FINGERPRINT_PART_FAMILY] = "smbios.family",
    [FINGERPRINT_PART_BIOS] = "bios",
    [FINGERPRINT_PART_FIRMWARE] = "firmware",
    [FINGERPRINT_PART_MACHINE] = "machine",
    [FINGERPRINT_PART_NICS] = "nics",
    [FINGERPRINT_PART_NICS_MAC] = "nics.mac",
    [FINGERPRINT_PART_DISKS] = "disks",
    [FINGERPRINT_PART_DISKS_SERIAL] = "disks.serial",
    [FINGERPRINT_PART_CDROMS] = "cdroms",
    [FINGERPRINT_PART_CPU] = "cpu",
    [FINGERPRINT_PART_MEMORY] = "memory_mib",
    [FINGERPRINT_PART_DISPLAY] = "display",
    [FINGERPRINT_PART_VMGENID] = "vmgenid",
    [FINGERPRINT_PART_LICENSE] = "license",
    [FINGERPRINT_PART_POLICY] = "policy",
};

const char *const fingerprint_display_names[FINGERPRINT_DISPLAYS] = {"vmware-svga", "none"};

const char *const fingerprint_nic_names[FINGERPRINT_NIC_UNKNOWN + 1] = {
    [FINGERPRINT_NIC_VMXNET3] = "vmxnet3",   [FINGERPRINT_NIC_VMXNET2] = "vmxnet2",
    [FINGERPRINT_NIC_VMXNET] = "vmxnet",     [FINGERPRINT_NIC_E1000] = "e1000",
    [FINGERPRINT_NIC_E1000E] = "e1000e",     [FINGERPRINT_NIC_VLANCE] = "vlance",
    [FINGERPRINT_NIC_FLEXIBLE] = "flexible", [FINGERPRINT_NIC_UNKNOWN] = "unknown",
};

const char *const fingerprint_controller_names[FINGERPRINT_CONTROLLER_NAMES] = {
    [FINGERPRINT_PVSCSI] = "pvscsi",
    [FINGERPRINT_LSILOGIC] = "lsilogic",
    [FINGERPRINT_LSISAS1068] = "lsisas1068",
    [FINGERPRINT_BUSLOGIC] = "buslogic",
    [FINGERPRINT_SATA] = "sata",
    [FINGERPRINT_IDE] = "ide",
    [FINGERPRINT_NVME] = "nvme",
    [FINGERPRINT_NVME + 1] = "ahci", /* read as sata, never written */
};

const char *const fingerprint_drift_names[FINGERPRINT_DRIFT_START + 1] = {
    [FINGERPRINT_DRIFT_RESTART] = "restart",
    [FINGERPRINT_DRIFT_REFUSE] = "refuse",
    [FINGERPRINT_DRIFT_START] = "start",
};

const char *const fingerprint_on_error_names[FINGERPRINT_ERROR_REFUSE + 1] = {
    [FINGERPRINT_ERROR_START] = "start",
    [FINGERPRINT_ERROR_REFUSE] = "refuse",
};

const char *const fingerprint_match_names[FINGERPRINT_KEEP + 1] = {
    [FINGERPRINT_MATCH] = "match",
    [FINGERPRINT_KEEP] = "keep",
};

/* --- meaning ---------------------------------------------------------------------------------- */

/*
 * Law 6. The serial shows the raw bytes, the uuid what QEMU must be told. The commonest mistake is
 * a uuid copied from vSphere (or from a Linux guest with SMBIOS 2.4): the right bytes in the wrong
 * order; it gets a sentence of its own. A serial in another form than VMware's long one says
 * nothing about the uuid.
 */
static int check_serial(const struct fingerprint_smbios *smbios, struct err *err)
{
    static const char prefix[] = "VMware-";
    struct smbios_uuid bytes, said, wanted;
    char wanted_text[SMBIOS_UUID_SIZE];

    if (smbios->uuid == NULL || smbios->serial == NULL || !str_istarts(smbios->serial, prefix) ||
        smbios_uuid_parse_vmware(smbios->serial + strlen(prefix), &bytes, NULL) < 0) {
        return 0;
    }
    if (smbios_uuid_parse(smbios->uuid, &said, err) < 0) {
        return err_prefix(err, -EINVAL, "smbios.uuid");
    }
    wanted = smbios_uuid_swap(bytes);
    if (smbios_uuid_equal(&said, &wanted)) {
        return 0;
    }
    smbios_uuid_format(&wanted, wanted_text);
    if (smbios_uuid_equal(&said, &bytes)) {
        return err_set(err, -EINVAL,
                       "smbios.uuid: %s has the bytes of smbios.serial in vSphere's order; QEMU "
                       "must be told %s (the first three fields turned round): write that",
                       smbios->uuid, wanted_text);
    }
    return err_set(err, -EINVAL,
                   "smbios.uuid: %s contradicts smbios.serial, whose bytes \"%s\" make the uuid "
                   "%s: correct one of the two, or leave one out",
                   smbios->uuid, smbios->serial + strlen(prefix), wanted_text);
}

static bool is_scsi(enum fingerprint_controller controller)
{
    return controller == FINGERPRINT_PVSCSI || controller == FINGERPRINT_LSILOGIC ||
           controller == FINGERPRINT_LSISAS1068 || controller == FINGERPRINT_BUSLOGIC;
}

/* Two devices in one slot, or one SCSI bus with two kinds of controller: a slip of the pen. */
static int check_pair(const char *name_a, size_t a, const struct fingerprint_disk *disk_a,
                      const char *name_b, size_t b, const struct fingerprint_disk *disk_b,
                      struct err *err)
{
    bool both_scsi = is_scsi(disk_a->controller) && is_scsi(disk_b->controller);
    bool same_kind = both_scsi || disk_a->controller == disk_b->controller;

    if (disk_a->volume != NULL && str_equal(disk_a->volume, disk_b->volume)) {
        return err_set(err, -EINVAL, "%s[%zu].volume: \"%.64s\" is already that of %s[%zu]", name_b,
                       b, disk_b->volume, name_a, a);
    }
    if (!same_kind || disk_a->bus != disk_b->bus) {
        return 0;
    }
    if (disk_a->controller != disk_b->controller) {
        return err_set(err, -EINVAL,
                       "%s[%zu].controller: SCSI bus %d cannot be %s here and %s in %s[%zu]; give "
                       "one of them another bus",
                       name_b, b, disk_b->bus, fingerprint_controller_name(disk_b->controller),
                       fingerprint_controller_name(disk_a->controller), name_a, a);
    }
    if (disk_a->unit == disk_b->unit) {
        return err_set(err, -EINVAL,
                       "%s[%zu]: bus %d, unit %d of %s is already taken by %s[%zu]; give it a bus "
                       "and unit of its own",
                       name_b, b, disk_b->bus, disk_b->unit,
                       fingerprint_controller_name(disk_b->controller), name_a, a);
    }
    return 0;
}

static int check_slots(const struct fingerprint *fp, struct err *err)
{
    size_t n = fp->n_disks + fp->n_cdroms;

    for (size_t b = 1; b < n; b++) {
        bool b_disk = b < fp->n_disks;
        size_t b_at = b_disk ? b : b - fp->n_disks;

        for (size_t a = 0; a < b; a++) {
            bool a_disk = a < fp->n_disks;
            size_t a_at = a_disk ? a : a - fp->n_disks;
            int rc = check_pair(a_disk ? "disks" : "cdroms", a_at,
                                a_disk ? &fp->disks[a_at] : &fp->cdroms[a_at],
                                b_disk ? "disks" : "cdroms", b_at,
                                b_disk ? &fp->disks[b_at] : &fp->cdroms[b_at], err);

            if (rc < 0) {
                return rc;
            }
        }
    }
    return 0;
}

int fingerprint_check(const struct fingerprint *fp, struct err *err)
{
    int rc;

    if (!fp->has_smbios && !fp->has_machine && !fp->has_nics && !fp->has_disks) {
        return err_set(err, -EINVAL,
                       "the fingerprint asks for nothing: at least one of smbios, machine, nics "
                       "and disks is needed");
    }
    rc = check_serial(&fp->smbios, err);
    return rc < 0 ? rc : check_slots(fp, err);
}

bool fingerprint_is_distinct(const struct fingerprint *fp)
{
    bool found = fp->smbios.uuid != NULL || fp->n_disks > 0;

    for (size_t i = 0; i < fp->n_nics; i++) {
        found = found || fp->nics[i].mac[0] != '\0';
    }
    return found;
}
