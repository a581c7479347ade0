/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See nearest.h. The restricted Damerau-Levenshtein distance, three rows of a small table. */
#include "cli/nearest.h"

#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 32 }; /* longer than any verb or option; what is longer is near to nothing */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);

    if (a_len > WORD_MAX || b_len > WORD_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(above[j], row[j - 1]) + 1;
            row[j] = least(row[j], above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = least(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

struct nearest nearest_begin(const char *typed)
{
    size_t allowed = strlen(typed) / 3;

    return (struct nearest){.typed = typed, .distance = (allowed > 0 ? allowed : 1) + 1};
}

void nearest_offer(struct nearest *nearest, const char *word)
{
    size_t d = distance(nearest->typed, word);

    if (d < nearest->distance) {
        nearest->distance = d;
        nearest->best = word;
    }
}
