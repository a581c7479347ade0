/* SPDX-License-Identifier: GPL-3.0-or-later */
/* server: a real event loop, a real listening socket, clients as file descriptors. */
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
#include "server.h"

enum { PATIENCE_MS = 5000, NOT_ROOT = 54321 };

struct fixture {
    char dir[32];
    char path[64];
    sd_event *event;
    struct server *server;
    struct server_call *parked; /* by io.pvehwid.Hook: answered later by the test */
    int handled, gone;
};

/* --- the service under test --- */

static void echo(struct server_call *call, void *userdata)
{
    struct fixture *f = userdata;

    f->handled++;
    server_call_reply(call, json_deep_copy(server_call_parameters(call)));
}

static void on_gone(void *userdata)
{
    struct fixture *f = userdata;

    f->gone++;
    server_call_reply(STEAL(f->parked), json_object());
}

static void park(struct server_call *call, void *userdata)
{
    struct fixture *f = userdata;

    f->handled++;
    f->parked = call;
    server_call_on_gone(call, on_gone, f);
}

static void stream(struct server_call *call, void *userdata)
{
    (void)userdata;
    for (int i = 0; i < 3; i++) {
        server_call_progress(call, json_pack("{s:i}", "step", i));
    }
    server_call_reply(call, json_pack("{s:s}", "outcome", "done"));
}

static void huge(struct server_call *call, void *userdata)
{
    struct buf text = BUF_INIT(0);

    (void)userdata;
    while (text.len < 700 * 1024) {
        buf_adds(&text, "0123456789abcdef");
    }
    server_call_reply(call, json_pack("{s:s}", "x", text.data));
    buf_fini(&text);
}

static void too_huge(struct server_call *call, void *userdata)
{
    struct buf text = BUF_INIT(0);

    (void)userdata;
    while (text.len <= WIRE_REPLY_MAX) {
        buf_adds(&text, "0123456789abcdef");
    }
    server_call_reply(call, json_pack("{s:s}", "x", text.data));
    buf_fini(&text);
}

static const struct server_method methods[] = {
    {"io.pvehwid.Plan", SERVER_ANYBODY, echo}, {"io.pvehwid.Hold", SERVER_ROOT_ONLY, echo},
    {"io.pvehwid.Hook", SERVER_ANYBODY, park}, {"io.pvehwid.Apply", SERVER_ANYBODY, stream},
    {"io.pvehwid.List", SERVER_ANYBODY, huge}, {"io.pvehwid.Log", SERVER_ANYBODY, too_huge},
};

static struct fixture *start(const struct server_settings *limits)
{
    struct server_settings settings = {0};
    struct fixture *f = calloc(1, sizeof(*f));
    int fd = -1;

    assert_non_null(f);
    settings = limits != NULL ? *limits : settings;
    settings.vendor = "vendor";
    settings.product = "pve-hwid";
    settings.version = "1";
    settings.url = "https://example.org";
    settings.methods = methods;
    settings.n_methods = ARRAY_SIZE(methods);
    settings.userdata = f;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/pve-hwid-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
    assert_int_equal(sock_listen(f->path, 0600, &fd, NULL), 0);
    assert_true(sd_event_new(&f->event) >= 0);
    assert_int_equal(server_new(f->event, fd, &settings, &f->server, NULL), 0);
    return f;
}

static void stop(struct fixture *f)
{
    server_free(f->server);
    sd_event_unref(f->event);
    (void)unlink(f->path);
    (void)rmdir(f->dir);
    free(f);
}

/* --- clients --- */

static int client(struct fixture *f)
{
    int fd = -1;

    assert_int_equal(sock_connect(f->path, clock_monotonic_ms() + PATIENCE_MS, &fd, NULL), 0);
    return fd;
}

static void run(struct fixture *f, unsigned ms)
{
    assert_true(sd_event_run(f->event, (uint64_t)ms * 1000) >= 0);
}

/* Lets the server work until nothing happens for a moment. */
static void settle(struct fixture *f)
{
    while (sd_event_run(f->event, 20 * 1000) > 0) {
    }
}

static void say(int fd, const char *frame)
{
    assert_int_equal(send(fd, frame, strlen(frame) + 1, MSG_NOSIGNAL), (ssize_t)strlen(frame) + 1);
}

