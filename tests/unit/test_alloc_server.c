/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every allocation of the server fails in turn, from its start to an answer: a client may be hung
 * up on, nothing may leak, and nobody is left waiting. (libsystemd's own allocations do not fail.)
 */
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

#include "alloc_fail.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/sock.h"
#include "server.h"

static char path[64];

static void later(struct server_call *call, void *userdata)
{
    struct server_call **parked = userdata;

    *parked = call;
    server_call_progress(call, json_pack("{s:s}", "progress", "thinking"));
}

static const struct server_method methods[] = {{"io.pvehwid.Apply", SERVER_ANYBODY, later}};

/* Frames in `text` that are not progress. */
static int count_answers(const char *text, size_t len)
{
    int n = 0;

    for (const char *at = text; at < text + len; at += strlen(at) + 1) {
        n += memchr(at, '\0', (size_t)(text + len - at)) != NULL &&
             strstr(at, "\"continues\":true") == NULL;
    }
    return n;
}

/* Until the server hung up or gave both answers; -ETIMEDOUT if neither comes. */
static int converse(sd_event *event, int fd, struct server_call **parked)
{
    static const char calls[] = "{\"method\":\"org.varlink.service.GetInfo\"}\0"
                                "{\"method\":\"io.pvehwid.Apply\",\"more\":true}";
    uint64_t deadline = clock_monotonic_ms() + 5000;
    char text[8192] = "";
    size_t len = 0;

    (void)!send(fd, calls, sizeof(calls), MSG_NOSIGNAL);
    while (clock_monotonic_ms() < deadline) {
        ssize_t n;

        (void)sd_event_run(event, 1000);
        if (*parked != NULL) {
            server_call_reply(STEAL(*parked), json_pack("{s:s}", "outcome", "done"));
        }
        n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT);
        len += n > 0 ? (size_t)n : 0;
        if (n == 0 || count_answers(text, len) == 2) {
            return 0;
        }
    }
    return -ETIMEDOUT;
}

static int run(void *data)
{
    struct server_call *parked = NULL;
    struct server_settings settings = {.vendor = "v",
                                       .product = "p",
                                       .version = "1",
                                       .url = "u",
                                       .methods = methods,
                                       .n_methods = ARRAY_SIZE(methods),
                                       .userdata = &parked};
    struct server *server = NULL;
    sd_event *event = data;
    CLEANUP_FD int client = -1;
    int listener = -1;
    int rc;

    assert_int_equal(sock_listen(path, 0600, &listener, NULL), 0);
    rc = server_new(event, listener, &settings, &server, NULL);
    if (rc < 0) {
        (void)close(listener);
        return rc;
    }
    assert_int_equal(sock_connect(path, clock_monotonic_ms() + 5000, &client, NULL), 0);
    assert_int_equal(converse(event, client, &parked), 0);
    server_free(server);
    return 0;
}

static void server_survives_each_failure(void **state)
{
    char dir[] = "/tmp/pve-hwid-alloc-XXXXXX";
    sd_event *event = NULL;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/s", dir);
    assert_true(sd_event_new(&event) >= 0);
    assert_true(alloc_fail_each(run, event, ALLOC_FAIL_OWN | ALLOC_FAIL_ANY_RESULT) > 8);
    assert_true(alloc_fail_each(run, event, ALLOC_FAIL_JANSSON | ALLOC_FAIL_ANY_RESULT) > 20);
    sd_event_unref(event);
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_survives_each_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
