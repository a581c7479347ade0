/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An undo that dies at every action, meets every fault at every request, and both at random: in the
 * end the configuration is the one from before, byte for byte, or as the change set left it, or,
 * where somebody else changed or started the VM, at least no disk is lost and no step is half done.
 * UNDO_SEED=n repeats a random run, UNDO_RUNS=n makes more of them, UNDO_TRACE=1 shows a failing
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

#include "base/buf.h"
#include "base/str.h"
#include "driver.h"
#include "scenarios.h"

enum { RUNS = 3000, FIRST_SEED = 1795700000 }; /* the same each time: no landing hangs on dice */

static const char hold[] = "{\"format\":1,\"since\":\"t\",\"by\":\"root\"}";

struct experiment {
    const struct scenario *scenario;
    struct driver_trouble trouble; /* of the undo */
};

static unsigned total_runs, undone, left, n_bad;

/* An order that named what is not there has had no effect, and PVE does not take it any more. */
static void drop_absent(struct fake_pve *pve)
{
    CLEANUP_FREE char *order = str_dup(fake_pve_get(pve, "boot"));
    struct buf kept = BUF_INIT(0);
    char *state = NULL;

    if (order == NULL || !str_starts(order, "order=")) {
        return;
    }
    buf_adds(&kept, "order=");
    for (char *d = strtok_r(order + strlen("order="), ";", &state); d != NULL;
         d = strtok_r(NULL, ";", &state)) {
        if (fake_pve_get(pve, d) != NULL) {
            buf_addf(&kept, "%s%s", kept.data[kept.len - 1] == '=' ? "" : ";", d);
        }
    }
    fake_pve_set(pve, "boot", kept.data);
    buf_fini(&kept);
}

/* What PVE's first change makes of the configuration before any of ours: pending is carried out. */
static char *text_before(const struct experiment *x)
{
    struct fake_pve pve;
    char *text;

    fake_pve_init(&pve, x->scenario->config, NULL);
    fake_pve_stop(&pve);
    drop_absent(&pve);
    text = fake_pve_text(&pve);
    fake_pve_fini(&pve);
    return text;
}

/* The change set, without trouble. */
static char *rewrite(const struct experiment *x, struct driver *d)
{
    driver_init(d, x->scenario->config, x->scenario->fingerprint);
    driver_run(d, RECONCILE_FOR_FINGERPRINT);
    assert_int_equal(d->outcome, RECONCILE_DONE);
    return fake_pve_text(&d->pve);
}

static void undo(const struct experiment *x, struct driver *d)
{
    driver_meet(d, &x->trouble);
    d->pve.may_undo = true;
    d->outcome = RECONCILE_UNDER_WAY;
    assert_true(driver_undo(d));
}

/* Did nobody but us, and nothing for good, touch this VM? */
static bool is_ours_alone(const struct experiment *x, const struct driver *d)
{
    static const enum fake_fault_kind passing[] = {
        FAULT_UNREACHABLE, FAULT_LOST_BEFORE,  FAULT_LOST_AFTER, FAULT_LOCK_TIMEOUT,
        FAULT_CHECKSUM,    FAULT_VM_LOCKED,    FAULT_FORBIDDEN,  FAULT_VOLUME_BLINKS,
        FAULT_FP_REMOVED,  FAULT_STORAGE_AWAY, FAULT_FP_EDITED,  FAULT_FP_BROKEN,
        FAULT_OVERLOAD,    FAULT_GARBAGE,      FAULT_LATE,
    };
    bool alone = !d->pve.gone && !d->ended_running && !x->trouble.raw_start;

    for (size_t i = 0; i < x->trouble.n_faults; i++) {
        bool found = false;

        for (size_t j = 0; j < ARRAY_SIZE(passing); j++) {
            found = found || x->trouble.faults[i].kind == passing[j];
        }
        alone = alone && found;
    }
    return alone;
}

static void judge(const struct experiment *x, struct driver *d, const char *before,
                  const char *rewritten)
{
    CLEANUP_FREE char *after = NULL;
    bool back, as_left;

    if (d->pve.problem[0] == '\0') {
        driver_check(d, x->scenario->volumes);
    }
    fake_pve_set(&d->pve, "lock", NULL); /* somebody's backup may not have ended yet */
    after = fake_pve_text(&d->pve);
    back = str_equal(after, before);
    as_left = str_equal(after, rewritten);
    undone += back;
    left += as_left;
    if (d->pve.problem[0] != '\0' || !is_ours_alone(x, d)) {
        return;
    }
    if (d->memory.undoes[0] != '\0') {
        fake_pve_problem(&d->pve, "the journal has an undo that is not ended");
    }
    if (!back && d->outcome == RECONCILE_DONE) {
        fake_pve_problem(&d->pve, "called done, but it is not as before");
    }
    /* Half of it only where a step failed for good and that was told. */
    if (!back && !as_left && d->told[RECONCILE_TELL_FAILED] == 0) {
        fake_pve_problem(&d->pve, "half undone, and nobody was told");
    }
    /* Deaths alone keep no undo from its end. */
    if (!back && x->trouble.n_faults == 0 && x->trouble.journal_fails_at == 0 &&
        !(as_left && driver_count_records(d, "begin") == 1)) {
        fake_pve_problem(&d->pve, "an undo that was begun has not come to its end");
    }
}

