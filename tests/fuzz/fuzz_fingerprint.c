/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a fingerprint: a sentence, or one whose canonical text is a fixed point. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(fingerprint_freep) struct fingerprint *again = NULL;
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *text_again = NULL;
    struct err err = {""};

    if (fingerprint_parse((const char *)data, size, &fp, &err) < 0) {
        must(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
        return 0;
    }
    must(fingerprint_format(fp, &text, &err) == 0);
    must(fingerprint_parse(text, strlen(text), &again, &err) == 0);
    must(fingerprint_format(again, &text_again, &err) == 0);
    must(str_equal(text, text_again));
    return 0;
}
