/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See utext.h. Our own few lines and not iconv, whose tables need not be installed. */
#include "core/utext.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

static bool is_high(uint32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(uint32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

static void add_character(struct buf *out, uint32_t c)
{
    char bytes[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0x00, 0xc0, 0xe0, 0xf0};

    if (c == 0) {
        c = '?';
    }
    for (size_t i = n; i-- > 1; c >>= 6) {
        bytes[i] = (char)(0x80 | (c & 0x3f));
    }
    bytes[0] = (char)(leads[n] | c);
    buf_add(out, bytes, n);
}

static void decode_utf16(const unsigned char *bytes, size_t len, bool big, struct buf *out)
{
    for (size_t i = 0; i + 1 < len; i += 2) {
        uint32_t unit = (uint32_t)(bytes[i + big] | (bytes[i + !big] << 8));
        uint32_t next = i + 3 < len ? (uint32_t)(bytes[i + 2 + big] | (bytes[i + 2 + !big] << 8))
                                    : 0;

        if (is_high(unit) && is_low(next)) {
            add_character(out, 0x10000 + ((unit - 0xd800) << 10) + (next - 0xdc00));
            i += 2;
        } else {
            add_character(out, is_high(unit) || is_low(unit) ? '?' : unit);
        }
    }
}

/* `cmd /u` and `cscript //U` write UTF-16 without a mark: then text that begins in ASCII has a NUL
 * in every second byte. */
static bool looks_little(const char *bytes, size_t len)
{
    enum { LOOKED_AT = 8 };

    for (size_t i = 0; i < LOOKED_AT; i++) {
        if (i >= len || (bytes[i] == '\0') != (i % 2 == 1)) {
            return false;
        }
    }
    return len % 2 == 0;
}

int utext_decode(const char *bytes, size_t len, char **ret_text, size_t *ret_len, struct err *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
    bool little = len >= 2 && memcmp(bytes, "\xff\xfe", 2) == 0;
    bool big = len >= 2 && memcmp(bytes, "\xfe\xff", 2) == 0;
    char *text;

    buf_add(&out, "", 0);
    if (!little && !big && looks_little(bytes, len)) {
        decode_utf16((const unsigned char *)bytes, len, false, &out);
    } else if (little || big) {
        decode_utf16((const unsigned char *)bytes + 2, len - 2, big, &out);
    } else {
        size_t mark = len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

        buf_add(&out, len > mark ? bytes + mark : "", len - mark);
        for (size_t i = 0; i < out.len; i++) {
            out.data[i] = out.data[i] == '\0' ? '?' : out.data[i];
        }
    }
    *ret_len = out.len;
    text = buf_steal(&out);
    if (text == NULL) {
        return err_oom(err);
    }
    *ret_text = text;
    return 0;
}
