/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The reconciliation, where what it was at is not there any more: PVE does not answer for long, the
 * number is another machine's, or a step that PVE had said yes to turns out not to be done.
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

#define OLD "1795397075"
#define NEW "1795399999"
#define HELD(c)                                                                                    \
    "{\"type\":\"held\",\"time\":\"2026-11-23T10:00:00Z\",\"key\":\"k\",\"ctime\":" c "},"
#define BEGIN                                                                                      \
    "{\"type\":\"begin\",\"txn\":\"t\",\"ctime\":" OLD ",\"machine\":\"m\",\"steps\":[{"           \
    "\"remove\":\"scsi0\",\"probe\":\"scsi0\",\"present\":\"" SCENARIO_DISK(                       \
        0) ",size=1G\",\"sets\":[[\"sata0\",\"" SCENARIO_DISK(0) ",size=1G\",null],[\"boot\","     \
                                                                 "\"order=sata0;net0\",\"order="   \
                                                                 "scsi0;net0\"]]}]}"
#define STUCK    ",{\"type\":\"stuck\",\"txn\":\"t\",\"keys\":\"scsi0\"}"
#define ONE_SATA "{\"format\":1,\"disks\":[" SCENARIO_SATA(0) "]}"

enum { AN_HOUR_MS = 3600 * 1000 };

/* A daemon that finds this journal. */
static void wake(struct driver *d, const char *config, const char *fingerprint, const char *journal)
{
    driver_init(d, config, fingerprint);
    d->pve.dice = 1;
    json_decref(d->journal);
    d->journal = json_loads(journal, 0, NULL);
    assert_non_null(d->journal);
    assert_int_equal(record_replay(d->journal, &d->memory), 0);
}

static void end_well(struct driver *d)
{
    if (d->pve.problem[0] != '\0') {
        fail_msg("%s\nrequests:%s", d->pve.problem, d->requests);
    }
    assert_null(d->r);
    assert_false(d->memory.open);
    assert_false(d->memory.start_owed);
    driver_fini(d);
}

/* --- nobody answers ------------------------------------------------------------------------- */

#define AS_IT_WAS                                                                                  \
    "boot: order=scsi0;net0\nmeta: ctime=" OLD "\n" SCENARIO_NET                                   \
    "scsi0: " SCENARIO_DISK(0) ",size=1G\n"

/* Killed in the midst of a change, with a start to make, and the next daemon cannot look. */
static void a_vm_that_is_down_is_said_to_be_while_nobody_answers(void **state)
{
    struct driver d;

    (void)state;
    wake(&d, AS_IT_WAS, ONE_SATA, "[" HELD(OLD) BEGIN "]");
    d.pve.api_until_ms = AN_HOUR_MS;
    driver_run(&d, RECONCILE_FOR_RECOVERY);
    assert_int_equal(d.told[RECONCILE_TELL_DOWN], 1);
    assert_int_equal(d.told[RECONCILE_TELL_WARNING], 0);
    assert_non_null(strstr(d.last_failed, "is DOWN"));
    assert_non_null(strstr(d.last_failed, "qm pending 105"));
    assert_true(d.pve.running);
    assert_int_equal(d.pve.our_starts, 1);
    end_well(&d);
}

static void one_that_no_start_is_owed_is_told_once(void **state)
{
    struct driver d;

    (void)state;
    wake(&d, AS_IT_WAS, ONE_SATA, "[" BEGIN "]");
    d.pve.api_until_ms = AN_HOUR_MS;
    driver_run(&d, RECONCILE_FOR_RECOVERY);
    assert_int_equal(d.told[RECONCILE_TELL_DOWN], 0);
    assert_int_equal(d.told[RECONCILE_TELL_WARNING], 1);
    assert_false(d.pve.running);
    end_well(&d);
}

/* The step's own call broke, and then nobody answered. */
static void a_vm_whose_step_broke_is_said_to_be_down_as_well(void **state)
{
    enum { STEP = 5 }; /* of one disk alone: status, config, probe, status, config, and it */
    struct driver d;

    (void)state;
    driver_init(&d, AS_IT_WAS, ONE_SATA);
    d.pve.dice = 1;
    d.pve.faults[d.pve.n_faults++] = (struct fake_fault){STEP + 1, FAULT_HALF};
    for (unsigned i = 2; i < FAKE_FAULTS_MAX; i++) {
        d.pve.faults[d.pve.n_faults++] = (struct fake_fault){STEP + i, FAULT_LOST_BEFORE};
    }
    driver_start(&d);
    assert_int_equal(d.told[RECONCILE_TELL_DOWN], 1);
    assert_true(d.pve.running);
    assert_int_equal(d.pve.our_starts, 1);
    end_well(&d);
}

/* --- the number is another machine's -------------------------------------------------------- */

/* Its images have the old one's names, and what it has pending is its own. */
static const char *const others[] = {
    "boot: order=net0\nmeta: ctime=" NEW
    "\nnet0: e1000=BC:24:11:9A:A3:C1,bridge=vmbr0\nunused0: " SCENARIO_DISK(0) "\n",
    "boot: order=net0\nmeta: ctime=" NEW
    "\nnet0: e1000=BC:24:11:9A:A3:C1,bridge=vmbr0\nscsi0: " SCENARIO_DISK(0) ",size=1G\n",
    "boot: order=scsi0;net0\nmeta: ctime=" NEW
    "\nnet0: e1000=BC:24:11:9A:A3:C1,bridge=vmbr0\nscsi0: " SCENARIO_DISK(
        0) ",size=1G\n\n[PENDING]\ndelete: scsi0\n",
};

