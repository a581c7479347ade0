/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SHA-256 thumbprint of a certificate, as vSphere, browsers and `openssl x509 -fingerprint
 * -sha256` show it: of the DER bytes, pairs of hex digits with colons. */
#ifndef CORE_CERTIFICATE_H
#define CORE_CERTIFICATE_H

#include <stdint.h>

#include "base/err.h"
#include "base/sha256.h"

enum { CERTIFICATE_THUMBPRINT_SIZE = 3 * SHA256_SIZE }; /* of the text, with the NUL */

struct certificate_thumbprint {
    uint8_t bytes[SHA256_SIZE];
};

/* Of the first certificate in a PEM text. -EINVAL: there is none. */
int certificate_thumbprint(const char *pem, struct certificate_thumbprint *ret, struct err *err);
/* "AA:BB:..." in any case, with or without colons, perhaps with "SHA256:" in front. A SHA-1
 * thumbprint (20 bytes), which vSphere shows too, gets a sentence of its own. */
int certificate_parse(const char *text, struct certificate_thumbprint *ret, struct err *err);
void certificate_format(const struct certificate_thumbprint *thumbprint,
                        char text[CERTIFICATE_THUMBPRINT_SIZE]);

#endif