/* Appends what the server sends until `n` whole frames are there; -ECONNRESET after a hang-up. */
static int listen_for(struct fixture *f, int fd, struct buf *in, int n)
{
    uint64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
    char chunk[65536];

    for (;;) {
        int frames = 0;
        ssize_t got;

        for (size_t i = 0; i < in->len; i++) {
            frames += in->data[i] == '\0';
        }
        if (frames >= n) {
            return 0;
        }
        assert_true(clock_monotonic_ms() < deadline);
        run(f, 10);
        got = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            return -ECONNRESET;
        }
        buf_add(in, chunk, got > 0 ? (size_t)got : 0);
    }
}

static void expect_reply(struct fixture *f, int fd, const char *call, const char *reply)
{
    struct buf in = BUF_INIT(0);

    say(fd, call);
    assert_int_equal(listen_for(f, fd, &in, 1), 0);
    assert_string_equal(in.data, reply);
    buf_fini(&in);
}

static void expect_hang_up(struct fixture *f, int fd)
{
    struct buf in = BUF_INIT(0);

    assert_int_equal(listen_for(f, fd, &in, 1), -ECONNRESET);
    assert_int_equal(in.len, 0);
    buf_fini(&in);
    (void)close(fd);
}

/* --- cases --- */

static void call_is_answered(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);

    (void)state;
    expect_reply(f, fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"vmid\":105}}",
                 "{\"parameters\":{\"vmid\":105}}");
    (void)close(fd);
    settle(f);
    assert_int_equal(server_connections(f->server), 0);
    stop(f);
}

static void call_in_single_bytes_is_answered(void **state)
{
    static const char call[] = "{\"method\":\"io.pvehwid.Plan\"}";
    struct fixture *f = start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = client(f);

    (void)state;
    for (size_t i = 0; i < sizeof(call); i++) {
        assert_int_equal(send(fd, call + i, 1, MSG_NOSIGNAL), 1);
        run(f, 1);
    }
    assert_int_equal(listen_for(f, fd, &in, 1), 0);
    assert_string_equal(in.data, "{\"parameters\":{}}");
    buf_fini(&in);
    (void)close(fd);
    stop(f);
}

static void service_describes_itself(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);
    struct buf in = BUF_INIT(0);

    (void)state;
    expect_reply(
        f, fd, "{\"method\":\"org.varlink.service.GetInfo\"}",
        "{\"parameters\":{\"vendor\":\"vendor\",\"product\":\"pve-hwid\",\"version\":\"1\","
        "\"url\":\"https://example.org\",\"interfaces\":[\"org.varlink.service\","
        "\"io.pvehwid\"]}}");
    say(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
            "\"parameters\":{\"interface\":\"io.pvehwid\"}}");
    assert_int_equal(listen_for(f, fd, &in, 1), 0);
    assert_non_null(strstr(in.data, "interface io.pvehwid\\n"));
    assert_non_null(strstr(in.data, "error NoFingerprint (vmid: int)\\n"));
    buf_fini(&in);
    expect_reply(f, fd,
                 "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                 "\"parameters\":{\"interface\":\"io.other\"}}",
                 "{\"error\":\"org.varlink.service.InterfaceNotFound\","
                 "\"parameters\":{\"interface\":\"io.other\"}}");
    expect_reply(f, fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}",
                 "{\"error\":\"org.varlink.service.InvalidParameter\","
                 "\"parameters\":{\"parameter\":\"interface\"}}");
    (void)close(fd);
    stop(f);
}

static void unknown_names_are_told_apart(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);

    (void)state;
    expect_reply(f, fd, "{\"method\":\"io.pvehwid.Nonsense\"}",
                 "{\"error\":\"org.varlink.service.MethodNotFound\","
                 "\"parameters\":{\"method\":\"io.pvehwid.Nonsense\"}}");
    expect_reply(f, fd, "{\"method\":\"io.other.List\"}",
                 "{\"error\":\"org.varlink.service.InterfaceNotFound\","
                 "\"parameters\":{\"interface\":\"io.other\"}}");
    (void)close(fd);
    stop(f);
}

static void changing_methods_are_for_root(void **state)
{
    struct server_settings limits = {.root = NOT_ROOT};
    struct fixture *f = start(&limits);
    int fd = client(f);

    (void)state;
    expect_reply(f, fd, "{\"method\":\"io.pvehwid.Hold\"}",
                 "{\"error\":\"io.pvehwid.NotPermitted\",\"parameters\":{}}");
    assert_int_equal(f->handled, 0);
    (void)close(fd);
    stop(f);
}

static void what_is_not_varlink_ends_the_connection(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);

    (void)state;
    say(fd, "GET / HTTP/1.1");
    expect_hang_up(f, fd);
    settle(f);
    assert_int_equal(server_connections(f->server), 0);
    stop(f);
}

