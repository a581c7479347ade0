/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker: the end of a process that is not ours to wait for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "worker.h"

enum { PATIENCE_US = 30 * 1000 * 1000, LIMIT_MS = 60 * 1000 };

static pid_t fork_idle(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    return pid;
}

static void end_child(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void on_gone(void *userdata)
{
    (*(int *)userdata)++;
}

/* The loop, until it was told; 0 where that does not come in `us`. */
static int run_until(sd_event *event, const int *gone, uint64_t us)
{
    uint64_t now = 0;
    uint64_t end;

    (void)sd_event_now(event, CLOCK_MONOTONIC, &now);
    end = now + us;
    while (*gone == 0 && now < end) {
        assert_true(sd_event_run(event, end - now) >= 0);
        (void)sd_event_now(event, CLOCK_MONOTONIC, &now);
    }
    return *gone;
}

static sd_event *new_event(void)
{
    sd_event *event = NULL;

    assert_true(sd_event_new(&event) >= 0);
    return event;
}

static void end_of_a_process_is_told_once(void **state)
{
    sd_event *event = new_event();
    struct worker_wait *wait = NULL;
    pid_t pid = fork_idle();
    int gone = 0;

    (void)state;
    assert_int_equal(worker_wait_new(event, pid, 0, LIMIT_MS, on_gone, &gone, &wait), 0);
    assert_int_equal(run_until(event, &gone, 50 * 1000), 0);
    end_child(pid);
    assert_int_equal(run_until(event, &gone, PATIENCE_US), 1);
    worker_wait_free(wait);
    sd_event_unref(event);
}

static void what_is_not_there_is_gone(void **state)
{
    sd_event *event = new_event();
    struct worker_wait *wait = NULL;
    pid_t pid = fork_idle();
    int gone = 0;

    (void)state;
    assert_int_equal(worker_wait_new(event, 0, 0, LIMIT_MS, on_gone, &gone, &wait), 0);
    assert_int_equal(run_until(event, &gone, PATIENCE_US), 1);
    worker_wait_free(wait);
    gone = 0;
    /* another process has that number by now */
    assert_int_equal(worker_wait_new(event, pid, 1, LIMIT_MS, on_gone, &gone, &wait), 0);
    assert_int_equal(run_until(event, &gone, PATIENCE_US), 1);
    worker_wait_free(wait);
    end_child(pid);
    sd_event_unref(event);
}

/* Out of descriptors: nobody can say that it is gone, so it is not. */
static void who_cannot_be_looked_at_is_not_gone(void **state)
{
    sd_event *event = new_event();
    struct worker_wait *wait = NULL;
    struct worker_wait *first = NULL;
    pid_t pid = fork_idle();
    struct rlimit was;
    int gone = 0;
    int next;

    (void)state;
    /* the loop has the descriptors it needs */
    assert_int_equal(worker_wait_new(event, pid, 0, LIMIT_MS, on_gone, &gone, &first), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    next = dup(STDERR_FILENO);
    assert_true(next >= 0);
    (void)close(next);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)next, was.rlim_max}), 0);
    assert_int_equal(worker_wait_new(event, pid, 0, LIMIT_MS, on_gone, &gone, &wait), 0);
    worker_wait_free(first);
    next = dup(STDERR_FILENO); /* what `first` had */
    assert_int_equal(run_until(event, &gone, 600 * 1000), 0);
    (void)close(next);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(run_until(event, &gone, 600 * 1000), 0);
    end_child(pid);
    assert_int_equal(run_until(event, &gone, PATIENCE_US), 1);
    worker_wait_free(wait);
    sd_event_unref(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(end_of_a_process_is_told_once),
        cmocka_unit_test(what_is_not_there_is_gone),
        cmocka_unit_test(who_cannot_be_looked_at_is_not_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
