/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whatever happens, whenever: the daemon dies at every action (before and after its effect), every
 * fault comes at every request, and both together at random. What must hold in the end is in
 * driver_check(), what must never be sent in fake_pve_watch.c. RECONCILE_SEED=n repeats a random
 * run, RECONCILE_RUNS=n makes more of them, RECONCILE_TRACE=1 shows what happened in the failing
 * one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "driver.h"
#include "scenarios.h"

enum { RUNS = 8000 };

/* One case: everything that decides a run. */
struct experiment {
    const struct scenario *scenario;
    bool hold;
    bool ha, refuse, auditor;
    bool raw_start, stop;
    struct fake_fault faults[FAKE_FAULTS_MAX];
    size_t n_faults;
    struct driver_crash crashes[DRIVER_CRASHES_MAX];
    size_t n_crashes;
    unsigned journal_fails_at;
    const char *hold_file;
    unsigned hold_at;
    uint64_t dice;
};

static unsigned total_runs;

static void print_line(const char *line)
{
    printf("%s\n", line);
}

static void set_up(const struct experiment *x, struct driver *d)
{
    driver_init(d, x->scenario->config, x->scenario->fingerprint);
    d->pve.edited_fingerprint = x->scenario->edited;
    d->pve.volume = x->scenario->volumes[0];
    d->pve.ha_managed = x->ha;
    d->pve.auditor = x->auditor;
    d->on_error = x->refuse ? FINGERPRINT_ERROR_REFUSE : FINGERPRINT_ERROR_START;
    d->pve.dice = x->dice;
    memcpy(d->pve.faults, x->faults, sizeof(d->pve.faults));
    d->pve.n_faults = x->n_faults;
    memcpy(d->crashes, x->crashes, sizeof(d->crashes));
    d->n_crashes = x->n_crashes;
    d->raw_start_in_crash = x->raw_start;
    d->stop_in_crash = x->stop;
    d->journal_fails_at = x->journal_fails_at;
    d->hold = x->hold_file;
    d->hold_at = x->hold_at;
}

static void run(const struct experiment *x, struct driver *d)
{
    total_runs++;
    set_up(x, d);
    if (getenv("RECONCILE_TRACE") != NULL && *getenv("RECONCILE_TRACE") == '2') {
        d->trace = print_line;
    }
    if (x->hold) {
        driver_start(d);
    } else {
        driver_run(d, RECONCILE_FOR_FINGERPRINT);
    }
    if (d->pve.problem[0] == '\0') {
        driver_check(d, x->scenario->volumes);
    }
}

static void explain(const struct experiment *x)
{
    printf("scenario '%s', %s%s%s%s%s", x->scenario->name, x->hold ? "hold" : "early",
           x->ha       ? ", HA"
           : x->refuse ? ", on_error: refuse"
                       : "",
           x->raw_start ? ", started while dead" : "", x->stop ? ", stopped while dead" : "",
           x->auditor ? ", with Sys.Audit" : "");
    for (size_t i = 0; i < x->n_faults; i++) {
        printf(", %s at request %u", fake_fault_name(x->faults[i].kind), x->faults[i].at);
    }
    for (size_t i = 0; i < x->n_crashes; i++) {
        printf(", crash %s action %u", x->crashes[i].after ? "after" : "before", x->crashes[i].at);
    }
    if (x->journal_fails_at != 0) {
        printf(", record %u not written", x->journal_fails_at);
    }
    if (x->hold_file != NULL) {
        printf(", on hold from action %u", x->hold_at);
    }
    printf("\n");
}

static void show(const struct experiment *x)
{
    struct driver d;
    char *text;

    explain(x);
    if (getenv("RECONCILE_TRACE") == NULL) {
        return;
    }
    set_up(x, &d);
    d.trace = print_line;
    if (x->hold) {
        driver_start(&d);
    } else {
        driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    }
    text = fake_pve_text(&d.pve);
    printf("%s", text == NULL ? "(gone)\n" : text);
    free(text);
    driver_fini(&d);
}

static unsigned n_bad;

static void check(const struct experiment *x, struct driver *d)
{
    if (d->pve.problem[0] != '\0') {
        n_bad++;
        if (n_bad <= 10) {
            printf("PROBLEM: %s\n", d->pve.problem);
            show(x);
        }
    }
    driver_fini(d);
}

static void run_and_check(const struct experiment *x)
{
    struct driver d;

    run(x, &d);
    check(x, &d);
}

