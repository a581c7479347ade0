/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into the daemon by system tests: it dies, as by kill -9, at an exact record of its
 * change journal; or its wall clock is another one than ours.
 *
 *   HWID_CRASH_RECORD=N   the N-th record since the start
 *   HWID_CRASH_WHEN=      torn: half of it is in the file; written: all of it, not yet synced;
 *                         synced: it counts, and nobody has acted on it yet
 *   HWID_UNSEEN=NAME      that file of a directory cannot be looked at: EIO
 *   HWID_EIO_FILE=F       F, while it is there, holds the name of a file that cannot be read: EIO
 *   HWID_WHOLE_SECONDS=1  times of files as pmxcfs tells them: whole seconds, one for all three
 *   HWID_CLOCK_FILE=F     F holds the seconds that are added to the wall clock, read at each look;
 *                         the monotonic clock is left alone, as the kernel does
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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

static long shift(void)
{
    const char *path = getenv("HWID_CLOCK_FILE");
    char text[32] = "";
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!read(fd, text, sizeof(text) - 1);
        (void)close(fd);
    }
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

/* Is it the file that F names? */
static int is_unreadable(int fd)
{
    const char *path = getenv("HWID_EIO_FILE");
    ssize_t (*real)(int, void *, size_t) = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT,
                                                                                  "read");
    char link[64], found[4096] = "", name[256] = "";
    int list = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    const char *base;

    if (list < 0) {
        return 0;
    }
    (void)!real(list, name, sizeof(name) - 1);
    (void)close(list);
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    (void)!readlink(link, found, sizeof(found) - 1);
    base = strrchr(found, '/');
    return base != NULL && strcmp(base + 1, name) == 0;
}

ssize_t read(int fd, void *bytes, size_t len)
{
    ssize_t (*real)(int, void *, size_t) = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT,
                                                                                  "read");

    if (is_unreadable(fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd, bytes, len);
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
        st->st_ctim = st->st_mtim;
    }
    return 0;
}
