/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See certificate.h. */
#include "core/certificate.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/base64.h"
#include "base/str.h"

enum { DER_MAX = 64 * 1024, SHOWN_MAX = 100, SHA1_SIZE = 20 };

int certificate_thumbprint(const char *pem, struct certificate_thumbprint *ret, struct err *err)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    CLEANUP(buf_fini) struct buf der = BUF_INIT(DER_MAX);
    const char *at = strstr(pem, begin);

    if (at != NULL) {
        base64_decode(at + strlen(begin), &der);
    }
    if (der.error == -ENOMEM) {
        return err_oom(err);
    }
    if (der.error != 0 || der.len == 0) {
        return err_set(err, -EINVAL, "there is no certificate to be read");
    }
    sha256(der.data, der.len, ret->bytes);
    return 0;
}

/* How many whole bytes `text` has; more than `max` counts as max + 1; -1: other characters. */
static int read_pairs(const char *text, uint8_t *bytes, int max)
{
    int n = 0;

    while (*text != '\0') {
        int high = ascii_hex(text[0]);
        int low = high < 0 ? -1 : ascii_hex(text[1]);

        if (low < 0) {
            return -1;
        }
        if (n > max) {
            return n;
        }
        if (n < max) {
            bytes[n] = (uint8_t)(high * 16 + low);
        }
        n++;
        text += 2;
        text += *text == ':' && text[1] != '\0' ? 1 : 0;
    }
    return n;
}

int certificate_parse(const char *text, struct certificate_thumbprint *ret, struct err *err)
{
    static const char prefix[] = "SHA256:";
    const char *digits = str_istarts(text, prefix) ? text + strlen(prefix) : text;
    struct certificate_thumbprint thumbprint;
    int n = read_pairs(digits, thumbprint.bytes, SHA256_SIZE);

    if (n == SHA256_SIZE) {
        *ret = thumbprint;
        return 0;
    }
    if (n == SHA1_SIZE) {
        return err_set(err, -EINVAL,
                       "\"%.*s\" is a SHA-1 thumbprint, which can be forged; the SHA-256 one is "
                       "needed: 32 pairs of hexadecimal digits",
                       SHOWN_MAX, text);
    }
    return err_set(err, -EINVAL,
                   "\"%.*s\" is no SHA-256 thumbprint: 32 pairs of hexadecimal digits, as in "
                   "AA:BB:..., are needed",
                   SHOWN_MAX, text);
}

void certificate_format(const struct certificate_thumbprint *thumbprint,
                        char text[CERTIFICATE_THUMBPRINT_SIZE])
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < SHA256_SIZE; i++) {
        text[3 * i] = digits[thumbprint->bytes[i] >> 4];
        text[3 * i + 1] = digits[thumbprint->bytes[i] & 0x0f];
        text[3 * i + 2] = ':';
    }
    text[CERTIFICATE_THUMBPRINT_SIZE - 1] = '\0';
}
