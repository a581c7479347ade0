/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reconciliation, one behaviour after the other, against a PVE of one VM; its
 * starts are in test_reconcile_start.c. */
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

static void requests_come_in_this_order(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_string_equal(d.requests, " current config put:scsi0 put:scsi1"
                                    " current config put:smbios1:net0"
                                    " current config put:delete=scsi0:sata0:boot"
                                    " current config put:delete=scsi1:sata1"
                                    " pending");
    assert_int_equal(driver_count_records(&d, "begin"), 1);
    assert_int_equal(driver_count_records(&d, "step"), 3);
    assert_outcome(&d, "done");
    assert_int_equal(d.memory.changes, 1);
    assert_false(d.pve.running);
    tear_down(&d, TWO_DISKS);
}

static void nothing_is_sent_where_all_is_as_it_should_be(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    free(d.requests);
    d.requests = NULL;
    driver_run(&d, RECONCILE_FOR_APPLY);
    assert_int_equal(d.outcome, RECONCILE_IN_SYNC);
    assert_string_equal(d.requests, " current config");
    assert_int_equal(driver_count_records(&d, "begin"), 1);
    tear_down(&d, TWO_DISKS);
}

static void a_running_vm_is_left_alone(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    d.pve.running = true;
    driver_run(&d, RECONCILE_FOR_APPLY);
    assert_int_equal(d.outcome, RECONCILE_RUNNING);
    assert_string_equal(d.requests, " current");
    driver_fini(&d);
}

static void a_disk_whose_volume_is_away_stays(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    d.pve.away_until_ms = 200; /* for the probe only */
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_PARTIAL);
    assert_outcome(&d, "partial");
    assert_int_equal(driver_count(&d, "put:smbios1:net0"), 1);
    assert_non_null(fake_pve_get(&d.pve, "scsi0"));
    tear_down(&d, TWO_DISKS);
}

static void a_lone_disk_whose_volume_is_away_is_settled(void **state)
{
    struct driver d;
    struct assessment *a;

    (void)state;
    set_up(&d, ONE_DISK);
    d.pve.away_until_ms = 150;
    d.once = true;
    driver_start(&d);
    assert_int_equal(d.outcome, RECONCILE_PARTIAL);
    assert_true(d.pve.running); /* the volume is back by the time of the start */
    a = driver_assess(&d);
    assert_string_equal(d.memory.settled_key, a->key); /* the next start is not held for it */
    assessment_free(a);
    assert_non_null(strstr(d.memory.settled_why, "scsi0"));
    assert_int_equal(d.memory.changes, 0);
    tear_down(&d, ONE_DISK);
}

static void stuck_is_never_started_and_tried_until_the_volume_is_back(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 10, FAULT_VOLUME_AWAY); /* right at the move */
    driver_start(&d);
    assert_int_equal(driver_count_records(&d, "stuck"), 1);
    assert_int_equal(d.told[RECONCILE_TELL_STUCK], 1);
    assert_true(d.told[RECONCILE_TELL_REVERTED] > 0);
    assert_true(d.pve.now_ms > 600000);
    assert_true(driver_count(&d, "put:revert=boot,scsi0") > 2);
    assert_true(driver_count(&d, "put:boot:scsi0") + driver_count(&d, "put:scsi0:boot") > 2);
    assert_true(d.pve.running);
    tear_down(&d, TWO_DISKS);
}

static void stuck_for_ever_is_never_started(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 10, FAULT_VOLUME_AWAY);
    d.give_up_ms = 500000; /* before it is back */
    driver_start(&d);
    assert_true(d.stuck);
    assert_true(d.memory.stuck);
    assert_false(d.pve.running);
    assert_int_equal(driver_count(&d, "start"), 0);
    assert_non_null(strstr(d.last_failed, "must NOT be started"));
    assert_non_null(strstr(d.last_failed, "scsi0"));
    tear_down(&d, TWO_DISKS);
}

static void a_disk_that_a_refused_start_detached_is_put_back(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 10, FAULT_VOLUME_AWAY);
    fault(&d, 30, FAULT_STARTED);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_true(d.pve.harmed_by_others);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    tear_down(&d, TWO_DISKS);
}

