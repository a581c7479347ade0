/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the hook costs a start: whole processes, from posix_spawn to the exit seen by wait, measured
 * in turn with /bin/true, so that both see the same noise. Its daemon is a child of ours that
 * answers at once.
 *
 *     bench_hook [HOOK [ROUNDS [AT_ONCE]]]    (build/pve-hwid-hook 1000 50)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/str.h"
#include "io/sock.h"

enum { ROUNDS_MAX = 100000, AT_ONCE_MAX = 1000 };

struct series {
    const char *name;
    char *argv[6];
    double us[ROUNDS_MAX];
};

static double now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- the daemon --- */

static void answer(int fd)
{
    static const char reply[] = "{\"parameters\":{\"exit_code\":0,\"lines\":[\"VM 105: hardware as "
                                "its fingerprint says\"]}}";
    char call[4096];
    ssize_t n;

    do {
        n = recv(fd, call, sizeof(call), 0);
    } while (n > 0 && call[n - 1] != '\0');
    (void)!send(fd, reply, sizeof(reply), MSG_NOSIGNAL);
    (void)close(fd);
}

static pid_t start_daemon(const char *path)
{
    struct pollfd pollfd = {.events = POLLIN};
    pid_t pid;

    if (sock_listen(path, 0600, &pollfd.fd, NULL) < 0) {
        die(path);
    }
    pid = fork();
    if (pid != 0) {
        (void)close(pollfd.fd);
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = accept4(pollfd.fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            answer(fd);
        } else {
            (void)poll(&pollfd, 1, -1);
        }
    }
}

/* --- measuring --- */

static pid_t spawn(char *const *argv)
{
    static posix_spawn_file_actions_t actions;
    static int ready;
    char *env[] = {NULL};
    pid_t pid;

    if (!ready) {
        (void)posix_spawn_file_actions_init(&actions);
        (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        ready = 1;
    }
    errno = posix_spawn(&pid, argv[0], &actions, NULL, argv, env);
    if (errno != 0) {
        die(argv[0]);
    }
    return pid;
}

static void reap(pid_t pid, const char *name)
{
    int status;

    if (waitpid(pid, &status, 0) < 0 || status != 0) {
        (void)fprintf(stderr, "%s failed\n", name);
        exit(1);
    }
}

static double run_once(const struct series *s)
{
    double before = now_us();

    reap(spawn(s->argv), s->name);
    return now_us() - before;
}

/* Wall time of n processes started at once. */
static double run_together(const struct series *s, int n)
{
    pid_t pids[AT_ONCE_MAX];
    double before = now_us();

    for (int i = 0; i < n; i++) {
        pids[i] = spawn(s->argv);
    }
    for (int i = 0; i < n; i++) {
        reap(pids[i], s->name);
    }
    return now_us() - before;
}

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static void report(struct series *s, int n, double base)
{
    qsort(s->us, (size_t)n, sizeof(s->us[0]), compare);
    printf("%-24s median %7.0f us  p95 %7.0f us  ratio %.2f\n", s->name, s->us[n / 2],
           s->us[n * 95 / 100], base > 0 ? s->us[n / 2] / base : 1.0);
}

static void measure(struct series *all, size_t n_series, int rounds, int at_once)
{
    for (int i = 0; i < rounds + 20; i++) {
        for (size_t k = 0; k < n_series; k++) {
            all[k].us[i < 20 ? 0 : i - 20] = run_once(&all[k]); /* the first 20 warm up */
        }
    }
    printf("one after the other, %d times:\n", rounds);
    for (size_t k = 0; k < n_series; k++) {
        report(&all[k], rounds, k > 0 ? all[0].us[rounds / 2] : 0);
    }
    printf("%d at once, wall time of all:\n", at_once);
    for (size_t k = 0; k < n_series; k++) {
        for (int i = 0; i < 21; i++) {
            all[k].us[i] = run_together(&all[k], at_once);
        }
        report(&all[k], 21, k > 0 ? all[0].us[10] : 0);
    }
}

/* --- the simulated node --- */

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) {
        die(path);
    }
    (void)close(fd);
}

static void remove_root(const char *root)
{
    char *argv[] = {(char[]){"/bin/rm"}, (char[]){"-rf"}, (char[]){"--"}, str_dup(root), NULL};

    reap(spawn(argv), "rm");
    free(argv[3]);
}

static void make_root(char *root, char *socket, size_t size)
{
    static const char *const dirs[] = {
        "etc", "etc/pve",     "etc/pve/pve-hwid", "etc/pve-hwid", "etc/pve-hwid/fingerprints",
        "run", "run/pve-hwid"};
    char path[256];

    if (mkdtemp(root) == NULL) {
        die(root);
    }
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", root, dirs[i]);
        if (mkdir(path, 0700) < 0) {
            die(path);
        }
    }
    (void)snprintf(path, sizeof(path), "%s/etc/pve/pve-hwid/105.json", root);
    make_file(path); /* its content is the daemon's business */
    (void)snprintf(socket, size, "%s/run/pve-hwid/socket", root);
}

static int number(const char *text, uint64_t max)
{
    uint64_t value = 0;

    if (!str_to_u64(text, max, &value) || value == 0) {
        (void)fprintf(stderr, "usage: bench_hook [HOOK [ROUNDS [AT_ONCE]]]\n");
        exit(2);
    }
    return (int)value;
}

int main(int argc, char **argv)
{
    static struct series all[] = {
        {.name = "/bin/true"},
        {.name = "hook, no fingerprint"},
        {.name = "hook, in sync"},
    };
    static char words[][16] = {"/bin/true", "--root", "106", "105", "pre-start"};
    static char hook[] = "build/pve-hwid-hook";
    char root[] = "/tmp/pve-hwid-bench-XXXXXX";
    char socket[64];
    int rounds = argc > 2 ? number(argv[2], ROUNDS_MAX - 20) : 1000;
    int at_once = argc > 3 ? number(argv[3], AT_ONCE_MAX) : 50;
    pid_t daemon;

    make_root(root, socket, sizeof(socket));
    all[0].argv[0] = words[0];
    for (size_t k = 1; k < ARRAY_SIZE(all); k++) {
        char *const line[] = {argc > 1 ? argv[1] : hook, words[1], root, words[1 + k], words[4]};

        memcpy(all[k].argv, line, sizeof(line));
    }
    daemon = start_daemon(socket);
    measure(all, ARRAY_SIZE(all), rounds, at_once);
    (void)kill(daemon, SIGKILL);
    (void)waitpid(daemon, NULL, 0);
    remove_root(root);
    return 0;
}
