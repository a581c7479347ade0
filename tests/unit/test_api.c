/* SPDX-License-Identifier: GPL-3.0-or-later */
/* core/api, with the answers of recordings 04, 05, 09d, 10. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/api.h"

static const struct {
    int status;
    const char *reason;
    const char *body;
    enum api_result result;
    const char *message;
} answers[] = {
    {200, "OK", "{\"data\":null}", API_OK, NULL},
    {200, "OK", "{\"data\":\"UPID:pve-lab:0:1:2:qmstart:105:a@pve!b:\"}", API_OK, NULL},
    {200, "OK", "{}", API_OK, NULL},
    {403, "Permission check failed (/nodes/pve-lab, Sys.Audit)",
     "{\"data\":null,\"message\":\"Permission check failed (/nodes/pve-lab, Sys.Audit)\\n\"}",
     API_REFUSED, "Permission check failed (/nodes/pve-lab, Sys.Audit)"},
    {400, "Parameter verification failed.",
     "{\"data\":null,\"errors\":{\"sata0\":\"invalid format - format error\\nsata0.iothread: "
     "property "
     "is not defined\\n\"},\"message\":\"Parameter verification failed.\\n\"}",
     API_REFUSED,
     "Parameter verification failed. (sata0: invalid format - format error sata0.iothread: "
     "property "
     "is not defined)"},
    {401, "No ticket", "", API_REFUSED, "No ticket"},
    {401, "authentication failure", "{\"message\":\"authentication failure\\n\",\"data\":null}",
     API_REFUSED, "authentication failure"},
    {500, "x", "malformed JSON string\nat line 934.\n", API_REFUSED,
     "malformed JSON string at line 934."},
    {501, "for data too large", "for data too large", API_REFUSED, "for data too large"},
    {501, "method 'PATCH' not available", "", API_REFUSED, "method 'PATCH' not available"},
    {500, "checksum mismatch (file change by other user?)",
     "{\"message\":\"checksum mismatch (file change by other user?)\\n\",\"data\":null}",
     API_REFUSED, "checksum mismatch (file change by other user?)"},
    {500, NULL, "", API_REFUSED, "HTTP status 500 without a word"},
    {500,
     "gr\xfc\xdf"
     "e",
     "", API_REFUSED, "gr??e"},
    {500, "x", "{\"message\":\"  \\u0007 \"}", API_REFUSED, "x"},
    {500, "x", "[1,2]", API_REFUSED, "[1,2]"},
    {500, "x", "{\"message\":7,\"errors\":{\"a\":1}}", API_REFUSED, "x"},
    {400, "x", "{\"errors\":{\"a\":\"b\",\"c\":\"\",\"d\":\"e\"}}", API_REFUSED,
     "x (a: b; c: ; d: e)"},
    {400, "x", "{\"errors\":{\"a\\tb\":\"c\"}}", API_REFUSED, "x (a b: c)"},
    {301, "Moved", "", API_REFUSED, "Moved"},
    {200, "OK", "{\"data\":", API_LOST, "the answer is not the JSON object of PVE's API"},
    {200, "OK", "", API_LOST, "the answer is not the JSON object of PVE's API"},
    {200, "OK", "[]", API_LOST, "the answer is not the JSON object of PVE's API"},
    {595, "No route to host", "", API_UNREACHABLE, "No route to host"},
    {596, "Connection timed out", "", API_LOST, "Connection timed out"},
    {504, "Gateway Timeout", "", API_LOST, "Gateway Timeout"},
    {100, "Continue", "", API_LOST, "Continue"},
};

static void every_shape_of_answer_is_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        CLEANUP(api_reply_fini) struct api_reply reply = {0};

        assert_int_equal(api_reply_parse(answers[i].status, answers[i].reason, answers[i].body,
                                         strlen(answers[i].body), &reply),
                         0);
        if (reply.result != answers[i].result || !str_equal(reply.message, answers[i].message)) {
            fail_msg("case %zu: %d '%s'", i, (int)reply.result, reply.message);
        }
        assert_int_equal(reply.status, answers[i].status);
        assert_true(reply.result == API_OK || reply.data == NULL);
    }
}

static void data_outlives_the_body(void **state)
{
    CLEANUP(api_reply_fini) struct api_reply reply = {0};
    char body[] = "{\"data\":{\"digest\":\"abc\",\"cores\":1}}";

    (void)state;
    assert_int_equal(api_reply_parse(200, "OK", body, strlen(body), &reply), 0);
    memset(body, 'x', sizeof(body));
    assert_string_equal(json_string_value(json_object_get(reply.data, "digest")), "abc");
}

static void a_very_long_message_is_cut(void **state)
{
    CLEANUP(api_reply_fini) struct api_reply reply = {0};
    static char body[100000];

    (void)state;
    memset(body, 'x', sizeof(body));
    assert_int_equal(api_reply_parse(500, "x", body, sizeof(body), &reply), 0);
    assert_in_range(strlen(reply.message), 1000, 5000);
}

static void requests_carry_their_parameters_in_order(void **state)
{
    CLEANUP(api_request_freep)
    struct api_request *put = api_request_new(API_PUT, "/nodes/n/qemu/105/config");
    CLEANUP(api_request_freep) struct api_request *get = api_request_new(API_GET, "/version");

    (void)state;
    for (int i = 0; i < 10; i++) {
        CLEANUP_FREE char *key = str_printf("net%d", i);

        assert_int_equal(api_request_add(put, key, "a=b"), 0);
    }
    assert_int_equal(put->n_params, 10);
    assert_string_equal(put->params[9].key, "net9");
    assert_string_equal(put->params[9].value, "a=b");
    assert_true(put->changing);
    assert_false(get->changing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_of_answer_is_told_apart),
        cmocka_unit_test(data_outlives_the_body),
        cmocka_unit_test(a_very_long_message_is_cut),
        cmocka_unit_test(requests_carry_their_parameters_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
