/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a .vmdk: where its descriptor is, and what it says. */
#include "core/vmdk.h"
#include "readback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct vmdk disk = {"", ""};
    struct err err = {""};
    uint64_t offset = 0;
    size_t len = 0;

    if (vmdk_locate(text, size < VMDK_HEAD ? size : VMDK_HEAD, &offset, &len, &err) < 0) {
        must(err.text[0] != '\0');
        return 0;
    }
    must(len <= VMDK_MAX && offset <= INT64_MAX);
    offset = offset < size ? offset : size;
    len = len < size - offset ? len : size - offset;
    if (vmdk_parse(text + offset, len, &disk, &err) < 0) {
        must(err.text[0] != '\0');
        return 0;
    }
    must(disk.serial[0] == '\0' || strlen(disk.serial) == VMDK_SERIAL_SIZE - 1);
    must(strlen(disk.parent) < VMDK_NAME_SIZE);
    return 0;
}
