/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io: bounded files, sockets with deadlines, /proc of other processes, clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/flock.h"
#include "io/proc.h"
#include "io/sock.h"

struct place {
    char path[32];
    int fd;
};

static int enter(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    assert_non_null(place);
    (void)snprintf(place->path, sizeof(place->path), "/tmp/pve-hwid-io-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    assert_int_equal(file_open_dir(AT_FDCWD, place->path, &place->fd, NULL), 0);
    *state = place;
    return 0;
}

static int leave(void **state)
{
    static const char *const names[] = {"a", "link", "fifo", "s", "proc/7/stat", "proc/7/cmdline"};
    struct place *place = *state;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)unlinkat(place->fd, names[i], 0);
    }
    (void)unlinkat(place->fd, "proc/7", AT_REMOVEDIR);
    (void)unlinkat(place->fd, "proc", AT_REMOVEDIR);
    (void)close(place->fd);
    assert_int_equal(rmdir(place->path), 0); /* nothing else was left behind */
    free(place);
    return 0;
}

/* --- files --- */

static void file_is_read_whole_up_to_its_limit(void **state)
{
    const struct place *place = *state;
    struct buf text = BUF_INIT(5);
    struct err err = {""};

    assert_int_equal(file_replace(place->fd, "a", 0600, "12345", NULL), 0);
    assert_int_equal(file_read(place->fd, "a", FILE_NOFOLLOW, &text, NULL), 0);
    assert_string_equal(text.data, "12345");
    buf_fini(&text);
    assert_int_equal(file_replace(place->fd, "a", 0600, "123456", NULL), 0);
    assert_int_equal(file_read(place->fd, "a", FILE_NOFOLLOW, &text, &err), -EFBIG);
    assert_non_null(strstr(err.text, "5 bytes"));
    buf_fini(&text);
    assert_int_equal(file_replace(place->fd, "a", 0600, "", NULL), 0);
    assert_int_equal(file_read(place->fd, "a", FILE_NOFOLLOW, &text, NULL), 0);
    assert_string_equal(text.data, "");
    buf_fini(&text);
}

static void only_regular_files_are_read(void **state)
{
    const struct place *place = *state;
    struct buf text = BUF_INIT(100);
    struct err err = {""};

    assert_int_equal(file_read(place->fd, "a", FILE_FOLLOW, &text, &err), -ENOENT);
    assert_int_equal(mkfifoat(place->fd, "fifo", 0600), 0);
    assert_int_equal(file_read(place->fd, "fifo", FILE_FOLLOW, &text, &err), -EINVAL);
    assert_string_equal(err.text, "fifo is not a regular file");
    assert_int_equal(file_read(place->fd, ".", FILE_FOLLOW, &text, &err), -EINVAL);
    assert_int_equal(file_replace(place->fd, "a", 0600, "x", NULL), 0);
    assert_int_equal(symlinkat("a", place->fd, "link"), 0);
    assert_int_equal(file_read(place->fd, "link", FILE_NOFOLLOW, &text, &err), -ELOOP);
    assert_int_equal(file_read(place->fd, "link", FILE_FOLLOW, &text, &err), 0);
    assert_string_equal(text.data, "x");
    buf_fini(&text);
}

static void replacing_keeps_the_mode_and_leaves_nothing_behind(void **state)
{
    const struct place *place = *state;
    struct stat st;

    assert_int_equal(file_replace(place->fd, "a", 0640, "x", NULL), 0);
    assert_int_equal(fstatat(place->fd, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777 & ~0640U, 0);
    assert_true(file_exists(place->fd, "a"));
    assert_false(file_exists(place->fd, "b"));
    assert_int_equal(file_replace(place->fd, "no/b", 0600, "x", NULL), -ENOENT);
}

static void replacing_does_not_write_through_a_link(void **state)
{
    const struct place *place = *state;
    struct buf text = BUF_INIT(100);

    assert_int_equal(file_replace(place->fd, "a", 0600, "old", NULL), 0);
    assert_int_equal(symlinkat("a", place->fd, "link"), 0);
    assert_int_equal(file_replace(place->fd, "link", 0600, "new", NULL), 0);
    assert_int_equal(file_read(place->fd, "a", FILE_NOFOLLOW, &text, NULL), 0);
    assert_string_equal(text.data, "old");
    buf_fini(&text);
}

static void appending_adds_to_what_is_there(void **state)
{
    const struct place *place = *state;
    struct buf text = BUF_INIT(100);
    int fd = -1;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_open_append(place->fd, "a", 0600, &fd, NULL), 0);
        assert_int_equal(file_append(fd, "line\n", 5, NULL), 0);
        (void)close(fd);
    }
    assert_int_equal(file_read(place->fd, "a", FILE_NOFOLLOW, &text, NULL), 0);
    assert_string_equal(text.data, "line\nline\n");
    buf_fini(&text);
    assert_int_equal(symlinkat("a", place->fd, "link"), 0);
    assert_int_equal(file_open_append(place->fd, "link", 0600, &fd, NULL), -ELOOP);
}

