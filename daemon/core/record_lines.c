/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See record_lines.h. */
#include "core/record_lines.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool is_torn(const char *line, size_t len)
{
    size_t mark = sizeof(RECORD_LINES_TORN) - 2; /* without newline and NUL */

    return len >= mark && memcmp(line + len - mark, RECORD_LINES_TORN, mark) == 0;
}

int record_lines_parse(const char *text, size_t len, json_t *records, size_t *ret_bad)
{
    const char *line = text;
    const char *end = text + len;
    size_t bad = 0;

    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        json_error_t error = {.text = ""};
        json_t *record;

        if (newline == NULL) {
            break;
        }
        record = json_loadb(line, (size_t)(newline - line), JSON_REJECT_DUPLICATES, &error);
        if (record == NULL && json_error_code(&error) == json_error_out_of_memory) {
            return -ENOMEM;
        }
        if (!json_is_object(record)) {
            json_decref(record);
            bad += is_torn(line, (size_t)(newline - line)) ? 0 : 1;
        } else if (json_array_append_new(records, record) < 0) {
            return -ENOMEM;
        }
        line = newline + 1;
    }
    *ret_bad = bad;
    return 0;
}
