/* SPDX-License-Identifier: GPL-3.0-or-later */
/* server: clients that come, go, wait, stall and crowd. */
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

static void handler_is_told_when_its_client_goes(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_asking(f);

    (void)state;
    assert_non_null(f->parked);
    assert_false(server_call_is_gone(f->parked));
    (void)close(fd);
    served_settle(f);
    assert_int_equal(f->gone, 1);
    assert_int_equal(server_connections(f->server), 0);
    served_stop(f);
}

static void answer_to_a_client_that_went_is_a_no_op(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_asking(f);

    (void)state;
    server_call_on_gone(f->parked, NULL, NULL);
    (void)close(fd);
    served_settle(f);
    assert_int_equal(f->gone, 0);
    assert_true(server_call_is_gone(f->parked));
    server_call_progress(f->parked, NULL);
    server_call_reply(STEAL(f->parked), json_pack("{s:i}", "n", 1));
    served_settle(f);
    served_stop(f);
}

static void last_words_of_a_client_are_heard(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_client(f);

    (void)state;
    served_say(fd, "{\"method\":\"io.pvehwid.Plan\"}");
    served_say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    served_say(fd, "{\"method\":\"io.pvehwid.Plan\"}");
    (void)close(fd);
    served_settle(f);
    assert_int_equal(f->handled, 3);
    assert_true(server_call_is_gone(f->parked));
    server_call_reply(STEAL(f->parked), json_object());
    assert_int_equal(server_connections(f->server), 0);
    served_stop(f);
}

static void half_closed_client_gets_its_answer(void **state)
{
    struct served *f = served_start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = served_client(f);

    (void)state;
    served_say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    served_settle(f);
    assert_int_equal(f->gone, 0);
    server_call_reply(STEAL(f->parked), json_object());
    assert_int_equal(served_listen_for(f, fd, &in, 1), 0);
    assert_string_equal(in.data, "{\"parameters\":{}}");
    buf_fini(&in);
    served_expect_hang_up(f, fd);
    served_stop(f);
}

static void half_sent_frame_is_not_waited_for(void **state)
{
    struct server_settings limits = {.half_frame_ms = 60};
    struct served *f = served_start(&limits);
    uint64_t before = clock_monotonic_ms();
    int fd = served_client(f);

    (void)state;
    for (int i = 0; i < 20 && server_connections(f->server) + (size_t)(i < 3) > 0; i++) {
        (void)!send(fd, "{", 1, MSG_NOSIGNAL); /* a byte now and then does not help */
        served_run(f, 20);
    }
    served_expect_hang_up(f, fd);
    assert_true(clock_monotonic_ms() - before < SERVED_PATIENCE_MS);
    served_stop(f);
}

static void idle_connection_is_closed_but_not_roots(void **state)
{
    struct server_settings limits = {.idle_ms = 60, .root = SERVED_NOT_ROOT};
    struct served *f = served_start(&limits);
    int fd = served_client(f);

    (void)state;
    served_expect_hang_up(f, fd);
    served_stop(f);
    limits.root = getuid();
    f = served_start(&limits);
    fd = served_client(f);
    for (int i = 0; i < 10; i++) {
        served_run(f, 20);
    }
    assert_int_equal(server_connections(f->server), 1);
    (void)close(fd);
    served_stop(f);
}

static void waiting_for_an_answer_is_not_being_idle(void **state)
{
    struct server_settings limits = {.idle_ms = 50, .half_frame_ms = 50, .root = SERVED_NOT_ROOT};
    struct served *f = served_start(&limits);
    struct buf in = BUF_INIT(0);
    int fd = served_client(f);

    (void)state;
    served_say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    for (int i = 0; i < 15; i++) {
        served_run(f, 20);
    }
    assert_int_equal(f->gone, 0);
    assert_non_null(f->parked);
    server_call_reply(STEAL(f->parked), json_object());
    assert_int_equal(served_listen_for(f, fd, &in, 1), 0);
    buf_fini(&in);
    served_expect_hang_up(f, fd);
    served_stop(f);
}

