/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a text of slmgr. */
#include "core/slmgr.h"
#include "readback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_capture(slmgr_capture, data, size);
    return 0;
}
