/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PVE's `smbios1` option, decoded and encoded (facts/pve.md 5). Text values are decoded here when
 * `base64=1`; the uuid never is. We always write base64=1 with every text encoded.
 */
#ifndef CORE_SMBIOS1_H
#define CORE_SMBIOS1_H

#include <stdbool.h>

#include "base/err.h"

enum { SMBIOS1_MAX = 512 }; /* PVE: maxLength */

enum smbios1_field {
    SMBIOS1_UUID,
    SMBIOS1_VERSION,
    SMBIOS1_SERIAL,
    SMBIOS1_MANUFACTURER,
    SMBIOS1_PRODUCT,
    SMBIOS1_SKU,
    SMBIOS1_FAMILY,
    SMBIOS1_FIELDS,
};

struct smbios1 {
    char *fields[SMBIOS1_FIELDS]; /* decoded; NULL: not there */
    bool base64;
};

/* value NULL: an empty smbios1. -EINVAL with a sentence where PVE would drop the line. */
int smbios1_parse(const char *value, struct smbios1 *ret, struct err *err);
void smbios1_fini(struct smbios1 *s);
/* The caller's text in PVE's key order as it is written (uuid first, base64=1 last).
 * -EINVAL: a value PVE could not keep ("0", bytes it refuses); -EFBIG: over SMBIOS1_MAX. */
int smbios1_format(const struct smbios1 *s, char **ret_value, struct err *err);
const char *smbios1_field_name(enum smbios1_field field);
/* Decoded values alike (uuid without regard to case)? An absent one differs from "". */
bool smbios1_field_equal(enum smbios1_field field, const char *a, const char *b);

#endif
