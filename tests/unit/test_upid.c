/* SPDX-License-Identifier: GPL-3.0-or-later */
/* upid: titles as recorded from PVE 9.2 (pve-transcripts/hook-context-*), and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/macros.h"
#include "core/upid.h"

static void recorded_title_is_understood(void **state)
{
    struct upid upid;

    (void)state;
    assert_true(upid_parse_title(
        "task UPID:pve-lab:000009E1:0006FD0F:6B03A1E9:qmstart:105:pve-hwid@pve!daemon:", &upid));
    assert_string_equal(upid.node, "pve-lab");
    assert_int_equal(upid.pid, 0x9e1);
    assert_int_equal(upid.pstart, 0x6fd0f);
    assert_int_equal(upid.time, 0x6b03a1e9);
    assert_string_equal(upid.type, "qmstart");
    assert_string_equal(upid.id, "105");
    assert_string_equal(upid.user, "pve-hwid@pve!daemon");
}

static void task_without_an_id_is_understood(void **state)
{
    struct upid upid;

    (void)state;
    assert_true(
        upid_parse_title("task UPID:n:00001234:123456789:6B03A1E9:startall::root@pam:", &upid));
    assert_string_equal(upid.id, "");
    assert_int_equal(upid.pstart, 0x123456789);
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "task",
        "task UPID:",
        "qm start 105",
        "UPID:n:00000001:00000001:00000001:qmstart:105:root@pam:",
        "task UPID:n:00000001:00000001:00000001:qmstart:105:root@pam",
        "task UPID:n:00000001:00000001:00000001:qmstart:105:root@pam:x",
        "task UPID:n:00000001:00000001:00000001::105:root@pam:",
        "task UPID::00000001:00000001:00000001:qmstart:105:root@pam:",
        "task UPID:n:00000001:00000001:00000001:qmstart:105::",
        "task UPID:n:0000001:00000001:00000001:qmstart:105:root@pam:",
        "task UPID:n:000000001:00000001:00000001:qmstart:105:root@pam:",
        "task UPID:n:0000000g:00000001:00000001:qmstart:105:root@pam:",
        "task UPID:n:+0000001:00000001:00000001:qmstart:105:root@pam:",
        "task UPID:n:00000001:00000001:00000001:qm start:105:root@pam:",
        "task UPID:n:00000001:00000001:00000001:qmst\xc3\xa4rt:105:root@pam:",
        "task UPID:n:00000001:00000001:00000001:qmstart\n:105:root@pam:",
        ("task UPID:n:00000001:00000001:00000001:"
         "a-type-that-is-longer-than-any-that-pve-has-ever-had:105:root@pam:"),
    };
    struct upid upid;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (upid_parse_title(bad[i], &upid)) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_title_is_understood),
        cmocka_unit_test(task_without_an_id_is_understood),
        cmocka_unit_test(anything_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
