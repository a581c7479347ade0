/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What `dmidecode` printed in the guest (Linux, or its Windows port) to a fingerprint: the guest's
 * own word on SMBIOS types 0 and 1. Serial and UUID name the same bytes; which order the UUID is
 * printed in depends on the SMBIOS version (facts/vmware.md 2), so the serial wins.
 */
#ifndef CORE_DMIDECODE_H
#define CORE_DMIDECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/notes.h"

enum { DMIDECODE_MAX = 4 * 1024 * 1024 }; /* bytes; a VM with many DIMMs prints about 100 KiB */

/* Do these first bytes of a file look like it? */
bool dmidecode_recognises(const char *head, size_t len);
/* A dump that is not VMware's is refused. `captured` (ISO 8601) may be NULL. */
int dmidecode_capture(const char *text, size_t len, const char *captured,
                      struct fingerprint **ret_fp, struct notes *notes, struct err *err);

#endif
