/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text for people. On a terminal: colours (not with NO_COLOR or TERM=dumb), tables whose last
 * column is broken into lines of its width. Elsewhere plain and whole, so that grep and awk see
 * everything. Control characters in what is printed become '?': names and error texts come from
 * others and must not steer a terminal.
 */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macros.h"

struct out {
    FILE *file;
    bool colour;
    unsigned width; /* columns of the terminal; 0: none, lines are as long as they are */
};

enum out_style { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_GOOD, OUT_WARN, OUT_BAD };

/* Looks at the file descriptor and the environment, once. */
void out_init(struct out *out, FILE *file);
void out_printf(const struct out *out, enum out_style style, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Whole lines that are already laid out: newlines stay. */
void out_text(const struct out *out, const char *text);

/* Columns that so many bytes of UTF-8 take. */
size_t out_columns(const char *text, size_t bytes);
/* Bytes of the first line of `text` that takes at most `width` columns: up to a blank if there is
 * one, else as many as fit. 0 only for an empty text. */
size_t out_line(const char *text, size_t width);

enum { OUT_COLUMNS_MAX = 8 };

/* A table: cells row by row, the last column takes the width that is left. */
struct out_table {
    const char *const *heads;
    size_t columns;
    struct out_cell {
        char *text;
        enum out_style style;
        bool below; /* the first of a row that is all one text */
    } * cells;
    size_t n, cap;
    bool failed; /* out of memory somewhere */
};

void out_table_init(struct out_table *table, const char *const *heads, size_t columns);
void out_table_fini(struct out_table *table);
/* The next cell; NULL or "" shows as "-". */
void out_table_add(struct out_table *table, enum out_style style, const char *text);
void out_table_addf(struct out_table *table, enum out_style style, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* A row of one text, indented, for what belongs to the row above; between two whole rows. */
void out_table_add_below(struct out_table *table, const char *text);
/* 0, or -ENOMEM where a cell is missing. Prints nothing where there are no rows. */
int out_table_print(const struct out_table *table, const struct out *out);

enum { OUT_TIME_SIZE = 40 };
/* "2026-11-23T10:00:00.123Z" as "2026-11-23 11:00:00 CET", in local time. Returns `text`, or `iso`
 * itself (also NULL) where it is no such time. */
const char *out_iso_time(const char *iso, char text[static OUT_TIME_SIZE]);
/* A sentence in which each such time is a local one; the caller's. NULL: no memory, or `text` is.
 */
char *out_local_times(const char *text);
/* A cell that is such a sentence. */
void out_table_add_said(struct out_table *table, const char *text);
/* "12 s", "5 min", "3 h", "8 d": how long. */
void out_duration(int64_t seconds, char text[static OUT_TIME_SIZE]);

#endif
