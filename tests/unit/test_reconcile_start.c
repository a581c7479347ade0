/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Starts that were held, and those that come in between: who makes them, when, and how often. */
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

enum { IDENTITY, ONE_DISK, TWO_DISKS, TO_PVSCSI, NO_ORDER, PENDING };

static void set_up(struct driver *d, size_t scenario)
{
    const struct scenario *s = &scenarios[scenario];

    driver_init(d, s->config, s->fingerprint);
    d->pve.edited_fingerprint = s->edited;
    d->pve.volume = s->volumes[0];
}

static void fault(struct driver *d, unsigned at, enum fake_fault_kind kind)
{
    d->pve.faults[d->pve.n_faults++] = (struct fake_fault){at, kind};
}

/* Nothing forbidden happened, and all ended well. */
static void tear_down(struct driver *d, size_t scenario)
{
    if (d->pve.problem[0] == '\0') {
        driver_check(d, scenarios[scenario].volumes);
    }
    if (d->pve.problem[0] != '\0') {
        fail_msg("%s\nrequests:%s", d->pve.problem, d->requests);
    }
    driver_fini(d);
}

static void assert_outcome(const struct driver *d, const char *outcome)
{
    const json_t *end = driver_last_record(d, "end");

    assert_string_equal(json_string_value(json_object_get(end, "outcome")), outcome);
}

static void a_held_start_is_made_after_the_rewrite(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    driver_start(&d);
    assert_true(d.pve.running);
    assert_int_equal(d.held, 1);
    assert_int_equal(d.pve.our_starts, 1);
    assert_false(d.memory.start_owed);
    assert_string_equal(d.memory.held_key, ""); /* our own start was in sync */
    tear_down(&d, TWO_DISKS);
}

static void a_start_past_the_hook_ends_the_rewrite(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 8, FAULT_STARTED_RAW); /* the look before the first disk */
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_RUNNING);
    assert_int_equal(driver_count(&d, "put:delete=scsi0:sata0:boot"), 0);
    assert_outcome(&d, "interrupted");
    tear_down(&d, TWO_DISKS);
}

static void a_start_during_the_rewrite_is_held_and_made(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 8, FAULT_STARTED);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_int_equal(d.held, 1);
    assert_true(d.pve.running);
    tear_down(&d, TWO_DISKS);
}

static void a_start_before_the_first_call_just_happens(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 2, FAULT_STARTED); /* nothing is being changed yet: held for what it differs in */
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.held, 1);
    assert_int_equal(d.pve.our_starts, 1);
    assert_true(d.pve.running);
    tear_down(&d, TWO_DISKS);
}

static void ha_starts_its_vms_itself(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    d.pve.ha_managed = true;
    driver_start(&d);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_int_equal(driver_count(&d, "start"), 0);
    assert_int_equal(driver_count_records(&d, "dropped"), 1);
    tear_down(&d, TWO_DISKS);
}

static void ha_is_asked_for_where_the_first_look_failed(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, IDENTITY);
    d.pve.ha_managed = true;
    d.once = true;
    fault(&d, 1, FAULT_FORBIDDEN);
    driver_start(&d);
    assert_int_equal(driver_count(&d, "start"), 0);
    assert_int_equal(driver_count_records(&d, "dropped"), 1);
    driver_fini(&d);
}

static void on_error_refuse_leaves_it_down_after_an_error(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    d.on_error = FINGERPRINT_ERROR_REFUSE;
    d.once = true;
    fault(&d, 10, FAULT_FORBIDDEN); /* the first disk */
    driver_start(&d);
    assert_int_equal(d.outcome, RECONCILE_FAILED);
    assert_int_equal(driver_count(&d, "start"), 0);
    assert_false(d.memory.start_owed);
    tear_down(&d, TWO_DISKS);
}

static void on_error_start_starts_after_an_error(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    d.once = true;
    fault(&d, 10, FAULT_FORBIDDEN);
    driver_start(&d);
    assert_int_equal(d.outcome, RECONCILE_FAILED);
    assert_outcome(&d, "failed");
    assert_true(d.pve.running);
    tear_down(&d, TWO_DISKS);
}

static void partial_under_on_error_refuse_is_not_started(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ONE_DISK);
    d.on_error = FINGERPRINT_ERROR_REFUSE;
    d.pve.storage_until_ms = 60000;
    driver_start(&d);
    assert_int_equal(d.outcome, RECONCILE_PARTIAL);
    assert_int_equal(driver_count(&d, "start"), 0);
    tear_down(&d, ONE_DISK);
}

static void a_second_start_for_the_same_pair_is_not_held(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ONE_DISK);
    d.pve.storage_until_ms = 60000;
    driver_start(&d);
    assert_int_equal(d.held, 1);
    fake_pve_stop(&d.pve);
    driver_start(&d);
    assert_int_equal(d.held, 1);
    assert_true(d.pve.running);
    tear_down(&d, ONE_DISK);
}

