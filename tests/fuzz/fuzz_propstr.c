/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What propstr reads it writes so that it reads the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/propstr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(propstr_fini) struct propstr props = {0};
    CLEANUP(propstr_fini) struct propstr again = {0};
    CLEANUP_FREE char *first = NULL;
    CLEANUP_FREE char *second = NULL;

    if (propstr_parse(text, &props, NULL) == 0) {
        first = propstr_format(&props);
        assert(propstr_parse(first, &again, NULL) == 0 && again.n == props.n);
        second = propstr_format(&again);
        assert(strcmp(first, second) == 0);
    }
    return 0;
}
