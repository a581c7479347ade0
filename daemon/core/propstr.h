/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PVE's property strings: `a=1,b=2`, with at most one value without a key ("the default key", e.g.
 * the volume of a disk). Order and unknown keys are kept. Only the first '=' of an item separates.
 */
#ifndef CORE_PROPSTR_H
#define CORE_PROPSTR_H

#include <stddef.h>

#include "base/err.h"

enum { PROPSTR_MAX = 4096, PROPSTR_ITEMS_MAX = 64 };

struct prop {
    char *key; /* NULL: a value without a key */
    char *value;
};

struct propstr {
    struct prop *items;
    size_t n, cap;
};

/* Duplicate keys, empty items, more than one keyless value, control characters: -EINVAL. */
int propstr_parse(const char *text, struct propstr *ret_props, struct err *err);
void propstr_fini(struct propstr *props);
int propstr_copy(const struct propstr *from, struct propstr *ret_to);
/* NULL where it is not there. key NULL asks for the keyless value. */
const char *propstr_get(const struct propstr *props, const char *key);
/* Changes in place, or appends. 0 or -ENOMEM. */
int propstr_set(struct propstr *props, const char *key, const char *value);
void propstr_remove(struct propstr *props, const char *key);
/* The caller's; NULL: no memory. */
char *propstr_format(const struct propstr *props);

#endif
