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

enum { RUNS = 8000, FIRST_SEED = 1795700000 }; /* the same each time: no landing hangs on dice */

/* One case: everything that decides a run. */
struct experiment {
    const struct scenario *scenario;
    bool hold;
    struct driver_trouble trouble;
};

static unsigned total_runs;

static void set_up(const struct experiment *x, struct driver *d)
{
    driver_init(d, x->scenario->config, x->scenario->fingerprint);
    driver_meet(d, &x->trouble);
}

static void run(const struct experiment *x, struct driver *d)
{
    total_runs++;
    set_up(x, d);
    if (getenv("RECONCILE_TRACE") != NULL && *getenv("RECONCILE_TRACE") == '2') {
        d->trace = driver_print_line;
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

static void show(const struct experiment *x)
{
    struct driver d;

    printf("scenario '%s', %s", x->scenario->name, x->hold ? "hold" : "early");
    driver_explain(&x->trouble);
    if (getenv("RECONCILE_TRACE") == NULL) {
        return;
    }
    set_up(x, &d);
    d.trace = driver_print_line;
    if (x->hold) {
        driver_start(&d);
    } else {
        driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    }
    driver_show_end(&d);
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
    const struct scenario *s = &scenarios[scenario];

    return (struct experiment){
        .scenario = s,
        .hold = hold,
        .trouble = {.edited = s->edited, .volume = s->volumes[0], .dice = 88172645463325252u}};
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
        x.trouble.n_crashes = 1;
        for (x.trouble.crashes[0].at = 1; x.trouble.crashes[0].at <= actions;
             x.trouble.crashes[0].at++) {
            for (int after = 0; after < DRIVER_DEATHS; after++, points++) {
                x.trouble.crashes[0].when = (enum driver_death)after;
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

        x.trouble.auditor = s % 2 == 1;
        count_run(&x, &actions, &requests);
        x.trouble.n_crashes = 1;
        x.trouble.stop = true;
        for (x.trouble.crashes[0].at = 1; x.trouble.crashes[0].at <= actions;
             x.trouble.crashes[0].at++) {
            for (int after = 0; after < DRIVER_DEATHS; after++) {
                struct driver d;

                x.trouble.crashes[0].when = (enum driver_death)after;
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
        x.trouble.n_faults = 1;
        for (x.trouble.faults[0].at = 1; x.trouble.faults[0].at <= requests;
             x.trouble.faults[0].at++) {
            for (int kind = 0; kind < FAULT_KINDS; kind++, faults++) {
                x.trouble.faults[0].kind = (enum fake_fault_kind)kind;
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

        for (x.trouble.journal_fails_at = 1; x.trouble.journal_fails_at < 12;
             x.trouble.journal_fails_at++) {
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
        x.trouble.n_crashes = s / 2 % 2;
        for (x.trouble.hold_at = 1; x.trouble.hold_at <= actions; x.trouble.hold_at++, points++) {
            struct driver d;
            CLEANUP_FREE char *before = NULL;

            x.trouble.crashes[0] = (struct driver_crash){x.trouble.hold_at, false};
            x.trouble.hold = hold;
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

static struct experiment random_experiment(uint64_t seed)
{
    struct gen g = gen_new(seed);
    struct experiment x = base_of(gen_roll(&g, ARRAY_SIZE(scenarios)), gen_one_in(&g, 2));

    x.trouble.dice = gen_bits(&g);
    x.trouble.ha = gen_one_in(&g, 12);
    x.trouble.refuse = gen_one_in(&g, 8);
    x.trouble.auditor = gen_one_in(&g, 4);
    x.trouble.raw_start = gen_one_in(&g, 10);
    x.trouble.stop = gen_one_in(&g, 4);
    driver_roll_faults(&g, &x.trouble, gen_roll(&g, 4));
    driver_roll_crashes(&g, &x.trouble, gen_roll(&g, 4), 60);
    x.trouble.journal_fails_at = gen_one_in(&g, 10) ? 1 + gen_roll(&g, 10) : 0;
    return x;
}

static void faults_and_deaths_at_random_end_well(void **state)
{
    uint64_t first = driver_number("RECONCILE_SEED", FIRST_SEED);
    uint64_t runs = driver_number("RECONCILE_RUNS", RUNS);

    (void)state;
    n_bad = 0;
    for (uint64_t i = 0; i < runs && n_bad < 10; i++) {
        struct experiment x = random_experiment(first + i);
        unsigned bad = n_bad;

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
