/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire: frames, strict calls and replies, the hook's messages there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/wire.h"

static void frames_are_split_at_nul(void **state)
{
    struct buf in = BUF_INIT(0);
    size_t len = 99;

    (void)state;
    assert_int_equal(wire_find_frame(&in, 10, &len), 0);
    buf_add(&in, "ab\0cde\0f", 8);
    assert_int_equal(wire_find_frame(&in, 10, &len), 1);
    assert_int_equal(len, 2);
    buf_consume(&in, len + 1);
    assert_int_equal(wire_find_frame(&in, 10, &len), 1);
    assert_string_equal(in.data, "cde");
    buf_consume(&in, len + 1);
    assert_int_equal(wire_find_frame(&in, 10, &len), 0);
    buf_fini(&in);
}

static void frame_of_the_limit_is_whole_and_one_byte_more_is_too_big(void **state)
{
    struct buf in = BUF_INIT(0);
    size_t len = 0;

    (void)state;
    buf_add(&in, "12345", 5);
    assert_int_equal(wire_find_frame(&in, 5, &len), 0);
    assert_int_equal(wire_find_frame(&in, 4, &len), -EFBIG);
    buf_addc(&in, '\0');
    assert_int_equal(wire_find_frame(&in, 5, &len), 1);
    assert_int_equal(wire_find_frame(&in, 4, &len), -EFBIG);
    buf_fini(&in);
}

static int parse_call(const char *text, struct wire_call *ret_call)
{
    struct err err = {""};
    int rc = wire_parse_call(text, strlen(text), ret_call, &err);

    assert_true(rc == 0 || err.text[0] != '\0');
    return rc;
}

static void call_is_read_with_all_its_parts(void **state)
{
    struct wire_call call;

    (void)state;
    assert_int_equal(
        parse_call("{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"vmid\":105},\"more\":true}",
                   &call),
        0);
    assert_string_equal(call.method, "io.pvehwid.Plan");
    assert_int_equal(json_integer_value(json_object_get(call.parameters, "vmid")), 105);
    assert_true(call.more);
    assert_false(call.oneway);
    wire_call_fini(&call);
    assert_int_equal(parse_call("{\"method\":\"io.pvehwid.List\",\"parameters\":null}", &call), 0);
    assert_int_equal(json_object_size(call.parameters), 0);
    wire_call_fini(&call);
}

static void strange_calls_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "null",
        "{}",
        "{\"method\":7}",
        "{\"method\":\"\"}",
        "{\"method\":\"Status\"}",
        "{\"method\":\"io.pvehwid.\"}",
        "{\"method\":\"io.pvehwid.status\"}",
        "{\"method\":\".Status\"}",
        "{\"method\":\"io.pve hwid.Status\"}",
        "{\"method\":\"io.pvehwid.Status\",\"parameters\":[]}",
        "{\"method\":\"io.pvehwid.Status\",\"more\":1}",
        "{\"method\":\"io.pvehwid.Status\",\"more\":true,\"oneway\":true}",
        "{\"method\":\"io.pvehwid.Status\",\"upgrade\":true}",
        "{\"method\":\"io.pvehwid.Status\",\"surprise\":1}",
        "{\"method\":\"io.pvehwid.Status\",\"method\":\"io.pvehwid.List\"}",
        "{\"method\":\"io.pvehwid.Status\"} {}",
        "{\"method\":\"io.pvehwid.Sta\\u0000tus\"}",
        "{\"method\":\"io.pvehwid.Status\",\"parameters\":{\"a\":\"\xff\"}}",
    };
    struct wire_call call;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (parse_call(bad[i], &call) != -EINVAL) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

static void what_is_built_can_be_read(void **state)
{
    struct buf out = BUF_INIT(0);
    struct wire_call call;
    struct wire_reply reply;
    json_t *params = json_pack("{s:i}", "vmid", 105);

    (void)state;
    wire_add_call(&out, "io.pvehwid.Apply", params, true);
    assert_int_equal(out.error, 0);
    assert_int_equal(wire_parse_call(out.data, out.len - 1, &call, NULL), 0);
    assert_true(call.more);
    assert_true(json_equal(call.parameters, params));
    wire_call_fini(&call);

    buf_consume(&out, out.len);
    wire_add_reply(&out, params, true);
    assert_int_equal(wire_parse_reply(out.data, out.len - 1, &reply, NULL), 0);
    assert_null(reply.error);
    assert_true(reply.continues);
    wire_reply_fini(&reply);

    buf_consume(&out, out.len);
    wire_add_error(&out, "io.pvehwid.NoSuchVm", params);
    assert_int_equal(wire_parse_reply(out.data, out.len - 1, &reply, NULL), 0);
    assert_string_equal(reply.error, "io.pvehwid.NoSuchVm");
    wire_reply_fini(&reply);

    buf_consume(&out, out.len);
    wire_add_reply(&out, NULL, false);
    assert_string_equal(out.data, "{\"parameters\":{}}");
    json_decref(params);
    buf_fini(&out);
}

static void full_buffer_is_told(void **state)
{
    struct buf out = BUF_INIT(20);

    (void)state;
    wire_add_error(&out, "io.pvehwid.Failed", NULL);
    assert_int_equal(out.error, -EFBIG);
    buf_fini(&out);
}