static void our_own_start_is_never_held(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, IDENTITY);
    fault(&d, 7, FAULT_EDITED_SAME); /* between verification and start */
    driver_start(&d);
    assert_int_equal(d.held, 1);
    assert_int_equal(d.pve.start_calls, 1);
    assert_true(d.pve.running);
    driver_fini(&d);
}

static void a_backup_during_a_hold_is_waited_for(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 1, FAULT_VM_LOCKED);
    driver_start(&d);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_true(d.pve.running);
    assert_int_equal(d.told[RECONCILE_TELL_DOWN], 0);
    tear_down(&d, TWO_DISKS);
}

static void a_start_that_fails_is_told(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ONE_DISK);
    fault(&d, 9, FAULT_VOLUME_AWAY); /* at the start */
    driver_start(&d);
    assert_int_equal(d.outcome, RECONCILE_FAILED);
    assert_non_null(strstr(d.last_failed, "is DOWN"));
    assert_non_null(strstr(d.last_failed, "pve-hwid log 105"));
    assert_int_equal(d.pve.start_calls, 1);
    assert_false(d.memory.start_owed);
    tear_down(&d, ONE_DISK);
}

static void a_start_that_is_not_allowed_stays_owed(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ONE_DISK);
    d.once = true;
    fault(&d, 9, FAULT_FORBIDDEN);
    driver_start(&d);
    assert_non_null(strstr(d.last_failed, "qm start 105"));
    assert_true(d.memory.start_owed);
    driver_fini(&d);
}

static void a_start_whose_answer_is_lost_is_not_made_twice(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ONE_DISK);
    fault(&d, 9, FAULT_LOST_AFTER);
    driver_start(&d);
    assert_int_equal(d.pve.start_calls, 1);
    assert_true(d.pve.running);
    assert_int_equal(driver_count_records(&d, "started"), 1);
    tear_down(&d, ONE_DISK);
}

static void a_start_that_never_arrived_is_made_again(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ONE_DISK);
    fault(&d, 9, FAULT_LOST_BEFORE);
    driver_start(&d);
    assert_int_equal(d.pve.start_calls, 1);
    assert_true(d.pve.running);
    tear_down(&d, ONE_DISK);
}

static void somebody_who_starts_first_is_no_failure(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, ONE_DISK);
    fault(&d, 9, FAULT_STARTED_RAW);
    driver_start(&d);
    assert_true(d.pve.running);
    assert_int_equal(d.told[RECONCILE_TELL_FAILED] + d.told[RECONCILE_TELL_DOWN], 0);
    assert_int_equal(driver_count_records(&d, "dropped"), 1);
    tear_down(&d, ONE_DISK);
}

static void without_its_fingerprint_a_held_vm_is_still_started(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 8; at++) {
        struct driver d;

        set_up(&d, TWO_DISKS);
        fault(&d, at, FAULT_FP_REMOVED);
        driver_start(&d);
        assert_true(d.pve.running);
        if (d.outcome == RECONCILE_NOTHING) {
            assert_non_null(strstr(d.text, "no fingerprint"));
        }
        tear_down(&d, TWO_DISKS);
    }
}

static void bytes_that_are_no_text_keep_no_vm_down(void **state)
{
    struct driver d;

    (void)state;
    driver_init(&d,
                "hookscript: local:snippets/pve-hwid\nsmbios1: serial=\xe4\xf6\n"
                "net0: virtio=BC:24:11:9A:A3:C1,bridge=vm\xe4r0\n",
                "{\"format\":1," SCENARIO_SMBIOS "}");
    driver_start(&d);
    assert_true(d.pve.running);
    assert_string_equal(d.pve.problem, "");
    driver_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_held_start_is_made_after_the_rewrite),
        cmocka_unit_test(a_start_past_the_hook_ends_the_rewrite),
        cmocka_unit_test(a_start_during_the_rewrite_is_held_and_made),
        cmocka_unit_test(a_start_before_the_first_call_just_happens),
        cmocka_unit_test(ha_starts_its_vms_itself),
        cmocka_unit_test(ha_is_asked_for_where_the_first_look_failed),
        cmocka_unit_test(on_error_refuse_leaves_it_down_after_an_error),
        cmocka_unit_test(on_error_start_starts_after_an_error),
        cmocka_unit_test(partial_under_on_error_refuse_is_not_started),
        cmocka_unit_test(a_second_start_for_the_same_pair_is_not_held),
        cmocka_unit_test(our_own_start_is_never_held),
        cmocka_unit_test(a_backup_during_a_hold_is_waited_for),
        cmocka_unit_test(a_start_that_fails_is_told),
        cmocka_unit_test(a_start_that_is_not_allowed_stays_owed),
        cmocka_unit_test(a_start_whose_answer_is_lost_is_not_made_twice),
        cmocka_unit_test(a_start_that_never_arrived_is_made_again),
        cmocka_unit_test(somebody_who_starts_first_is_no_failure),
        cmocka_unit_test(without_its_fingerprint_a_held_vm_is_still_started),
        cmocka_unit_test(bytes_that_are_no_text_keep_no_vm_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
