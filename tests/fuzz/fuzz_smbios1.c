/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the guest is told stays the same when it is written anew. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/smbios1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(smbios1_fini) struct smbios1 s = {0};
    CLEANUP(smbios1_fini) struct smbios1 again = {0};
    CLEANUP_FREE char *written = NULL;

    if (smbios1_parse(text, &s, NULL) == 0 && smbios1_format(&s, &written, NULL) == 0) {
        assert(strlen(written) <= SMBIOS1_MAX && smbios1_parse(written, &again, NULL) == 0);
        for (unsigned i = 0; i < SMBIOS1_FIELDS; i++) {
            enum smbios1_field field = (enum smbios1_field)i;

            assert(smbios1_field_equal(field, s.fields[i], again.fields[i]));
        }
    }
    return 0;
}
