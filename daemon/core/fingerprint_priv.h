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
    FINGERPRINT_CONTROLLER_NAMES = FINGERPRINT_NVME + 2, /* "ahci" is another word for "sata" */
};

extern const char *const fingerprint_nic_names[FINGERPRINT_NIC_UNKNOWN + 1];
extern const char *const fingerprint_controller_names[FINGERPRINT_CONTROLLER_NAMES];
extern const char *const fingerprint_drift_names[FINGERPRINT_DRIFT_START + 1];
extern const char *const fingerprint_on_error_names[FINGERPRINT_ERROR_REFUSE + 1];
extern const char *const fingerprint_match_names[FINGERPRINT_KEEP + 1];

/* The arrays `nics`, `disks` and `cdroms` (fingerprint_devices.c). */
int fingerprint_read_nics(const struct jsonread *at, struct fingerprint *fp, struct err *err);
int fingerprint_read_disks(const struct jsonread *at, struct fingerprint *fp, struct err *err);
int fingerprint_read_cdroms(const struct jsonread *at, struct fingerprint *fp, struct err *err);

#endif
