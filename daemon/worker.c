/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See worker.h. */
#include "worker.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "io/file.h"
#include "io/proc.h"

enum { AGAIN_MS = 200 };

struct worker_wait {
    sd_event *event; /* borrowed: it has our sources */
    int fd;          /* -1: gone already, or not to be looked at for the moment */
    int32_t pid;
    uint64_t start;
    uint64_t left_ms; /* of the limit; only while fd is -1 */
    sd_event_source *io, *timer;
    worker_gone gone;
    void *userdata;
};

void worker_wait_free(struct worker_wait *wait)
{
    if (wait == NULL) {
        return;
    }
    sd_event_source_disable_unref(wait->io);
    sd_event_source_disable_unref(wait->timer);
    if (wait->fd >= 0) {
        (void)close(wait->fd); /* nothing was written to it */
    }
    free(wait);
}

static int tell(struct worker_wait *wait)
{
    (void)sd_event_source_set_enabled(wait->io, SD_EVENT_OFF);    /* NULL is fine, cannot fail */
    (void)sd_event_source_set_enabled(wait->timer, SD_EVENT_OFF); /* likewise */
    wait->gone(wait->userdata);                                   /* may free `wait` */
    return 0;
}

static int on_exit_seen(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void)source, (void)fd, (void)revents; /* a pidfd tells one thing only */
    return tell(userdata);
}

static bool may_pass(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

/* The pidfd; -ESRCH: it is gone; -EAGAIN: nobody can say now. */
static int open_process(int32_t pid, uint64_t start)
{
    CLEANUP_FD int fd = -1;
    struct proc_stat stat;
    int rc;

    if (pid <= 0) {
        return -ESRCH;
    }
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        return may_pass(errno) ? -EAGAIN : -ESRCH;
    }
    /* Looked at after the pidfd is open: from here on the pid cannot change its owner unseen. Where
     * /proc is hidden from us (ProtectProc=) the pid has to do. */
    rc = start > 0 ? proc_read_stat("/proc", pid, &stat) : -ENOENT;
    if (may_pass(-rc)) {
        return -EAGAIN;
    }
    return rc == 0 && stat.start != start ? -ESRCH : fd_steal(&fd);
}

/* When it is to be called gone, or looked at again. */
static uint64_t next_ms(struct worker_wait *wait, int opened)
{
    uint64_t ms = opened == -EAGAIN && wait->left_ms > AGAIN_MS ? AGAIN_MS : wait->left_ms;

    wait->left_ms -= ms;
    return opened == -ESRCH ? 0 : ms;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct worker_wait *wait = userdata;
    int opened;

    (void)usec;
    if (wait->fd >= 0 || wait->left_ms == 0) {
        return tell(wait);
    }
    opened = open_process(wait->pid, wait->start);
    if (opened == -ESRCH) {
        return tell(wait);
    }
    wait->fd = opened >= 0 ? opened : -1;
    if (opened >= 0 &&
        sd_event_add_io(wait->event, &wait->io, opened, EPOLLIN, on_exit_seen, wait) < 0) {
        return tell(wait); /* as at the limit: we go on and meet PVE's lock instead */
    }
    /* Neither can fail for a timer that exists. */
    (void)sd_event_source_set_time_relative(source, next_ms(wait, opened) * 1000);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int worker_wait_new(sd_event *event, int32_t pid, uint64_t start, uint64_t limit_ms,
                    worker_gone gone, void *userdata, struct worker_wait **ret)
{
    struct worker_wait *wait = calloc(1, sizeof(*wait));
    int opened;
    int rc;

    if (wait == NULL) {
        return -ENOMEM;
    }
    opened = open_process(pid, start);
    *wait = (struct worker_wait){.event = event,
                                 .fd = opened >= 0 ? opened : -1,
                                 .pid = pid,
                                 .start = start,
                                 .left_ms = opened == -ESRCH ? 0 : limit_ms,
                                 .gone = gone,
                                 .userdata = userdata};
    rc = sd_event_add_time_relative(event, &wait->timer, CLOCK_MONOTONIC,
                                    next_ms(wait, opened) * 1000, 1000, on_timer, wait);
    if (rc >= 0 && wait->fd >= 0) {
        rc = sd_event_add_io(event, &wait->io, wait->fd, EPOLLIN, on_exit_seen, wait);
    }
    if (rc < 0) {
        worker_wait_free(wait);
        return rc;
    }
    *ret = wait;
    return 0;
}
