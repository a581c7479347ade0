/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a daemon that starts makes of what another one left unfinished. */
#include <syslog.h>
#include <time.h>

#include "base/str.h"
#include "engine_impl.h"
#include "io/clock.h"
#include "message_ids.h"

/* Why a start that we stopped is not made any more; NULL: it is.
 *
 * Long ago, whoever needed that VM has seen to it since, and may have stopped it again. A time that
 * lies ahead does not tell how long ago it was. The clock was wrong then, most likely at boot with
 * a hardware clock that has local time, where starts are held and the clock is put right a minute
 * later: such a debt is fresh, and a VM that stays down is worse than one start too many (law 9).
 * No time zone is off by a day, so beyond that nothing is known; somebody is told, as always. */
static const char *too_old(const struct record_memory *memory)
{
    int64_t held, now = time(NULL);

    if (!memory->start_owed || !str_to_seconds(memory->held_time, &held)) {
        return NULL;
    }
    if (held < now - ENGINE_DEBT_MAX_S) {
        return "that is too long ago to make it now";
    }
    return held > now + ENGINE_DEBT_AHEAD_S
               ? "the clock was wrong then, and nobody knows how long ago that is"
               : NULL;
}

static int drop_old_debt(struct vm *vm, struct err *err)
{
    const char *why = too_old(&vm->memory);
    char now[CLOCK_TEXT_SIZE];
    json_t *record;
    int rc;

    if (why == NULL) {
        return 0;
    }
    engine_say(
        vm->engine, vm->vmid, LOG_CRIT, MESSAGE_START_FAILED,
        "VM %u: its start was stopped at %s and %s, because the daemon ended; %s. If it should "
        "run: qm start %u",
        vm->vmid, vm->memory.held_time,
        vm->memory.start_asked == 0 ? "never made again" : "perhaps never made again", why,
        vm->vmid);
    clock_now_text(now);
    record = record_dropped((struct record_head){vm->vmid, vm->memory.txn, now},
                            "the daemon was away for too long");
    rc = engine_record(vm, record, err);
    json_decref(record);
    return rc;
}

int engine_recover(struct engine *engine, struct err *err)
{
    CLEANUP_FREE uint32_t *vmids = NULL;
    size_t n = 0;
    int rc = engine_journal_vmids(engine, &vmids, &n);

    for (size_t i = 0; rc >= 0 && i < n; i++) {
        struct vm_summary *summary;
        struct vm *vm;

        rc = engine_activate(engine, vmids[i], &vm, err);
        if (rc < 0) {
            break;
        }
        rc = drop_old_debt(vm, err);
        rc = rc < 0 ? rc : engine_recover_hold(vm, err);
        if (rc == 0 && engine_has_debt(vm)) {
            rc = engine_summary_add(engine, vmids[i], &summary);
            engine_say(engine, vmids[i], LOG_WARNING, MESSAGE_RECOVERED,
                       "VM %u: taking up what was under way when the daemon ended", vmids[i]);
            vm->busy++;
            rc = rc < 0 ? rc : engine_reconcile(vm, RECONCILE_FOR_RECOVERY, false, err);
            vm->busy--;
        }
        engine_settle(vm);
    }
    return rc;
}
