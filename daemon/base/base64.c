/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See base64.h. */
#include "base/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_value(char c)
{
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int)(at - digits);
}

void base64_decode(const char *text, struct buf *bytes)
{
    unsigned bits = 0;
    unsigned n_bits = 0;

    for (; base64_value(*text) >= 0 || *text == '\n' || *text == '\r'; text++) {
        if (*text == '\n' || *text == '\r') {
            continue;
        }
        bits = (bits << 6 | (unsigned)base64_value(*text)) & 0xffff;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            buf_addc(bytes, (char)(bits >> n_bits & 0xff));
        }
    }
}

void base64_encode_text(const void *bytes, size_t len, char *text)
{
    const unsigned char *in = bytes;

    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        unsigned b0 = in[i];
        unsigned b1 = n > 1 ? in[i + 1] : 0U;
        unsigned b2 = n > 2 ? in[i + 2] : 0U;

        *text++ = digits[b0 >> 2];
        *text++ = digits[(b0 << 4 | b1 >> 4) & 63];
        *text++ = n > 1 ? digits[(b1 << 2 | b2 >> 6) & 63] : '=';
        *text++ = n > 2 ? digits[b2 & 63] : '=';
    }
    *text = '\0';
}

void base64_encode(const void *bytes, size_t len, struct buf *out)
{
    const unsigned char *in = bytes;
    char group[BASE64_SIZE(3)];

    for (size_t i = 0; i < len; i += 3) {
        base64_encode_text(in + i, len - i < 3 ? len - i : 3, group);
        buf_adds(out, group);
    }
}
