/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files named on the command line; "-" is standard input. Whole and bounded (input_read), or as a
 * stream whose first bytes may be looked at before anybody decides what it is (struct input).
 * Sentences name the file and the cure. Standard input may be quiet for ten minutes (somebody types
 * a password in front of the pipe), then it is -ETIMEDOUT.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct input {
    const char *path; /* as named, borrowed */
    int fd;
    bool own;         /* the fd is ours to close */
    bool at_end;      /* nothing comes behind `ahead` */
    struct buf ahead; /* read, but not taken yet */
};

int input_open(const char *path, struct input *ret, struct err *err);
void input_fini(struct input *input);
/* Reads until `ahead` holds `len` bytes or the input ends: 0 in both cases. */
int input_peek(struct input *input, size_t len, struct err *err);
/* Appends all that is left to `text`, whose `max` is the limit: -EFBIG. */
int input_rest(struct input *input, struct buf *text, struct err *err);
/* Takes exactly `len` bytes: 0, or 1 with nothing taken where fewer are left. */
int input_take(struct input *input, void *bytes, size_t len, struct err *err);
/* Passes over `len` bytes, without reading them where that is possible: 0, or 1 where fewer are
 * left. */
int input_skip(struct input *input, uint64_t len, struct err *err);

/* Appends the whole input to `text`, whose `max` is the limit. */
int input_read(const char *path, struct buf *text, struct err *err);

/* "standard input" for "-". */
const char *input_name(const char *path);

/* What follows the last slash. */
const char *input_base_name(const char *path);

#endif
