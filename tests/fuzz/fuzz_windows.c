/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a file of capture-windows.ps1. */
#include "core/winguest.h"
#include "readback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_capture(winguest_capture, data, size);
    return 0;
}
