/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two fingerprints that somebody wrote, parted by a line of "%%": merging ends in a fingerprint
that
 * can be written and read again, or in a sentence; and none contradicts itself.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char parting[] = "\n%%\n";

static void must(bool truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

static void check(const struct merge *merge)
{
    CLEANUP(fingerprint_freep) struct fingerprint *again = NULL;
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *second = NULL;
    struct err err = {""};

    for (size_t i = 0; i < merge->n; i++) {
        CLEANUP_FREE char *sentence = merge_conflict_text(&merge->conflicts[i]);

        must(sentence != NULL);
    }
    if (merge_unsettled(merge) > 0) {
        return;
    }
    must(fingerprint_format(merge->fp, &text, NULL) == 0);
    if (strlen(text) > FINGERPRINT_MAX) {
        return;
    }
    must(fingerprint_parse(text, strlen(text), &again, &err) == 0);
    must(fingerprint_format(again, &second, NULL) == 0);
    must(str_equal(text, second));
}

static size_t merge_two(const struct fingerprint *a, const struct fingerprint *b,
                        const char *prefer)
{
    const struct merge_input inputs[] = {{a, "a"}, {b, "b"}};
    CLEANUP(merge_freep) struct merge *merge = NULL;
    struct err err = {""};
    int rc = merge_fingerprints(inputs, ARRAY_SIZE(inputs), prefer, &merge, &err);
    size_t n;

    if (rc < 0) {
        must(rc == -EINVAL && err.text[0] != '\0');
        return SIZE_MAX;
    }
    check(merge);
    n = merge->n;
    must(a != b || n == 0);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(fingerprint_freep) struct fingerprint *a = NULL;
    CLEANUP(fingerprint_freep) struct fingerprint *b = NULL;
    char *other = text == NULL ? NULL : strstr(text, parting);

    if (other == NULL) {
        return 0;
    }
    *other = '\0';
    other += strlen(parting);
    if (fingerprint_parse(text, strlen(text), &a, NULL) < 0) {
        return 0;
    }
    must(merge_two(a, a, NULL) == 0);
    if (fingerprint_parse(other, strlen(other), &b, NULL) == 0) {
        (void)merge_two(a, b, NULL); /* whatever it says */
        (void)merge_two(b, a, "vmx");
    }
    return 0;
}
