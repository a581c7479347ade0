/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A program as a child: arguments as they are (no shell), stdin empty, both outputs collected, and
 * a time after which it and all it started is ended. It speaks English: LC_ALL=C.
 */
#ifndef IO_RUN_H
#define IO_RUN_H

#include "base/buf.h"
#include "base/err.h"

/* 0: it ended by itself, *ret_status is its exit code, or 128 + the signal it died by. -ENOENT: no
 * such program in PATH; -ETIMEDOUT after `limit_ms`; -EFBIG: it said more than a buffer's `max`,
 * and what fits is there. `out` and `complaints` are appended to. */
int run_command(const char *const *argv, unsigned limit_ms, struct buf *out, struct buf *complaints,
                int *ret_status, struct err *err);

#endif
