/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VMware's .vmx file to a fingerprint (facts/vmware.md 3). Foreign bytes: any input ends in a
 * fingerprint or in a sentence. Notes tell what could not be carried over or was guessed.
 */
#ifndef CORE_VMX_H
#define CORE_VMX_H

#include <stddef.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/notes.h"

enum { VMX_MAX = 1024 * 1024 }; /* bytes; real ones have 1 to 10 KiB */

/* `captured` (ISO 8601, may be NULL) is put into `source`: core has no clock. */
int vmx_capture(const char *text, size_t len, const char *captured, struct fingerprint **ret_fp,
                struct notes *notes, struct err *err);

#endif
