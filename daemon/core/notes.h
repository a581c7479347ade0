/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list of sentences for the administrator, in the order they were found. */
#ifndef CORE_NOTES_H
#define CORE_NOTES_H

#include <stdarg.h>
#include <stddef.h>

#include "base/macros.h"

struct notes {
    char **items;
    size_t n, cap;
};

void notes_fini(struct notes *notes);
/* 0 or -ENOMEM. `notes` may be NULL: nobody wants to hear it. */
int notes_add(struct notes *notes, const char *format, ...) PRINTF_LIKE(2, 3);

/* For notes about foreign text, which may be one per line of it: control characters become '?', and
 * the hundredth is followed by one sentence in place of all others. *told counts them. 0 or
 * -ENOMEM. */
int notes_add_bounded(struct notes *notes, size_t *told, const char *format, va_list args)
    PRINTF_LIKE(3, 0);

#endif
