/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A command line of any bytes: what is found lies in it, or there is nothing. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/qemu_args.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *argv = (const char *)data;
    CLEANUP_FREE char *uuid = NULL;
    CLEANUP_FREE char *model = NULL;
    CLEANUP_FREE char *mac = NULL;

    if (size == 0) {
        return 0;
    }
    assert(qemu_argv_smbios(argv, size, 1, "uuid", &uuid) == 0);
    assert(qemu_argv_device(argv, size, "net0", NULL, &model) == 0);
    assert(qemu_argv_device(argv, size, "net0", "mac", &mac) == 0);
    assert(uuid == NULL || strlen(uuid) < size);
    assert(mac == NULL || (model != NULL && strlen(mac) < size));
    return 0;
}