static struct experiment base_of(size_t scenario, bool hold)
{
    return (struct experiment){
        .scenario = &scenarios[scenario], .hold = hold, .dice = 88172645463325252u};
}

/* How many actions and requests a run without trouble takes; and it ends well. */
static void count_run(const struct experiment *x, unsigned *ret_actions, unsigned *ret_requests)
{
    struct driver d;

    run(x, &d);
    assert_int_equal(d.outcome, RECONCILE_DONE);
    assert_int_equal(d.ended_running, x->hold);
    *ret_actions = d.actions;
    *ret_requests = d.pve.n_requests;
    check(x, &d);
}

static void dying_at_every_action_loses_nothing(void **state)
{
    unsigned points = 0;

    (void)state;
    n_bad = 0;
    for (size_t s = 0; s < ARRAY_SIZE(scenarios) * 2; s++) {
        struct experiment x = base_of(s / 2, s % 2 == 1);
        unsigned actions, requests;

        count_run(&x, &actions, &requests);
        x.n_crashes = 1;
        for (x.crashes[0].at = 1; x.crashes[0].at <= actions; x.crashes[0].at++) {
            for (int after = 0; after < 2; after++, points++) {
                x.crashes[0].after = after == 1;
                run_and_check(&x);
            }
        }
    }
    printf("%u crash points\n", points);
    assert_int_equal(n_bad, 0);
}

/* Whoever stops the VM while the daemon is dead has stopped it: wherever that was after our start,
 * the next daemon does not undo it. */
static void a_stop_while_it_is_dead_is_not_undone(void **state)
{
    unsigned stopped = 0;

    (void)state;
    n_bad = 0;
    for (size_t s = 0; s < ARRAY_SIZE(scenarios) * 2; s++) {
        struct experiment x = base_of(s / 2, true);
        unsigned actions, requests;

        x.auditor = s % 2 == 1;
        count_run(&x, &actions, &requests);
        x.n_crashes = 1;
        x.stop = true;
        for (x.crashes[0].at = 1; x.crashes[0].at <= actions; x.crashes[0].at++) {
            for (int after = 0; after < 2; after++) {
                struct driver d;

                x.crashes[0].after = after == 1;
                run(&x, &d);
                if (d.pve.n_stops > 0 && d.ended_running) {
                    fake_pve_problem(&d.pve, "it was stopped, and started again");
                }
                stopped += d.pve.n_stops;
                check(&x, &d);
            }
        }
    }
    printf("%u stops while it was dead\n", stopped);
    assert_int_equal(n_bad, 0);
    assert_true(stopped > ARRAY_SIZE(scenarios) * 4);
}

static void every_fault_at_every_request_ends_well(void **state)
{
    unsigned faults = 0;

    (void)state;
    n_bad = 0;
    for (size_t s = 0; s < ARRAY_SIZE(scenarios) * 2; s++) {
        struct experiment x = base_of(s / 2, s % 2 == 1);
        unsigned actions, requests;

        count_run(&x, &actions, &requests);
        x.n_faults = 1;
        for (x.faults[0].at = 1; x.faults[0].at <= requests; x.faults[0].at++) {
            for (int kind = 0; kind < FAULT_KINDS; kind++, faults++) {
                x.faults[0].kind = (enum fake_fault_kind)kind;
                run_and_check(&x);
            }
        }
    }
    printf("%u faults\n", faults);
    assert_int_equal(n_bad, 0);
}

static void every_record_that_cannot_be_written_ends_well(void **state)
{
    (void)state;
    n_bad = 0;
    for (size_t s = 0; s < ARRAY_SIZE(scenarios) * 2; s++) {
        struct experiment x = base_of(s / 2, s % 2 == 1);

        for (x.journal_fails_at = 1; x.journal_fails_at < 12; x.journal_fails_at++) {
            run_and_check(&x);
        }
    }
    assert_int_equal(n_bad, 0);
}

/* A hold that comes before some action, alone or with a death there: what was begun is ended, what
 * was not is not; a start that is owed is made. */
static void check_held(const struct experiment *x, struct driver *d, const char *before)
{
    CLEANUP(assessment_freep) struct assessment *a = driver_assess(d);
    CLEANUP_FREE char *after = fake_pve_text(&d->pve);
    bool whole = plan_is_empty(a->plan);

    if (d->pve.problem[0] == '\0' && !whole && !str_equal(before, after)) {
        fake_pve_problem(&d->pve, "on hold, and neither as it was nor as it should be");
    }
    if (d->pve.problem[0] == '\0' && x->hold && !d->ended_running) {
        fake_pve_problem(&d->pve, "down, because it is on hold");
    }
}