static void a_stale_digest_is_planned_around(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 7, FAULT_CHECKSUM);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_int_equal(driver_count_records(&d, "begin"), 2);
    tear_down(&d, TWO_DISKS);
}

static void somebody_elses_change_in_between_is_kept(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 8, FAULT_EDITED_OTHER);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_string_equal(fake_pve_get(&d.pve, "tags"), "edited");
    tear_down(&d, TWO_DISKS);
}

static void a_vm_that_keeps_being_changed_is_given_up(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, IDENTITY);
    d.once = true;
    d.pve.stale = d.pve.always_stale = true;
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_FAILED);
    assert_non_null(strstr(d.text, "somebody else"));
    assert_true(d.pve.n_changing < 10);
    assert_true(d.again);
    driver_fini(&d);
}

/* Somebody writes the old identity again behind each rewrite: planned once more, then told. */
static void what_does_not_stay_as_it_was_written_is_not_called_done(void **state)
{
    enum { AFTER_STEP = 6, ONCE_MORE = 6 };
    struct driver d;

    (void)state;
    set_up(&d, IDENTITY);
    d.once = true;
    fault(&d, AFTER_STEP, FAULT_EDITED_SAME);
    fault(&d, AFTER_STEP + ONCE_MORE, FAULT_EDITED_SAME);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_FAILED);
    assert_non_null(strstr(d.text, "does not stay as it was written: smbios1"));
    assert_outcome(&d, "failed");
    driver_fini(&d);
}

/* A change broke in the middle, and the first way back is refused: the second one takes the new
 * slot back in the same call as it sets the old one, or one image would be in both. */
static void setting_back_takes_the_new_slot_back_as_well(void **state)
{
    enum { FIRST_MOVE = 10 };
    unsigned set_back = 0;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct driver d;

        set_up(&d, TWO_DISKS);
        d.pve.dice = i / 4 + 1;
        d.pve.now_ms += 30 * (i % 4); /* it breaks at another place each time */
        fault(&d, FIRST_MOVE, FAULT_HALF);
        fault(&d, FIRST_MOVE + 3, FAULT_FORBIDDEN);
        driver_run(&d, RECONCILE_FOR_FINGERPRINT);
        set_back += driver_count(&d, "put:scsi0:boot:revert=sata0");
        tear_down(&d, TWO_DISKS);
    }
    assert_true(set_back > 0);
}

static void the_lock_is_waited_for_and_then_given_up(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    d.once = true;
    d.pve.flock_calls = 1000;
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_FAILED);
    assert_true(d.again);
    assert_in_range(d.pve.now_ms, 60000, 90000);
    assert_int_equal(driver_count_records(&d, "begin"), 0);
    tear_down(&d, TWO_DISKS);
}

static void a_lock_of_half_a_minute_is_waited_for(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 10, FAULT_LOCK_TIMEOUT);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_int_equal(driver_count_records(&d, "begin"), 1);
    assert_int_equal(driver_count_records(&d, "end"), 1);
    tear_down(&d, TWO_DISKS);
}

static void a_backup_while_nothing_is_owed_is_not_waited_for(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    d.once = true;
    fault(&d, 1, FAULT_VM_LOCKED);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_LOCKED);
    assert_true(d.again);
    assert_int_equal(driver_count_records(&d, "begin"), 0);
    driver_fini(&d);
}

static void a_fingerprint_edited_during_the_rewrite_counts(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, IDENTITY);
    fault(&d, 5, FAULT_FP_EDITED);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_non_null(strstr(fake_pve_get(&d.pve, "smbios1"), "66778899aacc"));
    tear_down(&d, IDENTITY);
}

static void a_vm_that_goes_is_forgotten(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 25; at++) {
        struct driver d;

        set_up(&d, TWO_DISKS);
        fault(&d, at, FAULT_VM_GONE);
        driver_start(&d);
        assert_null(d.r);
        assert_false(d.memory.open);
        assert_false(d.memory.start_owed);
        driver_fini(&d);
    }
}

static void an_administrators_pending_change_is_no_trouble(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, PENDING);
    driver_run(&d, RECONCILE_FOR_STOP);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_string_equal(fake_pve_get(&d.pve, "cores"), "4");
    assert_non_null(strstr(fake_pve_get(&d.pve, "net0"), "bridge=vmbr1"));
    tear_down(&d, PENDING);
}

