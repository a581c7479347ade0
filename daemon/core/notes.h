/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list of sentences for the administrator, in the order they were found. */
#ifndef CORE_NOTES_H
#define CORE_NOTES_H

#include <stddef.h>

#include "base/macros.h"

struct notes {
    char **items;
    size_t n, cap;
};

void notes_fini(struct notes *notes);
/* 0 or -ENOMEM. `notes` may be NULL: nobody wants to hear it. */
int notes_add(struct notes *notes, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