static void frame_without_an_end_ends_the_connection(void **state)
{
    struct fixture *f = start(NULL);
    char chunk[4096];
    int fd = client(f);

    (void)state;
    memset(chunk, ' ', sizeof(chunk));
    for (int i = 0; i <= WIRE_CALL_MAX / (int)sizeof(chunk); i++) {
        (void)!send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL | MSG_DONTWAIT);
        run(f, 1);
    }
    expect_hang_up(f, fd);
    stop(f);
}

static void pipelined_calls_are_answered_in_order(void **state)
{
    struct fixture *f = start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"n\":1}}");
    say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    say(fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"n\":2}}");
    say(fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"n\":3}}");
    assert_int_equal(listen_for(f, fd, &in, 1), 0);
    settle(f);
    assert_int_equal(f->handled, 2); /* the third waits for the second */
    server_call_reply(STEAL(f->parked), json_pack("{s:s}", "parked", "yes"));
    assert_int_equal(listen_for(f, fd, &in, 4), 0);
    for (size_t i = 0; i + 1 < in.len; i++) {
        in.data[i] = in.data[i] == '\0' ? '|' : in.data[i];
    }
    assert_string_equal(in.data, "{\"parameters\":{\"n\":1}}|{\"parameters\":{\"parked\":\"yes\"}}|"
                                 "{\"parameters\":{\"n\":2}}|{\"parameters\":{\"n\":3}}");
    buf_fini(&in);
    (void)close(fd);
    stop(f);
}

static void thousand_pipelined_calls_are_all_answered(void **state)
{
    struct fixture *f = start(NULL);
    struct buf in = BUF_INIT(0);
    struct buf out = BUF_INIT(0);
    int fd = client(f);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        wire_add_call(&out, "io.pvehwid.Plan", NULL, false);
    }
    assert_int_equal(send(fd, out.data, out.len, MSG_NOSIGNAL), (ssize_t)out.len);
    buf_fini(&out);
    assert_int_equal(listen_for(f, fd, &in, 1000), 0);
    assert_int_equal(f->handled, 1000);
    buf_fini(&in);
    (void)close(fd);
    stop(f);
}

static void progress_is_streamed_to_those_who_want_it(void **state)
{
    struct fixture *f = start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.Apply\",\"more\":true}");
    assert_int_equal(listen_for(f, fd, &in, 4), 0);
    assert_string_equal(in.data, "{\"parameters\":{\"step\":0},\"continues\":true}");
    buf_fini(&in);
    expect_reply(f, fd, "{\"method\":\"io.pvehwid.Apply\"}",
                 "{\"parameters\":{\"outcome\":\"done\"}}");
    (void)close(fd);
    stop(f);
}

static void oneway_call_gets_no_answer(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.Plan\",\"oneway\":true}");
    expect_reply(f, fd, "{\"method\":\"io.pvehwid.Plan\",\"parameters\":{\"n\":2}}",
                 "{\"parameters\":{\"n\":2}}");
    assert_int_equal(f->handled, 2);
    (void)close(fd);
    stop(f);
}

static void handler_is_told_when_its_client_goes(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    settle(f);
    assert_non_null(f->parked);
    assert_false(server_call_is_gone(f->parked));
    (void)close(fd);
    settle(f);
    assert_int_equal(f->gone, 1);
    assert_int_equal(server_connections(f->server), 0);
    stop(f);
}

static void answer_to_a_client_that_went_is_a_no_op(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    settle(f);
    server_call_on_gone(f->parked, NULL, NULL);
    (void)close(fd);
    settle(f);
    assert_int_equal(f->gone, 0);
    assert_true(server_call_is_gone(f->parked));
    server_call_progress(f->parked, NULL);
    server_call_reply(STEAL(f->parked), json_pack("{s:i}", "n", 1));
    settle(f);
    stop(f);
}

static void last_words_of_a_client_are_heard(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.Plan\"}");
    say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    say(fd, "{\"method\":\"io.pvehwid.Plan\"}");
    (void)close(fd);
    settle(f);
    assert_int_equal(f->handled, 3);
    assert_true(server_call_is_gone(f->parked));
    server_call_reply(STEAL(f->parked), json_object());
    assert_int_equal(server_connections(f->server), 0);
    stop(f);
}

static void half_closed_client_gets_its_answer(void **state)
{
    struct fixture *f = start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    settle(f);
    assert_int_equal(f->gone, 0);
    server_call_reply(STEAL(f->parked), json_object());
    assert_int_equal(listen_for(f, fd, &in, 1), 0);
    assert_string_equal(in.data, "{\"parameters\":{}}");
    buf_fini(&in);
    expect_hang_up(f, fd);
    stop(f);
}

