/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Base64 of RFC 4648, as PVE's smbios1, HTTP's Basic and PEM write it. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

#include "base/buf.h"

/* 0 to 63, or -1: no digit of base64. */
int base64_value(char c);
/* Into `text` of BASE64_SIZE(len) bytes, with a NUL: for secrets, which must not be left behind in
 * a buffer that grew. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
void base64_encode_text(const void *bytes, size_t len, char *text);
void base64_encode(const void *bytes, size_t len, struct buf *out);
/* As Perl's decode_base64: up to the first byte that is no digit, e.g. '='; bits that fill no byte
 * are dropped. Line ends are skipped. */
void base64_decode(const char *text, struct buf *bytes);

#endif
