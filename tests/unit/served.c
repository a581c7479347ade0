/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See served.h. */
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

/* --- the service under test --- */

static void echo(struct server_call *call, void *userdata)
{
    struct served *f = userdata;

    f->handled++;
    server_call_reply(call, json_deep_copy(server_call_parameters(call)));
}

static void on_gone(void *userdata)
{
    struct served *f = userdata;

    f->gone++;
    server_call_reply(STEAL(f->parked), json_object());
}

static void park(struct server_call *call, void *userdata)
{
    struct served *f = userdata;

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

struct served *served_start(const struct server_settings *limits)
{
    struct server_settings settings = {0};
    struct served *f = calloc(1, sizeof(*f));
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

void served_stop(struct served *f)
{
    server_free(f->server);
    sd_event_unref(f->event);
    (void)unlink(f->path);
    (void)rmdir(f->dir);
    free(f);
}

/* --- clients --- */

int served_client(struct served *f)
{
    int fd = -1;

    assert_int_equal(sock_connect(f->path, clock_monotonic_ms() + SERVED_PATIENCE_MS, &fd, NULL),
                     0);
    return fd;
}

void served_run(struct served *f, unsigned ms)
{
    assert_true(sd_event_run(f->event, (uint64_t)ms * 1000) >= 0);
}

void served_settle(struct served *f)
{
    while (sd_event_run(f->event, 20 * 1000) > 0) {
    }
}

void served_say(int fd, const char *frame)
{
    assert_int_equal(send(fd, frame, strlen(frame) + 1, MSG_NOSIGNAL), (ssize_t)strlen(frame) + 1);
}

int served_asking(struct served *f)
{
    int fd = served_client(f);

    served_say(fd, "{\"method\":\"io.pvehwid.Hook\"}");
    served_settle(f);
    return fd;
}

int served_listen_for(struct served *f, int fd, struct buf *in, int n)
{
    uint64_t deadline = clock_monotonic_ms() + SERVED_PATIENCE_MS;
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
        served_run(f, 10);
        got = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            return -ECONNRESET;
        }
        buf_add(in, chunk, got > 0 ? (size_t)got : 0);
    }
}

void served_expect_reply(struct served *f, int fd, const char *call, const char *reply)
{
    struct buf in = BUF_INIT(0);

    served_say(fd, call);
    assert_int_equal(served_listen_for(f, fd, &in, 1), 0);
    assert_string_equal(in.data, reply);
    buf_fini(&in);
}

void served_expect_hang_up(struct served *f, int fd)
{
    struct buf in = BUF_INIT(0);

    assert_int_equal(served_listen_for(f, fd, &in, 1), -ECONNRESET);
    assert_int_equal(in.len, 0);
    buf_fini(&in);
    (void)close(fd);
}