static void half_sent_frame_is_not_waited_for(void **state)
{
    struct server_settings limits = {.half_frame_ms = 60};
    struct fixture *f = start(&limits);
    uint64_t before = clock_monotonic_ms();
    int fd = client(f);

    (void)state;
    for (int i = 0; i < 20 && server_connections(f->server) + (size_t)(i < 3) > 0; i++) {
        (void)!send(fd, "{", 1, MSG_NOSIGNAL); /* a byte now and then does not help */
        run(f, 20);
    }
    expect_hang_up(f, fd);
    assert_true(clock_monotonic_ms() - before < 2000);
    stop(f);
}

static void idle_connection_is_closed_but_not_roots(void **state)
{
    struct server_settings limits = {.idle_ms = 60, .root = NOT_ROOT};
    struct fixture *f = start(&limits);
    int fd = client(f);

    (void)state;
    expect_hang_up(f, fd);
    stop(f);
    limits.root = getuid();
    f = start(&limits);
    fd = client(f);
    for (int i = 0; i < 10; i++) {
        run(f, 20);
    }
    assert_int_equal(server_connections(f->server), 1);
    (void)close(fd);
    stop(f);
}

static void waiting_for_an_answer_is_not_being_idle(void **state)
{
    struct server_settings limits = {.idle_ms = 50, .half_frame_ms = 50, .root = NOT_ROOT};
    struct fixture *f = start(&limits);
    struct buf in = BUF_INIT(0);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    for (int i = 0; i < 15; i++) {
        run(f, 20);
    }
    assert_int_equal(f->gone, 0);
    assert_non_null(f->parked);
    server_call_reply(STEAL(f->parked), json_object());
    assert_int_equal(listen_for(f, fd, &in, 1), 0);
    buf_fini(&in);
    expect_hang_up(f, fd);
    stop(f);
}

static void slow_reader_is_thrown_out_not_hoarded_for(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);

    (void)state;
    for (int i = 0; i < 20; i++) {
        say(fd, "{\"method\":\"io.pvehwid.List\"}"); /* 700 KiB each */
    }
    settle(f);
    assert_int_equal(server_connections(f->server), 0);
    (void)close(fd);
    stop(f);
}

static void stalled_reader_is_closed_in_time(void **state)
{
    struct server_settings limits = {.stall_ms = 60};
    struct fixture *f = start(&limits);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.List\"}");
    for (int i = 0; i < 50 && (i < 5 || server_connections(f->server) > 0); i++) {
        run(f, 20);
    }
    assert_int_equal(server_connections(f->server), 0);
    (void)close(fd);
    stop(f);
}

static void big_answer_arrives_whole(void **state)
{
    struct fixture *f = start(NULL);
    struct buf in = BUF_INIT(0);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.List\"}");
    assert_int_equal(listen_for(f, fd, &in, 1), 0);
    assert_true(in.len > 700 * 1024);
    buf_fini(&in);
    expect_reply(f, fd, "{\"method\":\"io.pvehwid.Log\"}",
                 "{\"error\":\"io.pvehwid.Failed\","
                 "\"parameters\":{\"message\":\"the answer is too long\"}}");
    (void)close(fd);
    stop(f);
}

static void one_user_cannot_take_all_places(void **state)
{
    struct server_settings limits = {.root = NOT_ROOT};
    struct fixture *f = start(&limits);
    int fds[SERVER_CONNECTIONS_PER_USER + 20];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = client(f);
        settle(f);
    }
    assert_int_equal(server_connections(f->server), SERVER_CONNECTIONS_PER_USER);
    for (size_t i = 0; i < 10; i++) {
        (void)close(fds[i]);
    }
    settle(f);
    assert_int_equal(server_connections(f->server), SERVER_CONNECTIONS_PER_USER - 10);
    fds[0] = client(f);
    expect_reply(f, fds[0], "{\"method\":\"io.pvehwid.Plan\"}", "{\"parameters\":{}}");
    (void)close(fds[0]);
    for (size_t i = 10; i < ARRAY_SIZE(fds); i++) {
        (void)close(fds[i]);
    }
    stop(f);
}

static void the_end_frees_open_calls_and_tells_their_handlers(void **state)
{
    struct fixture *f = start(NULL);
    int fd = client(f);

    (void)state;
    say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    settle(f);
    assert_non_null(f->parked);
    server_free(STEAL(f->server));
    assert_int_equal(f->gone, 1);
    assert_null(f->parked);
    (void)close(fd);
    stop(f);
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
