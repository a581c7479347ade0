/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hold file: what is written is read back, what is wrong is named, and all of it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/assess.h"
#include "core/hold.h"

static void what_is_written_is_read_back(void **state)
{
    char since[] = "2026-11-26T22:00:00.123Z", by[] = "root@pve1", why[] = "\"quoted\" M\u00fcller";
    const struct hold with = {since, by, why};
    const struct hold without = {since, by, NULL};
    const struct hold *const both[] = {&with, &without};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        CLEANUP_FREE char *text = NULL;
        CLEANUP(hold_freep) struct hold *back = NULL;

        assert_int_equal(hold_format(both[i], &text, NULL), 0);
        assert_int_equal(text[strlen(text) - 1], '\n');
        assert_int_equal(hold_parse(text, strlen(text), &back, NULL), 0);
        assert_string_equal(back->since, since);
        assert_string_equal(back->by, by);
        assert_true(str_equal(back->why, both[i]->why));
    }
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "no JSON"},
        {"{\"format\":1", "no JSON"},
        {"[]", "an object"},
        {"{}", "format, since and by are needed"},
        {"{\"format\":2,\"since\":\"t\",\"by\":\"r\"}", "format"},
        {"{\"format\":1,\"since\":\"t\"}", "are needed"},
        {"{\"format\":1,\"since\":\"t\",\"by\":\"r\",\"until\":\"u\"}", "unknown key \"until\""},
        {"{\"format\":1,\"since\":\"t\",\"by\":\"r\",\"by\":\"s\"}", "duplicate"},
        {"{\"format\":1,\"since\":\"t\",\"by\":\"r\",\"why\":\"a\\nb\"}", "control characters"},
        {"{\"format\":1,\"since\":\"t\",\"by\":\"r\",\"why\":7}", "a text in quotes"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct hold *hold = NULL;
        struct err err = {""};

        assert_int_equal(hold_parse(rows[i].text, strlen(rows[i].text), &hold, &err), -EINVAL);
        assert_null(hold);
        if (strstr(err.text, rows[i].says) == NULL) {
            fail_msg("'%s' is said of: %s", err.text, rows[i].text);
        }
    }
}

static void what_is_too_long_is_not_written(void **state)
{
    char since[] = "t", by[] = "r", long_why[HOLD_WHY_MAX + 2], bad_why[] = "\xff";
    const struct hold too_long = {since, by, long_why};
    const struct hold no_utf8 = {since, by, bad_why};
    char *text = NULL;

    (void)state;
    memset(long_why, 'w', sizeof(long_why) - 1);
    long_why[sizeof(long_why) - 1] = '\0';
    assert_int_equal(hold_format(&too_long, &text, NULL), -EINVAL);
    assert_int_equal(hold_format(&no_utf8, &text, NULL), -EINVAL);
    assert_null(text);
    long_why[HOLD_WHY_MAX] = '\0';
    assert_int_equal(hold_format(&too_long, &text, NULL), 0);
    free(text);
}

static struct assessment *look(const char *hold, const char *problem)
{
    static const char wanted[] = "{\"format\":1,\"smbios\":{\"manufacturer\":\"x\"}}";
    const struct assess_texts texts = {.config = "cores: 1\n",
                                       .config_len = 9,
                                       .config_path = "/105.conf",
                                       .fingerprint = wanted,
                                       .fingerprint_len = strlen(wanted),
                                       .fingerprint_path = "/105.json",
                                       .hold = hold,
                                       .hold_len = hold == NULL ? 0 : strlen(hold),
                                       .hold_path = "/105.hold",
                                       .hold_problem = problem};
    const struct assess_params params = {.vmid = 105};
    struct assessment *a = NULL;

    assert_int_equal(assess(&texts, &params, NULL, 0, &a, NULL), 0);
    return a;
}

static void whatever_is_there_holds(void **state)
{
    static const struct {
        const char *text, *problem, *says;
    } rows[] = {
        {"{\"format\":1,\"since\":\"t\",\"by\":\"r\"}", NULL, "on hold since t by r"},
        {"{\"format\":1,\"since\":\"t\",\"by\":\"r\",\"why\":\"w\"}", NULL,
         "on hold since t by r (w)"},
        {"", NULL, "on hold: /105.hold cannot be understood"},
        {NULL, "Permission denied", "on hold: its hold file cannot be read (Permission denied)"},
    };
    CLEANUP(assessment_freep) struct assessment *free_one = look(NULL, NULL);

    (void)state;
    assert_null(free_one->on_hold);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(assessment_freep)
        struct assessment *a = look(rows[i].text, rows[i].problem);

        assert_non_null(a->on_hold);
        assert_true(str_starts(a->on_hold, rows[i].says));
        assert_string_equal(a->key, free_one->key); /* what was decided holds on */
        assert_non_null(strstr(a->plan->notes.items[a->plan->notes.n - 1], "pve-hwid resume 105"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(what_is_too_long_is_not_written),
        cmocka_unit_test(whatever_is_there_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
