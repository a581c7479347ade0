/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See notes.h. */
#include "core/notes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"

enum { NOTES_MAX = 100 }; /* a hostile file could have one per line */

void notes_fini(struct notes *notes)
{
    for (size_t i = 0; i < notes->n; i++) {
        free(notes->items[i]);
    }
    free(notes->items);
    *notes = (struct notes){0};
}

int notes_add(struct notes *notes, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int rc;

    if (notes == NULL) {
        return 0;
    }
    rc = vec_reserve(&notes->items, notes->n, &notes->cap, sizeof(notes->items[0]));
    if (rc < 0) {
        return rc;
    }
    va_start(args, format);
    rc = vasprintf(&text, format, args);
    va_end(args);
    if (rc < 0) {
        return -ENOMEM;
    }
    notes->items[notes->n++] = text;
    return 0;
}

int notes_add_bounded(struct notes *notes, size_t *told, const char *format, va_list args)
{
    CLEANUP_FREE char *text = NULL;

    if (*told > NOTES_MAX) {
        return 0;
    }
    if (vasprintf(&text, format, args) < 0) {
        text = NULL; /* its value is undefined after a failure */
        return -ENOMEM;
    }
    str_tame(text);
    return notes_add(notes, "%s",
                     (*told)++ < NOTES_MAX ? text : "there is more to tell than fits here");
}
