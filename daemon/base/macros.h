/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ownership that can be read from the line: every owning local is declared with CLEANUP(), handed
 * over with STEAL(). No logic lives here.
 */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#include <stddef.h>
#include <stdlib.h>

#define CLEANUP(fn)             __attribute__((cleanup(fn)))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* The value of pointer `p`, which is NULL afterwards: the one way to hand an owned local over. */
#define STEAL(p)                                                                                   \
    __extension__({                                                                                \
        __typeof__(p) *steal_at_ = &(p);                                                           \
        __typeof__(p) steal_value_ = *steal_at_;                                                   \
        *steal_at_ = NULL;                                                                         \
        steal_value_;                                                                              \
    })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Defines foo_freep(), for CLEANUP(foo_freep) on a `type *`. */
#define DEFINE_CLEANUP(type, free_fn)                                                              \
    static inline void free_fn##p(type **at)                                                       \
    {                                                                                              \
        free_fn(*at);                                                                              \
        *at = NULL;                                                                                \
    }

static inline void mem_freep(void *at)
{
    void **p = at;

    free(*p);
    *p = NULL;
}

/* For a plain heap pointer: CLEANUP_FREE char *name = NULL; */
#define CLEANUP_FREE CLEANUP(mem_freep)

#endif