static void check_untouched(struct driver *d, const char *config)
{
    CLEANUP_FREE char *text = fake_pve_text(&d->pve);

    assert_string_equal(d->pve.problem, "");
    assert_int_equal(d->pve.n_changing, d->pve.start_calls);
    assert_string_equal(text, config);
}

static void another_machine_of_that_number_is_left_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(others) * 2; i++) {
        const char *config = others[i / 2];
        struct driver d;

        wake(&d, config, NULL, i % 2 == 0 ? "[" BEGIN "]" : "[" HELD(OLD) BEGIN STUCK "]");
        driver_run(&d, RECONCILE_FOR_RECOVERY);
        check_untouched(&d, config);
        assert_int_equal(d.told[RECONCILE_TELL_STUCK], 0);
        assert_int_equal(d.told[RECONCILE_TELL_WARNING], 1);
        assert_false(d.pve.running);
        end_well(&d);
    }
}

/* It was its own start that was held, because the old one's change was still open. */
static void another_machine_whose_start_was_held_is_started(void **state)
{
    struct driver d;

    (void)state;
    wake(&d, others[1], NULL, "[" BEGIN "," HELD(NEW) "{\"type\":\"stuck\",\"txn\":\"t\"}]");
    driver_run(&d, RECONCILE_FOR_RECOVERY);
    check_untouched(&d, others[1]);
    assert_true(d.pve.running);
    assert_int_equal(d.pve.our_starts, 1);
    end_well(&d);
}

/* The VM was stuck, and is destroyed and made anew between two looks of a daemon that lives on. */
static void one_that_comes_while_the_old_one_is_stuck_is_left_alone_too(void **state)
{
    struct driver d;
    CLEANUP_FREE char *before = NULL;

    (void)state;
    wake(&d, AS_IT_WAS, NULL, "[" BEGIN STUCK "]");
    fake_pve_set(&d.pve, "scsi0", NULL);
    fake_pve_set(&d.pve, "unused0", SCENARIO_DISK(0));
    d.pve.volume = SCENARIO_DISK(0);
    d.pve.away_until_ms = INT64_MAX;
    driver_run(&d, RECONCILE_FOR_RECOVERY);
    assert_non_null(d.r);
    assert_true(d.stuck);
    d.pve.away_until_ms = 0;
    d.pve.n_changing = 0;
    fake_pve_set(&d.pve, "meta", "ctime=" NEW);
    before = fake_pve_text(&d.pve);
    driver_settle(&d);
    check_untouched(&d, before);
    end_well(&d);
}

/* --- a step that was not done after all ------------------------------------------------------ */

#define IDE(i) "ide" #i ": " SCENARIO_DISK(i) ",size=1G\n"

/* Started past the hook right before the call, which PVE leaves pending as a whole; then the guest
 * powers off by itself, so that it stays so. No other call may carry it out: where that broke, half
 * of two moves would be pending, and only one of them be taken back. */
static void a_move_that_stays_pending_is_taken_back_before_the_next(void **state)
{
    enum { FIRST_MOVE = 7 };     /* status, config, two probes, status, config, and it */
    enum { AT_FIRST_MOVE = 10 }; /* besides two looks at the files and a record */

    (void)state;
    for (unsigned crash = AT_FIRST_MOVE - 1; crash < 40; crash++) {
        struct driver d;
        const char *const volumes[] = {SCENARIO_DISK(0), SCENARIO_DISK(1), NULL};

        driver_init(&d, "boot: order=ide0\nhookscript: local:snippets/pve-hwid\n" IDE(0) IDE(1),
                    "{\"format\":1,\"disks\":[" SCENARIO_SATA(0) "," SCENARIO_SATA(1) "]}");
        d.pve.dice = 1;
        d.pve.faults[d.pve.n_faults++] = (struct fake_fault){FIRST_MOVE, FAULT_STARTED_RAW};
        d.pve.faults[d.pve.n_faults++] = (struct fake_fault){FIRST_MOVE + 1, FAULT_POWERED_OFF};
        if (crash >= AT_FIRST_MOVE) {
            d.crashes[d.n_crashes++] = (struct driver_crash){crash, DRIVER_DIES_AFTER};
        }
        driver_run(&d, RECONCILE_FOR_FINGERPRINT);
        assert_int_equal(driver_count(&d, "put:revert=boot,ide0,sata0"), 1);
        assert_int_equal(driver_count(&d, "put:delete=ide1:sata1"), 1);
        driver_check(&d, volumes);
        assert_non_null(fake_pve_get(&d.pve, "sata0"));
        assert_non_null(fake_pve_get(&d.pve, "sata1"));
        assert_string_equal(fake_pve_get(&d.pve, "boot"), "order=sata0");
        end_well(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_that_is_down_is_said_to_be_while_nobody_answers),
        cmocka_unit_test(one_that_no_start_is_owed_is_told_once),
        cmocka_unit_test(a_vm_whose_step_broke_is_said_to_be_down_as_well),
        cmocka_unit_test(another_machine_of_that_number_is_left_alone),
        cmocka_unit_test(another_machine_whose_start_was_held_is_started),
        cmocka_unit_test(one_that_comes_while_the_old_one_is_stuck_is_left_alone_too),
        cmocka_unit_test(a_move_that_stays_pending_is_taken_back_before_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
