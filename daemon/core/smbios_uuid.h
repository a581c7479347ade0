/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The SMBIOS UUID in its two spellings (facts/vmware.md 2). VMware's `uuid.bios` and its serial
 * number show the 16 raw bytes b in order; QEMU is told a text whose first three fields it stores
 * little-endian, so it must be told LE(b). That permutation is its own inverse: smbios_uuid_swap().
 */
#ifndef CORE_SMBIOS_UUID_H
#define CORE_SMBIOS_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { SMBIOS_UUID_SIZE = 37, SMBIOS_UUID_VMWARE_SIZE = 48 }; /* with the NUL */

struct smbios_uuid {
    uint8_t bytes[16]; /* in the order in which the text shows them */
};

/* 8-4-4-4-12 hex digits, any case. -EINVAL with a sentence that shows the text. */
int smbios_uuid_parse(const char *text, struct smbios_uuid *ret_uuid, struct err *err);
/* VMware's spelling: 16 hex pairs, blanks between, a dash or a blank in the middle
 * ("56 4d 1a 9b 00 11 22 33-44 55 66 77 88 99 aa bb"); blanks around are allowed. */
int smbios_uuid_parse_vmware(const char *text, struct smbios_uuid *ret_uuid, struct err *err);
/* Lower case. */
void smbios_uuid_format(const struct smbios_uuid *uuid, char text[SMBIOS_UUID_SIZE]);
void smbios_uuid_format_vmware(const struct smbios_uuid *uuid, char text[SMBIOS_UUID_VMWARE_SIZE]);
/* First 4, next 2, next 2 bytes reversed. */
struct smbios_uuid smbios_uuid_swap(struct smbios_uuid uuid);
/* All bits 0 or all 1: SMBIOS for "none". */
bool smbios_uuid_is_none(const struct smbios_uuid *uuid);
bool smbios_uuid_equal(const struct smbios_uuid *a, const struct smbios_uuid *b);

/* A digest of any bytes as a UUID text (version 5, SHA-1 based, libuuid): names what was decided
 * upon, in the journal and for "at most once". Not the digest of PVE's API. */
void smbios_uuid_digest(const void *bytes, unsigned long len, char text[SMBIOS_UUID_SIZE]);

#endif
