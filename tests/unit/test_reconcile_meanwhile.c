/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The reconciliation, and what others do to its VM meanwhile: a disk that somebody takes off is his
 * business, one that a call of ours took off is ours, a VM that somebody started in the middle is
 * left alone until it stops, and what PVE still has in its hands is waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "driver.h"
#include "fake_pve_priv.h"
#include "scenarios.h"

enum { TWO_DISKS = 2 };

/* Its requests: status, config and a probe of each disk; then for each of three steps status,
 * config and the call. */
enum { FIRST_STEP = 7, SECOND_STEP = 10, LAST_STEP = 13 };
/* And its actions, of which a record and a reading of the files are some. */
enum { BEFORE_SECOND_STEP = 13, AT_SECOND_STEP = 16, AT_LAST_STEP = 20, HELD_FIRST_STEP = 11 };

static void set_up(struct driver *d)
{
    driver_init(d, scenarios[TWO_DISKS].config, scenarios[TWO_DISKS].fingerprint);
    d->pve.dice = 1;
}

static void fault(struct driver *d, unsigned at, enum fake_fault_kind kind)
{
    d->pve.faults[d->pve.n_faults++] = (struct fake_fault){at, kind};
}

static void die(struct driver *d, unsigned at, enum driver_death when)
{
    d->crashes[d->n_crashes++] = (struct driver_crash){at, when};
}

static void tear_down(struct driver *d)
{
    if (d->pve.problem[0] == '\0') {
        driver_check(d, scenarios[TWO_DISKS].volumes);
    }
    if (d->pve.problem[0] != '\0') {
        fail_msg("%s\nrequests:%s", d->pve.problem, d->requests);
    }
    driver_fini(d);
}

/* Somebody stops it at last, and all is as it should be. */
static void stop_and_settle(struct driver *d, enum reconcile_outcome outcome)
{
    assert_true(d->pve.running);
    d->pve.n_faults = 0;
    fake_pve_stop_by_others(&d->pve);
    driver_settle(d);
    assert_null(d->r);
    assert_false(d->memory.open);
    assert_false(d->memory.stuck);
    assert_int_equal(d->outcome, outcome);
    assert_non_null(fake_pve_get(&d->pve, "sata0"));
    assert_non_null(fake_pve_get(&d->pve, "sata1"));
}

static void a_disk_that_is_taken_off_while_it_is_dead_stays_off(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    die(&d, BEFORE_SECOND_STEP, DRIVER_DIES_BEFORE);
    fault(&d, SECOND_STEP - 2, FAULT_DETACHED); /* scsi1, by the next life's first question */
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.lives, 1);
    assert_int_equal(d.outcome, RECONCILE_IN_SYNC); /* two disks are not one, so it stays */
    assert_non_null(fake_pve_get(&d.pve, "unused0"));
    assert_non_null(fake_pve_get(&d.pve, "scsi0"));
    assert_null(fake_pve_get(&d.pve, "sata1"));
    assert_null(fake_pve_get(&d.pve, "scsi1"));
    assert_int_equal(d.told[RECONCILE_TELL_WARNING], 1);
    tear_down(&d);
}

/* Its own step was under way: it may be our half of a move that somebody's start carried out. */
static void a_disk_whose_move_was_under_way_is_put_back(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    die(&d, AT_LAST_STEP, DRIVER_DIES_AFTER);
    fault(&d, LAST_STEP, FAULT_HALF);
    fault(&d, LAST_STEP + 1, FAULT_EDITED_OTHER); /* any PUT carries the deletion out */
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.lives, 1);
    assert_int_equal(driver_count(&d, "put:scsi1"), 3); /* two of them are probes */
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_non_null(fake_pve_get(&d.pve, "sata1"));
    tear_down(&d);
}

static void a_disk_that_is_taken_off_a_running_vm_is_not_ours(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    fault(&d, FIRST_STEP, FAULT_STARTED_RAW); /* between our look and our call */
    fault(&d, FIRST_STEP + 2, FAULT_DETACHED);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_RUNNING);
    assert_null(d.r);
    assert_int_equal(d.told[RECONCILE_TELL_STUCK], 0);
    assert_int_equal(d.told[RECONCILE_TELL_WARNING], 1);
    d.pve.n_faults = 0;
    fake_pve_stop_by_others(&d.pve);
    driver_settle(&d);
    assert_int_equal(d.outcome, RECONCILE_IN_SYNC);
    assert_non_null(fake_pve_get(&d.pve, "unused0"));
    tear_down(&d);
}

