/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Captures against directories of text: tests/golden/KIND/NAME/ with the input and expect.json or
 * expect.error, and expect.notes (absent: no note). Every captured text must also be read back and
 * written alike. To be included behind <cmocka.h>.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/fingerprint.h"
#include "core/notes.h"

struct outcome {
    char *json, *error, *notes; /* several VMs: one behind the other */
};

void outcome_fini(struct outcome *o);
/* One captured VM more. `vm` NULL: its notes stand as they are, else "vm: " before each. */
void outcome_add(struct outcome *o, const struct fingerprint *fp, const struct notes *notes,
                 const char *vm);
void outcome_error(struct outcome *o, const char *sentence);

/* $PVE_HWID_SRC or the working directory. */
const char *golden_root(void);
/* Files of other projects ($PVE_HWID_FIXTURES or ../shared/fixtures), to be freed. */
char *golden_fixtures(const char *kind);
/* The whole file, NUL-terminated, to be freed; NULL where there is none. */
char *golden_slurp(const char *path, size_t *ret_len);
/* Below the project's root: FOLDER/NAMESUFFIX, to be freed. */
char *golden_join(const char *folder, const char *name, const char *suffix);
/* One part of an outcome against its file; false with both printed. */
bool golden_agrees(const char *name, const char *what, const char *got, const char *path);

typedef void (*golden_capture)(const char *text, size_t len, struct outcome *ret);

/* All directories of tests/golden/KIND; fails the test where one disagrees. */
void golden_check_all(const char *kind, const char *input, golden_capture capture);
/* All files of other projects of a KIND against tests/golden/fixtures-KIND/FILE.expect.json or
 * .error; their notes are not compared. Skips the test where there are none. */
void golden_check_fixtures(const char *kind, golden_capture capture);

#endif
