/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A daemon comes back to a VM whose start it may have asked for: what the list of PVE's tasks says
 * decides whether it asks (again). The hold was at 10:00:10, the question at 10:00:20, it is
 * 10:01:00 now, and the VM is stopped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "driver_priv.h"
#include "fake_pve_priv.h"

#define RECORD(type, time)                                                                         \
    "{\"v\":1,\"type\":\"" type "\",\"vmid\":105,\"txn\":\"t\",\"key\":\"k\",\"time\":"            \
    "\"2026-11-23T10:00:" time "Z\"}"
#define ASKED "[" RECORD("held", "10") "," RECORD("start", "20") "]"

enum { LOOK = 4 }; /* the request that asks for the list: status, config and status come first */

static void set_up(struct driver *d, const char *records)
{
    driver_init(d, "hookscript: local:snippets/pve-hwid\n", NULL);
    json_decref(d->journal);
    d->journal = json_loads(records, 0, NULL);
    assert_non_null(d->journal);
    assert_int_equal(record_replay(d->journal, &d->memory), 0);
    d->held = 1;
    d->pve.now_ms = 60000;
}

static void task_at(struct driver *d, int64_t second, const char *exit, bool ours)
{
    fake_pve_add_task(
        &d->pve,
        (struct fake_task){.started_ms = second * 1000, .exit = str_dup(exit), .ours = ours});
}

static void come_back(struct driver *d)
{
    driver_run(d, RECONCILE_FOR_RECOVERY);
    assert_string_equal(d->pve.problem, "");
}

static void assert_not_asked(struct driver *d, const char *record)
{
    assert_int_equal(d->pve.start_calls, 0);
    assert_int_equal(driver_count(d, "tasks"), 1);
    assert_int_equal(driver_count_records(d, record), 1);
    assert_false(d->memory.start_owed);
    assert_false(d->pve.running);
    driver_fini(d);
}

static void assert_asked(struct driver *d)
{
    assert_int_equal(d->pve.start_calls, 1);
    assert_true(d->pve.running);
    assert_int_equal(driver_count_records(d, "started"), 1);
    assert_false(d->memory.start_owed);
    driver_fini(d);
}

static void a_start_that_was_made_is_not_made_again(void **state)
{
    static const int64_t seconds[] = {19, 20, 31}; /* time() may be a tick behind */

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
        struct driver d;

        set_up(&d, ASKED);
        task_at(&d, seconds[i], NULL, true);
        come_back(&d);
        assert_non_null(
            strstr(json_string_value(json_object_get(driver_last_record(&d, "started"), "upid")),
                   ":qmstart:105:"));
        assert_not_asked(&d, "started");
    }
}

static void a_start_by_somebody_else_is_one_too(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ASKED);
    d.pve.auditor = true;
    task_at(&d, 31, NULL, false);
    come_back(&d);
    assert_not_asked(&d, "started");
}

static void one_that_still_runs_is_watched(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ASKED);
    task_at(&d, 20, NULL, true);
    d.pve.tasks[0].polls = 5;
    come_back(&d);
    assert_int_equal(driver_count(&d, "task"), 6);
    assert_not_asked(&d, "started");
}

static void one_that_failed_is_told(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ASKED);
    task_at(&d, 20, "volume of scsi0 does not exist", true);
    come_back(&d);
    assert_non_null(strstr(d.last_failed, "is DOWN"));
    assert_int_equal(d.outcome, RECONCILE_FAILED);
    assert_not_asked(&d, "dropped");
}

static void one_that_came_too_late_ends_the_debt(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ASKED);
    task_at(&d, 20, "VM 105 already running", true);
    come_back(&d);
    assert_int_equal(d.told[RECONCILE_TELL_DOWN], 0);
    assert_not_asked(&d, "dropped");
}

static void without_one_it_is_asked_for(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ASKED);
    come_back(&d);
    assert_int_equal(driver_count(&d, "tasks"), 2); /* it may have been on its way */
    assert_asked(&d);
}

/* The journal took the hold and nothing after it: neither the daemon that lives on nor the next one
 * starts a VM again that somebody has stopped since. */
static void a_start_that_could_not_be_written_down_is_looked_up_as_well(void **state)
{
    static const enum reconcile_cause causes[] = {RECONCILE_FOR_RECOVERY, RECONCILE_FOR_HOLD};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
        struct driver d;

        set_up(&d, "[" RECORD("held", "10") "]");
        task_at(&d, 20, NULL, true);
        driver_run(&d, causes[i]);
        assert_string_equal(d.pve.problem, "");
        assert_not_asked(&d, "started");
    }
}

/* Nor can it be written that it was made: all that is known is what PVE tells, each time anew. */
static void a_journal_that_stays_full_makes_no_second_start(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, "[" RECORD("held", "10") "]");
    d.journal_fails_at = 1;
    d.journal_fails_more = 1000;
    come_back(&d);
    assert_true(d.pve.running);
    fake_pve_stop_by_others(&d.pve);
    driver_settle(&d);
    assert_string_equal(d.pve.problem, "");
    assert_int_equal(d.pve.start_calls, 1);
    assert_false(d.pve.running);
    assert_int_equal(json_array_size(d.journal), 1);
    driver_fini(&d);
}

