/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See https_server.h. */
#include "https_server.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "io/clock.h"
#include "io/file.h"

enum { PATIENCE_MS = 20000, STEP_MS = 10 };

static void pause_a_bit(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
}

static int wait_for(pid_t pid)
{
    int status = 0;

    for (int ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
        pid_t done = waitpid(pid, &status, WNOHANG);

        if (done == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        pause_a_bit();
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -1;
}

static pid_t spawn(const char *program, const char *argument, int stdin_fd)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (stdin_fd >= 0) {
            (void)dup2(stdin_fd, STDIN_FILENO);
        }
        execl(program, program, argument, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int read_ports(struct https_server *server)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(256);

    for (int ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
        if (file_read(AT_FDCWD, https_server_path(server, "ports"), FILE_FOLLOW, &text, NULL) ==
            0) {
            return sscanf(text.data, "%u %u %u %u", &server->ports[0], &server->ports[1],
                          &server->ports[2], &server->ports[3]) == HTTPS_PORTS
                       ? 0
                       : -1;
        }
        pause_a_bit();
    }
    return -1;
}

int https_server_start(struct https_server *server)
{
    int ends[2];

    *server = (struct https_server){.dir = "/tmp/pve-hwid-https-XXXXXX", .stdin_fd = -1};
    if (mkdtemp(server->dir) == NULL ||
        wait_for(spawn("tests/helpers/make_certs", server->dir, -1)) != 0 ||
        pipe2(ends, O_CLOEXEC) < 0) {
        return -1;
    }
    server->stdin_fd = ends[1];
    server->pid = spawn("tests/helpers/https_server.py", server->dir, ends[0]);
    (void)close(ends[0]);
    return server->pid > 0 ? read_ports(server) : -1;
}

void https_server_stop(struct https_server *server)
{
    if (server->stdin_fd >= 0) {
        (void)close(server->stdin_fd);
        (void)wait_for(server->pid);
    }
    remove_tree(server->dir);
}

const char *https_server_path(const struct https_server *server, const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", server->dir, name);
    return path;
}

char *https_server_log(const struct https_server *server)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(0);

    (void)file_read(AT_FDCWD, https_server_path(server, "log"), FILE_FOLLOW, &text, NULL);
    return text.data != NULL ? STEAL(text.data) : str_dup("");
}

void https_server_forget_log(const struct https_server *server)
{
    (void)!truncate(https_server_path(server, "log"), 0);
}

size_t https_server_count(const struct https_server *server, const char *start, const char *end)
{
    CLEANUP_FREE char *log = https_server_log(server);
    size_t n = 0;
    char *rest = log;
    char *line;

    while ((line = strsep(&rest, "\n")) != NULL) {
        n += str_starts(line, start) && str_ends(line, end) ? 1 : 0;
    }
    return n;
}

bool https_server_reached(const struct https_server *server, sd_event *event, const char *end,
                          size_t wanted)
{
    uint64_t deadline = clock_monotonic_ms() + PATIENCE_MS;

    while (https_server_count(server, "start", end) < wanted && clock_monotonic_ms() < deadline) {
        if (sd_event_run(event, (uint64_t)STEP_MS * 1000) < 0) {
            return false;
        }
    }
    return https_server_count(server, "start", end) >= wanted;
}

void https_server_let_go(const struct https_server *server, const char *name)
{
    int fd = open(https_server_path(server, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0) {
        (void)close(fd);
    }
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)remove(path);
    return 0;
}

void remove_tree(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
