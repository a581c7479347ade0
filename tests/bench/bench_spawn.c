/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a command costs as a whole process, from posix_spawn to the exit seen by wait, in turn with
 * /bin/true, so that both see the same noise; then many of it at once. Prints one JSON object.
 *
 *     bench_spawn ROUNDS AT_ONCE FIRST COMMAND ARGUMENT...
 *
 * An argument "%d" becomes a number: FIRST in the rounds, FIRST+i at once. Our own title (argv[0])
 * can be set by the caller, e.g. to that of a PVE worker, which the hook looks for among its
 * parents.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/str.h"

enum { ROUNDS_MAX = 100000, AT_ONCE_MAX = 5000, ARGS_MAX = 16 };

struct child {
    pid_t pid;
    double begin, us;
};

static double now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* this clock is always there */
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double percentile(double *us, int n, int percent)
{
    qsort(us, (size_t)n, sizeof(*us), compare);
    return us[(n - 1) * percent / 100];
}

static posix_spawn_file_actions_t quiet(void)
{
    posix_spawn_file_actions_t actions;

    if (posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) != 0) {
        die("posix_spawn_file_actions");
    }
    return actions;
}

static pid_t start(char *const *command, int number)
{
    static char path_env[] = "PATH=/sbin:/bin:/usr/sbin:/usr/bin";
    static char locale_env[] = "LC_ALL=C";
    static char migrated_env[] = "PVE_MIGRATED_FROM=";
    char *env[] = {path_env, locale_env, migrated_env, NULL};
    posix_spawn_file_actions_t actions = quiet();
    char text[16];
    char *argv[ARGS_MAX + 1] = {NULL};
    pid_t pid;

    (void)snprintf(text, sizeof(text), "%d", number); /* an int fits */
    for (int i = 0; i < ARGS_MAX && command[i] != NULL; i++) {
        argv[i] = str_equal(command[i], "%d") ? text : command[i];
    }
    errno = posix_spawn(&pid, argv[0], &actions, NULL, argv, env);
    if (errno != 0) {
        die(argv[0]);
    }
    (void)posix_spawn_file_actions_destroy(&actions); /* memory only */
    return pid;
}

static double once(char *const *command, int number, int *failures)
{
    double begin = now_us();
    pid_t pid = start(command, number);
    int status;

    if (waitpid(pid, &status, 0) < 0) {
        die("waitpid");
    }
    *failures += status != 0;
    return now_us() - begin;
}

static int number(const char *text, int max)
{
    uint64_t value;

    if (!str_to_u64(text, (uint64_t)max, &value) || value == 0) {
        (void)fprintf(stderr, "bench_spawn: not a number up to %d: %s\n", max, text);
        exit(2);
    }
    return (int)value;
}

static void rounds(char *const *command, int n, int first)
{
    static char name[] = "/bin/true";
    char *const nothing[] = {name, NULL};
    double *ours = calloc((size_t)n, sizeof(*ours));
    double *theirs = calloc((size_t)n, sizeof(*theirs));
    int failures = 0;

    if (ours == NULL || theirs == NULL) {
        die("calloc");
    }
    for (int i = -10; i < n; i++) { /* ten to warm up */
        double a = once(nothing, 0, &failures);
        double b = once(command, first, &failures);

        if (i >= 0) {
            theirs[i] = a;
            ours[i] = b;
        }
    }
    printf("\"true_us\": %.0f, \"command_us\": %.0f, \"command_p95_us\": %.0f, \"failures\": %d, ",
           percentile(theirs, n, 50), percentile(ours, n, 50), percentile(ours, n, 95), failures);
    printf("\"ratio\": %.2f", percentile(ours, n, 50) / percentile(theirs, n, 50));
    free(ours);
    free(theirs);
}

static void finished(struct child *children, int n, pid_t pid)
{
    for (int i = 0; i < n; i++) {
        if (children[i].pid == pid) {
            children[i].us = now_us() - children[i].begin;
        }
    }
}

static void at_once(char *const *command, int n, int first)
{
    struct child *children = calloc((size_t)n, sizeof(*children));
    double *us = calloc((size_t)n, sizeof(*us));
    double begin = now_us();
    int started = 0, ended = 0, failures = 0, status;

    if (children == NULL || us == NULL) {
        die("calloc");
    }
    while (ended < n) {
        pid_t pid;

        if (started < n) {
            children[started].begin = now_us();
            children[started].pid = start(command, first + started);
            started++;
        }
        while ((pid = waitpid(-1, &status, started < n ? WNOHANG : 0)) > 0) {
            finished(children, started, pid);
            failures += status != 0;
            ended++;
        }
    }
    begin = now_us() - begin;
    for (int i = 0; i < n; i++) {
        us[i] = children[i].us;
    }
    printf(", \"at_once\": %d, \"at_once_median_ms\": %.0f, \"at_once_latest_ms\": %.0f, "
           "\"at_once_all_ms\": %.0f, \"at_once_failures\": %d",
           n, percentile(us, n, 50) / 1000, percentile(us, n, 100) / 1000, begin / 1000, failures);
    free(children);
    free(us);
}

int main(int argc, char **argv)
{
    int first;

    if (argc < 5 || argc > 4 + ARGS_MAX) {
        (void)fputs("usage: bench_spawn ROUNDS AT_ONCE FIRST COMMAND ARGUMENT...\n", stderr);
        return 2;
    }
    first = number(argv[3], 999999999);
    printf("{");
    rounds(argv + 4, number(argv[1], ROUNDS_MAX), first);
    at_once(argv + 4, number(argv[2], AT_ONCE_MAX), first);
    printf("}\n");
    return 0;
}
