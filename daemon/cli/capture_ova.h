/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The descriptor of an OVA, which is a tar: found by walking the headers, whatever the size. */
#ifndef CLI_CAPTURE_OVA_H
#define CLI_CAPTURE_OVA_H

#include "cli/input.h"

/* Appends the first member "*.ovf" to `text`, whose `max` is the limit. Disks are passed over,
 * never read into memory, and what follows the descriptor is not looked at. */
int ova_find_descriptor(struct input *input, struct buf *text, struct err *err);

#endif
