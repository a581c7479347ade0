/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See certificate.h. */
#include "core/certificate.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/base64.h"
#include "base/str.h"

enum {
    DER_MAX = 64 * 1024,
    SHOWN_MAX = 100,
    SHA1_SIZE = 20,
    DER_INTEGER = 0x02,
    DER_SEQUENCE = 0x30,
    DER_VERSION = 0xa0,
    DER_LONG = 0x80, /* from here on: so many bytes of length follow */
    DER_LENGTH_BYTES = 3,
};

/* --- a certificate in PEM --------------------------------------------------------------------- */

static int decode(const char *pem, struct buf *der, struct err *err)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    const char *at = strstr(pem, begin);

    if (at != NULL) {
        base64_decode(at + strlen(begin), der);
    }
    if (der->error == -ENOMEM) {
        return err_oom(err);
    }
    return der->error != 0 || der->len == 0
               ? err_set(err, -EINVAL, "there is no certificate to be read")
               : 0;
}

int certificate_thumbprint(const char *pem, struct certificate_thumbprint *ret, struct err *err)
{
    CLEANUP(buf_fini) struct buf der = BUF_INIT(DER_MAX);
    int rc = decode(pem, &der, err);

    if (rc == 0) {
        sha256(der.data, der.len, ret->bytes);
    }
    return rc;
}

/* One element of DER: `whole` is its bytes from the tag on, `inside` its contents. */
struct der {
    const uint8_t *at;
    size_t len;
};

/* Takes the first element off the front of `from`. False: it is cut off, or no DER. */
static bool der_take(struct der *from, uint8_t tag, struct der *whole, struct der *inside)
{
    size_t head = 2, len, n;

    if (from->len < head || from->at[0] != tag) {
        return false;
    }
    len = from->at[1];
    if (len >= DER_LONG) {
        n = len - DER_LONG; /* bytes of the length; none would be BER's "until the end is marked" */
        if (n == 0 || n > DER_LENGTH_BYTES || from->len - head < n) {
            return false;
        }
        for (len = 0; n > 0; n--) {
            len = len << 8 | from->at[head++];
        }
    }
    if (len > from->len - head) {
        return false;
    }
    *whole = (struct der){from->at, head + len};
    *inside = (struct der){from->at + head, len};
    from->at += head + len;
    from->len -= head + len;
    return true;
}

/* RFC 5280, 4.1: what stands in front of the key, in its order. The version alone may be absent. */
static bool find_key(struct der certificate, struct der *key)
{
    static const uint8_t before[] = {DER_INTEGER,   /* serial number */
                                     DER_SEQUENCE,  /* algorithm */
                                     DER_SEQUENCE,  /* issuer */
                                     DER_SEQUENCE,  /* validity */
                                     DER_SEQUENCE}; /* subject */
    struct der all, said, whole, inside;

    if (!der_take(&certificate, DER_SEQUENCE, &whole, &all) ||
        !der_take(&all, DER_SEQUENCE, &whole, &said)) {
        return false;
    }
    (void)der_take(&said, DER_VERSION, &whole, &inside); /* else one of version 1 */
    for (size_t i = 0; i < sizeof(before); i++) {
        if (!der_take(&said, before[i], &whole, &inside)) {
            return false;
        }
    }
    return der_take(&said, DER_SEQUENCE, key, &inside);
}

int certificate_key_pin(const char *pem, char pin[CERTIFICATE_PIN_SIZE], struct err *err)
{
    CLEANUP(buf_fini) struct buf der = BUF_INIT(DER_MAX);
    static const char prefix[] = CERTIFICATE_PIN_PREFIX;
    uint8_t digest[SHA256_SIZE];
    struct der key;
    int rc = decode(pem, &der, err);

    if (rc < 0) {
        return rc;
    }
    if (!find_key((struct der){(const uint8_t *)der.data, der.len}, &key)) {
        return err_set(err, -EINVAL, "its public key cannot be found");
    }
    sha256(key.at, key.len, digest);
    memcpy(pin, prefix, strlen(prefix));
    base64_encode_text(digest, sizeof(digest), pin + strlen(prefix));
    return 0;
}

/* --- thumbprints ------------------------------------------------------------------------------ */

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
