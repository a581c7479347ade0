/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See smbios_uuid.h. libuuid reads and writes the RFC spelling; VMware's spelling is ours.
 * libuuid's uuid_parse() alone would accept what it accepts today, so the length is checked here
 * too.
 */
#include "core/smbios_uuid.h"

#include <errno.h>
#include <string.h>
#include <uuid/uuid.h>

#include "base/str.h"

enum {
    SHOWN_MAX = 64,      /* bytes of a wrong text that a sentence shows */
    VMWARE_HALF_AT = 23, /* "56 4d 1a 9b 00 11 22 33" and then the dash */
};

int smbios_uuid_parse(const char *text, struct smbios_uuid *ret_uuid, struct err *err)
{
    uuid_t bytes;

    if (strlen(text) != SMBIOS_UUID_SIZE - 1 || uuid_parse(text, bytes) != 0) {
        return err_set(err, -EINVAL,
                       "\"%.*s\" is no UUID: 8-4-4-4-12 hexadecimal digits are needed", SHOWN_MAX,
                       text);
    }
    memcpy(ret_uuid->bytes, bytes, sizeof(ret_uuid->bytes));
    return 0;
}

/* The two digits at `text`, or -1. */
static int hex_pair(const char *text)
{
    int high = ascii_hex(text[0]);
    int low = high < 0 ? -1 : ascii_hex(text[1]);

    return low < 0 ? -1 : high * 16 + low;
}

int smbios_uuid_parse_vmware(const char *text, struct smbios_uuid *ret_uuid, struct err *err)
{
    struct smbios_uuid uuid;
    const char *at = text;

    for (; ascii_is_space(*at); at++) {
    }
    for (size_t i = 0; i < sizeof(uuid.bytes); i++) {
        int byte;

        if (i > 0 && *at != ' ' && !(i == 8 && *at == '-')) {
            goto wrong;
        }
        at += i > 0;
        byte = hex_pair(at);
        if (byte < 0) {
            goto wrong;
        }
        uuid.bytes[i] = (uint8_t)byte;
        at += 2;
    }
    for (; ascii_is_space(*at); at++) {
    }
    if (*at != '\0') {
        goto wrong;
    }
    *ret_uuid = uuid;
    return 0;
wrong:
    return err_set(err, -EINVAL,
                   "\"%.*s\" is no UUID in VMware's spelling: 16 pairs of hexadecimal digits, as "
                   "in \"56 4d 1a 9b 00 11 22 33-44 55 66 77 88 99 aa bb\", are needed",
                   SHOWN_MAX, text);
}

void smbios_uuid_format(const struct smbios_uuid *uuid, char text[SMBIOS_UUID_SIZE])
{
    uuid_unparse_lower(uuid->bytes, text);
}

void smbios_uuid_format_vmware(const struct smbios_uuid *uuid, char text[SMBIOS_UUID_VMWARE_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
        text[3 * i] = digits[uuid->bytes[i] >> 4];
        text[3 * i + 1] = digits[uuid->bytes[i] & 0x0f];
        text[3 * i + 2] = ' ';
    }
    text[VMWARE_HALF_AT] = '-';
    text[SMBIOS_UUID_VMWARE_SIZE - 1] = '\0';
}

struct smbios_uuid smbios_uuid_swap(struct smbios_uuid uuid)
{
    static const uint8_t from[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    struct smbios_uuid swapped;

    for (size_t i = 0; i < sizeof(from); i++) {
        swapped.bytes[i] = uuid.bytes[from[i]];
    }
    return swapped;
}

bool smbios_uuid_is_none(const struct smbios_uuid *uuid)
{
    for (size_t i = 1; i < sizeof(uuid->bytes); i++) {
        if (uuid->bytes[i] != uuid->bytes[0]) {
            return false;
        }
    }
    return uuid->bytes[0] == 0x00 || uuid->bytes[0] == 0xff;
}

bool smbios_uuid_equal(const struct smbios_uuid *a, const struct smbios_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void smbios_uuid_digest(const void *bytes, unsigned long len, char text[SMBIOS_UUID_SIZE])
{
    /* Our own name space (drawn once): the same bytes hashed by somebody else give another UUID. */
    static const uuid_t name_space = {0x5b, 0x1e, 0x0d, 0x6a, 0x93, 0x2c, 0x4f, 0x57,
                                      0x8e, 0x21, 0x70, 0xa9, 0x44, 0xd8, 0x1c, 0x3f};
    uuid_t digest;

    uuid_generate_sha1(digest, name_space, len > 0 ? bytes : "", len);
    uuid_unparse_lower(digest, text);
}
