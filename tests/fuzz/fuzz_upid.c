/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Process titles: any local user may choose one. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/str.h"
#include "core/upid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *title = str_ndup((const char *)data, size);
    struct upid upid;

    if (title != NULL && upid_parse_title(title, &upid) && upid.type[0] == '\0') {
        __builtin_trap();
    }
    return 0;
}