static void a_hold_at_every_action_ends_what_was_begun(void **state)
{
    static const char hold[] = "{\"format\":1,\"since\":\"t\",\"by\":\"root\"}";
    unsigned points = 0, begun = 0;

    (void)state;
    n_bad = 0;
    for (size_t s = 0; s < ARRAY_SIZE(scenarios) * 4; s++) {
        struct experiment x = base_of(s / 4, s % 2 == 1);
        unsigned actions, requests;

        count_run(&x, &actions, &requests);
        x.n_crashes = s / 2 % 2;
        for (x.hold_at = 1; x.hold_at <= actions; x.hold_at++, points++) {
            struct driver d;
            CLEANUP_FREE char *before = NULL;

            x.crashes[0] = (struct driver_crash){x.hold_at, false};
            x.hold_file = hold;
            set_up(&x, &d);
            if (x.hold) {
                fake_pve_stop(&d.pve); /* any start carries out what is pending */
            }
            before = fake_pve_text(&d.pve);
            driver_fini(&d);
            run(&x, &d);
            check_held(&x, &d, before);
            begun += driver_count_records(&d, "begin") > 0;
            check(&x, &d);
        }
    }
    printf("%u holds, %u of them after a begin\n", points, begun);
    assert_int_equal(n_bad, 0);
    assert_true(begun > points / 4 && begun < points);
}

static uint64_t roll_raw(uint64_t *dice) /* xorshift64 */
{
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    return *dice;
}

static unsigned roll(uint64_t *dice, unsigned sides)
{
    return (unsigned)(roll_raw(dice) % sides);
}

static struct experiment random_experiment(uint64_t *dice)
{
    struct experiment x = base_of(roll(dice, ARRAY_SIZE(scenarios)), roll(dice, 2) == 0);

    x.dice = roll_raw(dice) | 1;
    x.ha = roll(dice, 12) == 0;
    x.refuse = roll(dice, 8) == 0;
    x.auditor = roll(dice, 4) == 0;
    x.raw_start = roll(dice, 10) == 0;
    x.stop = roll(dice, 4) == 0;
    x.n_faults = roll(dice, 4);
    x.n_crashes = roll(dice, 4);
    for (size_t i = 0; i < x.n_faults; i++) {
        x.faults[i].at = 1 + roll(dice, 40);
        x.faults[i].kind = (enum fake_fault_kind)roll(dice, FAULT_KINDS);
    }
    for (size_t i = 0; i < x.n_crashes; i++) {
        x.crashes[i] = (struct driver_crash){1 + roll(dice, 60), roll(dice, 2) == 0};
    }
    x.journal_fails_at = roll(dice, 10) == 0 ? 1 + roll(dice, 10) : 0;
    return x;
}

static uint64_t seed_of_today(void)
{
    const char *text = getenv("RECONCILE_SEED");
    uint64_t seed = 1795700000; /* the same runs each time, so that no landing hangs on dice */

    if (text != NULL && str_to_u64(text, UINT64_MAX, &seed)) {
        return seed;
    }
    return seed;
}

static void faults_and_deaths_at_random_end_well(void **state)
{
    uint64_t first = seed_of_today();
    const char *text = getenv("RECONCILE_RUNS");
    uint64_t runs = RUNS;

    (void)state;
    n_bad = 0;
    if (text != NULL && !str_to_u64(text, UINT32_MAX, &runs)) {
        runs = RUNS;
    }
    for (uint64_t i = 0; i < runs && n_bad < 10; i++) {
        uint64_t dice = (first + i) * 0x9E3779B97F4A7C15u + 1;
        struct experiment x;
        unsigned bad = n_bad;

        (void)roll_raw(&dice);
        x = random_experiment(&dice);
        run_and_check(&x);
        if (n_bad > bad) {
            printf("repeat with RECONCILE_SEED=%llu RECONCILE_RUNS=1 RECONCILE_TRACE=1\n",
                   (unsigned long long)(first + i));
        }
    }
    printf("seed %llu, %u runs in all\n", (unsigned long long)first, total_runs);
    assert_int_equal(n_bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dying_at_every_action_loses_nothing),
        cmocka_unit_test(a_stop_while_it_is_dead_is_not_undone),
        cmocka_unit_test(every_fault_at_every_request_ends_well),
        cmocka_unit_test(every_record_that_cannot_be_written_ends_well),
        cmocka_unit_test(a_hold_at_every_action_ends_what_was_begun),
        cmocka_unit_test(faults_and_deaths_at_random_end_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
