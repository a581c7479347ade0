/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk that is in no slot after an error or a crash: the one whose move was under way is put
 * back, as soon as the VM does not run; any other was detached by somebody on purpose, stays as it
 * is, and that is told.
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
#include "scenarios.h"

enum { TWO_DISKS = 2 };

/* All that was told, for the sentences that must and must not be among it. */
static char *told;

static void keep_told(const char *line)
{
    char *longer;

    if (strstr(line, " told ") == NULL) {
        return;
    }
    longer = str_printf("%s%s\n", told == NULL ? "" : told, line);
    free(told);
    told = longer;
}

static void set_up(struct driver *d)
{
    const struct scenario *s = &scenarios[TWO_DISKS];

    driver_init(d, s->config, s->fingerprint);
    d->pve.volume = s->volumes[0];
    d->trace = keep_told;
}

static void fault(struct driver *d, unsigned at, enum fake_fault_kind kind)
{
    d->pve.faults[d->pve.n_faults++] = (struct fake_fault){at, kind};
}

static void tear_down(struct driver *d)
{
    if (d->pve.problem[0] == '\0') {
        driver_check(d, scenarios[TWO_DISKS].volumes);
    }
    if (d->pve.problem[0] != '\0') {
        fail_msg("%s\nrequests:%s\n%s", d->pve.problem, d->requests, told);
    }
    driver_fini(d);
    free(told);
    told = NULL;
}

static bool was_told(const char *text)
{
    return told != NULL && strstr(told, text) != NULL;
}

static bool is_off(const struct driver *d, const char *volume)
{
    return fake_pve_count_volume(&d->pve, volume, false) == 0 &&
           fake_pve_count_volume(&d->pve, volume, true) == 1;
}

/* smbios1 and net0 are done, scsi0 is next: the daemon dies, and somebody takes scsi1 off. */
static void a_disk_that_was_not_under_way_stays_detached_after_a_crash(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    d.crashes[0] = (struct driver_crash){14, false};
    d.n_crashes = 1;
    fault(&d, 8, FAULT_DETACHED);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.lives, 1);
    assert_non_null(d.pve.detached);
    assert_true(is_off(&d, scenarios[TWO_DISKS].volumes[1]));
    assert_int_equal(driver_count(&d, "put:scsi1"), 1); /* the probe, before the crash */
    assert_true(was_told("somebody has taken off the disk that was scsi1"));
    assert_false(was_told("a failed change had left"));
    tear_down(&d);
}

/* The call that failed sets no disk at all: it is not to blame for the one that is off. */
static void a_call_that_moves_no_disk_is_not_blamed_for_one(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    fault(&d, 7, FAULT_STARTED_RAW); /* between our look and our call: PVE cannot plug net0 */
    fault(&d, 9, FAULT_DETACHED);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_non_null(d.pve.detached);
    assert_null(d.r);
    assert_int_equal(d.told[RECONCILE_TELL_STUCK], 0);
    assert_true(was_told("somebody has taken off the disk that was scsi1"));
    assert_int_equal(driver_count_records(&d, "stuck"), 0);
    assert_false(d.memory.open);
    tear_down(&d);
}

/* Our own move went wrong half way, and somebody's start carried out the deletion: nothing is
 * plugged into a VM that runs. It is told, the change set stays open, and the stop ends it. */
static void a_vm_that_runs_without_the_disk_gets_it_back_at_its_stop(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    fault(&d, 10, FAULT_VOLUME_BLINKS);
    fault(&d, 11, FAULT_STARTED_RAW);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_true(d.pve.running);
    assert_non_null(d.r);
    assert_true(reconcile_is_stuck(d.r));
    assert_true(d.memory.open);
    assert_true(d.memory.stuck);
    assert_true(was_told("runs WITHOUT its disk scsi0"));
    assert_true(is_off(&d, scenarios[TWO_DISKS].volumes[0]));

    fake_pve_stop_by_others(&d.pve);
    driver_settle(&d);
    assert_null(d.r);
    assert_false(d.memory.open);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    tear_down(&d);
}

/* Started past the hook right before the call: scsi0 was plugged out at once, and sata0 waits for
 * the stop. That is no disk that somebody took off. */
static void a_disk_that_waits_in_its_new_slot_is_not_off(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d);
    fake_pve_set(&d.pve, "boot", "order=net0"); /* what it boots from cannot be plugged out */
    fault(&d, 10, FAULT_STARTED_RAW);
    d.crashes[0] = (struct driver_crash){17, true}; /* after the record of that step */
    d.n_crashes = 1;
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.lives, 1);
    assert_int_equal(driver_count_records(&d, "step"), 2);
    assert_true(d.pve.running);
    assert_null(fake_pve_get(&d.pve, "scsi0"));
    assert_false(was_told("taken off"));
    tear_down(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_was_not_under_way_stays_detached_after_a_crash),
        cmocka_unit_test(a_call_that_moves_no_disk_is_not_blamed_for_one),
        cmocka_unit_test(a_vm_that_runs_without_the_disk_gets_it_back_at_its_stop),
        cmocka_unit_test(a_disk_that_waits_in_its_new_slot_is_not_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
