/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A growing byte buffer with a limit and a sticky error: append without looking, ask once at the
 * end. Always NUL-terminated behind the last byte, so that `data` can be read as a string.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

#include "base/macros.h"

struct buf {
    char *data; /* NULL while empty */
    size_t len; /* bytes, without the NUL */
    size_t cap;
    size_t max; /* most bytes it may hold; 0: no limit */
    int error;  /* 0, -ENOMEM, or -EFBIG where max was met; appends do nothing from then on */
};

#define BUF_INIT(limit)                                                                            \
    {                                                                                              \
        .max = (limit)                                                                             \
    }

void buf_fini(struct buf *buf);
void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_adds(struct buf *buf, const char *s);
void buf_addc(struct buf *buf, char c);
void buf_addf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Drops the first `len` bytes. */
void buf_consume(struct buf *buf, size_t len);
/* The text, the caller's from now on; NULL where buf->error is set. The buffer is empty after. */
char *buf_steal(struct buf *buf);

/*
 * Grows an array of `size`-byte items so that one more fits: 0 or -ENOMEM with nothing changed.
 *     rc = vec_reserve(&v->items, v->n, &v->cap, sizeof(v->items[0]))
 */
int vec_reserve(void *items_at, size_t used, size_t *cap, size_t size);

#endif
