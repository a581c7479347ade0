/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a daemon that starts makes of what another one left unfinished. */
#include <errno.h>
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

/* Where it cannot be written the next daemon will read, and decide, the same; until then this one
 * must not forget it. */
static int record_or_remember(struct vm *vm, const json_t *record, struct err *err)
{
    int rc = record == NULL ? err_oom(err) : engine_record(vm, record, err);

    if (rc < 0 && rc != -ENOMEM) {
        rc = record_apply(&vm->memory, record) < 0 ? err_oom(err) : 0;
        vm->unwritten = true;
    }
    return rc;
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
    rc = record_or_remember(vm, record, err);
    json_decref(record);
    return rc;
}

/* When PVE made the VM that has this number now; 0: it does not say, or there is none. */
static int64_t made_at(struct engine *engine, uint32_t vmid)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(store_file_fini) struct store_file file = {0};

    if (store_read_config(engine->store, vmid, &file, NULL) < 0 ||
        pveconf_parse(file.text, file.len, &conf, NULL) < 0) {
        return 0;
    }
    return record_made_at(conf);
}

static int record_given_up(struct vm *vm, const char *why, struct err *err)
{
    char now[CLOCK_TEXT_SIZE];
    struct record_head head = {vm->vmid, vm->memory.txn, now};
    json_t *record;
    int rc = 0;

    clock_now_text(now);
    if (vm->memory.open) {
        record = record_end(head, RECORD_FAILED, "", why);
        rc = record_or_remember(vm, record, err);
        json_decref(record);
    }
    if (rc == 0 && vm->memory.start_owed) {
        record = record_dropped(head, why);
        rc = record_or_remember(vm, record, err);
        json_decref(record);
    }
    return rc;
}

/* The VM was destroyed and its number used again, while no daemon was there or one that waited for
 * a storage: another machine has no part in what was begun, and nobody stopped its start. PVE keeps
 * the time in a backup that is restored over the same number: that one is the same machine. */
int engine_drop_debt_of_another(struct vm *vm, struct err *err)
{
    const struct record_memory *memory = &vm->memory;
    int64_t then = memory->open ? memory->bound_ctime : 0;
    int64_t now;

    then = memory->start_owed && memory->held_ctime != 0 ? memory->held_ctime : then;
    if (then == 0 || !engine_has_debt(vm)) {
        return 0;
    }
    now = made_at(vm->engine, vm->vmid);
    if (now == 0 || now == then) {
        return 0;
    }
    engine_say(vm->engine, vm->vmid, LOG_WARNING, MESSAGE_RECOVERED,
               "VM %u: its number was given to another machine meanwhile: what was begun is not "
               "gone on with, and no start is made",
               vm->vmid);
    engine_abandon(vm, "the number was given to another machine");
    return record_given_up(vm, "the number was given to another machine meanwhile", err);
}

static int recover_vm(struct engine *engine, uint32_t vmid, struct err *err)
{
    struct vm_summary *summary;
    struct vm *vm;
    int rc = engine_activate(engine, vmid, &vm, err);

    if (rc < 0) {
        return rc;
    }
    rc = engine_drop_debt_of_another(vm, err);
    rc = rc < 0 ? rc : drop_old_debt(vm, err);
    if (rc == 0) {
        /* One that could not be written down, which is told, is noticed again another time. */
        rc = engine_recover_hold(vm, err) == -ENOMEM ? -ENOMEM : 0;
    }
    if (rc == 0 && engine_has_debt(vm)) {
        rc = engine_summary_add(engine, vmid, &summary);
        engine_say(engine, vmid, LOG_WARNING, MESSAGE_RECOVERED,
                   "VM %u: taking up what was under way when the daemon ended", vmid);
        if (rc == 0) {
            engine_take_up(vm, RECONCILE_FOR_RECOVERY);
        }
    }
    engine_settle(vm);
    return rc;
}

/* One VM's journal that cannot be read is no reason to leave all others without a daemon. */
int engine_recover(struct engine *engine, struct err *err)
{
    CLEANUP_FREE uint32_t *vmids = NULL;
    size_t n = 0;
    int rc = engine_journal_vmids(engine, &vmids, &n);

    for (size_t i = 0; rc >= 0 && i < n; i++) {
        struct err why = {""};

        rc = recover_vm(engine, vmids[i], &why);
        if (rc < 0 && rc != -ENOMEM) {
            engine_say(engine, vmids[i], LOG_ERR, MESSAGE_JOURNAL_BROKEN,
                       "VM %u: what the daemon was in the midst of is not known, and nothing of it "
                       "is changed, since its change journal cannot be read: %s; set that right, "
                       "then: systemctl restart pve-hwidd",
                       vmids[i], why.text);
            rc = 0;
        }
    }
    return rc == -ENOMEM ? err_oom(err) : rc;
}
