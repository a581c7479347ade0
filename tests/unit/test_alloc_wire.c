/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of reading and building Varlink frames fails in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "core/wire.h"

static const char call_text[] =
    "{\"method\":\"io.pvehwid.Hook\",\"parameters\":{\"vmid\":105,\"phase\":\"pre-start\","
    "\"migrated_from\":\"pve2\",\"worker_type\":\"qmstart\",\"worker_pid\":1,\"worker_start\":2}}";
static const char reply_text[] =
    "{\"parameters\":{\"exit_code\":75,\"lines\":[\"one\",\"two\"]},\"continues\":true}";

static int run_parse(void *data)
{
    struct wire_call call = {0};
    struct wire_reply reply = {0};
    struct wire_hook_reply hook = {0};
    int rc;

    (void)data;
    rc = wire_parse_call(call_text, strlen(call_text), &call, NULL);
    if (rc == 0) {
        rc = wire_parse_reply(reply_text, strlen(reply_text), &reply, NULL);
    }
    if (rc == 0) {
        rc = wire_hook_reply_from_json(reply.parameters, &hook, NULL);
    }
    wire_hook_reply_fini(&hook);
    wire_reply_fini(&reply);
    wire_call_fini(&call);
    return rc;
}

static int run_build(void *data)
{
    struct wire_hook_call call = {.vmid = 105, .worker_type = "qmstart", .worker_pid = 1};
    char *items[] = {(char[]){"one"}, (char[]){"two"}};
    const struct wire_hook_reply reply = {.lines = {.items = items, .n = 2}};
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
    json_t *json = wire_hook_call_to_json(&call);

    (void)data;
    if (json != NULL) {
        wire_add_call(&out, WIRE_HOOK_METHOD, json, true);
        wire_add_error(&out, "io.pvehwid.Failed", json);
    }
    out.error = json == NULL ? -ENOMEM : out.error;
    json_decref(json);
    json = out.error == 0 ? wire_hook_reply_to_json(&reply) : NULL;
    if (json != NULL) {
        wire_add_reply(&out, json, false);
    }
    out.error = json == NULL ? -ENOMEM : out.error;
    json_decref(json);
    return out.error;
}

static void parsing_survives_each_failure(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(run_parse, NULL, ALLOC_FAIL_OWN) > 3);
    assert_true(alloc_fail_each(run_parse, NULL, ALLOC_FAIL_JANSSON | ALLOC_FAIL_ANY_RESULT) > 30);
}

static void building_survives_each_failure(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(run_build, NULL, ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing_survives_each_failure),
        cmocka_unit_test(building_survives_each_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
