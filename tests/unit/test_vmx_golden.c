/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmx_capture() against directories of text: tests/golden/vmx/NAME/input.vmx with expect.json or
 * expect.error, and expect.notes (absent: no note). Then, where they are at hand, real .vmx files
 * of other projects (../shared/fixtures/vmx or $PVE_HWID_FIXTURES/vmx; never part of this tree)
 * against tests/golden/fixtures-vmx. Every captured text must also be read back and written alike.
 */
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
#include "core/vmx.h"

struct outcome {
    char *json, *error, *notes;
};

static void outcome_fini(struct outcome *o)
{
    free(o->json);
    free(o->error);
    free(o->notes);
}

static const char *source_root(void)
{
    const char *root = getenv("PVE_HWID_SRC");

    return root != NULL ? root : ".";
}

/* The whole file, NUL-terminated; NULL where there is none. */
static char *slurp(const char *path, size_t *ret_len)
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
static char *join(const char *folder, const char *name, const char *suffix)
{
    char *path = str_printf("%s/%s/%s%s", source_root(), folder, name, suffix);

    assert_non_null(path);
    return path;
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

static void capture(const char *text, size_t len, struct outcome *ret)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(0);
    struct err err = {""};

    *ret = (struct outcome){0};
    if (vmx_capture(text, len, NULL, &fp, &notes, &err) < 0) {
        ret->error = str_printf("%s\n", err.text);
    } else {
        assert_int_equal(fingerprint_format(fp, &ret->json, &err), 0);
        must_survive_a_round_trip(ret->json);
    }
    for (size_t i = 0; i < notes.n; i++) {
        buf_addf(&buf, "%s\n", notes.items[i]);
    }
    ret->notes = buf_steal(&buf);
}

/* One part of an outcome against its file; false with both printed. */
static bool agrees(const char *name, const char *what, const char *got, const char *path)
{
    size_t len;
    CLEANUP_FREE char *want = slurp(path, &len);

    if (str_equal(got, want)) {
        return true;
    }
    print_message("%s: %s differs from %s\n--- wanted\n%s--- got\n%s---\n", name, what, path,
                  want != NULL ? want : "(nothing)\n", got != NULL ? got : "(nothing)\n");
    return false;
}

static bool check_directory(const char *folder, const char *name)
{
    CLEANUP_FREE char *input = join(folder, name, "/input.vmx");
    CLEANUP_FREE char *json = join(folder, name, "/expect.json");
    CLEANUP_FREE char *error = join(folder, name, "/expect.error");
    CLEANUP_FREE char *notes = join(folder, name, "/expect.notes");
    CLEANUP(outcome_fini) struct outcome got = {0};
    size_t len;
    CLEANUP_FREE char *text = slurp(input, &len);
    bool ok;

    if (text == NULL) {
        fail_msg("%s is missing", input);
    }
    capture(text, len, &got);
    ok = agrees(name, "the fingerprint", got.json, json);
    ok = agrees(name, "the sentence", got.error, error) && ok;
    return agrees(name, "the notes", *got.notes != '\0' ? got.notes : NULL, notes) && ok;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void golden_directories_agree(void **state)
{
    static const char folder[] = "tests/golden/vmx";
    CLEANUP_FREE char *path = str_printf("%s/%s", source_root(), folder);
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_visible, alphasort);
    int bad = 0;

    (void)state;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        bad += !check_directory(folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(bad, 0);
}

static bool check_fixture(const char *folder, const char *file)
{
    CLEANUP_FREE char *input = str_printf("%s/%s", folder, file);
    CLEANUP_FREE char *json = join("tests/golden/fixtures-vmx", file, ".expect.json");
    CLEANUP_FREE char *error = join("tests/golden/fixtures-vmx", file, ".error");
    CLEANUP(outcome_fini) struct outcome got = {0};
    size_t len;
    CLEANUP_FREE char *text = slurp(input, &len);
    bool ok;

    assert_non_null(text);
    capture(text, len, &got);
    ok = agrees(file, "the fingerprint", got.json, json);
    return agrees(file, "the sentence", got.error, error) && ok;
}

static void real_files_of_other_projects_agree(void **state)
{
    const char *fixtures = getenv("PVE_HWID_FIXTURES");
    CLEANUP_FREE char *folder = fixtures != NULL
                                    ? str_printf("%s/vmx", fixtures)
                                    : str_printf("%s/../shared/fixtures/vmx", source_root());
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_visible, alphasort);
    int bad = 0;

    (void)state;
    if (n <= 0) {
        print_message("no files in %s: skipped\n", folder);
        skip();
    }
    for (int i = 0; i < n; i++) {
        bad += !check_fixture(folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(bad, 0);
}

/* The examples in conf/: NAME.vmx must give NAME.json, which the manual shows. */
static void examples_give_their_fingerprints(void **state)
{
    static const char *const names[] = {"win2019", "win2019-efi", "win2008r2", "sql2016"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *input = join("conf/examples", names[i], ".vmx");
        CLEANUP_FREE char *json = join("conf/examples", names[i], ".json");
        CLEANUP(outcome_fini) struct outcome got = {0};
        size_t len;
        CLEANUP_FREE char *text = slurp(input, &len);

        assert_non_null(text);
        capture(text, len, &got);
        assert_true(agrees(names[i], "the fingerprint", got.json, json));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_directories_agree),
        cmocka_unit_test(real_files_of_other_projects_agree),
        cmocka_unit_test(examples_give_their_fingerprints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
