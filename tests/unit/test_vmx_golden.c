/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmx_capture() against directories of text: tests/golden/vmx/NAME/input.vmx. Then, where they are
 * at hand, real .vmx files of other projects (never part of this tree). See golden.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "core/vmx.h"
#include "golden.h"

static void capture(const char *text, size_t len, struct outcome *ret)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct err err = {""};

    if (vmx_capture(text, len, NULL, &fp, &notes, &err) < 0) {
        outcome_error(ret, err.text);
    }
    outcome_add(ret, fp, &notes, NULL);
}

static void golden_directories_agree(void **state)
{
    (void)state;
    golden_check_all("vmx", "input.vmx", capture);
}

static void real_files_of_other_projects_agree(void **state)
{
    (void)state;
    golden_check_fixtures("vmx", capture);
}

/* The examples in conf/: NAME.vmx must give NAME.json, which the manual shows. */
static void examples_give_their_fingerprints(void **state)
{
    static const char *const names[] = {"win2019", "win2019-efi", "win2008r2", "sql2016"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *input = golden_join("conf/examples", names[i], ".vmx");
        CLEANUP_FREE char *json = golden_join("conf/examples", names[i], ".json");
        CLEANUP(outcome_fini) struct outcome got = {0};
        size_t len;
        CLEANUP_FREE char *text = golden_slurp(input, &len);

        assert_non_null(text);
        capture(text, len, &got);
        assert_true(golden_agrees(names[i], "the fingerprint", got.json, json));
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
