/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What PVE's API tells of the VMs of other nodes, in the shapes of recordings 14, 02 and 11a. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/survey.h"

static json_t *json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    assert_non_null(value);
    return value;
}

static void vms_of_other_nodes_are_listed(void **state)
{
    json_t *data = json(
        "[{\"vmid\":104,\"status\":\"unknown\",\"node\":\"pve1\",\"id\":\"qemu/104\","
        "\"type\":\"qemu\"},"
        "{\"vmid\":205,\"node\":\"pve2\",\"type\":\"qemu\",\"template\":0},"
        "{\"vmid\":206,\"node\":\"pve2\",\"type\":\"lxc\"},"
        "{\"vmid\":207,\"node\":\"../pve2\",\"type\":\"qemu\"},"
        "{\"vmid\":208,\"node\":\"\",\"type\":\"qemu\"},"
        "{\"vmid\":-1,\"node\":\"pve2\",\"type\":\"qemu\"},"
        "{\"vmid\":\"209\",\"node\":\"pve2\",\"type\":\"qemu\"},"
        "null,7,{\"vmid\":210,\"node\":\"n-3\",\"type\":\"qemu\"}]");
    CLEANUP(survey_vms_fini) struct survey_vms vms = {0};

    (void)state;
    assert_int_equal(survey_read_vms(data, "pve1", &vms), 0);
    assert_int_equal(vms.n, 2);
    assert_string_equal(survey_find(&vms, 205)->node, "pve2");
    assert_string_equal(survey_find(&vms, 210)->node, "n-3");
    assert_null(survey_find(&vms, 104));
    json_decref(data);
}

static void names_of_nodes_are_fit_for_a_path(void **state)
{
    (void)state;
    assert_true(survey_is_node_name("pve-1"));
    assert_false(survey_is_node_name(NULL));
    assert_false(survey_is_node_name("-pve"));
    assert_false(survey_is_node_name("a/b"));
    assert_false(survey_is_node_name(".."));
    assert_false(survey_is_node_name("a?x=1"));
    assert_false(survey_is_node_name("0123456789012345678901234567890123456789012345678901234567"
                                     "890123"));
}

static void what_runs_and_what_will_are_both_read(void **state)
{
    json_t *data = json(
        "[{\"key\":\"smbios1\",\"value\":\"uuid=9b1a4d56-1100-3322-4455-66778899aabb\","
        "\"pending\":\"uuid=11111111-2222-3333-4444-555555555555\"},"
        "{\"key\":\"net0\",\"value\":\"virtio=BC:24:11:00:00:01,bridge=vmbr0\","
        "\"delete\":1},"
        "{\"key\":\"net1\",\"pending\":\"e1000=BC:24:11:00:00:02,bridge=vmbr0\"},"
        "{\"key\":\"template\",\"value\":1},{\"key\":\"meta\",\"value\":\"ctime=77\"},"
        "{\"key\":\"digest\",\"value\":\"abc\"},{\"value\":1},null]");
    struct identity now = {0}, next = {0};

    (void)state;
    assert_int_equal(survey_read_pending(data, &now, &next), 0);
    assert_true(now.has_uuid && next.has_uuid && now.is_template);
    assert_int_equal(now.uuid.bytes[0], 0x9b);
    assert_int_equal(next.uuid.bytes[0], 0x11);
    assert_int_equal(now.n_macs, 1);
    assert_string_equal(now.macs[0], "bc:24:11:00:00:01");
    assert_string_equal(next.macs[0], "bc:24:11:00:00:02");
    assert_int_equal(now.ctime, 77);
    identity_fini(&now);
    identity_fini(&next);
    json_decref(data);
}

static void what_is_no_list_is_told(void **state)
{
    static const char *const texts[] = {"{}", "null", "1", "\"a\""};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        json_t *data = json(texts[i]);
        struct identity now = {0}, next = {0};
        struct survey_vms vms = {0};

        assert_int_equal(survey_read_vms(data, "pve1", &vms), -EINVAL);
        assert_int_equal(survey_read_pending(data, &now, &next), -EINVAL);
        json_decref(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vms_of_other_nodes_are_listed),
        cmocka_unit_test(names_of_nodes_are_fit_for_a_path),
        cmocka_unit_test(what_runs_and_what_will_are_both_read),
        cmocka_unit_test(what_is_no_list_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
