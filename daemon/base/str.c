/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See str.h. Own ASCII tables instead of <ctype.h>: that one asks the locale and dislikes bytes
 * above 0x7f. */
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool ascii_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool ascii_is_alnum(char c)
{
    char lower = ascii_lower(c);

    return ascii_is_digit(c) || (lower >= 'a' && lower <= 'z');
}

bool ascii_is_print(char c)
{
    return c >= 0x20 && c <= 0x7e;
}

int ascii_hex(char c)
{
    char lower = ascii_lower(c);

    if (ascii_is_digit(c)) {
        return c - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool str_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return strcmp(a, b) == 0;
}

bool str_iequal(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    for (; *a != '\0' && ascii_lower(*a) == ascii_lower(*b); a++, b++) {
    }
    return ascii_lower(*a) == ascii_lower(*b);
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_istarts(const char *s, const char *prefix)
{
    for (; *prefix != '\0'; s++, prefix++) {
        if (ascii_lower(*s) != ascii_lower(*prefix)) {
            return false;
        }
    }
    return true;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t len = strlen(s);
    size_t suffix_len = strlen(suffix);

    return len >= suffix_len && strcmp(s + len - suffix_len, suffix) == 0;
}

bool str_to_u64(const char *s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s == NULL || *s == '\0') {
        return false;
    }
    for (; *s != '\0'; s++) {
        if (!ascii_is_digit(*s)) {
            return false;
        }
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value) || value > max) {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

bool str_to_seconds(const char *iso, int64_t *ret_seconds)
{
    struct tm tm = {0};
    const char *end = iso == NULL ? NULL : strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm);

    if (end == NULL || !str_ends(end, "Z")) {
        return false;
    }
    *ret_seconds = timegm(&tm);
    return true;
}

/* Length of the sequence that starts at s; 0: none. */
static size_t utf8_sequence(const unsigned char *s)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0; /* the NUL at the end, too */
        }
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f) || s[0] > 0xf4) {
        return 0;
    }
    return len;
}

bool str_is_utf8(const char *s)
{
    const unsigned char *at = (const unsigned char *)s;

    while (*at != '\0') {
        size_t len = utf8_sequence(at);

        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

void str_tame(char *s)
{
    for (; *s != '\0'; s++) {
        *s = (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s;
    }
}

char *str_printf(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int rc;

    va_start(args, format);
    rc = vasprintf(&text, format, args);
    va_end(args);
    return rc < 0 ? NULL : text;
}

char *str_dup(const char *s)
{
    return s == NULL ? NULL : strdup(s);
}

char *str_ndup(const char *s, size_t len)
{
    char *copy = malloc(len + 1);

    if (copy == NULL) {
        return NULL;
    }
    if (len > 0) {
        memcpy(copy, s, len);
    }
    copy[len] = '\0';
    return copy;
}

int str_replace(char **at, const char *s)
{
    char *copy = str_dup(s);

    if (s != NULL && copy == NULL) {
        return -ENOMEM;
    }
    free(*at);
    *at = copy;
    return 0;
}
