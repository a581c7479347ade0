/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes end in settings within their limits or in a sentence. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    struct err err = {""};

    if (settings_parse((const char *)data, size, &settings, &err) != 0) {
        assert(err.text[0] != '\0');
        return 0;
    }
    assert(str_starts(settings->api_url, "https://") && settings->state_dir[0] == '/');
    assert(settings->rescan_s >= 1 && settings->rescan_s <= 3600);
    assert(settings->max_reads >= 1 && settings->max_reads <= 32);
    assert(settings->ready_patience_s <= 600);
    return 0;
}
