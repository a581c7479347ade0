/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base: strings, buffers, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

static void buffer_holds_what_was_appended(void **state)
{
    struct buf buf = BUF_INIT(0);
    CLEANUP_FREE char *text = NULL;

    (void)state;
    for (int i = 0; i < 100; i++) {
        buf_addf(&buf, "%d,", i);
    }
    buf_consume(&buf, 2);
    assert_int_equal(buf.error, 0);
    assert_true(str_starts(buf.data, "1,2,3,"));
    text = buf_steal(&buf);
    assert_true(str_ends(text, "98,99,"));
    assert_null(buf.data);
}

static void buffer_stops_at_its_limit(void **state)
{
    struct buf buf = BUF_INIT(4);

    (void)state;
    buf_adds(&buf, "1234");
    assert_int_equal(buf.error, 0);
    buf_addc(&buf, '5');
    assert_int_equal(buf.error, -EFBIG);
    buf_adds(&buf, "x");
    assert_string_equal(buf.data, "1234");
    assert_null(buf_steal(&buf));
}

static void empty_buffer_is_an_empty_text(void **state)
{
    struct buf buf = BUF_INIT(0);
    CLEANUP_FREE char *text = buf_steal(&buf);

    (void)state;
    assert_string_equal(text, "");
}

static void numbers_are_digits_only(void **state)
{
    uint64_t value = 7;

    (void)state;
    assert_true(str_to_u64("105", 999, &value));
    assert_int_equal(value, 105);
    assert_false(str_to_u64("", 999, &value));
    assert_false(str_to_u64("1000", 999, &value));
    assert_false(str_to_u64("-1", 999, &value));
    assert_false(str_to_u64(" 1", 999, &value));
    assert_false(str_to_u64("18446744073709551616", UINT64_MAX, &value));
    assert_int_equal(value, 105);
}

static void times_are_utc(void **state)
{
    static const char *const bad[] = {"", "2026-11-23", "2026-11-23T10:00:00",
                                      "2026-11-23T10:00:00+01"};
    int64_t seconds = 0;

    (void)state;
    assert_true(str_to_seconds("2026-11-23T10:00:00Z", &seconds));
    assert_int_equal(seconds, 1795428000);
    assert_true(str_to_seconds("2026-11-23T10:00:01.999Z", &seconds));
    assert_int_equal(seconds, 1795428001);
    assert_false(str_to_seconds(NULL, &seconds));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(str_to_seconds(bad[i], &seconds));
    }
}

static void comparisons_know_null_and_case(void **state)
{
    (void)state;
    assert_true(str_equal(NULL, NULL));
    assert_false(str_equal(NULL, ""));
    assert_true(str_iequal("uuid.BIOS", "UUID.bios"));
    assert_false(str_iequal("a", "ab"));
    assert_true(str_istarts("Scsi0:1", "sCSI"));
    assert_false(str_istarts("sc", "scsi"));
}

static void tamed_text_has_no_control_bytes(void **state)
{
    char text[] = "a\n\x1b[2J\x7f\xc3\xbc";

    (void)state;
    str_tame(text);
    assert_string_equal(text, "a??[2J?\xc3\xbc");
}

static void errors_keep_their_code_and_gain_context(void **state)
{
    struct err err = {""};

    (void)state;
    assert_int_equal(err_set(&err, -EINVAL, "line %d: no '='", 7), -EINVAL);
    assert_int_equal(err_prefix(&err, -EINVAL, "/etc/%s", "x.conf"), -EINVAL);
    assert_string_equal(err.text, "/etc/x.conf: line 7: no '='");
    assert_int_equal(err_set(NULL, -EIO, "nobody listens"), -EIO);
}

static void too_long_errors_are_cut_not_overrun(void **state)
{
    struct err err = {""};
    char longer[2 * ERR_TEXT_MAX];

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    (void)err_set(&err, -1, "%s", longer);
    (void)err_prefix(&err, -1, "%s", longer);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_holds_what_was_appended),
        cmocka_unit_test(buffer_stops_at_its_limit),
        cmocka_unit_test(empty_buffer_is_an_empty_text),
        cmocka_unit_test(numbers_are_digits_only),
        cmocka_unit_test(times_are_utc),
        cmocka_unit_test(comparisons_know_null_and_case),
        cmocka_unit_test(tamed_text_has_no_control_bytes),
        cmocka_unit_test(errors_keep_their_code_and_gain_context),
        cmocka_unit_test(too_long_errors_are_cut_not_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