static void strange_replies_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"error\":7}",
        "{\"error\":\"oops\"}",
        "{\"parameters\":7}",
        "{\"continues\":\"yes\"}",
        "{\"error\":\"io.pvehwid.Busy\",\"continues\":true}",
        "{\"x\":1}",
    };
    struct wire_reply reply;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(wire_parse_reply(bad[i], strlen(bad[i]), &reply, NULL), -EINVAL);
    }
}

static void fields_name_the_first_bad_one(void **state)
{
    json_t *object = json_pack("{s:i, s:s, s:n, s:b}", "a", 5, "b", "x", "c", "d", 1);
    struct wire_fields fields = {.object = object};

    (void)state;
    assert_int_equal(wire_get_int(&fields, "a", WIRE_NEEDED, 0, 9), 5);
    assert_string_equal(wire_get_string(&fields, "b", WIRE_NEEDED), "x");
    assert_null(wire_get_string(&fields, "c", WIRE_OPTIONAL));
    assert_false(wire_fields_done(&fields)); /* d was not asked for */
    fields = (struct wire_fields){.object = object};
    assert_int_equal(wire_get_int(&fields, "a", WIRE_NEEDED, 6, 9), 0);
    assert_null(wire_get_string(&fields, "d", WIRE_OPTIONAL));
    assert_string_equal(fields.bad, "a");
    fields = (struct wire_fields){.object = object};
    assert_null(wire_get_string(&fields, "c", WIRE_NEEDED));
    assert_string_equal(fields.bad, "c");
    fields = (struct wire_fields){.object = object};
    assert_null(wire_get_array(&fields, "d", WIRE_OPTIONAL));
    assert_string_equal(fields.bad, "d");
    fields = (struct wire_fields){.object = NULL};
    assert_false(wire_get_bool(&fields, "e", WIRE_OPTIONAL));
    assert_false(wire_fields_done(&fields));
    json_decref(object);
}

static void hook_call_travels_unchanged(void **state)
{
    struct wire_hook_call call = {.vmid = 105,
                                  .phase = WIRE_POST_STOP,
                                  .migrated_from = "pve2",
                                  .worker_type = "qmstart",
                                  .worker_pid = 4711,
                                  .worker_start = 123456789012};
    struct wire_hook_call back;
    const char *bad = NULL;
    json_t *json = wire_hook_call_to_json(&call);

    (void)state;
    assert_true(wire_hook_call_from_json(json, &back, &bad));
    assert_int_equal(back.vmid, 105);
    assert_int_equal(back.phase, WIRE_POST_STOP);
    assert_string_equal(back.migrated_from, "pve2");
    assert_string_equal(back.worker_type, "qmstart");
    assert_int_equal(back.worker_pid, 4711);
    assert_int_equal(back.worker_start, 123456789012);
    json_decref(json);
}

static void bad_hook_calls_name_the_field(void **state)
{
    static const struct {
        const char *json, *bad;
    } cases[] = {
        {"{}", "vmid"},
        {"{\"vmid\":99,\"phase\":\"pre-start\"}", "vmid"},
        {"{\"vmid\":105,\"phase\":\"start\"}", "phase"},
        {"{\"vmid\":105,\"phase\":\"pre-start\",\"worker_pid\":-1}", "worker_pid"},
        {"{\"vmid\":105,\"phase\":\"pre-start\","
         "\"worker_type\":\"0123456789012345678901234567890123456789\"}",
         "worker_type"},
        {"{\"vmid\":105,\"phase\":\"pre-start\",\"x\":1}", "unknown parameter"},
    };
    struct wire_hook_call call;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *json = json_loads(cases[i].json, 0, NULL);
        const char *bad = NULL;

        assert_false(wire_hook_call_from_json(json, &call, &bad));
        assert_string_equal(bad, cases[i].bad);
        json_decref(json);
    }
}

static void hook_reply_travels_and_knows_three_codes(void **state)
{
    struct wire_hook_reply reply = {.exit_code = WIRE_HOOK_RESTART};
    struct wire_hook_reply back;
    json_t *json;

    (void)state;
    assert_int_equal(notes_add(&reply.lines, "VM 105 differs"), 0);
    json = wire_hook_reply_to_json(&reply);
    assert_int_equal(wire_hook_reply_from_json(json, &back, NULL), 0);
    assert_int_equal(back.exit_code, WIRE_HOOK_RESTART);
    assert_int_equal(back.lines.n, 1);
    assert_string_equal(back.lines.items[0], "VM 105 differs");
    wire_hook_reply_fini(&back);
    wire_hook_reply_fini(&reply);
    (void)json_object_set_new(json, "exit_code", json_integer(1));
    assert_int_equal(wire_hook_reply_from_json(json, &back, NULL), -EINVAL);
    (void)json_object_set_new(json, "exit_code", json_integer(0));
    (void)json_array_append_new(json_object_get(json, "lines"), json_null());
    assert_int_equal(wire_hook_reply_from_json(json, &back, NULL), -EINVAL);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_split_at_nul),
        cmocka_unit_test(frame_of_the_limit_is_whole_and_one_byte_more_is_too_big),
        cmocka_unit_test(call_is_read_with_all_its_parts),
        cmocka_unit_test(strange_calls_are_refused),
        cmocka_unit_test(what_is_built_can_be_read),
        cmocka_unit_test(full_buffer_is_told),
        cmocka_unit_test(strange_replies_are_refused),
        cmocka_unit_test(fields_name_the_first_bad_one),
        cmocka_unit_test(hook_call_travels_unchanged),
        cmocka_unit_test(bad_hook_calls_name_the_field),
        cmocka_unit_test(hook_reply_travels_and_knows_three_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