static void full_disk_is_told(void **state)
{
    struct err err = {""};
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    if (fd < 0) {
        skip();
    }
    assert_int_equal(file_append(fd, "x", 1, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "cannot append"));
    (void)close(fd);
}

/* --- sockets --- */

static void socket_path(const struct place *place, char path[64])
{
    (void)snprintf(path, 64, "%s/s", place->path);
}

static void frames_go_there_and_back(void **state)
{
    uint64_t deadline = clock_monotonic_ms() + 5000;
    struct buf in = BUF_INIT(100);
    struct sock_peer peer;
    char path[64];
    int listener = -1;
    int client = -1;
    int server;
    size_t len = 0;

    socket_path(*state, path);
    assert_int_equal(sock_listen(path, 0600, &listener, NULL), 0);
    assert_int_equal(sock_connect(path, deadline, &client, NULL), 0);
    server = accept(listener, NULL, NULL);
    assert_int_equal(sock_get_peer(server, &peer, NULL), 0);
    assert_int_equal(peer.uid, getuid());
    assert_int_equal(peer.pid, getpid());
    assert_int_equal(sock_send(server, "one\0two\0thr", 11, deadline, NULL), 0);
    assert_int_equal(sock_recv_frame(client, &in, deadline, &len, NULL), 0);
    assert_int_equal(len, 3);
    assert_string_equal(in.data, "one");
    buf_consume(&in, len + 1);
    assert_int_equal(sock_recv_frame(client, &in, deadline, &len, NULL), 0);
    assert_string_equal(in.data, "two");
    buf_consume(&in, len + 1);
    (void)close(server);
    assert_int_equal(sock_recv_frame(client, &in, deadline, &len, NULL), -ECONNRESET);
    assert_int_equal(sock_send(client, "x", 1, deadline, NULL), -ECONNRESET);
    buf_fini(&in);
    (void)close(client);
    (void)close(listener);
}

static void deadlines_are_kept(void **state)
{
    uint64_t before = clock_monotonic_ms();
    struct buf in = BUF_INIT(100);
    char big[4096] = "";
    int fds[2];
    size_t len = 0;
    int rc = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(sock_recv_frame(fds[0], &in, before + 50, &len, NULL), -ETIMEDOUT);
    while (rc == 0) { /* until nobody takes any more */
        rc = sock_send(fds[0], big, sizeof(big), before + 100, NULL);
    }
    assert_int_equal(rc, -ETIMEDOUT);
    assert_true(clock_monotonic_ms() - before < 1000);
    buf_fini(&in);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void too_long_a_frame_is_refused(void **state)
{
    struct buf in = BUF_INIT(10);
    int fds[2];
    size_t len = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(sock_send(fds[0], "0123456789abc", 14, clock_monotonic_ms() + 1000, NULL), 0);
    assert_int_equal(sock_recv_frame(fds[1], &in, clock_monotonic_ms() + 1000, &len, NULL), -EFBIG);
    buf_fini(&in);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void connecting_to_nobody_fails_at_once_or_in_time(void **state)
{
    uint64_t before = clock_monotonic_ms();
    char path[64];
    char long_path[200];
    int fd = -1;
    int listener;

    socket_path(*state, path);
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    assert_int_equal(sock_connect(path, before + 5000, &fd, NULL), -ENOENT);
    assert_int_equal(sock_connect(long_path, before + 5000, &fd, NULL), -ENAMETOOLONG);
    assert_int_equal(sock_listen(path, 0600, &listener, NULL), 0);
    assert_int_equal(sock_connect(path, 1, &fd, NULL), -ETIMEDOUT);
    assert_int_equal(listen(listener, 0), 0); /* a backlog of one */
    for (int rc = 0, n = 0; rc == 0 && n < 8; n++) {
        rc = sock_connect(path, before + 100, &fd, NULL);
        assert_true(rc == 0 || rc == -ETIMEDOUT);
    }
    assert_true(clock_monotonic_ms() - before < 1000);
    (void)close(listener);
    assert_int_equal(sock_connect(path, before + 5000, &fd, NULL), -ECONNREFUSED);
}

/* --- processes --- */

static void put_proc(const struct place *place, const char *stat, const char *cmdline)
{
    (void)mkdirat(place->fd, "proc", 0700);
    (void)mkdirat(place->fd, "proc/7", 0700);
    assert_int_equal(file_replace(place->fd, "proc/7/stat", 0600, stat, NULL), 0);
    assert_int_equal(file_replace(place->fd, "proc/7/cmdline", 0600, cmdline, NULL), 0);
}

static void names_with_parentheses_do_not_confuse(void **state)
{
    const struct place *place = *state;
    struct proc_stat stat;
    char root[64];
    char title[8];

    (void)snprintf(root, sizeof(root), "%s/proc", place->path);
    put_proc(place,
             "7 (a) S 1 2) (b) R 42 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876543 11 12\n",
             "task UPID:n:");
    assert_int_equal(proc_read_stat(root, 7, &stat), 0);
    assert_int_equal(stat.parent, 42);
    assert_int_equal(stat.start, 9876543);
    assert_int_equal(proc_read_title(root, 7, title, sizeof(title)), 0);
    assert_string_equal(title, "task UP");
    assert_int_equal(proc_read_stat(root, 8, &stat), -ESRCH);
    assert_int_equal(proc_read_title(root, 8, title, sizeof(title)), -ESRCH);
}

static void lines_without_sense_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "7",
        "7 (x)",
        "7 (x) ",
        "7 (x) S",
        "7 (x) S x 1",
        "7 (x) S -1",
        "7 (x) S 1 2 3",
        "7 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x",
    };
    const struct place *place = *state;
    struct proc_stat stat;
    char root[64];

    (void)snprintf(root, sizeof(root), "%s/proc", place->path);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        put_proc(place, bad[i], "");
        assert_int_equal(proc_read_stat(root, 7, &stat), -EINVAL);
    }
}

