/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Headers of a tar archive (ustar, GNU, pax), as far as it takes to find one small member in an
 * OVA. Pure: whoever has the bytes walks the archive with what is returned here.
 */
#ifndef CORE_TAR_H
#define CORE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    TAR_BLOCK = 512,
    TAR_NAME_SIZE = 4097,        /* of a member's name with its NUL; longer ones are cut */
    TAR_EXTRA_MAX = 1024 * 1024, /* bytes of a pax header or a GNU long name */
};

enum tar_kind {
    TAR_FILE,
    TAR_LONG_NAME, /* GNU: the data is the next member's name */
    TAR_PAX,       /* the data is records about the next member */
    TAR_OTHER,     /* folders, links, global pax headers: data to be passed over */
};

struct tar_header {
    enum tar_kind kind;
    char name[TAR_NAME_SIZE];
    uint64_t size;
};

/* What a long name or a pax header said about the member that follows. */
struct tar_extra {
    char name[TAR_NAME_SIZE]; /* "": nothing */
    bool has_size;
    uint64_t size;
};

/* Do these first bytes of a file look like the first header of a tar? */
bool tar_recognises(const char *head, size_t len);
/* 0, or 1 for a block of zeros, which ends the archive. -EINVAL: no header, or a size that cannot
 * be. What `extra` says goes over what the header says, and is forgotten with TAR_FILE and
 * TAR_OTHER. */
int tar_header_parse(const char block[TAR_BLOCK], struct tar_extra *extra, struct tar_header *ret,
                     struct err *err);
/* The data of a TAR_LONG_NAME or TAR_PAX member into `extra`: 0 or -EINVAL. */
int tar_extra_parse(enum tar_kind kind, const char *data, size_t len, struct tar_extra *extra,
                    struct err *err);
/* Bytes to the next header behind data of `size` bytes. */
uint64_t tar_padding(uint64_t size);

#endif
