/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sentences that tell which privilege is missing, and the command that grants it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/str.h"
#include "core/advice.h"

static void expect(char *text_, const char *expected)
{
    CLEANUP_FREE char *text = text_;

    if (expected == NULL) {
        assert_null(text);
        return;
    }
    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void one_privilege_is_added_to_the_role(void **state)
{
    (void)state;
    expect(advice_missing("/vms/105", "VM.Config.Disk", false),
           "the API token of pve-hwid lacks VM.Config.Disk on /vms/105; grant it with: pveum role "
           "modify HwidDaemon --append 1 --privs \"VM.Config.Disk\"");
}

static void a_role_that_was_not_given_is_given(void **state)
{
    (void)state;
    expect(
        advice_missing("/vms/105", "VM.Audit VM.PowerMgmt", true),
        "the API token of pve-hwid lacks VM.Audit VM.PowerMgmt on /vms/105; grant it with: pveum "
        "acl modify /vms --users pve-hwid@pve --roles HwidDaemon");
}

static void a_bridge_has_the_role_that_setup_makes(void **state)
{
    (void)state;
    expect(advice_missing("/sdn/zones/localnetwork/vmbr0", "SDN.Use", true),
           "the API token of pve-hwid lacks SDN.Use on /sdn/zones/localnetwork/vmbr0; grant it "
           "with: pveum acl modify /sdn/zones/localnetwork/vmbr0 --users pve-hwid@pve --roles "
           "HwidBridge");
}

static void refusals_of_pve_get_the_command_behind_them(void **state)
{
    (void)state; /* the words are those of recording 10b */
    expect(advice_refusal(403, "Permission check failed (/vms/105, VM.Config.HWType)"),
           "Permission check failed (/vms/105, VM.Config.HWType); grant it with: pveum role modify "
           "HwidDaemon --append 1 --privs \"VM.Config.HWType\"");
    expect(advice_refusal(403, "Permission check failed (/vms/105, VM.Config.Disk|VM.Config.CPU)"),
           "Permission check failed (/vms/105, VM.Config.Disk|VM.Config.CPU); grant it with: pveum "
           "role modify HwidDaemon --append 1 --privs \"VM.Config.Disk\"");
    expect(advice_refusal(403, "Permission check failed (/storage/local, Datastore.Audit)"),
           "Permission check failed (/storage/local, Datastore.Audit); grant it with: pveum acl "
           "modify /storage/local --users pve-hwid@pve --roles PVEDatastoreUser");
}

static void a_token_that_is_not_accepted_is_told_what_that_may_mean(void **state)
{
    CLEANUP_FREE char *text = advice_refusal(401, "Authentication failed!");

    (void)state;
    assert_non_null(text);
    assert_true(str_starts(text, "PVE does not accept the API token of pve-hwid (Authentication "
                                 "failed!): it has expired, was removed, "));
}

static void other_words_are_left_alone(void **state)
{
    static const char *const others[] = {
        "Permission check failed",           "Permission check failed (",
        "Permission check failed (/vms/1",   "Permission check failed (user != root@pam)",
        "Permission check failed (, )",      "you shall not pass",
        "Permission check failed (/a b, c)",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        expect(advice_refusal(403, others[i]), NULL);
    }
    expect(advice_refusal(500, "Permission check failed (/vms/105, VM.Audit)"), NULL);
    expect(advice_refusal(403, NULL), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_privilege_is_added_to_the_role),
        cmocka_unit_test(a_role_that_was_not_given_is_given),
        cmocka_unit_test(a_bridge_has_the_role_that_setup_makes),
        cmocka_unit_test(refusals_of_pve_get_the_command_behind_them),
        cmocka_unit_test(a_token_that_is_not_accepted_is_told_what_that_may_mean),
        cmocka_unit_test(other_words_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
