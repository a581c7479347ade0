/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PVE's property strings: `a=1,b=2`, with at most one value without a key ("the default key", e.g.
 * the volume of a disk). Order and unknown keys are kept. Only the first '=' of an item separates.
 * Blank items are skipped, as PVE does: an emptied option is stored as one blank (recording 05).
 */
#ifndef CORE_PROPSTR_H
#define CORE_PROPSTR_H

#include <stdbool.h>
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

/* Duplicate keys, a key or a value missing around '=', more than one keyless value, control
 * characters, over the limits: -EINVAL. */
int propstr_parse(const char *text, struct propstr *ret_props, struct err *err);
void propstr_fini(struct propstr *props);
int propstr_copy(const struct propstr *from, struct propstr *ret_to);
/* NULL where it is not there. key NULL asks for the keyless value. */
const char *propstr_get(const struct propstr *props, const char *key);
/* Changes in place, or appends. The value is the caller's duty: not empty, no comma. 0 or -ENOMEM.
 */
int propstr_set(struct propstr *props, const char *key, const char *value);
void propstr_remove(struct propstr *props, const char *key);
/* The caller's; NULL: no memory. */
char *propstr_format(const struct propstr *props);
/* PVE's booleans: 1 on yes true, 0 off no false, any case. False: neither. */
bool propstr_bool(const char *value, bool *ret_bool);

#endif