/* Nothing is changed in a running VM, a disk no more than anything else: so it waits, says so, and
 * puts it right as soon as somebody has stopped it. */
static void a_vm_that_runs_without_its_disk_waits_for_its_stop(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    fault(&d, LAST_STEP, FAULT_HALF);
    fault(&d, LAST_STEP + 1, FAULT_STARTED_RAW); /* which carries the deletion out */
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_non_null(d.r);
    assert_true(d.stuck && d.memory.open && d.memory.stuck);
    assert_int_equal(d.told[RECONCILE_TELL_STUCK], 1);
    assert_non_null(strstr(d.last_failed, "runs WITHOUT its disk scsi1"));
    assert_non_null(fake_pve_get(&d.pve, "unused0"));
    stop_and_settle(&d, RECONCILE_DONE);
    tear_down(&d);
}

static void a_disk_that_was_unplugged_for_its_move_is_told(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    fault(&d, LAST_STEP, FAULT_STARTED_RAW);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_RUNNING);
    assert_null(fake_pve_get(&d.pve, "scsi1"));
    assert_int_equal(d.told[RECONCILE_TELL_STUCK], 1);
    assert_non_null(strstr(d.last_failed, "runs WITHOUT its disk scsi1"));
    assert_non_null(strstr(d.last_failed, "as sata1"));
    stop_and_settle(&d, RECONCILE_IN_SYNC);
    tear_down(&d);
}

/* Its volume was away in the wrong instant, somebody's change carried the deletion out, and PVE
 * took the disk out of the boot order: both come back, also where that names what is not there any
 * more, which PVE refuses. */
static void a_disk_that_is_put_back_boots_again(void **state)
{
    static const char config[] = "boot: order=scsi0;net9;net0\n" SCENARIO_NET
                                 "scsi0: " SCENARIO_DISK(0) ",size=1G\n"
                                                            "scsi1: " SCENARIO_DISK(1) ",size=1G\n";

    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        struct driver d;

        driver_init(&d, i % 2 == 0 ? scenarios[TWO_DISKS].config : config,
                    scenarios[TWO_DISKS].fingerprint);
        d.pve.dice = i + 1;
        d.pve.volume = scenarios[TWO_DISKS].volumes[0];
        fault(&d, SECOND_STEP, FAULT_VOLUME_AWAY);
        fault(&d, SECOND_STEP + 3 + i % 5, FAULT_EDITED_OTHER);
        die(&d, 24 + i, DRIVER_DIES_AFTER); /* the next one knows of it by the journal alone */
        driver_run(&d, RECONCILE_FOR_FINGERPRINT);
        assert_string_equal(d.pve.problem, "");
        assert_true(d.pve.harmed_by_others);
        assert_int_equal(d.outcome, RECONCILE_DONE);
        assert_string_equal(fake_pve_get(&d.pve, "boot"), "order=sata0;net0");
        tear_down(&d);
    }
}

/* It could not be put back, the daemon died, and somebody has given the disk another slot. */
static void a_stuck_disk_that_somebody_attached_elsewhere_is_theirs(void **state)
{
    static const char journal[] =
        "[{\"type\":\"begin\",\"txn\":\"t\",\"steps\":[{\"remove\":\"scsi0\",\"probe\":\"scsi0\","
        "\"present\":\"" SCENARIO_DISK(0) ",size=1G\",\"sets\":[[\"sata0\",\"" SCENARIO_DISK(
            0) ",size=1G\",null],[\"boot\",\"order=sata0;net0\",\"order=scsi0;net0\"]]}]},"
               "{\"type\":\"stuck\",\"txn\":\"t\",\"keys\":\"scsi0\"}]";
    struct driver d;

    (void)state;
    driver_init(&d, "boot: order=sata5;net0\n" SCENARIO_NET "sata5: " SCENARIO_DISK(0) ",size=1G\n",
                scenarios[0].fingerprint);
    json_decref(d.journal);
    d.journal = json_loads(journal, 0, NULL);
    assert_int_equal(record_replay(d.journal, &d.memory), 0);
    assert_true(d.memory.stuck);
    driver_run(&d, RECONCILE_FOR_RECOVERY);
    assert_string_equal(d.pve.problem, "");
    assert_null(d.r);
    assert_false(d.memory.open);
    assert_non_null(fake_pve_get(&d.pve, "sata5"));
    assert_string_equal(fake_pve_get(&d.pve, "boot"), "order=sata5;net0");
    driver_fini(&d);
}