static void our_own_process_is_as_the_kernel_says(void **state)
{
    struct proc_stat stat;
    char title[4096];

    (void)state;
    assert_int_equal(proc_read_stat("/proc", getpid(), &stat), 0);
    assert_int_equal(stat.parent, getppid());
    assert_true(stat.start > 0);
    assert_int_equal(proc_read_title("/proc", getpid(), title, sizeof(title)), 0);
    assert_non_null(strstr(title, "test_io"));
}

/* --- clocks --- */

static void times_are_written_as_iso_8601(void **state)
{
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    clock_format(1795428000, text);
    assert_string_equal(text, "2026-11-23T10:00:00Z");
    clock_format((time_t)INT64_MAX, text);
    assert_string_equal(text, "");
    clock_now_text(text);
    assert_int_equal(strlen(text), CLOCK_TEXT_SIZE - 1);
    assert_true(str_ends(text, "Z"));
    assert_int_equal(text[19], '.');
    assert_true(clock_monotonic_ms() > 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, enter, leave)

/* --- what cannot be known --- */

/* A disk that gives an error is not an empty file: what a journal says must not be forgotten. */
static void tail_of_what_cannot_be_read_is_an_error(void **state)
{
    const struct place *place = *state;
    struct buf text = BUF_INIT(100);

    assert_int_equal(file_read_tail(place->fd, 100, &text), -EISDIR);
    buf_fini(&text);
}

/* No file can be opened any more. The limit that was. */
static struct rlimit take_descriptors(void)
{
    struct rlimit was;
    int next = dup(STDERR_FILENO);

    assert_true(next >= 0);
    (void)close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)next, was.rlim_max}), 0);
    return was;
}

static void lock_is_held_where_nobody_can_say_that_it_is_not(void **state)
{
    const struct place *place = *state;
    CLEANUP_FREE char *path = str_printf("%s/a", place->path);
    struct rlimit was;
    bool held;
    int fd;

    assert_false(flock_is_held(path)); /* not there */
    fd = openat(place->fd, "a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_false(flock_is_held(path));
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_true(flock_is_held(path));
    assert_int_equal(flock(fd, LOCK_UN), 0);
    assert_false(flock_is_held(path));
    was = take_descriptors();
    held = flock_is_held(path);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_true(held);
    assert_false(flock_is_held(path));
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(file_is_read_whole_up_to_its_limit),
        CASE(only_regular_files_are_read),
        CASE(replacing_keeps_the_mode_and_leaves_nothing_behind),
        CASE(replacing_does_not_write_through_a_link),
        CASE(appending_adds_to_what_is_there),
        CASE(full_disk_is_told),
        CASE(frames_go_there_and_back),
        CASE(deadlines_are_kept),
        CASE(too_long_a_frame_is_refused),
        CASE(connecting_to_nobody_fails_at_once_or_in_time),
        CASE(names_with_parentheses_do_not_confuse),
        CASE(lines_without_sense_are_refused),
        CASE(our_own_process_is_as_the_kernel_says),
        CASE(times_are_written_as_iso_8601),
        CASE(tail_of_what_cannot_be_read_is_an_error),
        CASE(lock_is_held_where_nobody_can_say_that_it_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
