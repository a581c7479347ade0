/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a tar archive, walked as the command line walks an OVA. A fuzzer finds no checksums:
 * the sum of each header is put right here where its first byte is odd. */
#include <stdio.h>

#include "core/tar.h"
#include "readback.h"

enum { SUM_AT = 148, SUM_LEN = 8 };

static void put_sum(char block[TAR_BLOCK])
{
    char digits[SUM_LEN + 1];
    unsigned sum = 0;

    memset(block + SUM_AT, ' ', SUM_LEN);
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        sum += (unsigned char)block[i];
    }
    (void)snprintf(digits, sizeof(digits), "%06o", sum);
    memcpy(block + SUM_AT, digits, SUM_LEN - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tar_extra extra = {.name = ""};
    struct err err = {""};

    (void)tar_recognises((const char *)data, size);
    while (size >= TAR_BLOCK) {
        struct tar_header header;
        char block[TAR_BLOCK];
        uint64_t skip;
        int rc;

        memcpy(block, data, TAR_BLOCK);
        if (block[0] % 2 != 0) {
            put_sum(block);
        }
        data += TAR_BLOCK;
        size -= TAR_BLOCK;
        rc = tar_header_parse(block, &extra, &header, &err);
        if (rc != 0) {
            must(rc > 0 || err.text[0] != '\0');
            return 0;
        }
        must(strlen(header.name) < TAR_NAME_SIZE && header.size <= (uint64_t)1 << 62);
        if (header.size > size) {
            return 0;
        }
        if ((header.kind == TAR_PAX || header.kind == TAR_LONG_NAME) &&
            tar_extra_parse(header.kind, (const char *)data, (size_t)header.size, &extra, &err) <
                0) {
            must(err.text[0] != '\0');
            return 0;
        }
        skip = header.size + tar_padding(header.size);
        if (skip > size) {
            return 0;
        }
        data += skip;
        size -= (size_t)skip;
    }
    return 0;
}
