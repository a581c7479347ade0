/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs as children: what they say, how they end, and that they do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "io/clock.h"
#include "io/run.h"

enum { LIMIT_MS = 20000 };

struct result {
    struct buf out, complaints;
    struct err err;
    int rc, status;
};

static void result_fini(struct result *result)
{
    buf_fini(&result->out);
    buf_fini(&result->complaints);
}

static void run_shell(const char *script, unsigned limit_ms, size_t max, struct result *ret)
{
    const char *const argv[] = {"sh", "-c", script, "sh", "a b", "", NULL};

    *ret = (struct result){.out = BUF_INIT(max), .complaints = BUF_INIT(max)};
    ret->rc = run_command(argv, limit_ms, &ret->out, &ret->complaints, &ret->status, &ret->err);
}

static void test_both_outputs_and_the_exit_code(void **state)
{
    CLEANUP(result_fini) struct result r = {0};

    (void)state;
    run_shell("echo \"[$1][$2]\"; echo bad >&2; exit 7", LIMIT_MS, 0, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.status, 7);
    assert_string_equal(r.out.data, "[a b][]\n");
    assert_string_equal(r.complaints.data, "bad\n");
}

static void test_a_signal_is_told_as_shells_do(void **state)
{
    CLEANUP(result_fini) struct result r = {0};

    (void)state;
    run_shell("kill -TERM $$", LIMIT_MS, 0, &r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.status, 128 + SIGTERM);
}

/* Nothing of ours gets in: no input, no ignored or blocked signal, no language. */
static void test_the_child_starts_clean(void **state)
{
    CLEANUP(result_fini) struct result r = {0};
    sigset_t blocked;

    (void)state;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    (void)signal(SIGHUP, SIG_DFL); /* nohup's, and a shell's in the background: theirs, not ours */
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    assert_int_equal(setenv("LC_ALL", "de_DE.UTF-8", 1), 0);
    run_shell("cat; echo $LC_ALL; grep -E 'Sig(Blk|Ign)' /proc/self/status", LIMIT_MS, 0, &r);
    assert_int_equal(sigprocmask(SIG_UNBLOCK, &blocked, NULL), 0);
    assert_int_equal(r.rc, 0);
    assert_true(str_starts(r.out.data, "C\n"));
    assert_int_equal(strtoull(strstr(r.out.data, "SigBlk:") + 7, NULL, 16), 0);
    /* The C library's own two may be ignored where we were started from. */
    assert_int_equal(strtoull(strstr(r.out.data, "SigIgn:") + 7, NULL, 16) & 0x7fffffff, 0);
}

static void test_a_program_that_is_not_there(void **state)
{
    const char *const argv[] = {"pve-hwid-no-such-program", NULL};
    struct buf out = BUF_INIT(0);
    struct err err = {""};
    int status = 0;

    (void)state;
    assert_int_equal(run_command(argv, LIMIT_MS, &out, &out, &status, &err), -ENOENT);
    assert_non_null(strstr(err.text, "pve-hwid-no-such-program: cannot be started"));
}

/* It and its children: else a `sleep` would go on for a minute. */
static void test_one_that_takes_too_long_is_ended(void **state)
{
    CLEANUP(result_fini) struct result r = {0};
    long pid;

    (void)state;
    run_shell("sleep 60 & echo $!; wait", 500, 0, &r);
    assert_int_equal(r.rc, -ETIMEDOUT);
    pid = strtol(r.out.data, NULL, 10);
    assert_true(pid > 1);
    for (int i = 0; i < 1000 && kill((pid_t)pid, 0) == 0; i++) {
        const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
        char path[64];
        char text[256] = "";
        FILE *file;

        /* Nobody may have collected it yet in a container without an init: a zombie is ended. */
        (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
        file = fopen(path, "re");
        if (file != NULL) {
            (void)!fgets(text, sizeof(text), file);
            (void)fclose(file);
        }
        if (strstr(text, ") Z ") != NULL) {
            return;
        }
        nanosleep(&moment, NULL);
    }
    assert_int_equal(kill((pid_t)pid, 0), -1);
}

/* A daemon that a command starts keeps our pipes: the command's end is what counts. */
static void test_a_grandchild_that_stays_is_not_waited_for(void **state)
{
    CLEANUP(result_fini) struct result r = {0};
    uint64_t before = clock_monotonic_ms();
    long pid;

    (void)state;
    run_shell("sleep 30 & echo $!", LIMIT_MS, 0, &r);
    assert_int_equal(r.rc, 0);
    assert_true(clock_monotonic_ms() - before < LIMIT_MS);
    pid = strtol(r.out.data, NULL, 10);
    assert_true(pid > 1);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

static void test_much_output_is_taken_and_too_much_is_told(void **state)
{
    static const char script[] = "head -c 300000 /dev/zero | tr '\\0' x; "
                                 "head -c 300000 /dev/zero | tr '\\0' y >&2";
    CLEANUP(result_fini) struct result all = {0};
    CLEANUP(result_fini) struct result cut = {0};

    (void)state;
    run_shell(script, LIMIT_MS, 0, &all);
    assert_int_equal(all.rc, 0);
    assert_int_equal(all.out.len, 300000);
    assert_int_equal(all.complaints.len, 300000);
    run_shell(script, LIMIT_MS, 1000, &cut);
    assert_int_equal(cut.rc, -EFBIG);
    assert_int_equal(cut.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_outputs_and_the_exit_code),
        cmocka_unit_test(test_a_signal_is_told_as_shells_do),
        cmocka_unit_test(test_the_child_starts_clean),
        cmocka_unit_test(test_a_program_that_is_not_there),
        cmocka_unit_test(test_one_that_takes_too_long_is_ended),
        cmocka_unit_test(test_a_grandchild_that_stays_is_not_waited_for),
        cmocka_unit_test(test_much_output_is_taken_and_too_much_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
