/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where things lie: by the daemon's settings, so that hook and daemon look at the same files. One
 * small file more to read; a start is not slower by it than can be measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/former.h"
#include "hook.h"
#include "io/file.h"

bool hook_path(const struct hook *hook, char path[HOOK_PATH_SIZE], const char *format, ...)
{
    int used = snprintf(path, HOOK_PATH_SIZE, "%s", hook->root);
    va_list args;
    int len;

    if (used < 0 || used >= HOOK_PATH_SIZE) {
        return false;
    }
    va_start(args, format);
    len = vsnprintf(path + used, (size_t)(HOOK_PATH_SIZE - used), format, args);
    va_end(args);
    return len >= 0 && len < HOOK_PATH_SIZE - used;
}

int hook_read_settings(struct hook *hook)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(SETTINGS_MAX);
    char path[HOOK_PATH_SIZE];

    if (hook_path(hook, path, "/etc/pve-hwid/pve-hwid.conf") &&
        file_read(AT_FDCWD, path, FILE_FOLLOW, &text, NULL) == 0 && text.len > 0) {
        (void)settings_parse(text.data, text.len, &hook->settings, NULL); /* the daemon tells */
    }
    if (hook->settings == NULL) {
        hook->settings = settings_new();
    }
    return hook->settings == NULL ? -ENOMEM : 0;
}

/* Below a simulator's root its own directories are the default ones. */
static const char *place(const struct hook *hook, const char *setting, const char *normal)
{
    return hook->root[0] == '\0' ? setting : normal;
}

static bool local_file(const struct hook *hook, const char *suffix, char path[HOOK_PATH_SIZE])
{
    return hook_path(hook, path, "%s/%u.%s",
                     place(hook, hook->settings->fingerprint_dir, "/etc/pve-hwid/fingerprints"),
                     hook->call.vmid, suffix);
}

static bool cluster_file(const struct hook *hook, const char *suffix, char path[HOOK_PATH_SIZE])
{
    return hook_path(hook, path, "%s/pve-hwid/%u.%s",
                     place(hook, hook->settings->pve_dir, "/etc/pve"), hook->call.vmid, suffix);
}

bool hook_local_fingerprint(const struct hook *hook, char path[HOOK_PATH_SIZE])
{
    return local_file(hook, "json", path);
}

bool hook_cluster_fingerprint(const struct hook *hook, char path[HOOK_PATH_SIZE])
{
    return cluster_file(hook, "json", path);
}

bool hook_hold_file(const struct hook *hook, bool local, char path[HOOK_PATH_SIZE])
{
    return local ? local_file(hook, "hold", path) : cluster_file(hook, "hold", path);
}

bool hook_former(const struct hook *hook, char path[HOOK_PATH_SIZE])
{
    return hook_path(hook, path, "%s/pve-hwid/%u" FORMER_SUFFIX,
                     place(hook, hook->settings->pve_dir, "/etc/pve"), hook->call.vmid);
}

bool hook_storages(const struct hook *hook, char path[HOOK_PATH_SIZE])
{
    return hook_path(hook, path, "%s/storage.cfg",
                     place(hook, hook->settings->pve_dir, "/etc/pve"));
}

bool hook_config(const struct hook *hook, char path[HOOK_PATH_SIZE])
{
    return hook_path(hook, path, "%s/qemu-server/%u.conf",
                     place(hook, hook->settings->pve_dir, "/etc/pve"), hook->call.vmid);
}

bool hook_journal(const struct hook *hook, char path[HOOK_PATH_SIZE])
{
    return hook_path(hook, path, "%s/journal/%u.jsonl",
                     place(hook, hook->settings->state_dir, "/var/lib/pve-hwid"), hook->call.vmid);
}
