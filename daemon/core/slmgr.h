/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What `cscript slmgr.vbs /dlv` printed, to the licence of a fingerprint: the poorer alternative to
 * capture-windows.ps1, whose texts follow the language of Windows (English and German are known).
 * There is no hardware in it, and a fingerprint of a licence alone asks for nothing: so the result
 * is one to be merged (`machine` is in it, to be a fingerprint at all).
 */
#ifndef CORE_SLMGR_H
#define CORE_SLMGR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/notes.h"

enum { SLMGR_MAX = 256 * 1024 }; /* bytes; real ones have about 1 KiB */

bool slmgr_recognises(const char *head, size_t len);
int slmgr_capture(const char *text, size_t len, const char *captured, struct fingerprint **ret_fp,
                  struct notes *notes, struct err *err);

#endif
