/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as the PEM that a peer showed, and as the DER in it. */
#include "base/base64.h"
#include "base/buf.h"
#include "core/certificate.h"
#include "readback.h"

static void read_pem(const char *pem)
{
    char pin[CERTIFICATE_PIN_SIZE], text[CERTIFICATE_THUMBPRINT_SIZE];
    struct certificate_thumbprint thumbprint;
    struct err err = {""};

    if (certificate_key_pin(pem, pin, &err) == 0) {
        must(strlen(pin) == sizeof(pin) - 1 && certificate_thumbprint(pem, &thumbprint, &err) == 0);
        certificate_format(&thumbprint, text);
        must(certificate_parse(text, &thumbprint, &err) == 0);
    } else {
        must(err.text[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(buf_fini) struct buf pem = BUF_INIT(0);

    buf_adds(&pem, "-----BEGIN CERTIFICATE-----\n");
    base64_encode(data, size, &pem);
    if (text != NULL && pem.error == 0) {
        read_pem(text);
        read_pem(pem.data);
    }
    return 0;
}
