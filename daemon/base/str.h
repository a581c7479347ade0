/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small questions about strings, in ASCII and independent of any locale. `const char *` is
 * borrowed, a returned `char *` is the caller's (NULL: out of memory).
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/* NULL equals only NULL. */
bool str_equal(const char *a, const char *b);
/* As str_equal, but A-Z and a-z are the same. */
bool str_iequal(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
bool str_istarts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

bool ascii_is_space(char c); /* blank, tab, CR, LF, VT, FF */
bool ascii_is_digit(char c);
bool ascii_is_alnum(char c);
bool ascii_is_print(char c); /* 0x20 to 0x7e */
char ascii_lower(char c);
int ascii_hex(char c); /* 0 to 15, or -1 */

/* Decimal digits only, whole string, at most `max`: true and *ret_value, else false. */
bool str_to_u64(const char *s, uint64_t max, uint64_t *ret_value);

/* "2026-11-23T10:00:00Z", fraction or not: true and *ret_seconds since 1970, else false. */
bool str_to_seconds(const char *iso, int64_t *ret_seconds);

/* As JSON wants it: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool str_is_utf8(const char *s);
/* Control bytes become '?': foreign text that ends in a sentence or on a terminal. In place. */
void str_tame(char *s);

char *str_printf(const char *format, ...) PRINTF_LIKE(1, 2);
char *str_dup(const char *s);              /* NULL gives NULL */
char *str_ndup(const char *s, size_t len); /* copies len bytes, adds a NUL */
/* Replaces *at by a copy of s (which may be NULL): 0 or -ENOMEM with *at unchanged. */
int str_replace(char **at, const char *s);

#endif
