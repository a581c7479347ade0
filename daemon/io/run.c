/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See run.h. The child's end is seen by a pidfd: a grandchild may keep the pipes open for ever (a
 * daemon that is started), and its silence must not be waited for.
 */
#include "io/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "io/clock.h"
#include "io/file.h"

enum { CHUNK = 4096, SIGNALLED = 128 };

extern char **environ;

struct child {
    pid_t pid;
    int pidfd;
    int fds[2]; /* its stdout and stderr; -1: at their end */
};

static void child_fini(struct child *child)
{
    for (size_t i = 0; i < ARRAY_SIZE(child->fds); i++) {
        fd_closep(&child->fds[i]);
    }
    fd_closep(&child->pidfd);
}

/* The environment with one language. The strings are environ's own. */
static char **english(void)
{
    static char language[] = "LC_ALL=C";
    size_t n = 0;
    size_t kept = 0;
    char **copy;

    while (environ[n] != NULL) {
        n++;
    }
    copy = calloc(n + 2, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < n; i++) {
        if (!str_starts(environ[i], "LC_ALL=")) {
            copy[kept++] = environ[i];
        }
    }
    if (copy != NULL) {
        copy[kept] = language;
    }
    return copy;
}

/* A process group of its own, so that all of it can be ended; no signal blocked or ignored. */
static int prepare(posix_spawnattr_t *attr, posix_spawn_file_actions_t *actions, const int out[2],
                   const int complaints[2])
{
    sigset_t none;
    sigset_t normal;
    int rc;

    (void)sigemptyset(&none); /* neither can fail with these arguments */
    (void)sigemptyset(&normal);
    (void)sigaddset(&normal, SIGPIPE);
    rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                            POSIX_SPAWN_SETSIGDEF);
    rc = rc != 0 ? rc : posix_spawnattr_setsigmask(attr, &none);
    rc = rc != 0 ? rc : posix_spawnattr_setsigdefault(attr, &normal);
    rc = rc != 0 ? rc : posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, out[1], 1);
    rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(actions, complaints[1], 2);
    return rc;
}

static int spawn_with(const char *const *argv, const int out[2], const int complaints[2],
                      pid_t *ret_pid)
{
    CLEANUP_FREE char **env = english();
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int rc;

    if (env == NULL) {
        return -ENOMEM;
    }
    rc = posix_spawnattr_init(&attr);
    if (rc != 0) {
        return -rc;
    }
    rc = posix_spawn_file_actions_init(&actions);
    if (rc == 0) {
        rc = prepare(&attr, &actions, out, complaints);
        /* argv is only read, whatever the prototype says. */
        rc = rc != 0 ? rc
                     : posix_spawnp(ret_pid, argv[0], &actions, &attr, (char *const *)argv, env);
        (void)posix_spawn_file_actions_destroy(&actions); /* neither fails for what was made */
    }
    (void)posix_spawnattr_destroy(&attr);
    return -rc;
}

static void end_all(const struct child *child)
{
    (void)kill(-child->pid, SIGKILL); /* its group may be gone already */
    (void)kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
        /* a child that was killed comes to its end */
    }
}

static int spawn_child(const char *const *argv, struct child *child, struct err *err)
{
    int out[2] = {-1, -1};
    int complaints[2] = {-1, -1};
    int rc = 0;

    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(complaints, O_CLOEXEC) < 0) {
        rc = err_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
    }
    if (rc == 0) {
        rc = spawn_with(argv, out, complaints, &child->pid);
        rc = rc < 0 ? err_set(err, rc, "%s: cannot be started: %s", argv[0], strerror(-rc)) : 0;
    }
    fd_closep(&out[1]);
    fd_closep(&complaints[1]);
    child->fds[0] = out[0];
    child->fds[1] = complaints[0];
    if (rc < 0) {
        return rc;
    }
    child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    if (child->pidfd < 0) {
        rc = err_set(err, -errno, "%s: cannot be watched: %s", argv[0], strerror(errno));
        end_all(child);
    }
    return rc;
}

/* One read; the fd is closed at its end. */
static void take(int *fd, struct buf *text)
{
    char chunk[CHUNK];
    ssize_t n = read(*fd, chunk, sizeof(chunk));

    if (n > 0) {
        buf_add(text, chunk, (size_t)n);
        explicit_bzero(chunk, (size_t)n); /* some answers are secrets */
    } else if (n == 0 || errno != EINTR) {
        fd_closep(fd);
        *fd = -1;
    }
}

/* What is in the pipes now, after the end of the child. */
static void take_rest(struct child *child, struct buf *const texts[2])
{
    for (size_t i = 0; i < ARRAY_SIZE(child->fds); i++) {
        struct pollfd pollfd = {.fd = child->fds[i], .events = POLLIN};

        while (child->fds[i] >= 0 && poll(&pollfd, 1, 0) == 1) {
            take(&child->fds[i], texts[i]);
        }
    }
}

/* Until the child has ended: 0, or -ETIMEDOUT. */
static int collect(struct child *child, uint64_t deadline, struct buf *const texts[2])
{
    for (;;) {
        struct pollfd fds[3] = {{.fd = child->fds[0], .events = POLLIN},
                                {.fd = child->fds[1], .events = POLLIN},
                                {.fd = child->pidfd, .events = POLLIN}};
        uint64_t now = clock_monotonic_ms();

        if (now >= deadline) {
            return -ETIMEDOUT;
        }
        if (poll(fds, ARRAY_SIZE(fds), (int)(deadline - now)) < 0 && errno != EINTR) {
            return -errno;
        }
        for (size_t i = 0; i < ARRAY_SIZE(child->fds); i++) {
            if (fds[i].fd >= 0 && fds[i].revents != 0) {
                take(&child->fds[i], texts[i]);
            }
        }
        if (fds[2].revents != 0) {
            take_rest(child, texts);
            return 0;
        }
    }
}

static int exit_status(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        /* it has ended: pidfd said so */
    }
    return WIFSIGNALED(status) ? SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

int run_command(const char *const *argv, unsigned limit_ms, struct buf *out, struct buf *complaints,
                int *ret_status, struct err *err)
{
    CLEANUP(child_fini) struct child child = {.pidfd = -1, .fds = {-1, -1}};
    struct buf *const texts[2] = {out, complaints};
    uint64_t deadline = clock_monotonic_ms() + limit_ms;
    int rc = spawn_child(argv, &child, err);

    if (rc < 0) {
        return rc;
    }
    rc = collect(&child, deadline, texts);
    if (rc < 0) {
        end_all(&child);
        return rc == -ETIMEDOUT ? err_set(err, rc, "%s: not done after %u s; it was ended", argv[0],
                                          limit_ms / 1000)
                                : err_set(err, rc, "%s: %s", argv[0], strerror(-rc));
    }
    *ret_status = exit_status(child.pid);
    if (out->error == -ENOMEM || complaints->error == -ENOMEM) {
        return err_oom(err);
    }
    return out->error != 0 ? err_set(err, out->error, "%s: its answer is too long", argv[0]) : 0;
}
