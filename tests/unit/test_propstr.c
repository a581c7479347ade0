/* SPDX-License-Identifier: GPL-3.0-or-later */
/* core/propstr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/propstr.h"

static void items_keep_their_order_and_unknown_keys(void **state)
{
    CLEANUP(propstr_fini) struct propstr props = {0};
    CLEANUP_FREE char *text = NULL;

    (void)state;
    assert_int_equal(propstr_parse("local:1/a,zz=1,size=32G,aio=native", &props, NULL), 0);
    assert_int_equal(props.n, 4);
    assert_string_equal(propstr_get(&props, NULL), "local:1/a");
    assert_string_equal(propstr_get(&props, "size"), "32G");
    assert_null(propstr_get(&props, "siz"));
    text = propstr_format(&props);
    assert_string_equal(text, "local:1/a,zz=1,size=32G,aio=native");
}

static void only_the_first_equals_sign_separates(void **state)
{
    CLEANUP(propstr_fini) struct propstr props = {0};

    (void)state;
    assert_int_equal(propstr_parse("serial=QUI==", &props, NULL), 0);
    assert_string_equal(propstr_get(&props, "serial"), "QUI==");
}

static void blank_items_are_skipped_as_pve_does(void **state)
{
    static const char *const texts[] = {"", " ", ",", " ,\t,", "\r"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(propstr_fini) struct propstr props = {0};

        assert_int_equal(propstr_parse(texts[i], &props, NULL), 0);
        assert_int_equal(props.n, 0);
    }
}

static void what_pve_cannot_read_is_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *text;
        const char *sentence;
    } cases[] = {
        {"a=1,a=2", "'a' is there twice"},
        {"x,y", "second value without a key"},
        {"a=", "no value behind"},
        {"=1", "no key before"},
        {"=", "no key before"},
        {"a=1\nb", "control character 0x0a"},
        {"a=\x7f", "control character 0x7f"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct propstr props = {0};
        struct err err = {""};

        assert_int_equal(propstr_parse(cases[i].text, &props, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i].sentence));
        assert_null(props.items);
    }
}

static void limits_hold(void **state)
{
    char text[PROPSTR_MAX + 2];
    struct propstr props = {0};
    size_t len = 0;

    (void)state;
    memset(text, 'x', sizeof(text));
    text[PROPSTR_MAX] = '\0';
    assert_int_equal(propstr_parse(text, &props, NULL), 0);
    propstr_fini(&props);
    text[PROPSTR_MAX] = 'x';
    text[PROPSTR_MAX + 1] = '\0';
    assert_int_equal(propstr_parse(text, &props, NULL), -EINVAL);
    for (char a = 'a'; a <= 'b'; a++) {
        for (char b = '0'; b < '0' + PROPSTR_ITEMS_MAX / 2; b++) {
            char item[] = {a, b, '=', '1', ','};

            item[1] = b == '=' || b == ',' ? '~' : b;
            memcpy(text + len, item, sizeof(item));
            len += sizeof(item);
        }
    }
    text[len] = '\0';
    assert_int_equal(propstr_parse(text, &props, NULL), 0);
    assert_int_equal(props.n, PROPSTR_ITEMS_MAX);
    propstr_fini(&props);
    text[len++] = 'x';
    text[len] = '\0';
    assert_int_equal(propstr_parse(text, &props, NULL), -EINVAL);
}

static void values_change_in_place_and_new_ones_come_last(void **state)
{
    CLEANUP(propstr_fini) struct propstr props = {0};
    CLEANUP(propstr_fini) struct propstr copy = {0};
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *copied = NULL;

    (void)state;
    assert_int_equal(propstr_parse("v,a=1,b=2,c=3", &props, NULL), 0);
    assert_int_equal(propstr_copy(&props, &copy), 0);
    assert_int_equal(propstr_set(&props, "a", "9"), 0);
    assert_int_equal(propstr_set(&props, "b", propstr_get(&props, "c")), 0);
    assert_int_equal(propstr_set(&props, "d", "4"), 0);
    assert_int_equal(propstr_set(&props, NULL, "w"), 0);
    propstr_remove(&props, "c");
    propstr_remove(&props, "nosuch");
    text = propstr_format(&props);
    assert_string_equal(text, "w,a=9,b=3,d=4");
    copied = propstr_format(&copy);
    assert_string_equal(copied, "v,a=1,b=2,c=3");
}

static void booleans_are_those_of_pve(void **state)
{
    static const char *const yes[] = {"1", "on", "yes", "true", "On", "TRUE"};
    static const char *const no[] = {"0", "off", "no", "false", "False"};
    static const char *const neither[] = {"", "2", "y", "01", "on "};
    bool truth;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        truth = false;
        assert_true(propstr_bool(yes[i], &truth) && truth);
    }
    for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
        truth = true;
        assert_true(propstr_bool(no[i], &truth) && !truth);
    }
    for (size_t i = 0; i < ARRAY_SIZE(neither); i++) {
        assert_false(propstr_bool(neither[i], &truth));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_keep_their_order_and_unknown_keys),
        cmocka_unit_test(only_the_first_equals_sign_separates),
        cmocka_unit_test(blank_items_are_skipped_as_pve_does),
        cmocka_unit_test(what_pve_cannot_read_is_refused_with_a_sentence),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(values_change_in_place_and_new_ones_come_last),
        cmocka_unit_test(booleans_are_those_of_pve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
