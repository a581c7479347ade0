/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The change journal as text: one record a line. */
#ifndef CORE_RECORD_LINES_H
#define CORE_RECORD_LINES_H

#include <jansson.h>
#include <stddef.h>

/* The newest bytes of a journal that are read: thousands of changes. */
enum { RECORD_LINES_MAX = 4 * 1024 * 1024 };

/* What closes a line that a crash cut off: it makes it unreadable for good. Were it closed with a
 * bare newline, a record that was cut exactly before its newline would come to life later. */
#define RECORD_LINES_TORN "#torn\n"

/* Appends the whole records to `records`, an array; what is behind the last newline does not count.
 * Unreadable lines are skipped and counted in *ret_bad, torn ones are not counted. -ENOMEM: a
 * record that is overlooked is worse than a journal not read. */
int record_lines_parse(const char *text, size_t len, json_t *records, size_t *ret_bad);

#endif
