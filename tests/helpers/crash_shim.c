/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into the daemon by system tests: it dies, as by kill -9, at an exact record of its
 * change journal; or its wall clock is another one than ours.
 *
 *   HWID_CRASH_RECORD=N   the N-th record since the start
 *   HWID_CRASH_WHEN=      torn: half of it is in the file; written: all of it, not yet synced;
 *                         synced: it counts, and nobody has acted on it yet
 *   HWID_UNSEEN=NAME      that file of a directory cannot be looked at: EIO
 *   HWID_UNREAD_FILE=F    F holds the end of a path that cannot be opened, looked at each time: EIO
 *   HWID_NO_INOTIFY=1     the system has no watches left
 *   HWID_WHOLE_SECONDS=1  times of files are in whole seconds, all three the same, as on pmxcfs
 *   HWID_CLOCK_FILE=F     F holds the seconds that are added to the wall clock, read at each look;
 *                         the monotonic clock is left alone, as the kernel does
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int records;

static int is_journal(int fd)
{
    char link[64], path[4096];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    return n > 6 && memcmp(path + n - 6, ".jsonl", 6) == 0;
}

static int dies(const char *when)
{
    const char *at = getenv("HWID_CRASH_RECORD");
    const char *how = getenv("HWID_CRASH_WHEN");

    return at != NULL && how != NULL && atoi(at) == records && strcmp(how, when) == 0;
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;) {
        (void)pause();
    }
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    ssize_t (*real)(int, const void *,
                    size_t) = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    ssize_t done;

    if (!is_journal(fd)) {
        return real(fd, bytes, len);
    }
    records++;
    if (dies("torn")) {
        (void)!real(fd, bytes, len / 2);
        die();
    }
    done = real(fd, bytes, len);
    if (dies("written")) {
        die();
    }
    return done;
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int rc = real(fd);

    if (is_journal(fd) && dies("synced")) {
        die();
    }
    return rc;
}

/* --- the wall clock ------------------------------------------------------------------------- */

/* What the file says that this variable names; "" where there is none. */
static void read_switch(const char *variable, char *text, size_t size)
{
    const char *path = getenv(variable);
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0) {
        (void)close(fd);
    }
}

static long shift(void)
{
    char text[32];

    read_switch("HWID_CLOCK_FILE", text, sizeof(text));
    return atol(text);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(
        RTLD_NEXT, "clock_gettime");
    int rc = real(id, ts);

    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        ts->tv_sec += shift();
    }
    return rc;
}

time_t time(time_t *ret)
{
    struct timespec ts;
    time_t now = clock_gettime(CLOCK_REALTIME, &ts) == 0 ? ts.tv_sec : -1;

    if (ret != NULL) {
        *ret = now;
    }
    return now;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec ts;

    (void)tz;
    if (clock_gettime(CLOCK_REALTIME, &ts) < 0) {
        return -1;
    }
    *tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    return 0;
}

int fstatat64(int dir, const char *restrict name, struct stat64 *restrict st, int flags)
{
    int (*real)(int, const char *, struct stat64 *, int) =
        (int (*)(int, const char *, struct stat64 *, int))dlsym(RTLD_NEXT, "fstatat64");
    const char *unseen = getenv("HWID_UNSEEN");

    if (unseen != NULL && strcmp(name, unseen) == 0) {
        errno = EIO;
        return -1;
    }
    if (real(dir, name, st, flags) < 0) {
        return -1;
    }
    if (getenv("HWID_WHOLE_SECONDS") != NULL) {
        st->st_mtim.tv_nsec = 0;
        st->st_ctim = st->st_atim = st->st_mtim;
    }
    return 0;
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    int (*real)(int, const char *, uint32_t) = (int (*)(int, const char *, uint32_t))dlsym(
        RTLD_NEXT, "inotify_add_watch");

    if (getenv("HWID_NO_INOTIFY") != NULL) {
        errno = ENOSPC;
        return -1;
    }
    return real(fd, path, mask);
}

int openat64(int dir, const char *path, int flags, ...)
{
    int (*real)(int, const char *, int,
                ...) = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64");
    char unread[128];
    size_t end, len = strlen(path);
    mode_t mode = 0;
    va_list args;

    va_start(args, flags);
    mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    read_switch("HWID_UNREAD_FILE", unread, sizeof(unread));
    end = strlen(unread);
    if (end > 0 && len >= end && strcmp(path + len - end, unread) == 0) {
        errno = EIO;
        return -1;
    }
    return real(dir, path, flags, mode);
}