/* The call breaks before the boot order, and somebody's own call carries out what is pending of it:
 * the disk has moved, and the order names it nowhere. */
static void a_disk_that_was_moved_by_somebodys_call_boots(void **state)
{
    enum { TURN = 3 }; /* status, pending, call */

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        struct driver d;

        set_up(&d);
        fault(&d, SECOND_STEP, FAULT_HALF);
        fault(&d, SECOND_STEP + 1, FAULT_EDITED_OTHER);
        for (unsigned j = 1; j <= i % 8; j++) { /* no time for the order: not given up */
            fault(&d, SECOND_STEP + j * TURN, i < 8 ? FAULT_OVERLOAD : FAULT_UNREACHABLE);
        }
        driver_run(&d, RECONCILE_FOR_FINGERPRINT);
        assert_string_equal(d.pve.problem, "");
        assert_int_equal(d.outcome, RECONCILE_DONE);
        assert_int_equal(d.told[RECONCILE_TELL_WARNING], 0);
        assert_string_equal(fake_pve_get(&d.pve, "boot"), "order=sata0;net0");
        tear_down(&d);
    }
}

/* Likewise, and it is a start past the hook that carries it out. A running VM is not changed; no
 * later plan would miss the order, so its stop is waited for. The daemon may die meanwhile. Of the
 * start that we stopped nothing is left to be made then: somebody has made one. */
static void a_disk_that_was_moved_by_a_start_boots_the_next_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool held = i % 2 == 1;
        struct driver d;

        set_up(&d);
        fault(&d, SECOND_STEP, FAULT_HALF);
        fault(&d, 0, FAULT_STARTED_RAW);
        if (held) {
            driver_start(&d);
        } else {
            driver_run(&d, RECONCILE_FOR_FINGERPRINT);
        }
        assert_non_null(d.r);
        assert_true(d.memory.open);
        assert_int_equal(d.told[RECONCILE_TELL_WARNING], 1);
        assert_string_equal(fake_pve_get(&d.pve, "boot"), "order=net0");
        if (i >= 2) {
            die(&d, d.actions + 2, DRIVER_DIES_AFTER);
            driver_settle(&d);
            assert_int_equal(d.lives, 1);
        }
        stop_and_settle(&d, RECONCILE_IN_SYNC);
        assert_string_equal(fake_pve_get(&d.pve, "boot"), "order=sata0;net0");
        assert_int_equal(d.pve.our_starts, 0);
        tear_down(&d);
    }
}

/* A start was held, and somebody changes an option of the disk that is half through its move: PVE
 * carries out the other half, and both slots have it. Started so, a guest would write to one image
 * by two ways. */
static void a_disk_that_somebody_attached_twice_is_not_started(void **state)
{
    unsigned twice = 0;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct driver d;

        set_up(&d);
        d.pve.now_ms += 30 * i; /* each time it breaks at another place */
        fault(&d, LAST_STEP, FAULT_HALF);
        fault(&d, 0, FAULT_EDITED_DISK);
        driver_start(&d);
        assert_string_equal(d.pve.problem, "");
        assert_int_equal(d.told_twice, fake_pve_attached_twice(&d.pve) != NULL);
        assert_int_equal(d.pve.start_calls, d.told_twice ? 0 : 1);
        assert_false(d.memory.start_owed);
        twice += d.told_twice;
        driver_fini(&d);
    }
    assert_int_equal(twice, 1);
}

/* Started past the hook right before the call: scsi0 was unplugged at once, and sata0 waits for the
 * stop. To the daemon that comes after that is no disk that somebody has taken off. */
