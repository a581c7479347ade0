/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See jsonwrite.h. */
#include "core/jsonwrite.h"

#include <stdlib.h>

#include "base/str.h"

static char *make_ascii(const char *text)
{
    char *copy = str_dup(text);

    for (size_t i = 0; copy != NULL && copy[i] != '\0'; i++) {
        if (!ascii_is_print(copy[i])) {
            copy[i] = '?';
        }
    }
    return copy;
}

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80) {
        text++;
    }
    return *text == '\0';
}

json_t *jsonwrite_text(const char *text)
{
    CLEANUP_FREE char *ascii = NULL;
    json_t *value = text == NULL ? json_null() : json_string(text);

    if (value != NULL || is_ascii(text)) { /* refused, though ASCII: no memory */
        return value;
    }
    ascii = make_ascii(text); /* not UTF-8 */
    return ascii == NULL ? NULL : json_string(ascii);
}

json_t *jsonwrite_notes(const struct notes *notes)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < notes->n; i++) {
        if (json_array_append_new(array, jsonwrite_text(notes->items[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
