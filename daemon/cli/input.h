/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files named on the command line; "-" is standard input. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the whole input to `text`, whose `max` is the limit. Sentences name the file and the
 * cure. Standard input may be quiet for ten minutes (somebody types a password in front of the
 * pipe), then it is -ETIMEDOUT. */
int input_read(const char *path, struct buf *text, struct err *err);

/* "standard input" for "-". */
const char *input_name(const char *path);

/* What follows the last slash. */
const char *input_base_name(const char *path);

#endif
