/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See capture_ova.h. */
#include "cli/capture_ova.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "core/tar.h"

enum {
    MEMBERS_MAX = 10000, /* an OVA has about five */
    SHOWN_MAX = 128,
};

static int cut_off(const char *name, uint64_t size, struct err *err)
{
    return err_set(err, -EINVAL,
                   "the archive ends in the middle of %.*s, which is said to have %llu bytes; was "
                   "it copied whole?",
                   SHOWN_MAX, name, (unsigned long long)size);
}

/* The data of a member, NUL-terminated at *ret; `max` was checked. */
static int read_data(struct input *input, const struct tar_header *header, char **ret,
                     struct err *err)
{
    CLEANUP_FREE char *data = malloc((size_t)header->size + 1);
    int rc;

    if (data == NULL) {
        return err_oom(err);
    }
    rc = input_take(input, data, (size_t)header->size, err);
    if (rc != 0) {
        return rc < 0 ? rc : cut_off(header->name, header->size, err);
    }
    data[header->size] = '\0';
    *ret = STEAL(data);
    return 0;
}

static int read_extra(struct input *input, const struct tar_header *header, struct tar_extra *extra,
                      struct err *err)
{
    CLEANUP_FREE char *data = NULL;
    int rc;

    if (header->size > TAR_EXTRA_MAX) {
        return err_set(err, -EFBIG,
                       "an extended header of the archive is said to have %llu bytes; that is no "
                       "OVA",
                       (unsigned long long)header->size);
    }
    rc = read_data(input, header, &data, err);
    return rc < 0 ? rc : tar_extra_parse(header->kind, data, (size_t)header->size, extra, err);
}

static int read_descriptor(struct input *input, const struct tar_header *header, struct buf *text,
                           struct err *err)
{
    CLEANUP_FREE char *data = NULL;
    int rc;

    if (header->size > text->max) {
        return err_set(err, -EFBIG,
                       "the descriptor %.*s in it is said to have %llu bytes; more than %zu are no "
                       "OVF",
                       SHOWN_MAX, header->name, (unsigned long long)header->size, text->max);
    }
    rc = read_data(input, header, &data, err);
    if (rc < 0) {
        return rc;
    }
    buf_add(text, data, (size_t)header->size);
    return text->error != 0 ? err_oom(err) : 0;
}

static bool is_descriptor(const struct tar_header *header)
{
    size_t len = strlen(header->name);

    return header->kind == TAR_FILE && len > 4 && str_iequal(header->name + len - 4, ".ovf");
}

/* One header and what belongs to it: 0 to go on, 1 where the descriptor was found. */
static int step(struct input *input, struct tar_extra *extra, struct tar_header *header,
                struct buf *text, struct err *err)
{
    char block[TAR_BLOCK];
    bool is_extra;
    int rc = input_take(input, block, sizeof(block), err);

    rc = rc == 0 ? tar_header_parse(block, extra, header, err) : rc;
    if (rc != 0) {
        return rc < 0 ? rc
                      : err_set(err, -ENOENT, "there is no .ovf in the archive, so it is no OVA");
    }
    str_tame(header->name);
    if (is_descriptor(header)) {
        rc = read_descriptor(input, header, text, err);
        return rc < 0 ? rc : 1;
    }
    is_extra = header->kind == TAR_LONG_NAME || header->kind == TAR_PAX;
    if (is_extra) {
        rc = read_extra(input, header, extra, err);
    }
    if (rc == 0) {
        rc = input_skip(input, (is_extra ? 0 : header->size) + tar_padding(header->size), err);
    }
    return rc > 0 ? cut_off(header->name, header->size, err) : rc;
}

int ova_find_descriptor(struct input *input, struct buf *text, struct err *err)
{
    CLEANUP_FREE struct tar_extra *extra = calloc(1, sizeof(*extra));
    CLEANUP_FREE struct tar_header *header = calloc(1, sizeof(*header));
    int rc = 0;

    if (extra == NULL || header == NULL) {
        return err_oom(err);
    }
    for (size_t i = 0; i < MEMBERS_MAX && rc == 0; i++) {
        rc = step(input, extra, header, text, err);
    }
    return rc == 0  ? err_set(err, -EFBIG, "the archive has more than %d members; that is no OVA",
                              MEMBERS_MAX)
           : rc < 0 ? rc
                    : 0;
}