static void show(const struct experiment *x)
{
    struct driver d;

    printf("scenario '%s'", x->scenario->name);
    driver_explain(&x->trouble);
    if (getenv("UNDO_TRACE") != NULL) {
        CLEANUP_FREE char *before = text_before(x);
        CLEANUP_FREE char *rewritten = rewrite(x, &d);

        printf("--- before\n%s--- rewritten\n%s--- what happened\n", before, rewritten);
        d.trace = driver_print_line;
        undo(x, &d);
        driver_show_end(&d);
    }
}

/* How many actions and requests it took. */
static void run_and_check(const struct experiment *x, unsigned *ret_actions, unsigned *ret_requests)
{
    struct driver d;
    CLEANUP_FREE char *before = text_before(x);
    CLEANUP_FREE char *rewritten = rewrite(x, &d);

    total_runs++;
    undo(x, &d);
    judge(x, &d, before, rewritten);
    if (d.pve.problem[0] != '\0') {
        n_bad++;
        if (n_bad <= 10) {
            printf("PROBLEM: %s\n", d.pve.problem);
            show(x);
        }
    }
    if (ret_actions != NULL) {
        assert_int_equal(d.outcome, RECONCILE_DONE);
        *ret_actions = d.actions;
        *ret_requests = d.pve.n_requests;
    }
    driver_fini(&d);
}

static struct experiment base_of(size_t scenario)
{
    const struct scenario *s = &scenarios[scenario];

    return (struct experiment){.scenario = s,
                               .trouble = {.edited = s->edited,
                                           .volume = s->volumes[0],
                                           .hold = hold,
                                           .dice = 88172645463325252u}};
}

static void dying_at_every_action_ends_in_the_configuration_from_before(void **state)
{
    unsigned points = 0;

    (void)state;
    n_bad = undone = 0;
    for (size_t s = 0; s < ARRAY_SIZE(scenarios); s++) {
        struct experiment x = base_of(s);
        unsigned actions, requests;

        run_and_check(&x, &actions, &requests);
        x.trouble.n_crashes = 1;
        for (x.trouble.crashes[0].at = 1; x.trouble.crashes[0].at <= actions;
             x.trouble.crashes[0].at++) {
            for (int after = 0; after < DRIVER_DEATHS; after++, points++) {
                x.trouble.crashes[0].when = (enum driver_death)after;
                run_and_check(&x, NULL, NULL);
            }
        }
    }
    printf("%u crash points, %u undone\n", points, undone);
    assert_int_equal(n_bad, 0);
    assert_true(undone > points / 2);
}

static void every_fault_at_every_request_ends_well(void **state)
{
    unsigned faults = 0;

    (void)state;
    n_bad = undone = left = 0;
    for (size_t s = 0; s < ARRAY_SIZE(scenarios); s++) {
        struct experiment x = base_of(s);
        unsigned actions, requests;

        run_and_check(&x, &actions, &requests);
        x.trouble.n_faults = 1;
        for (x.trouble.faults[0].at = 1; x.trouble.faults[0].at <= requests;
             x.trouble.faults[0].at++) {
            for (int kind = 0; kind < FAULT_KINDS; kind++, faults++) {
                x.trouble.faults[0].kind = (enum fake_fault_kind)kind;
                run_and_check(&x, NULL, NULL);
            }
        }
    }
    printf("%u faults, %u undone, %u left as they were\n", faults, undone, left);
    assert_int_equal(n_bad, 0);
}

static void every_record_that_cannot_be_written_ends_well(void **state)
{
    (void)state;
    n_bad = 0;
    for (size_t s = 0; s < ARRAY_SIZE(scenarios); s++) {
        struct experiment x = base_of(s);

        for (x.trouble.journal_fails_at = 1; x.trouble.journal_fails_at < 10;
             x.trouble.journal_fails_at++) {
            run_and_check(&x, NULL, NULL);
        }
    }
    assert_int_equal(n_bad, 0);
}

static struct experiment random_experiment(uint64_t seed)
{
    struct gen g = gen_new(seed);
    struct experiment x = base_of(gen_roll(&g, ARRAY_SIZE(scenarios)));

    x.trouble.dice = gen_bits(&g);
    x.trouble.raw_start = gen_one_in(&g, 10);
    driver_roll_faults(&g, &x.trouble, gen_roll(&g, 3));
    driver_roll_crashes(&g, &x.trouble, gen_roll(&g, 4), 60);
    return x;
}

static void faults_and_deaths_at_random_end_well(void **state)
{
    uint64_t first = driver_number("UNDO_SEED", FIRST_SEED);
    uint64_t runs = driver_number("UNDO_RUNS", RUNS);

    (void)state;
    n_bad = 0;
    for (uint64_t i = 0; i < runs && n_bad < 10; i++) {
        struct experiment x = random_experiment(first + i);
        unsigned bad = n_bad;

        run_and_check(&x, NULL, NULL);
        if (n_bad > bad) {
            printf("repeat with UNDO_SEED=%llu UNDO_RUNS=1 UNDO_TRACE=1\n",
                   (unsigned long long)(first + i));
        }
    }
    printf("seed %llu, %u runs in all\n", (unsigned long long)first, total_runs);
    assert_int_equal(n_bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dying_at_every_action_ends_in_the_configuration_from_before),
        cmocka_unit_test(every_fault_at_every_request_ends_well),
        cmocka_unit_test(every_record_that_cannot_be_written_ends_well),
        cmocka_unit_test(faults_and_deaths_at_random_end_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
