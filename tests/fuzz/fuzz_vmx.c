/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a .vmx: a sentence, or a fingerprint that reads back as it was written. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/vmx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void read_back(const struct fingerprint *fp)
{
    CLEANUP(fingerprint_freep) struct fingerprint *again = NULL;
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *text_again = NULL;
    struct err err = {""};

    must(fingerprint_format(fp, &text, &err) == 0);
    must(fingerprint_parse(text, strlen(text), &again, &err) == 0);
    must(fingerprint_format(again, &text_again, &err) == 0);
    must(str_equal(text, text_again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct err err = {""};

    if (vmx_capture((const char *)data, size, NULL, &fp, &notes, &err) == 0) {
        read_back(fp);
    } else {
        must(err.text[0] != '\0');
    }
    for (size_t i = 0; i < notes.n; i++) {
        must(notes.items[i][0] != '\0' && strchr(notes.items[i], '\n') == NULL);
    }
    return 0;
}