static void an_administrators_pending_change_is_not_reverted(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, PENDING);
    d.once = true;
    fault(&d, 5, FAULT_FORBIDDEN); /* our only step */
    driver_run(&d, RECONCILE_FOR_STOP);
    assert_int_equal(d.outcome, RECONCILE_FAILED);
    assert_null(strstr(d.requests, "revert"));
    tear_down(&d, PENDING);
}

static void a_pending_deletion_of_somebody_else_is_not_carried_out(void **state)
{
    struct driver d;

    (void)state;
    driver_init(&d, "scsi0: local:105/a.raw,size=1G\n\n[PENDING]\ndelete: scsi0\n",
                "{\"format\":1," SCENARIO_SMBIOS "}");
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_REFUSED);
    assert_int_equal(d.pve.n_changing, 0);
    driver_fini(&d);
}

static void a_journal_that_cannot_be_written_changes_nothing(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    d.once = true;
    d.journal_fails_at = 1;
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.outcome, RECONCILE_FAILED);
    assert_non_null(strstr(d.text, "No space left on device"));
    assert_int_equal(driver_count(&d, "put:smbios1:net0"), 0);
    tear_down(&d, TWO_DISKS);
}

static void a_crash_probes_again_before_it_goes_on(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    d.crashes[0] = (struct driver_crash){13, true}; /* after smbios1 and net0 are set */
    d.n_crashes = 1;
    d.pve.storage_until_ms = 0;
    fault(&d, 8, FAULT_VOLUME_AWAY);
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(driver_count_records(&d, "stuck"), 0);
    assert_int_equal(d.outcome, RECONCILE_PARTIAL);
    tear_down(&d, TWO_DISKS);
}

static void half_a_move_is_taken_back_from_a_running_vm_too(void **state)
{
    struct driver d;

    (void)state;
    set_up(&d, TWO_DISKS);
    fault(&d, 9, FAULT_STARTED_RAW); /* between our look and our call */
    fault(&d, 10, FAULT_VOLUME_BLINKS);
    d.crashes[0] = (struct driver_crash){16, DRIVER_DIES_AFTER};
    d.n_crashes = 1;
    driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d.lives, 1);
    assert_int_equal(d.outcome, RECONCILE_RUNNING);
    assert_non_null(strstr(d.requests, "revert"));
    tear_down(&d, TWO_DISKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_in_this_order),
        cmocka_unit_test(nothing_is_sent_where_all_is_as_it_should_be),
        cmocka_unit_test(a_running_vm_is_left_alone),
        cmocka_unit_test(a_disk_whose_volume_is_away_stays),
        cmocka_unit_test(a_lone_disk_whose_volume_is_away_is_settled),
        cmocka_unit_test(stuck_is_never_started_and_tried_until_the_volume_is_back),
        cmocka_unit_test(stuck_for_ever_is_never_started),
        cmocka_unit_test(a_disk_that_a_refused_start_detached_is_put_back),
        cmocka_unit_test(a_stale_digest_is_planned_around),
        cmocka_unit_test(somebody_elses_change_in_between_is_kept),
        cmocka_unit_test(a_vm_that_keeps_being_changed_is_given_up),
        cmocka_unit_test(what_does_not_stay_as_it_was_written_is_not_called_done),
        cmocka_unit_test(setting_back_takes_the_new_slot_back_as_well),
        cmocka_unit_test(the_lock_is_waited_for_and_then_given_up),
        cmocka_unit_test(a_lock_of_half_a_minute_is_waited_for),
        cmocka_unit_test(a_backup_while_nothing_is_owed_is_not_waited_for),
        cmocka_unit_test(a_fingerprint_edited_during_the_rewrite_counts),
        cmocka_unit_test(a_vm_that_goes_is_forgotten),
        cmocka_unit_test(an_administrators_pending_change_is_no_trouble),
        cmocka_unit_test(an_administrators_pending_change_is_not_reverted),
        cmocka_unit_test(a_pending_deletion_of_somebody_else_is_not_carried_out),
        cmocka_unit_test(a_journal_that_cannot_be_written_changes_nothing),
        cmocka_unit_test(a_crash_probes_again_before_it_goes_on),
        cmocka_unit_test(half_a_move_is_taken_back_from_a_running_vm_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
