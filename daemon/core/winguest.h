/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What conf/capture-windows.ps1 wrote in the guest to a fingerprint: Windows' own word on its
 * hardware and its licence. UUIDs are as QEMU must be told them (facts/vmware.md 2). Strict about
 * types, tolerant of keys it does not know: the script may grow.
 */
#ifndef CORE_WINGUEST_H
#define CORE_WINGUEST_H

#include <stddef.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/notes.h"

enum { WINGUEST_MAX = 1024 * 1024 }; /* bytes; UTF-8 or UTF-16, real ones have about 10 KiB */

/* A guest that is not VMware's is refused. `captured` (ISO 8601) may be NULL. */
int winguest_capture(const char *text, size_t len, const char *captured,
                     struct fingerprint **ret_fp, struct notes *notes, struct err *err);

#endif
