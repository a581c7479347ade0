/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * No daemon, and the worst state there is ("Stuck" in docs/DESIGN.md): a call that moves a disk was
 * cut off in the middle, PVE carried the pending deletion out before it called us, and the guest
 * would run without its disk. Only the journal knows; only a journal that is open in the middle of
 * a move, of a disk that is an unusedN now, refuses a start. Whoever attached the disk again by
 * hand meanwhile, or took it away, has a VM that starts; so has another VM that got the number
 * since. Its fingerprint may have been deleted meanwhile: so the journal is asked for by itself,
 * and before the daemon is.
 */
#include <fcntl.h>

#include "core/record.h"
#include "hook.h"
#include "io/file.h"

static bool read_memory(const struct hook *hook, struct record_memory *memory)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(RECORD_TAIL_MAX);
    char path[HOOK_PATH_SIZE];
    CLEANUP_FD int fd = -1;
    size_t bad = 0;
    json_t *records;
    bool known;

    if (!hook_journal(hook, path) || file_open(AT_FDCWD, path, FILE_NOFOLLOW, &fd, NULL) < 0 ||
        file_read_tail(fd, RECORD_TAIL_MAX, &text) < 0) {
        return false;
    }
    records = json_array();
    known = records != NULL && record_parse_lines(text.data, text.len, records, &bad) == 0 &&
            record_replay(records, memory) == 0;
    json_decref(records);
    return known;
}

bool hook_has_open_changes(const struct hook *hook)
{
    CLEANUP(record_memory_fini) struct record_memory memory = {0};

    return read_memory(hook, &memory) && memory.open;
}

bool hook_refuse_lost_disk(const struct hook *hook, const char *why, const struct pveconf *now,
                           const struct pveconf *next)
{
    CLEANUP(record_memory_fini) struct record_memory memory = {0};
    unsigned vmid = hook->call.vmid;
    const char *slot = NULL;
    const char *value;

    if (!read_memory(hook, &memory)) {
        return false;
    }
    value = record_lost_disk(&memory, now, next, &slot);
    if (value == NULL) {
        return false;
    }
    /* The cure before what may be long: a line of the task log is cut at its end. */
    hook_sayf(
        hook,
        "REFUSED: VM %u must not start: a move of its disk %s (%.200s) was cut off, and it is "
        "attached nowhere now; the image itself was not touched. Run: systemctl start "
        "pve-hwidd, which puts it back; or by hand 'qm set %u --%s' with that value, and see "
        "that the boot order has it again. No answer from pve-hwidd (%s)",
        vmid, slot, value, vmid, slot, why);
    return true;
}
