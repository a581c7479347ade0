/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sentences that tell which privilege is missing, and the command that grants it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* What is said of the VM where `permissions` is what PVE answers, a 1 or a true for each that is
 * held. */
static char *on_vm(const char *permissions)
{
    json_t *json = json_loads(permissions, 0, NULL);
    char *text = advice_on_vm(105, json);

    assert_non_null(json);
    json_decref(json);
    return text;
}

static char *on_bridge(const char *permissions)
{
    json_t *json = json_loads(permissions, 0, NULL);
    char *text = advice_on_bridge("vmbr0", json);

    assert_non_null(json);
    json_decref(json);
    return text;
}

static void one_privilege_is_added_to_the_role(void **state)
{
    (void)state;
    expect(on_vm("{\"/vms/105\":{\"VM.Audit\":1,\"VM.Config.Disk\":0,\"VM.Config.HWType\":1,"
                 "\"VM.Config.Network\":1,\"VM.Config.Options\":true,\"VM.PowerMgmt\":1}}"),
           "the API token of pve-hwid lacks VM.Config.Disk on /vms/105; grant it with: pveum role "
           "modify HwidDaemon --append 1 --privs \"VM.Config.Disk\"");
    expect(on_vm("{\"/vms/105\":{\"VM.Audit\":1,\"VM.Config.Disk\":1,\"VM.Config.HWType\":1,"
                 "\"VM.Config.Network\":1,\"VM.Config.Options\":1,\"VM.PowerMgmt\":1}}"),
           NULL);
}

static void a_role_that_was_not_given_is_given(void **state)
{
    static const char *const nothing[] = {
        "{}", "{\"/vms/105\":{}}",
        "{\"/vms/106\":{\"VM.Audit\":1,\"VM.Config.Disk\":1,\"VM.Config.HWType\":1}}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(nothing); i++) {
        CLEANUP_FREE char *text = on_vm(nothing[i]);

        assert_non_null(text);
        assert_true(str_ends(text, " on /vms/105; grant it with: pveum acl modify /vms --users "
                                   "pve-hwid@pve --roles HwidDaemon"));
        assert_non_null(strstr(text, " lacks VM."));
    }
}

static void a_bridge_has_the_role_that_setup_makes(void **state)
{
    (void)state;
    expect(on_bridge("{\"/sdn/zones/localnetwork/vmbr1\":{\"SDN.Use\":1}}"),
           "the API token of pve-hwid lacks SDN.Use on /sdn/zones/localnetwork/vmbr0; grant it "
           "with: pveum acl modify /sdn/zones/localnetwork/vmbr0 --users pve-hwid@pve --roles "
           "HwidBridge");
    expect(on_bridge("{\"/sdn/zones/localnetwork/vmbr0\":{\"SDN.Use\":1}}"), NULL);
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
