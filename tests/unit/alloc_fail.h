/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes allocations fail, one after the other, so that every unwinding path is walked once. Works
 * by the linker's --wrap for our own code (the Makefile gives it to every test_alloc_*) and by
 * json_set_alloc_funcs() for jansson's. Leaks and double frees on those paths are for ASan to find.
 */
#ifndef TESTS_ALLOC_FAIL_H
#define TESTS_ALLOC_FAIL_H

#include <stdbool.h>
#include <stddef.h>

enum alloc_fail_where {
    ALLOC_FAIL_OWN = 1,     /* allocations of the project's code */
    ALLOC_FAIL_JANSSON = 2, /* allocations inside jansson */
    /* Any result will do, as long as nothing crashes or leaks: jansson's parser takes some failures
     * for syntax errors, and one kind (a growing token) for nothing at all. */
    ALLOC_FAIL_ANY_RESULT = 4,
};

/*
 * Calls `run` again and again: with the 1st, 2nd, ... allocation failing alone, then with the 1st,
 * 2nd, ... and all that follow failing, until a run needed no more. `where`: a sum of the above.
 * Each run must start from nothing, free what it made, and return -ENOMEM where one failed, else 0;
 * anything else fails the test. Returns how many allocations a whole run makes.
 */
size_t alloc_fail_each(int (*run)(void *data), void *data, unsigned where);

/* From now on every allocation of the project's code fails, or (false) none any more. */
void alloc_fail_all(bool on);

#endif
