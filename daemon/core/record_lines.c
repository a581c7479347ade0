/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See record.h: the bytes of a journal file to records. */
#include <errno.h>
#include <string.h>

#include "core/record.h"

static bool is_torn(const char *line, size_t len)
{
    size_t mark = sizeof(RECORD_TORN_MARK) - 2; /* without newline and NUL */

    return len >= mark && memcmp(line + len - mark, RECORD_TORN_MARK, mark) == 0;
}

/* What is behind the last newline does not count: it was never acknowledged. */
int record_parse_lines(const char *text, size_t len, json_t *records, size_t *ret_bad)
{
    const char *line = text;
    const char *newline;
    size_t bad = 0;

    while (len > 0 && (newline = memchr(line, '\n', len)) != NULL) {
        size_t length = (size_t)(newline - line);
        json_error_t error = {.text = ""};
        json_t *record = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);

        if (record == NULL && json_error_code(&error) == json_error_out_of_memory) {
            return -ENOMEM; /* a record that is overlooked is worse than a journal not read */
        }
        if (!json_is_object(record)) {
            json_decref(record);
            bad += is_torn(line, length) ? 0 : 1;
        } else if (json_array_append_new(records, record) < 0) {
            return -ENOMEM;
        }
        line = newline + 1;
        len -= length + 1;
    }
    *ret_bad = bad;
    return 0;
}
