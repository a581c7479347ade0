/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a .vmx. */
#include "core/vmx.h"
#include "readback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(vmx_disk_files_fini) struct vmx_disk_files files = {0};

    check_capture(vmx_capture, data, size);
    must(vmx_find_disk_files((const char *)data, size, &files) == 0);
    return 0;
}
