/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes end in a hold that is read back as written, or in a sentence; and they hold. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/hold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(hold_freep) struct hold *hold = NULL;
    CLEANUP(hold_freep) struct hold *back = NULL;
    CLEANUP_FREE char *words = hold_describe((const char *)data, size, "/105.hold", NULL);
    CLEANUP_FREE char *text = NULL;
    struct err err = {""};

    assert(words != NULL && str_starts(words, "on hold"));
    if (hold_parse((const char *)data, size, &hold, &err) != 0) {
        assert(err.text[0] != '\0');
        return 0;
    }
    assert(hold_format(hold, &text, &err) == 0);
    assert(hold_parse(text, strlen(text), &back, &err) == 0);
    assert(str_equal(back->since, hold->since) && str_equal(back->by, hold->by) &&
           str_equal(back->why, hold->why));
    return 0;
}
