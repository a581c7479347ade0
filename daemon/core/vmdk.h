/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The descriptor of a .vmdk: what the guest saw as the serial number of a SCSI disk where
 * disk.EnableUUID is TRUE (facts/vmware.md 3, "Disk identity"). It is a text file of its own, or a
 * few sectors at the start of a sparse file, whose head tells where.
 */
#ifndef CORE_VMDK_H
#define CORE_VMDK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    VMDK_MAX = 64 * 1024, /* bytes of a descriptor; real ones have about 500 */
    VMDK_HEAD = 512,      /* bytes that vmdk_locate() wants, where the file has as many */
    VMDK_SERIAL_SIZE = 33,
    VMDK_NAME_SIZE = 256,
};

struct vmdk {
    char serial[VMDK_SERIAL_SIZE]; /* 32 lower-case hex digits; "": ddb.uuid is not there */
    char parent[VMDK_NAME_SIZE];   /* of a snapshot: parentFileNameHint; "": none */
};

/* Where the descriptor is, in bytes from the start of the file; *ret_len at most VMDK_MAX, and it
 * may reach beyond the end of a text file. -EINVAL: no .vmdk, or one without a descriptor in it. */
int vmdk_locate(const char *head, size_t len, uint64_t *ret_offset, size_t *ret_len,
                struct err *err);
int vmdk_parse(const char *text, size_t len, struct vmdk *ret, struct err *err);

#endif
