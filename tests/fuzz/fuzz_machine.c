/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A machine type that is read is written so that it reads the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(machine_fini) struct machine m = {0};
    CLEANUP(machine_fini) struct machine again = {0};
    CLEANUP_FREE char *first = NULL;
    CLEANUP_FREE char *second = NULL;

    (void)machine_effective(&m, "win10", text, NULL); /* the text as `meta` */
    if (machine_parse(text, &m, NULL) == 0) {
        first = machine_format(&m);
        assert(machine_parse(first, &again, NULL) == 0 && again.kind == m.kind);
        assert(machine_version_compare(m.version, again.version) == 0);
        second = machine_format(&again);
        assert(strcmp(first, second) == 0);
    }
    return 0;
}
