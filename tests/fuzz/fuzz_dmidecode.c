/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a dump of dmidecode. */
#include "core/dmidecode.h"
#include "readback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_capture(dmidecode_capture, data, size);
    return 0;
}