static void what_is_not_that_start_does_not_count(void **state)
{
    static const struct {
        int64_t second;
        const char *exit;
    } tasks[] = {
        {9, NULL},  /* before the hold */
        {18, NULL}, /* before we asked */
        {20, "can't lock file '/var/lock/qemu-server/lock-105.conf' - got timeout"},
        {20, "VM is locked (backup)"},
        {10, "hookscript error for 105 on pre-start: exit code 75 "}, /* the start that was held */
        {20, "hookscript error for 105 on pre-start: exit code 75 "}, /* in the same second */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
        struct driver d;

        set_up(&d, ASKED);
        d.pve.auditor = true;
        task_at(&d, tasks[i].second, tasks[i].exit, i % 2 == 0);
        come_back(&d);
        assert_asked(&d);
    }
}

/* PVE calls it RUNNING until it looks at it the next time. */
static void a_held_start_that_seems_to_run_does_not_count(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ASKED);
    d.pve.auditor = true;
    task_at(&d, 20, "hookscript error for 105 on pre-start: exit code 75 ", false);
    d.pve.tasks[0].polls = 2;
    come_back(&d);
    assert_int_equal(d.told[RECONCILE_TELL_DOWN], 0);
    assert_asked(&d);
}

/* Held, asked for and held again within a second, as no node is: the hold is the bound. */
static void a_hold_that_came_later_is_another_debt(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, "[" RECORD("held", "10") "," RECORD("start", "12") "," RECORD("held", "20") "]");
    assert_int_equal(d.memory.start_asked, 0);
    task_at(&d, 12, NULL, true);
    come_back(&d);
    assert_int_equal(driver_count(&d, "tasks"), 1);
    assert_asked(&d);
    set_up(&d, "[" RECORD("held", "20") "," RECORD("start", "20") "]");
    task_at(&d, 19, NULL, true);
    come_back(&d);
    assert_asked(&d);
}

/* The start of before was made, and somebody stopped the VM. The one that is held during this
 * rewrite has not been made by anybody. */
static void a_hold_that_comes_meanwhile_is_another_debt(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ASKED);
    fake_pve_set(&d.pve, "smbios1", "uuid=11111111-2222-3333-4444-555555555555");
    d.pve.fingerprint = str_dup("{\"format\":1,\"smbios\":{\"uuid\":"
                                "\"9b1a4d56-1100-3322-4455-66778899aabb\"}}");
    task_at(&d, 21, NULL, true);
    d.pve.faults[d.pve.n_faults++] = (struct fake_fault){LOOK, FAULT_STARTED};
    come_back(&d);
    assert_int_equal(d.held, 2);
    assert_asked(&d);
}

static void a_list_that_cannot_be_had_is_asked_for_again(void **state)
{
    static const enum fake_fault_kind kinds[] = {FAULT_UNREACHABLE, FAULT_LOST_BEFORE,
                                                 FAULT_OVERLOAD, FAULT_GARBAGE};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds) * 2; i++) {
        struct driver d;

        set_up(&d, ASKED);
        d.pve.faults[d.pve.n_faults++] = (struct fake_fault){LOOK, kinds[i / 2]};
        if (i % 2 == 0) {
            task_at(&d, 20, NULL, true);
        }
        come_back(&d);
        assert_int_equal(d.pve.n_struck, 1);
        assert_in_range(driver_count(&d, "tasks"), 2, 2 + i % 2);
        assert_int_equal(d.told[RECONCILE_TELL_DOWN], 0);
        assert_int_equal(d.pve.start_calls, i % 2);
        assert_false(d.memory.start_owed);
        driver_fini(&d);
    }
}

static void one_that_is_refused_keeps_the_debt_and_is_told(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ASKED);
    d.once = true;
    d.pve.faults[d.pve.n_faults++] = (struct fake_fault){LOOK, FAULT_FORBIDDEN};
    come_back(&d);
    assert_int_equal(d.pve.start_calls, 0);
    assert_non_null(strstr(d.last_failed, "qm start 105"));
    assert_true(d.memory.start_owed);
    driver_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_that_was_made_is_not_made_again),
        cmocka_unit_test(a_start_by_somebody_else_is_one_too),
        cmocka_unit_test(one_that_still_runs_is_watched),
        cmocka_unit_test(one_that_failed_is_told),
        cmocka_unit_test(one_that_came_too_late_ends_the_debt),
        cmocka_unit_test(without_one_it_is_asked_for),
        cmocka_unit_test(a_start_that_could_not_be_written_down_is_looked_up_as_well),
        cmocka_unit_test(a_journal_that_stays_full_makes_no_second_start),
        cmocka_unit_test(what_is_not_that_start_does_not_count),
        cmocka_unit_test(a_held_start_that_seems_to_run_does_not_count),
        cmocka_unit_test(a_hold_that_came_later_is_another_debt),
        cmocka_unit_test(a_hold_that_comes_meanwhile_is_another_debt),
        cmocka_unit_test(a_list_that_cannot_be_had_is_asked_for_again),
        cmocka_unit_test(one_that_is_refused_keeps_the_debt_and_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
