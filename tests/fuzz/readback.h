/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every capture must keep, whatever it was fed: a sentence, or a fingerprint that reads back
 * as it was written; notes of one line each. */
#ifndef TESTS_FUZZ_READBACK_H
#define TESTS_FUZZ_READBACK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint.h"
#include "core/notes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static inline void check_notes(const struct notes *notes)
{
    for (size_t i = 0; i < notes->n; i++) {
        must(notes->items[i][0] != '\0' && strchr(notes->items[i], '\n') == NULL);
    }
}

static inline void check_fingerprint(const struct fingerprint *fp)
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

typedef int (*capture_fn)(const char *text, size_t len, const char *captured,
                          struct fingerprint **ret_fp, struct notes *notes, struct err *err);

static inline void check_capture(capture_fn capture, const uint8_t *data, size_t size)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct err err = {""};

    if (capture((const char *)data, size, NULL, &fp, &notes, &err) == 0) {
        check_fingerprint(fp);
    } else {
        must(err.text[0] != '\0');
    }
    check_notes(&notes);
}

#endif
