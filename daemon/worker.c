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

struct worker_wait {
    int fd; /* -1: gone already */
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

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source, (void)usec;
    return tell(userdata);
}

static int open_process(int32_t pid, uint64_t start)
{
    CLEANUP_FD int fd = -1;
    struct proc_stat stat;

    if (pid <= 0) {
        return -1;
    }
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    /* Looked at after the pidfd is open: from here on the pid cannot change its owner unseen. Where
     * /proc is hidden from us (ProtectProc=) the pid has to do. */
    if (fd >= 0 && start > 0 && proc_read_stat("/proc", pid, &stat) == 0 && stat.start != start) {
        return -1;
    }
    return fd_steal(&fd);
}

int worker_wait_new(sd_event *event, int32_t pid, uint64_t start, uint64_t limit_ms,
                    worker_gone gone, void *userdata, struct worker_wait **ret)
{
    struct worker_wait *wait = calloc(1, sizeof(*wait));
    int rc;

    if (wait == NULL) {
        return -ENOMEM;
    }
    *wait = (struct worker_wait){
        .fd = open_process(pid, start), .gone = gone, .userdata = userdata};
    rc = sd_event_add_time_relative(event, &wait->timer, CLOCK_MONOTONIC,
                                    wait->fd < 0 ? 0 : limit_ms * 1000, 1000, on_limit, wait);
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
