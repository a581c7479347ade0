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

int vmx_text_decode(const char *bytes, const char *encoding, size_t max, char **ret_text,
                    bool *ret_lossy)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
    const char *from = libc_name(encoding);
    bool lossy = false;
    iconv_t cd = iconv_open(utf8, from != NULL ? from : utf8);
    char *text;
    int rc;

    if (cd == (iconv_t)-1) {
        /* A libc without that table is a small installation: ASCII still comes through. */
        cd = errno == EINVAL ? iconv_open(utf8, utf8) : cd;
        lossy = true;
    }
    if (cd == (iconv_t)-1) {
        return -ENOMEM;
    }
    rc = convert(cd, bytes, &out, &lossy);
    (void)iconv_close(cd); /* it frees; there is nothing left to fail */
    text = rc < 0 ? NULL : buf_steal(&out);
    if (text == NULL) {
        return -ENOMEM;
    }
    tidy(text, max, &lossy);
    *ret_text = text;
    *ret_lossy = lossy;
    return 0;
}
