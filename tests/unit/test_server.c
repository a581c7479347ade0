/* SPDX-License-Identifier: GPL-3.0-or-later */
/* server: what a call is, and what it is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/wire.h"
#include "io/clock.h"
#include "io/sock.h"
#include "served.h"

static void call_is_answered(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_client(f);

    (void)state;
    served_expect_reply(f, fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"vmid\":105}}",
                        "{\"parameters\":{\"vmid\":105}}");
    (void)close(fd);
    served_settle(f);
    assert_int_equal(server_connections(f->server), 0);
    served_stop(f);
}

static void call_in_single_bytes_is_answered(void **state)
{
    static const char call[] = "{\"method\":\"io.pvehwid.Plan\"}";
    struct served *f = served_start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = served_client(f);

    (void)state;
    for (size_t i = 0; i < sizeof(call); i++) {
        assert_int_equal(send(fd, call + i, 1, MSG_NOSIGNAL), 1);
        served_run(f, 1);
    }
    assert_int_equal(served_listen_for(f, fd, &in, 1), 0);
    assert_string_equal(in.data, "{\"parameters\":{}}");
    buf_fini(&in);
    (void)close(fd);
    served_stop(f);
}

static void service_describes_itself(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_client(f);
    struct buf in = BUF_INIT(0);

    (void)state;
    served_expect_reply(
        f, fd, "{\"method\":\"org.varlink.service.GetInfo\"}",
        "{\"parameters\":{\"vendor\":\"vendor\",\"product\":\"pve-hwid\",\"version\":\"1\","
        "\"url\":\"https://example.org\",\"interfaces\":[\"org.varlink.service\","
        "\"io.pvehwid\"]}}");
    served_say(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                   "\"parameters\":{\"interface\":\"io.pvehwid\"}}");
    assert_int_equal(served_listen_for(f, fd, &in, 1), 0);
    assert_non_null(strstr(in.data, "interface io.pvehwid\\n"));
    assert_non_null(strstr(in.data, "error NoFingerprint (vmid: int)\\n"));
    buf_fini(&in);
    served_expect_reply(f, fd,
                        "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                        "\"parameters\":{\"interface\":\"io.other\"}}",
                        "{\"error\":\"org.varlink.service.InterfaceNotFound\","
                        "\"parameters\":{\"interface\":\"io.other\"}}");
    served_expect_reply(f, fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}",
                        "{\"error\":\"org.varlink.service.InvalidParameter\","
                        "\"parameters\":{\"parameter\":\"interface\"}}");
    (void)close(fd);
    served_stop(f);
}

static void unknown_names_are_told_apart(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_client(f);

    (void)state;
    served_expect_reply(f, fd, "{\"method\":\"io.pvehwid.Nonsense\"}",
                        "{\"error\":\"org.varlink.service.MethodNotFound\","
                        "\"parameters\":{\"method\":\"io.pvehwid.Nonsense\"}}");
    served_expect_reply(f, fd, "{\"method\":\"io.other.List\"}",
                        "{\"error\":\"org.varlink.service.InterfaceNotFound\","
                        "\"parameters\":{\"interface\":\"io.other\"}}");
    (void)close(fd);
    served_stop(f);
}

static void changing_methods_are_for_root(void **state)
{
    struct server_settings limits = {.root = SERVED_NOT_ROOT};
    struct served *f = served_start(&limits);
    int fd = served_client(f);

    (void)state;
    served_expect_reply(f, fd, "{\"method\":\"io.pvehwid.Hold\"}",
                        "{\"error\":\"io.pvehwid.NotPermitted\",\"parameters\":{}}");
    assert_int_equal(f->handled, 0);
    (void)close(fd);
    served_stop(f);
}

static void what_is_not_varlink_ends_the_connection(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_client(f);

    (void)state;
    served_say(fd, "GET / HTTP/1.1");
    served_expect_hang_up(f, fd);
    served_settle(f);
    assert_int_equal(server_connections(f->server), 0);
    served_stop(f);
}

static void frame_without_an_end_ends_the_connection(void **state)
{
    struct served *f = served_start(NULL);
    char chunk[4096];
    int fd = served_client(f);

    (void)state;
    memset(chunk, ' ', sizeof(chunk));
    for (int i = 0; i <= WIRE_CALL_MAX / (int)sizeof(chunk); i++) {
        (void)!send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL | MSG_DONTWAIT);
        served_run(f, 1);
    }
    served_expect_hang_up(f, fd);
    served_stop(f);
}

static void pipelined_calls_are_answered_in_order(void **state)
{
    struct served *f = served_start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = served_client(f);

    (void)state;
    served_say(fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"n\":1}}");
    served_say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    served_say(fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"n\":2}}");
    served_say(fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"n\":3}}");
    assert_int_equal(served_listen_for(f, fd, &in, 1), 0);
    served_settle(f);
    assert_int_equal(f->handled, 2); /* the third waits for the second */
    server_call_reply(STEAL(f->parked), json_pack("{s:s}", "parked", "yes"));
    assert_int_equal(served_listen_for(f, fd, &in, 4), 0);
    for (size_t i = 0; i + 1 < in.len; i++) {
        in.data[i] = in.data[i] == '\0' ? '|' : in.data[i];
    }
    assert_string_equal(in.data, "{\"parameters\":{\"n\":1}}|{\"parameters\":{\"parked\":\"yes\"}}|"
                                 "{\"parameters\":{\"n\":2}}|{\"parameters\":{\"n\":3}}");
    buf_fini(&in);
    (void)close(fd);
    served_stop(f);
}

