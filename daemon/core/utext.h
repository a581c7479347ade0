/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Texts that Windows wrote: a byte order mark before UTF-8, or UTF-16 (what PowerShell's `>` makes
 * of everything).
 */
#ifndef CORE_UTEXT_H
#define CORE_UTEXT_H

#include <stddef.h>

#include "base/err.h"

/* UTF-16 by its byte order mark, or little-endian without one, becomes UTF-8 (half a surrogate pair
 * becomes '?'); a mark of UTF-8 goes; other bytes stay as they are. *ret_text has a NUL behind its
 * *ret_len bytes and, as NULs in the middle are '?', none before. -ENOMEM. */
int utext_decode(const char *bytes, size_t len, char **ret_text, size_t *ret_len, struct err *err);

#endif
