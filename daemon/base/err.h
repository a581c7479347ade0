/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An error: a code (0 or -errno, the return value) and one sentence for the administrator, held
 * without allocating, so that "out of memory" can be told too.
 *
 * The origin fills the sentence with err_set(); callers put context in front with err_prefix() and
 * pass the code up unchanged. `err` may be NULL everywhere: the code still travels.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/macros.h"

/* Longest sentence in bytes with its NUL. Enough for a path, a place and a cure; more is cut. */
enum { ERR_TEXT_MAX = 768 };

struct err {
    char text[ERR_TEXT_MAX];
};

/* Fills the sentence and returns `code`: `return err_set(err, -EINVAL, "...")`. */
int err_set(struct err *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " before the sentence and returns `code`. */
int err_prefix(struct err *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* The one sentence for a failed allocation; returns -ENOMEM. */
int err_oom(struct err *err);

#endif
