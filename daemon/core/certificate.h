/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SHA-256 thumbprint of a certificate, as vSphere, browsers and `openssl x509 -fingerprint
 * -sha256` show it: of the DER bytes, pairs of hex digits with colons. And the pin of its key. */
#ifndef CORE_CERTIFICATE_H
#define CORE_CERTIFICATE_H

#include <stdint.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/sha256.h"

#define CERTIFICATE_PIN_PREFIX "sha256//"

enum {
    CERTIFICATE_THUMBPRINT_SIZE = 3 * SHA256_SIZE, /* of the text, with the NUL */
    CERTIFICATE_PIN_SIZE = (int)(sizeof(CERTIFICATE_PIN_PREFIX) - 1 + BASE64_SIZE(SHA256_SIZE)),
};

struct certificate_thumbprint {
    uint8_t bytes[SHA256_SIZE];
};

/* Of the first certificate in a PEM text. -EINVAL: there is none. */
int certificate_thumbprint(const char *pem, struct certificate_thumbprint *ret, struct err *err);
/* "sha256//BASE64", as curl takes it: of the public key (RFC 7469, 2.4) in that certificate. Who
 * has the private one to it is its owner, whatever dates and names stand beside it. */
int certificate_key_pin(const char *pem, char pin[CERTIFICATE_PIN_SIZE], struct err *err);
/* "AA:BB:..." in any case, with or without colons, perhaps with "SHA256:" in front. A SHA-1
 * thumbprint (20 bytes), which vSphere shows too, gets a sentence of its own. */
int certificate_parse(const char *text, struct certificate_thumbprint *ret, struct err *err);
void certificate_format(const struct certificate_thumbprint *thumbprint,
                        char text[CERTIFICATE_THUMBPRINT_SIZE]);

#endif
