/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See golden.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "golden.h"

void outcome_fini(struct outcome *o)
{
    free(o->json);
    free(o->error);
    free(o->notes);
}

/* *at becomes *at with `more` behind it. */
static void append(char **at, const char *more)
{
    char *both = str_printf("%s%s", *at != NULL ? *at : "", more);

    assert_non_null(both);
    free(*at);
    *at = both;
}

static void must_survive_a_round_trip(const char *json)
{
    struct fingerprint *fp = NULL;
    struct err err = {""};
    CLEANUP_FREE char *again = NULL;
    int rc = fingerprint_parse(json, strlen(json), &fp, &err);

    if (rc < 0) {
        fail_msg("what was captured is no fingerprint: %s\n%s", err.text, json);
    }
    assert_int_equal(fingerprint_format(fp, &again, &err), 0);
    assert_string_equal(again, json);
    fingerprint_free(fp);
}

void outcome_add(struct outcome *o, const struct fingerprint *fp, const struct notes *notes,
                 const char *vm)
{
    CLEANUP_FREE char *json = NULL;

    if (fp != NULL) {
        assert_int_equal(fingerprint_format(fp, &json, NULL), 0);
        must_survive_a_round_trip(json);
        append(&o->json, json);
    }
    for (size_t i = 0; i < notes->n; i++) {
        if (vm != NULL) {
            append(&o->notes, vm);
            append(&o->notes, ": ");
        }
        append(&o->notes, notes->items[i]);
        append(&o->notes, "\n");
    }
}

void outcome_error(struct outcome *o, const char *sentence)
{
    append(&o->error, sentence);
    append(&o->error, "\n");
}

const char *golden_root(void)
{
    const char *root = getenv("PVE_HWID_SRC");

    return root != NULL ? root : ".";
}

char *golden_fixtures(const char *kind)
{
    const char *fixtures = getenv("PVE_HWID_FIXTURES");

    return fixtures != NULL ? str_printf("%s/%s", fixtures, kind)
                            : str_printf("%s/../shared/fixtures/%s", golden_root(), kind);
}

/* The whole file, NUL-terminated; NULL where there is none. */
char *golden_slurp(const char *path, size_t *ret_len)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(0);
    FILE *file = fopen(path, "rbe");
    char chunk[4096];
    size_t len;

    if (file == NULL) {
        return NULL;
    }
    while ((len = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buf_add(&buf, chunk, len);
    }
    (void)fclose(file); /* only read from */
    *ret_len = buf.len;
    return buf_steal(&buf);
}

/* Below the project's root: FOLDER/NAMESUFFIX. */
char *golden_join(const char *folder, const char *name, const char *suffix)
{
    char *path = str_printf("%s/%s/%s%s", golden_root(), folder, name, suffix);

    assert_non_null(path);
    return path;
}

/* One part of an outcome against its file; false with both printed. */
bool golden_agrees(const char *name, const char *what, const char *got, const char *path)
{
    size_t len;
    CLEANUP_FREE char *want = golden_slurp(path, &len);

    if (str_equal(got, want)) {
        return true;
    }
    print_message("%s: %s differs from %s\n--- wanted\n%s--- got\n%s---\n", name, what, path,
                  want != NULL ? want : "(nothing)\n", got != NULL ? got : "(nothing)\n");
    return false;
}

static bool check_files(const char *name, const char *input, const char *json, const char *error,
                        const char *notes, golden_capture capture)
{
    CLEANUP(outcome_fini) struct outcome got = {0};
    size_t len;
    CLEANUP_FREE char *text = golden_slurp(input, &len);
    bool ok;

    if (text == NULL) {
        fail_msg("%s is missing", input);
    }
    capture(text, len, &got);
    ok = golden_agrees(name, "the fingerprint", got.json, json);
    ok = golden_agrees(name, "the sentence", got.error, error) && ok;
    return (notes == NULL || golden_agrees(name, "the notes", got.notes, notes)) && ok;
}

static bool check_directory(const char *folder, const char *name, const char *input,
                            golden_capture capture)
{
    CLEANUP_FREE char *suffix = str_printf("/%s", input);
    CLEANUP_FREE char *path = golden_join(folder, name, suffix);
    CLEANUP_FREE char *json = golden_join(folder, name, "/expect.json");
    CLEANUP_FREE char *error = golden_join(folder, name, "/expect.error");
    CLEANUP_FREE char *notes = golden_join(folder, name, "/expect.notes");

    return check_files(name, path, json, error, notes, capture);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

void golden_check_all(const char *kind, const char *input, golden_capture capture)
{
    CLEANUP_FREE char *folder = str_printf("tests/golden/%s", kind);
    CLEANUP_FREE char *path = str_printf("%s/%s", golden_root(), folder);
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_visible, alphasort);
    int bad = 0;

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        bad += !check_directory(folder, entries[i]->d_name, input, capture);
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(bad, 0);
}

static bool check_fixture(const char *kind, const char *folder, const char *file,
                          golden_capture capture)
{
    CLEANUP_FREE char *expected = str_printf("tests/golden/fixtures-%s", kind);
    CLEANUP_FREE char *input = str_printf("%s/%s", folder, file);
    CLEANUP_FREE char *json = golden_join(expected, file, ".expect.json");
    CLEANUP_FREE char *error = golden_join(expected, file, ".error");

    return check_files(file, input, json, error, NULL, capture);
}

void golden_check_fixtures(const char *kind, golden_capture capture)
{
    CLEANUP_FREE char *folder = golden_fixtures(kind);
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_visible, alphasort);
    int bad = 0;

    if (n <= 0) {
        print_message("no files in %s: skipped\n", folder);
        skip();
    }
    for (int i = 0; i < n; i++) {
        bad += !check_fixture(kind, folder, entries[i]->d_name, capture);
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(bad, 0);
}
