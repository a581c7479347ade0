/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A change of ours that broke in the wrong instant leaves the deletion of a disk pending, and PVE
 * carries it out with the next start, before it calls us (docs/DESIGN.md, "Stuck"). A daemon knows
 * that and refuses. Without one, this is where it is found out, from the change journal: the one
 * thing beside a policy that stops a start while nobody is there to make it again. It ends as soon
 * as the disk is back in a slot, by the daemon or by hand; and where it was taken away altogether,
 * somebody wanted that.
 *
 * The journal is the daemon's, who is nobody. What it says can make us refuse, as an answer of the
 * daemon could. Root is shown nothing of it to type in but a slot's name and a value without any
 * character that a shell would make something of.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "core/disk_place.h"
#include "core/record_lines.h"
#include "hook.h"
#include "io/file.h"

/* -ENOENT: nothing was ever changed. */
static int read_memory(const char *path, struct record_memory *ret)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(2 * (size_t)RECORD_LINES_MAX);
    CLEANUP(json_decrefp) json_t *records = json_array();
    CLEANUP_FD int fd = -1;
    size_t bad = 0;
    int rc = file_open(AT_FDCWD, path, FILE_NOFOLLOW, &fd, NULL);

    if (records == NULL) {
        return -ENOMEM;
    }
    rc = rc < 0 ? rc : file_read_tail(fd, RECORD_LINES_MAX, &text);
    if (rc == 0 && text.len > 0) {
        rc = record_lines_parse(text.data, text.len, records, &bad);
    }
    return rc < 0 ? rc : record_replay(records, ret);
}

static bool is_plain(const char *value)
{
    static const char plain[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                ":/.,_=+@%-";

    return value[0] != '-' && value[strspn(value, plain)] == '\0';
}

static void say_refusal(const struct hook *hook, const char *why, const struct disk_astray *disk)
{
    unsigned vmid = hook->call.vmid;

    if (disk->unused != NULL) {
        hook_sayf(hook,
                  "REFUSED: VM %u must not start: a change that broke took its disk %s away, which "
                  "is %s now; the image is untouched, and the guest would run without it",
                  vmid, disk->slot, disk->unused);
    } else {
        hook_sayf(hook,
                  "REFUSED: VM %u must not start: a change that broke left the deletion of its "
                  "disk %s pending; the image is untouched, and the guest would lose it",
                  vmid, disk->slot);
    }
    hook_sayf(hook,
              "run: systemctl start pve-hwidd, which puts it back (no answer from it now: %s); or "
              "by hand: qm set %u --%s %s",
              why, vmid, disk->slot, is_plain(disk->value) ? disk->value : "VALUE");
}

bool hook_disk_is_astray(const struct hook *hook, const char *why, const struct pveconf *conf)
{
    struct record_memory memory = {0};
    struct disk_astray disk = {0};
    char path[HOOK_PATH_SIZE];
    int rc = hook_journal(hook, path) ? read_memory(path, &memory) : -ENAMETOOLONG;

    if (rc == -ENOENT) {
        return false;
    }
    rc = rc < 0 ? rc : disk_place_look(&memory, conf, &disk);
    if (rc < 0) { /* law 9: nobody knows that something is wrong with the VM */
        hook_sayf(hook, "WARNING: VM %u: what was changed last is not known: %s: %s",
                  hook->call.vmid, path, strerror(-rc));
    } else if (rc > 0) {
        say_refusal(hook, why, &disk);
    }
    disk_astray_fini(&disk);
    record_memory_fini(&memory);
    return rc > 0;
}
