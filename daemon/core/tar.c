/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See tar.h. */
#include "core/tar.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

/* Where the fields of a header are (POSIX ustar). */
enum {
    NAME_AT = 0,
    NAME_LEN = 100,
    SIZE_AT = 124,
    SIZE_LEN = 12,
    SUM_AT = 148,
    SUM_LEN = 8,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    PREFIX_AT = 345,
    PREFIX_LEN = 155,
};

#define SIZE_LIMIT ((uint64_t)1 << 62) /* no file is larger; sums with it do not overflow */

/* Octal digits, blanks or NULs around them; or, with the first bit set, GNU's big-endian binary. */
static bool parse_number(const char *field, size_t len, uint64_t *ret)
{
    uint64_t value = 0;
    size_t i = 0;

    if (((unsigned char)field[0] & 0x80) != 0) {
        value = (unsigned char)field[0] & 0x7f;
        for (i = 1; i < len; i++) {
            if (value >= SIZE_LIMIT >> 8) {
                return false;
            }
            value = value << 8 | (unsigned char)field[i];
        }
        *ret = value;
        return true;
    }
    for (; i < len && field[i] == ' '; i++) {
    }
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++) {
        value = value << 3 | (uint64_t)(field[i] - '0');
    }
    *ret = value; /* at most twelve digits: 36 bits */
    return i == len || field[i] == '\0' || field[i] == ' ';
}

/* The sum of all bytes, those of the sum itself taken as blanks. */
static bool sum_is_right(const char *block)
{
    uint64_t sum = 0, said;

    for (size_t i = 0; i < TAR_BLOCK; i++) {
        bool own = i >= SUM_AT && i < SUM_AT + SUM_LEN;

        sum += own ? (unsigned char)' ' : (unsigned char)block[i];
    }
    return parse_number(block + SUM_AT, SUM_LEN, &said) && said == sum;
}

static bool is_zero(const char *block)
{
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        if (block[i] != '\0') {
            return false;
        }
    }
    return true;
}

bool tar_recognises(const char *head, size_t len)
{
    return len >= TAR_BLOCK && !is_zero(head) && sum_is_right(head);
}

static enum tar_kind kind_of(char type)
{
    switch (type) {
    case '0':
    case '\0':
    case '7':
        return TAR_FILE;
    case 'L':
        return TAR_LONG_NAME;
    case 'x':
        return TAR_PAX;
    default:
        return TAR_OTHER;
    }
}

static void copy_name(char name[TAR_NAME_SIZE], const char *from, size_t len)
{
    size_t n = strnlen(from, len);

    n = n < TAR_NAME_SIZE - 1 ? n : TAR_NAME_SIZE - 1;
    memcpy(name, from, n);
    name[n] = '\0';
}

/* "prefix/name" of ustar, or the name alone. */
static void read_name(const char *block, char name[TAR_NAME_SIZE])
{
    size_t n = 0;

    if (memcmp(block + MAGIC_AT, "ustar\0", 6) == 0 && block[PREFIX_AT] != '\0') {
        copy_name(name, block + PREFIX_AT, PREFIX_LEN);
        n = strlen(name);
        name[n++] = '/';
    }
    copy_name(name + n, block + NAME_AT, NAME_LEN); /* 155 + 1 + 100 always fit */
}

int tar_header_parse(const char block[TAR_BLOCK], struct tar_extra *extra, struct tar_header *ret,
                     struct err *err)
{
    if (is_zero(block)) {
        return 1;
    }
    if (!sum_is_right(block)) {
        return err_set(err, -EINVAL, "a header of the archive is damaged (its checksum is wrong)");
    }
    ret->kind = kind_of(block[TYPE_AT]);
    read_name(block, ret->name);
    if (!parse_number(block + SIZE_AT, SIZE_LEN, &ret->size)) {
        return err_set(err, -EINVAL, "a header of the archive holds no size that can be");
    }
    if (ret->kind == TAR_LONG_NAME || ret->kind == TAR_PAX) {
        return 0;
    }
    if (extra->name[0] != '\0') {
        memcpy(ret->name, extra->name, TAR_NAME_SIZE);
    }
    ret->size = extra->has_size ? extra->size : ret->size;
    extra->name[0] = '\0';
    extra->has_size = false;
    return 0;
}

/* One "LENGTH KEY=VALUE\n" of a pax header; *at moves behind it. */
static bool take_record(const char **at, const char *end, struct tar_extra *extra)
{
    const char *start = *at, *key, *equals;
    uint64_t len = 0;
    size_t value_len;

    for (; *at < end && ascii_is_digit(**at) && len <= TAR_EXTRA_MAX; (*at)++) {
        len = len * 10 + (uint64_t)(**at - '0');
    }
    if (*at == end || **at != ' ' || len > (uint64_t)(end - start) ||
        len < (uint64_t)(*at - start) + 3 || start[len - 1] != '\n') {
        return false;
    }
    key = *at + 1;
    *at = start + len;
    equals = memchr(key, '=', (size_t)(*at - key));
    if (equals == NULL) {
        return false;
    }
    value_len = (size_t)(*at - equals) - 2;
    if (equals - key == 4 && memcmp(key, "path", 4) == 0) {
        copy_name(extra->name, equals + 1, value_len);
    }
    if (equals - key == 4 && memcmp(key, "size", 4) == 0) {
        char digits[24] = "";

        if (value_len >= sizeof(digits)) {
            return false;
        }
        memcpy(digits, equals + 1, value_len);
        extra->has_size = true;
        return str_to_u64(digits, SIZE_LIMIT, &extra->size);
    }
    return true;
}

int tar_extra_parse(enum tar_kind kind, const char *data, size_t len, struct tar_extra *extra,
                    struct err *err)
{
    const char *end = data + len;

    if (kind == TAR_LONG_NAME) {
        copy_name(extra->name, data, len);
        return 0;
    }
    while (data < end) {
        if (!take_record(&data, end, extra)) {
            return err_set(err, -EINVAL, "an extended header of the archive is damaged");
        }
    }
    return 0;
}

uint64_t tar_padding(uint64_t size)
{
    return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}
