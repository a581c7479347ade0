/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Waiting for the end of a process that is not our child, by its pidfd: a start worker holds the
 * VM's lock until it ends, and waiting for that inside a request would block one of pvedaemon's
 * three workers (facts/pve.md 2).
 */
#ifndef WORKER_H
#define WORKER_H

#include <stdint.h>
#include <systemd/sd-event.h>

struct worker_wait;

/* From the event loop, once; never from inside worker_wait_new(). */
typedef void (*worker_gone)(void *userdata);

/*
 * `start` (clock ticks since boot, 0: unknown) names the process for good: a pid that meanwhile
 * belongs to another process counts as gone. pid 0 counts as gone too. Where there is no descriptor
 * to look at it with, it is looked at again soon. At the latest after `limit_ms` it is called gone:
 * whatever hangs there, we go on and meet PVE's lock instead.
 */
int worker_wait_new(sd_event *event, int32_t pid, uint64_t start, uint64_t limit_ms,
                    worker_gone gone, void *userdata, struct worker_wait **ret);
void worker_wait_free(struct worker_wait *wait);

#endif