static void thousand_pipelined_calls_are_all_answered(void **state)
{
    struct served *f = served_start(NULL);
    struct buf in = BUF_INIT(0);
    struct buf out = BUF_INIT(0);
    int fd = served_client(f);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        wire_add_call(&out, "io.pvehwid.Plan", NULL, false);
    }
    assert_int_equal(send(fd, out.data, out.len, MSG_NOSIGNAL), (ssize_t)out.len);
    buf_fini(&out);
    assert_int_equal(served_listen_for(f, fd, &in, 1000), 0);
    assert_int_equal(f->handled, 1000);
    buf_fini(&in);
    (void)close(fd);
    served_stop(f);
}

static void progress_is_streamed_to_those_who_want_it(void **state)
{
    struct served *f = served_start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = served_client(f);

    (void)state;
    served_say(fd, "{\"method\":\"io.pvehwid.Apply\",\"more\":true}");
    assert_int_equal(served_listen_for(f, fd, &in, 4), 0);
    assert_string_equal(in.data, "{\"parameters\":{\"step\":0},\"continues\":true}");
    buf_fini(&in);
    served_expect_reply(f, fd, "{\"method\":\"io.pvehwid.Apply\"}",
                        "{\"parameters\":{\"outcome\":\"done\"}}");
    (void)close(fd);
    served_stop(f);
}

static void oneway_call_gets_no_answer(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_client(f);

    (void)state;
    served_say(fd, "{\"method\":\"io.pvehwid.Plan\",\"oneway\":true}");
    served_expect_reply(f, fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"n\":2}}",
                        "{\"parameters\":{\"n\":2}}");
    assert_int_equal(f->handled, 2);
    (void)close(fd);
    served_stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_is_answered),
        cmocka_unit_test(call_in_single_bytes_is_answered),
        cmocka_unit_test(service_describes_itself),
        cmocka_unit_test(unknown_names_are_told_apart),
        cmocka_unit_test(changing_methods_are_for_root),
        cmocka_unit_test(what_is_not_varlink_ends_the_connection),
        cmocka_unit_test(frame_without_an_end_ends_the_connection),
        cmocka_unit_test(pipelined_calls_are_answered_in_order),
        cmocka_unit_test(thousand_pipelined_calls_are_all_answered),
        cmocka_unit_test(progress_is_streamed_to_those_who_want_it),
        cmocka_unit_test(oneway_call_gets_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
