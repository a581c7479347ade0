/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "Did you mean ...": of some words the one that a mistyped word was probably meant to be. Counts
 * wrong, missing, added and swapped letters; one in three may be wrong, so that `undo` is not
 * taken for anything else.
 */
#ifndef CLI_NEAREST_H
#define CLI_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *typed;
    const char *best; /* NULL: nothing near yet */
    size_t distance;
};

struct nearest nearest_begin(const char *typed);
void nearest_offer(struct nearest *nearest, const char *word);

#endif
