/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whose start is it? PVE tells the hook nothing but VMID and phase; the signs are in the
 * environment and in the titles of our ancestors (facts/pve.md 3). The nearest PVE task counts.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "core/upid.h"
#include "hook.h"
#include "io/proc.h"

enum { ANCESTORS_MAX = 16 }; /* recorded: at most five up to systemd */

static_assert((int)UPID_TYPE_SIZE == (int)WIRE_WORKER_TYPE_SIZE, "a type fits as it is");

/* That it is set matters, not what it says: odd bytes are replaced, too much is cut. */
static void read_migrated_from(struct wire_hook_call *call)
{
    const char *value = getenv("PVE_MIGRATED_FROM");

    for (size_t i = 0; value != NULL && value[i] != '\0' && i < WIRE_NODE_SIZE - 1; i++) {
        call->migrated_from[i] =
            (char)(ascii_is_alnum(value[i]) || value[i] == '-' || value[i] == '.' ? value[i] : '?');
    }
}

void hook_read_context(struct hook *hook)
{
    char title[UPID_TITLE_SIZE];
    struct upid upid;
    struct proc_stat stat = {0};
    pid_t pid = getppid();

    read_migrated_from(&hook->call);
    for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++, pid = stat.parent) {
        if (proc_read_title("/proc", pid, title, sizeof(title)) < 0 ||
            proc_read_stat("/proc", pid, &stat) < 0) {
            return; /* it ended meanwhile: nobody's start, the guard knows what to do */
        }
        if (upid_parse_title(title, &upid)) {
            memcpy(hook->call.worker_type, upid.type, sizeof(upid.type));
            hook->call.worker_pid = pid;
            hook->call.worker_start = stat.start;
            return;
        }
    }
}
