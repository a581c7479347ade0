/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vmdk.h. */
#include "core/vmdk.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "core/smbios_uuid.h"

enum {
    SECTOR = 512,
    OFFSET_AT = 28, /* of the sparse header: the descriptor's first sector, then how many */
    SIZE_AT = 36,
    SPARSE_LEN = 44,
};

static const char signature[] = "# Disk DescriptorFile";

static uint64_t little_endian(const char *at)
{
    uint64_t value = 0;

    for (size_t i = 8; i-- > 0;) {
        value = value << 8 | (unsigned char)at[i];
    }
    return value;
}

/* VMware writes the signature as the first line; others put comments or blanks before it. */
static bool has_signature(const char *text, size_t len)
{
    for (; len > 0 && ascii_is_space(*text); text++, len--) {
    }
    for (const char *at = signature; *at != '\0'; at++, text++, len--) {
        if (len == 0 || ascii_lower(*text) != ascii_lower(*at)) {
            return false;
        }
    }
    return true;
}

int vmdk_locate(const char *head, size_t len, uint64_t *ret_offset, size_t *ret_len,
                struct err *err)
{
    uint64_t offset, size;

    if (len < 4 || memcmp(head, "KDMV", 4) != 0) {
        char start[sizeof(signature) + 16] = "";

        memcpy(start, head, len < sizeof(start) - 1 ? len : sizeof(start) - 1);
        if (!has_signature(start, strlen(start))) {
            return err_set(err, -EINVAL, "it is no .vmdk with a descriptor");
        }
        *ret_offset = 0;
        *ret_len = VMDK_MAX;
        return 0;
    }
    if (len < SPARSE_LEN) {
        return err_set(err, -EINVAL, "the file ends within its header");
    }
    offset = little_endian(head + OFFSET_AT);
    size = little_endian(head + SIZE_AT);
    if (offset == 0 || size == 0) {
        return err_set(err, -EINVAL, "this part of the disk holds no descriptor");
    }
    if (offset > INT64_MAX / SECTOR || size > VMDK_MAX / SECTOR) {
        return err_set(err, -EINVAL, "its header names a descriptor that cannot be");
    }
    *ret_offset = offset * SECTOR;
    *ret_len = (size_t)size * SECTOR;
    return 0;
}

/* `key = "value"` in a line: the value's bytes; false: another line. */
static bool match(const char *line, size_t len, const char *key, const char **ret, size_t *ret_len)
{
    const char *at = line, *end = line + len;
    const char *quote;

    for (; at < end && ascii_is_space(*at); at++) {
    }
    for (; *key != '\0'; key++, at++) {
        if (at == end || ascii_lower(*at) != ascii_lower(*key)) {
            return false;
        }
    }
    for (; at < end && (ascii_is_space(*at) || *at == '='); at++) {
    }
    if (at == end || *at != '"') {
        return false;
    }
    quote = memchr(at + 1, '"', (size_t)(end - at - 1));
    if (quote == NULL) {
        return false;
    }
    *ret = at + 1;
    *ret_len = (size_t)(quote - at - 1);
    return true;
}

/* "60 00 C2 9c ... " as digits in a row. */
static int take_uuid(const char *value, size_t len, struct vmdk *ret, struct err *err)
{
    static const char digits[] = "0123456789abcdef";
    char text[SMBIOS_UUID_VMWARE_SIZE * 2] = "";
    struct smbios_uuid uuid;

    if (len >= sizeof(text)) {
        return err_set(err, -EINVAL, "its ddb.uuid is too long to be one");
    }
    memcpy(text, value, len);
    if (smbios_uuid_parse_vmware(text, &uuid, NULL) < 0 || smbios_uuid_is_none(&uuid)) {
        str_tame(text);
        return err_set(err, -EINVAL, "its ddb.uuid = \"%s\" is none", text);
    }
    for (size_t i = 0; i < sizeof(uuid.bytes); i++) {
        ret->serial[2 * i] = digits[uuid.bytes[i] >> 4];
        ret->serial[2 * i + 1] = digits[uuid.bytes[i] & 0x0f];
    }
    ret->serial[VMDK_SERIAL_SIZE - 1] = '\0';
    return 0;
}

int vmdk_parse(const char *text, size_t len, struct vmdk *ret, struct err *err)
{
    struct vmdk disk = {"", ""};
    size_t used = strnlen(text, len); /* a sparse file fills its sectors with zeros */
    const char *end = text + used;

    if (!has_signature(text, used)) {
        return err_set(err, -EINVAL, "it is no descriptor of a .vmdk");
    }
    for (const char *line = text; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t line_len = (size_t)((newline != NULL ? newline : end) - line);
        const char *value;
        size_t value_len;

        if (disk.serial[0] == '\0' && match(line, line_len, "ddb.uuid", &value, &value_len)) {
            int rc = take_uuid(value, value_len, &disk, err);

            if (rc < 0) {
                return rc;
            }
        }
        if (match(line, line_len, "parentFileNameHint", &value, &value_len) &&
            value_len < VMDK_NAME_SIZE) {
            memcpy(disk.parent, value, value_len);
            disk.parent[value_len] = '\0';
        }
        line += line_len + 1;
    }
    *ret = disk;
    return 0;
}
