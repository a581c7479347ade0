/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Strict reading of JSON objects: unknown keys, wrong types and values out of range are errors that
 * name their place as a path ("nics[1].mac") and say what is allowed. Places are frames on the
 * stack, each pointing to the one above it: nothing is allocated for them.
 */
#ifndef CORE_JSONREAD_H
#define CORE_JSONREAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { JSONREAD_PATH_MAX = 160 }; /* bytes of a path with its NUL; longer ones are cut */

struct jsonread {
    const struct jsonread *up; /* NULL: the whole text */
    const char *key;           /* of this place in an object; NULL: an item of an array */
    size_t index;              /* of this place in an array */
    json_t *value;             /* borrowed, only read */
};

/* An object with keys of `keys` (n of them) and no others: 0 or -EINVAL. */
int jsonread_object(const struct jsonread *at, const char *const *keys, size_t n, struct err *err);
/* The place of `key` below; false where it is absent (JSON null is there, of a wrong type). */
bool jsonread_enter(const struct jsonread *at, const char *key, struct jsonread *ret);
/* The place of item `index` of the array `at`. */
struct jsonread jsonread_item(const struct jsonread *at, size_t index);
/* An array with 1 to `max` items. */
int jsonread_array(const struct jsonread *at, size_t max, struct err *err);

/* What is absent leaves *ret as it was. Text: 1 to `max` bytes without control characters. */
int jsonread_text(const struct jsonread *at, const char *key, size_t max, char **ret,
                  struct err *err);
int jsonread_long(const struct jsonread *at, const char *key, long min, long max, long *ret,
                  struct err *err);
int jsonread_int(const struct jsonread *at, const char *key, int min, int max, int *ret,
                 struct err *err);
/* One of `names`: *ret becomes its index. */
int jsonread_choice(const struct jsonread *at, const char *key, const char *const *names, size_t n,
                    int *ret, struct err *err);

/* -EINVAL with "path: sentence". `key` NULL: about the place itself. */
int jsonread_wrong(const struct jsonread *at, const char *key, struct err *err, const char *format,
                   ...) PRINTF_LIKE(4, 5);

#endif
