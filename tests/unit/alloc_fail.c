/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See alloc_fail.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <iconv.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_fail.h"

enum { RUNS_MAX = 100000 }; /* a run that never stops allocating is a failure too */

static struct {
    bool on;
    unsigned where;
    bool all;      /* those behind fail as well */
    size_t at;     /* which one fails, from 1 */
    size_t so_far; /* allocations of this run */
    size_t failed;
} plan;

static bool must_fail_in(enum alloc_fail_where where)
{
    bool fail;

    if (!plan.on || (plan.where & where) == 0) {
        return false;
    }
    plan.so_far++;
    fail = plan.all ? plan.so_far >= plan.at : plan.so_far == plan.at;
    plan.failed += fail;
    if (fail) {
        errno = ENOMEM;
    }
    return fail;
}

static bool must_fail(void)
{
    return must_fail_in(ALLOC_FAIL_OWN);
}

/* Weak, because this file is linked into every test and only some are linked with --wrap. */
#define REAL __attribute__((weak))
void *__real_malloc(size_t size) REAL;
void *__real_calloc(size_t n, size_t size) REAL;
void *__real_realloc(void *old, size_t size) REAL;
void *__real_reallocarray(void *old, size_t n, size_t size) REAL;
char *__real_strdup(const char *text) REAL;
int __real_vasprintf(char **ret, const char *format, va_list args) REAL;
iconv_t __real_iconv_open(const char *to, const char *from) REAL;

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **ret, const char *format, va_list args);
iconv_t __wrap_iconv_open(const char *to, const char *from);

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
    return must_fail() ? NULL : __real_reallocarray(old, n, size);
}

char *__wrap_strdup(const char *text)
{
    return must_fail() ? NULL : __real_strdup(text);
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
    if (must_fail()) {
        *ret = (char *)(uintptr_t)1; /* undefined after a failure: whoever frees it shall notice */
        return -1;
    }
    return __real_vasprintf(ret, format, args);
}

iconv_t __wrap_iconv_open(const char *to, const char *from)
{
    return must_fail() ? (iconv_t)-1 : __real_iconv_open(to, from);
}

static void *json_malloc(size_t size)
{
    return must_fail_in(ALLOC_FAIL_JANSSON) ? NULL : __real_malloc(size);
}

void alloc_fail_all(bool on)
{
    plan.where = ALLOC_FAIL_OWN;
    plan.at = 1;
    plan.all = true;
    plan.so_far = 0;
    plan.on = on;
}

/* One run with allocation `at` failing; false: it never came to that one. */
static bool run_once(int (*run)(void *data), void *data, size_t at, bool all)
{
    int rc;

    plan.at = at;
    plan.all = all;
    plan.so_far = plan.failed = 0;
    plan.on = true;
    rc = run(data);
    plan.on = false;
    if (plan.failed > 0 && (plan.where & ALLOC_FAIL_ANY_RESULT) != 0) {
        return true;
    }
    if (plan.failed == 0 ? rc != 0 : rc != -ENOMEM) {
        fail_msg("allocation %zu of the run failed%s, and it returned %d (%s)", at,
                 all ? " and all behind it" : "", rc, strerror(rc < 0 ? -rc : 0));
    }
    return plan.failed > 0;
}

size_t alloc_fail_each(int (*run)(void *data), void *data, unsigned where)
{
    json_malloc_t old_malloc;
    json_free_t old_free;
    size_t n = 0;

    if (__real_malloc == NULL) {
        fail_msg("link this test with --wrap: call it test_alloc_*");
    }
    plan.where = where;
    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(json_malloc, free);
    for (int all = 0; all < 2; all++) {
        for (n = 1; run_once(run, data, n, all); n++) {
            assert_true(n < RUNS_MAX);
        }
    }
    json_set_alloc_funcs(old_malloc, old_free);
    return n - 1;
}
