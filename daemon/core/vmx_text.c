/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vmx_text.h. Values are unescaped before they get here: VMware's writer escapes bytes, not
 * characters, and the second byte of a GBK character may well be the '|' it escapes.
 */
#include "core/vmx_text.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum { CHUNK = 256 };

static const char utf8[] = "UTF-8";

/* What VMware writes, and glibc's name for it. */
static const struct encoding {
    const char *vmware, *libc;
} encodings[] = {
    {"UTF-8", utf8},
    {"US-ASCII", utf8}, /* a part of it */
    {"windows-1250", "CP1250"},
    {"windows-1251", "CP1251"},
    {"windows-1252", "CP1252"},
    {"windows-1253", "CP1253"},
    {"windows-1254", "CP1254"},
    {"windows-1255", "CP1255"},
    {"windows-1256", "CP1256"},
    {"windows-1257", "CP1257"},
    {"windows-1258", "CP1258"},
    {"windows-874", "CP874"},
    {"windows-932", "CP932"},
    {"Shift_JIS", "CP932"},
    {"windows-936", "GBK"},
    {"GBK", "GBK"},
    {"GB2312", "GBK"},
    {"GB18030", "GB18030"},
    {"windows-949", "CP949"},
    {"EUC-KR", "CP949"},
    {"windows-950", "BIG5"},
    {"Big5", "BIG5"},
    {"EUC-JP", "EUC-JP"},
    {"ISO-8859-1", "CP1252"}, /* as browsers do: the difference are control characters */
    {"ISO-8859-2", "ISO-8859-2"},
    {"ISO-8859-5", "ISO-8859-5"},
    {"ISO-8859-15", "ISO-8859-15"},
};

static const char *libc_name(const char *encoding)
{
    for (size_t i = 0; encoding != NULL && i < ARRAY_SIZE(encodings); i++) {
        if (str_iequal(encoding, encodings[i].vmware)) {
            return encodings[i].libc;
        }
    }
    return encoding == NULL ? utf8 : NULL;
}

bool vmx_text_knows(const char *encoding)
{
    return libc_name(encoding) != NULL;
}

/* All of `bytes` through `cd`; what is no character of it becomes one '?' per byte. */
static int convert(iconv_t cd, const char *bytes, struct buf *out, bool *lossy)
{
    /* iconv() takes `char **` for input that it only reads. */
    char *in = (char *)bytes;
    size_t in_left = strlen(bytes);

    while (in_left > 0 && out->error == 0) {
        char chunk[CHUNK];
        char *to = chunk;
        size_t to_left = sizeof(chunk);
        size_t rc = iconv(cd, &in, &in_left, &to, &to_left);

        if (rc == (size_t)-1 && errno != E2BIG && errno != EILSEQ && errno != EINVAL) {
            return -ENOMEM;
        }
        buf_add(out, chunk, sizeof(chunk) - to_left);
        if (rc == (size_t)-1 && errno != E2BIG && in_left > 0) {
            buf_addc(out, '?');
            *lossy = true;
            in++;
            in_left--;
        }
    }
    return out->error;
}

/* Bytes of the UTF-8 character at `s` (RFC 3629: shortest form, no surrogates, up to U+10FFFF), or
 * 0. Our own, because glibc's iconv lets through what JSON does not allow. */
static size_t utf8_length(const char *s)
{
    static const struct {
        unsigned char first, last, second_min, second_max;
        size_t len;
    } rows[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    const unsigned char *u = (const unsigned char *)s;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (u[0] < rows[i].first || u[0] > rows[i].last) {
            continue;
        }
        if (rows[i].len > 1 && (u[1] < rows[i].second_min || u[1] > rows[i].second_max)) {
            return 0;
        }
        for (size_t k = 2; k < rows[i].len; k++) {
            if ((u[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return rows[i].len;
    }
    return 0;
}

/* What is no UTF-8 becomes one '?' per byte. */
static void scrub(char *text, bool *lossy)
{
    while (*text != '\0') {
        size_t len = utf8_length(text);

        if (len == 0) {
            *text = '?';
            *lossy = true;
            len = 1;
        }
        text += len;
    }
}

/* Cut to `max` bytes between characters; controls to '?'; blanks at both ends off. */
static void tidy(char *text, size_t max, bool *lossy)
{
    size_t len = strlen(text);
    size_t start = 0;

    if (len > max) {
        for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80; len--) {
        }
        *lossy = true;
    }
    for (size_t i = 0; i < len; i++) {
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;

        if (control) {
            *lossy = *lossy || text[i] != '\t';
            text[i] = text[i] == '\t' ? ' ' : '?';
        }
    }
    for (; len > 0 && text[len - 1] == ' '; len--) {
    }
    for (; start < len && text[start] == ' '; start++) {
    }
    memmove(text, text + start, len - start);
    text[len - start] = '\0';
}

/* Through iconv, from an encoding of the table. */
static int decode(const char *bytes, const char *from, char **ret_text, bool *lossy)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
    iconv_t cd = iconv_open(utf8, from);
    int rc;

    if (cd == (iconv_t)-1) {
        /* A libc without that table is a small installation: ASCII still comes through. */
        *ret_text = errno == EINVAL ? str_dup(bytes) : NULL;
        return *ret_text == NULL ? -ENOMEM : 0;
    }
    rc = convert(cd, bytes, &out, lossy);
    (void)iconv_close(cd); /* it frees; there is nothing left to fail */
    *ret_text = rc < 0 ? NULL : buf_steal(&out);
    return *ret_text == NULL ? -ENOMEM : 0;
}

int vmx_text_decode(const char *bytes, const char *encoding, size_t max, char **ret_text,
                    bool *ret_lossy)
{
    const char *from = libc_name(encoding);
    bool lossy = false;
    char *text = NULL;
    int rc = 0;

    if (from == NULL || from == utf8) {
        text = str_dup(bytes);
        rc = text == NULL ? -ENOMEM : 0;
    } else {
        rc = decode(bytes, from, &text, &lossy);
    }
    if (rc < 0) {
        return rc;
    }
    scrub(text, &lossy);
    tidy(text, max, &lossy);
    *ret_text = text;
    *ret_lossy = lossy;
    return 0;
}