static void a_disk_that_waits_for_the_stop_in_its_new_slot_is_not_off(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    fake_pve_set(&d.pve, "boot", "order=net0"); /* what it boots from cannot be unplugged */
    fault(&d, SECOND_STEP, FAULT_STARTED_RAW);
    die(&d, AT_SECOND_STEP + 1, DRIVER_DIES_AFTER); /* its record is written */
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.lives, 1);
    assert_int_equal(driver_count_records(&d, "step"), 2);
    assert_null(fake_pve_get(&d.pve, "scsi0"));
    assert_int_equal(d.told[RECONCILE_TELL_WARNING], 0);
    stop_and_settle(&d, RECONCILE_DONE);
    tear_down(&d);
}

/* PVE waits for the VM's lock, and we not for its answer: not started before that is over. */
static void a_call_that_comes_late_never_meets_our_start(void **state)
{
    static const unsigned steps[] = {FIRST_STEP, SECOND_STEP, LAST_STEP};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(steps) * 64; i++) {
        struct driver d;

        set_up(&d);
        d.pve.dice = (i / ARRAY_SIZE(steps) + 1) * 0x9E3779B97F4A7C15u; /* how late */
        fault(&d, steps[i % ARRAY_SIZE(steps)], FAULT_LATE);
        driver_start(&d);
        assert_string_equal(d.pve.problem, "");
        assert_int_equal(d.pve.n_landed, 1);
        assert_true(d.pve.running);
        assert_int_equal(d.pve.our_starts, 1);
        tear_down(&d);
    }
}

/* Its sender died, and the next daemon may not change anything: it can but start the VM as it is.
 */
static void one_whose_sender_died_neither(void **state)
{
    unsigned landed = 0;

    (void)state;
    for (unsigned i = 0; i < 3 * 64; i++) {
        struct driver d;

        set_up(&d);
        d.pve.dice = (i / 3 + 1) * 0x9E3779B97F4A7C15u;
        die(&d, HELD_FIRST_STEP + i % 3 * 5, DRIVER_DIES_LATE);
        for (unsigned j = 4; j < 4 + i % 7; j++) {
            fault(&d, FIRST_STEP + i % 3 * 3 + j, FAULT_FORBIDDEN);
        }
        driver_start(&d);
        assert_int_equal(d.lives, 1);
        assert_true(d.pve.running);
        landed += d.pve.n_landed;
        tear_down(&d);
    }
    assert_int_equal(landed, 3 * 64);
}

/* PVE has the dead daemon's start in its hands, and somebody's start is held meanwhile: no start of
 * ours is made beside the one that may still come. */
static void a_start_that_comes_late_is_the_only_one(void **state)
{
    enum { HELD_START = 28, NEXT_REQUEST = 17 };
    unsigned held = 0;

    (void)state;
    for (unsigned i = 0; i < 3 * 64; i++) {
        struct driver d;

        set_up(&d);
        d.pve.dice = (i / 3 + 1) * 0x9E3779B97F4A7C15u;
        die(&d, HELD_START, DRIVER_DIES_LATE);
        fault(&d, NEXT_REQUEST + i % 3, FAULT_STARTED);
        driver_start(&d);
        assert_int_equal(d.lives, 1);
        assert_true(d.pve.running);
        held += d.held == 2;
        tear_down(&d);
    }
    assert_true(held > 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_is_taken_off_while_it_is_dead_stays_off),
        cmocka_unit_test(a_disk_whose_move_was_under_way_is_put_back),
        cmocka_unit_test(a_disk_that_is_taken_off_a_running_vm_is_not_ours),
        cmocka_unit_test(a_vm_that_runs_without_its_disk_waits_for_its_stop),
        cmocka_unit_test(a_disk_that_was_unplugged_for_its_move_is_told),
        cmocka_unit_test(a_disk_that_is_put_back_boots_again),
        cmocka_unit_test(a_disk_that_was_moved_by_somebodys_call_boots),
        cmocka_unit_test(a_disk_that_was_moved_by_a_start_boots_the_next_time),
        cmocka_unit_test(a_disk_that_somebody_attached_twice_is_not_started),
        cmocka_unit_test(a_stuck_disk_that_somebody_attached_elsewhere_is_theirs),
        cmocka_unit_test(a_disk_that_waits_for_the_stop_in_its_new_slot_is_not_off),
        cmocka_unit_test(a_call_that_comes_late_never_meets_our_start),
        cmocka_unit_test(one_whose_sender_died_neither),
        cmocka_unit_test(a_start_that_comes_late_is_the_only_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
