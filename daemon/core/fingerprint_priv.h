/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the fingerprint files share: the words of the format, and its default machine. */
#ifndef CORE_FINGERPRINT_PRIV_H
#define CORE_FINGERPRINT_PRIV_H

#include "core/fingerprint.h"
#include "core/jsonread.h"

enum {
    FINGERPRINT_FORMAT = 1,
    FINGERPRINT_MACHINE_MAJOR = 8, /* of min_version, where it is not said */
    FINGERPRINT_MACHINE_MINOR = 2,
    FINGERPRINT_HARDWARE_MAX = 99,
    FINGERPRINT_CPU_MAX = 1024,                          /* sockets, cores, and both together */
    FINGERPRINT_MEMORY_MIB_MAX = 64 * 1024 * 1024,       /* 64 TiB */
    FINGERPRINT_REARMS_MAX = 1001,                       /* what Windows can be set to */
    FINGERPRINT_GRACE_MINUTES_MAX = 10 * 366 * 24 * 60,  /* KMS gives 180 days */
    FINGERPRINT_SERIAL_MAX = 60,                         /* PVE: maxLength of a drive's serial */
    FINGERPRINT_VENDOR_MAX = 8,                          /* a SCSI INQUIRY field */
    FINGERPRINT_PRODUCT_MAX = 16,                        /* likewise */
    FINGERPRINT_MODEL_MAX = 40,                          /* an ATA IDENTIFY field */
    FINGERPRINT_CONTROLLER_NAMES = FINGERPRINT_NVME + 2, /* "ahci" is another word for "sata" */
    FINGERPRINT_DISPLAYS = 2,
    FINGERPRINT_VMID_MIN = 100, /* PVE's own limits */
    FINGERPRINT_VMID_MAX = 999999999,
};

extern const char *const fingerprint_part_names[FINGERPRINT_PARTS];
extern const char *const fingerprint_display_names[FINGERPRINT_DISPLAYS];
extern const char *const fingerprint_nic_names[FINGERPRINT_NIC_UNKNOWN + 1];
extern const char *const fingerprint_controller_names[FINGERPRINT_CONTROLLER_NAMES];
extern const char *const fingerprint_drift_names[FINGERPRINT_DRIFT_START + 1];
extern const char *const fingerprint_on_error_names[FINGERPRINT_ERROR_REFUSE + 1];
extern const char *const fingerprint_match_names[FINGERPRINT_KEEP + 1];

/* Highest numbers that VMware has. */
int fingerprint_bus_max(enum fingerprint_controller controller);
int fingerprint_unit_max(enum fingerprint_controller controller);
/* In range, and not unit 7 of a SCSI bus, which is the controller itself. */
bool fingerprint_slot_exists(enum fingerprint_controller controller, int bus, int unit);

/* The arrays `nics`, `disks` and `cdroms` (fingerprint_devices.c). */
int fingerprint_read_nics(const struct jsonread *at, struct fingerprint *fp, struct err *err);
int fingerprint_read_disks(const struct jsonread *at, struct fingerprint *fp, struct err *err);
int fingerprint_read_cdroms(const struct jsonread *at, struct fingerprint *fp, struct err *err);

#endif
