/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the vcenter_*.c files share: vCenter's JSON, and a capture on its way. */
#ifndef CORE_VCENTER_PRIV_H
#define CORE_VCENTER_PRIV_H

#include <jansson.h>

#include "core/builder.h"
#include "core/vcenter.h"

/* JSON of at most `max` bytes and a modest number of values, unwrapped: a few bytes of JSON take
 * hundreds in memory. */
int vcenter_load(const char *text, size_t len, size_t max, json_t **ret, struct err *err);
/* The string at `key`, or "". */
const char *vcenter_text(const json_t *object, const char *key);
/* The whole number from 0 to `max` at `key`, or -1. */
long vcenter_number(const json_t *object, const char *key, long max);

/* Network cards and drives of the VM (vcenter_devices.c). */
void vcenter_capture_devices(struct builder *b, const json_t *vm);

#endif
