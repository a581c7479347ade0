/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See buf.h. */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BUF_FIRST = 128, VEC_FIRST = 4 };

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.max = buf->max};
}

static int buf_grow(struct buf *buf, size_t more)
{
    size_t need;
    size_t cap = buf->cap > 0 ? buf->cap : BUF_FIRST;
    char *data;

    if (__builtin_add_overflow(buf->len, more, &need) || need > SIZE_MAX / 2) {
        return -ENOMEM;
    }
    if (buf->max > 0 && need > buf->max) {
        return -EFBIG;
    }
    if (need + 1 <= buf->cap) {
        return 0;
    }
    while (cap < need + 1) {
        cap *= 2;
    }
    data = realloc(buf->data, cap);
    if (data == NULL) {
        return -ENOMEM;
    }
    buf->data = data;
    buf->cap = cap;
    return 0;
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    if (buf->error != 0) {
        return;
    }
    buf->error = buf_grow(buf, len);
    if (buf->error != 0) {
        return;
    }
    if (len > 0) {
        memcpy(buf->data + buf->len, bytes, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_adds(struct buf *buf, const char *s)
{
    buf_add(buf, s, strlen(s));
}

void buf_addc(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_addf(struct buf *buf, const char *format, ...)
{
    CLEANUP_FREE char *text = NULL;
    va_list args;
    int len;

    if (buf->error != 0) {
        return;
    }
    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        text = NULL; /* its value is undefined after a failure */
        buf->error = -ENOMEM;
        return;
    }
    buf_add(buf, text, (size_t)len);
}

void buf_consume(struct buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
    } else {
        memmove(buf->data, buf->data + len, buf->len - len);
        buf->len -= len;
    }
    if (buf->data != NULL) {
        buf->data[buf->len] = '\0';
    }
}

char *buf_steal(struct buf *buf)
{
    char *text;

    if (buf->error == 0 && buf->data == NULL) {
        buf_add(buf, "", 0);
    }
    text = buf->error == 0 ? STEAL(buf->data) : NULL;
    buf_fini(buf);
    return text;
}

int vec_reserve(void *items_at, size_t used, size_t *cap, size_t size)
{
    void **items = items_at;
    size_t want = *cap > 0 ? *cap * 2 : VEC_FIRST;
    void *grown;

    if (used < *cap) {
        return 0;
    }
    grown = reallocarray(*items, want, size);
    if (grown == NULL) {
        return -ENOMEM;
    }
    *items = grown;
    *cap = want;
    return 0;
}