static void slow_reader_is_thrown_out_not_hoarded_for(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_client(f);

    (void)state;
    for (int i = 0; i < 20; i++) {
        served_say(fd, "{\"method\":\"io.pvehwid.List\"}"); /* 700 KiB each */
    }
    served_settle(f);
    assert_int_equal(server_connections(f->server), 0);
    (void)close(fd);
    served_stop(f);
}

static void stalled_reader_is_closed_in_time(void **state)
{
    struct server_settings limits = {.stall_ms = 60};
    struct served *f = served_start(&limits);
    int fd = served_client(f);

    (void)state;
    served_say(fd, "{\"method\":\"io.pvehwid.List\"}");
    for (int i = 0; i < 50 && (i < 5 || server_connections(f->server) > 0); i++) {
        served_run(f, 20);
    }
    assert_int_equal(server_connections(f->server), 0);
    (void)close(fd);
    served_stop(f);
}

static void big_answer_arrives_whole(void **state)
{
    struct served *f = served_start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = served_client(f);

    (void)state;
    served_say(fd, "{\"method\":\"io.pvehwid.List\"}");
    assert_int_equal(served_listen_for(f, fd, &in, 1), 0);
    assert_true(in.len > 700 * 1024);
    buf_fini(&in);
    served_expect_reply(f, fd, "{\"method\":\"io.pvehwid.Log\"}",
                        "{\"error\":\"io.pvehwid.Failed\","
                        "\"parameters\":{\"message\":\"the answer is too long\"}}");
    (void)close(fd);
    served_stop(f);
}

static void one_user_cannot_take_all_places(void **state)
{
    struct server_settings limits = {.root = SERVED_NOT_ROOT};
    struct served *f = served_start(&limits);
    int fds[SERVER_CONNECTIONS_PER_USER + 20];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = served_client(f);
        served_settle(f);
    }
    assert_int_equal(server_connections(f->server), SERVER_CONNECTIONS_PER_USER);
    for (size_t i = 0; i < 10; i++) {
        (void)close(fds[i]);
    }
    served_settle(f);
    assert_int_equal(server_connections(f->server), SERVER_CONNECTIONS_PER_USER - 10);
    fds[0] = served_client(f);
    served_expect_reply(f, fds[0], "{\"method\":\"io.pvehwid.Plan\"}", "{\"parameters\":{}}");
    (void)close(fds[0]);
    for (size_t i = 10; i < ARRAY_SIZE(fds); i++) {
        (void)close(fds[i]);
    }
    served_stop(f);
}

static void the_end_frees_open_calls_and_tells_their_handlers(void **state)
{
    struct served *f = served_start(NULL);
    int fd = served_asking(f);

    (void)state;
    assert_non_null(f->parked);
    server_free(STEAL(f->server));
    assert_int_equal(f->gone, 1);
    assert_null(f->parked);
    (void)close(fd);
    served_stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handler_is_told_when_its_client_goes),
        cmocka_unit_test(answer_to_a_client_that_went_is_a_no_op),
        cmocka_unit_test(last_words_of_a_client_are_heard),
        cmocka_unit_test(half_closed_client_gets_its_answer),
        cmocka_unit_test(half_sent_frame_is_not_waited_for),
        cmocka_unit_test(idle_connection_is_closed_but_not_roots),
        cmocka_unit_test(waiting_for_an_answer_is_not_being_idle),
        cmocka_unit_test(slow_reader_is_thrown_out_not_hoarded_for),
        cmocka_unit_test(stalled_reader_is_closed_in_time),
        cmocka_unit_test(big_answer_arrives_whole),
        cmocka_unit_test(one_user_cannot_take_all_places),
        cmocka_unit_test(the_end_frees_open_calls_and_tells_their_handlers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
