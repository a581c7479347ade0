/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whatever VM it is, whatever its fingerprint says, whatever goes wrong and whoever meddles: no
 * disk is lost or attached twice, nothing but the identity changes, no start is lost or made twice,
 * and in the end, once all is calm, the VM can be started. Random VMs (gen_conf.c) on a model of
 * PVE (fake_pve.c, held against the simulator by tests/test_pvesim_model.py), driven by the real
 * state machine through several lives (driver.c).
 *
 * PROPERTY_RUNS=n for more, PROPERTY_SEED=n to begin elsewhere: a failing run prints its seed, its
 * VM, its fingerprint, its faults, and all that was asked, answered, recorded and told.
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
#include "fake_pve_priv.h"
#include "gen_conf.h"
#include "property_check.h"
#include "property_dump.h"

#ifndef __has_feature
#define __has_feature(x) 0 /* gcc */
#endif
/* With AddressSanitizer a run takes six times as long, and what a run does is judged without it as
 * well: there it is for errors of memory alone, and 4,000 runs reach all but five of the lines of
 * the core that 14,000 reach. They are others than those without it, so none is wasted. */
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { RUNS = 4000, RUNS_BEFORE = 14000 };
#else
enum { RUNS = 14000, RUNS_BEFORE = 0 };
#endif
enum { BAD_MAX = 5 };

struct trial {
    uint64_t seed;
    char *config, *fingerprint, *edited, *volume;
    bool untidy, start_first;
    struct driver_trouble trouble;
};

/* How often what came about, so that a test of nothing is noticed. */
static struct {
    unsigned runs, requests, struck, deaths, records, holds, our_starts, moved, reverted, stuck,
        done, refused, failed, undone, late, waited;
} seen;

/* --- a trial ---------------------------------------------------------------------------------- */

/* A call breaks in the middle, and right behind it somebody carries out what was left of it, or is
 * in the way of taking it back: where each has a place of its own they meet once in 5,000 runs. */
static void roll_half_and_more(struct gen *g, struct driver_trouble *t)
{
    static const enum fake_fault_kind kinds[] = {FAULT_EDITED_OTHER, FAULT_EDITED_SAME,
                                                 FAULT_STARTED,      FAULT_STARTED_RAW,
                                                 FAULT_FORBIDDEN,    FAULT_STORAGE_AWAY};

    t->faults[t->n_faults++] = (struct fake_fault){1 + gen_roll(g, 25), FAULT_HALF};
    t->faults[t->n_faults++] = (struct fake_fault){0, kinds[gen_roll(g, ARRAY_SIZE(kinds))]};
}

static void roll_trouble(struct gen *g, struct driver_trouble *t)
{
    static const unsigned counts[] = {0, 0, 1, 1, 2, 3, 5, 8};

    t->ha = gen_one_in(g, 12);
    t->refuse = gen_one_in(g, 8);
    t->raw_start = gen_one_in(g, 10);
    t->auditor = gen_one_in(g, 4);
    t->stop = gen_one_in(g, 4);
    t->dice = gen_bits(g);
    driver_roll_faults(g, t, counts[gen_roll(g, ARRAY_SIZE(counts))]);
    driver_roll_crashes(g, t, gen_one_in(g, 2) ? 0 : gen_roll(g, DRIVER_CRASHES_MAX), 70);
    if (gen_one_in(g, 10)) {
        t->journal_fails_at = 1 + gen_roll(g, 10);
        t->journal_fails_more = gen_one_in(g, 2) ? 0 : gen_roll(g, 30);
    }
    if (gen_one_in(g, 8)) {
        roll_half_and_more(g, t);
    }
}

/* The volume that faults take away; NULL: there is no disk. The caller's. */
static char *any_volume(struct gen *g, const char *config)
{
    struct fake_pve pve;
    const char *volume = NULL;
    char *copy;

    fake_pve_init(&pve, config, NULL);
    if (pve.volumes.n > 0) {
        volume = pve.volumes.items[gen_roll(g, (unsigned)pve.volumes.n)].key;
    }
    copy = str_dup(volume);
    fake_pve_fini(&pve);
    return copy;
}

static void trial_init(struct trial *t, uint64_t seed)
{
    struct gen g = gen_new(seed);

    *t = (struct trial){.seed = seed, .config = gen_config(&g)};
    t->fingerprint = gen_fingerprint(&g, t->config);
    t->edited = gen_fingerprint(&g, t->config);
    t->volume = any_volume(&g, t->config);
    t->untidy = gen_one_in(&g, 8);
    if (t->untidy) {
        char *tidy = t->config;

        t->config = gen_untidy(&g, tidy);
        free(tidy);
    }
    t->start_first = gen_one_in(&g, 2);
    roll_trouble(&g, &t->trouble);
    t->trouble.edited = t->edited;
    t->trouble.volume = t->volume;
}

static void trial_fini(struct trial *t)
{
    free(t->config);
    free(t->fingerprint);
    free(t->edited);
    free(t->volume);
}

static void set_up(const struct trial *t, struct driver *d)
{
    driver_init(d, t->config, t->fingerprint);
    if (t->untidy) {
        d->pve.raw = str_dup(t->config);
    }
    driver_meet(d, &t->trouble);
    d->quiet = true;
}

static bool is_bad(const struct driver *d)
{
    return d->pve.problem[0] != '\0';
}

/* Trouble first; then calm, and all that was left must come right. */
static void play(const struct trial *t, struct driver *d)
{
    struct property p;

    property_init(&p, d);
    if (t->start_first) {
        driver_start(d);
    } else {
        driver_run(d, RECONCILE_FOR_FINGERPRINT);
    }
    for (unsigned i = 0; i < 2 && !is_bad(d); i++) {
        if (d->pve.running) {
            fake_pve_stop_by_others(&d->pve);
            driver_settle(d);
        } else {
            driver_start(d);
        }
    }
    if (!is_bad(d)) {
        property_check_calm(&p, d);
    }
    property_fini(&p);
}

/* --- what is shown -----------------------------------------------------------------------------
 */

/* `again` plays the trial once more. */
static void show(const struct trial *t, const char *problem,
                 void (*again)(const struct trial *t, struct driver *d))
{
    struct driver d;

    printf(
        "PROBLEM: %s\nrepeat with: PROPERTY_SEED=%llu PROPERTY_RUNS=1 build/tests/test_property\n",
        problem, (unsigned long long)t->seed);
    printf("--- the VM%s:\n%s--- its fingerprint:\n%s\n", t->untidy ? ", edited by hand" : "",
           t->config, t->fingerprint);
    printf("--- %s", t->start_first ? "start" : "early");
    driver_explain(&t->trouble);
    printf("--- what happened:\n");
    set_up(t, &d);
    d.trace = driver_print_line;
    again(t, &d);
    driver_show_end(&d);
}

static void count(const struct driver *d)
{
    seen.runs++;
    seen.requests += d->pve.n_requests;
    seen.struck += d->pve.n_struck;
    seen.deaths += d->lives;
    seen.records += d->records;
    seen.holds += d->held;
    seen.our_starts += d->pve.our_starts;
    seen.moved += d->pve.n_moved;
    seen.reverted += d->told[RECONCILE_TELL_REVERTED];
    seen.stuck += d->told[RECONCILE_TELL_STUCK];
    seen.late += d->pve.n_landed;
    seen.waited += d->waited_for_stop;
    seen.done += d->outcome == RECONCILE_DONE || d->outcome == RECONCILE_IN_SYNC;
    seen.refused += d->outcome == RECONCILE_REFUSED;
    seen.failed += d->outcome == RECONCILE_FAILED;
}

/* The same runs each time, so that no landing hangs on dice; a campaign gives a seed of its own. */
#define FIRST_SEED (1795700000000000 + RUNS_BEFORE)

static void no_vm_is_harmed_by_any_circumstance(void **state)
{
    uint64_t first = driver_number("PROPERTY_SEED", FIRST_SEED);
    uint64_t runs = driver_number("PROPERTY_RUNS", RUNS);
    unsigned bad = 0;

    (void)state;
    printf("PROPERTY_SEED=%llu\n", (unsigned long long)first);
    for (uint64_t i = 0; i < runs && bad < BAD_MAX; i++) {
        struct trial t;
        struct driver d;

        trial_init(&t, first + i);
        set_up(&t, &d);
        play(&t, &d);
        count(&d);
        if (is_bad(&d)) {
            bad++;
            show(&t, d.pve.problem, play);
        }
        driver_fini(&d);
        trial_fini(&t);
    }
    printf(
        "%u runs: %u requests, %u faults struck, %u deaths of the daemon, %u records, %u disks "
        "moved, %u starts held, %u made by us, %u leftovers taken back, %u times stuck; in the end "
        "%u in sync, %u refused, %u failed\n",
        seen.runs, seen.requests, seen.struck, seen.deaths, seen.records, seen.moved, seen.holds,
        seen.our_starts, seen.reverted, seen.stuck, seen.done, seen.refused, seen.failed);
    printf("%u calls carried out late, %u VMs waited for their stop\n", seen.late, seen.waited);
    assert_int_equal(bad, 0);
    if (runs >= RUNS) {
        /* A generator that makes nothing of interest would prove nothing. */
        assert_true(seen.moved > runs / 4 && seen.holds > runs / 10 && seen.struck > runs / 2 &&
                    seen.deaths > runs / 10 && seen.our_starts > runs / 20 &&
                    seen.reverted > runs / 1000 && seen.stuck > runs / 1000 &&
                    seen.done > runs / 4 && seen.refused > 0 && seen.late > runs / 100);
    }
}

/* What the next start would have seen before the change set, key by key; of the boot order, names
 * that were not there are not taken back: PVE would refuse them. */
static void check_undone(struct driver *d, const struct fake_map *before)
{
    CLEANUP_FREE char *boot = fake_pve_boot_sequence(before);
    CLEANUP_FREE char *boot_now = fake_pve_boot_sequence(&d->pve.conf);

    if (!str_equal(boot, boot_now)) {
        fake_pve_problem(&d->pve, "undone, but it boots from%s, not%s", boot_now, boot);
    }
    for (size_t i = 0; i < before->n; i++) {
        const char *now = fake_pve_get(&d->pve, before->items[i].key);

        if (!str_equal(now, before->items[i].value) &&
            !(str_equal(before->items[i].key, "boot") && boot[0] != '\0')) {
            fake_pve_problem(&d->pve, "undone, but %s is %s, not %s", before->items[i].key,
                             now == NULL ? "gone" : now, before->items[i].value);
        }
    }
    for (size_t i = 0; i < d->pve.conf.n; i++) {
        const char *key = d->pve.conf.items[i].key;
        /* A start carried out the deletion that somebody had left pending: unusedN is PVE's. */
        bool theirs = d->pve.deletes_at_first && str_starts(key, "unused");

        if (fake_map_get(before, key) == NULL && !theirs) {
            fake_pve_problem(&d->pve, "undone, but there is a new %s", key);
        }
    }
}

/* A rewrite with whatever trouble; then, in calm, what its change set did is undone. True: it did.
 */
static void rewrite_and_undo(const struct trial *t, struct driver *d)
{
    struct fake_map before;
    bool undone;

    (void)t;
    fake_pve_effective(&d->pve, &before);
    driver_run(d, RECONCILE_FOR_FINGERPRINT);
    fake_pve_calm(&d->pve);
    d->n_crashes = 0;
    d->journal_fails_at = 0;
    driver_settle(d);
    undone = !is_bad(d) && driver_count_records(d, "begin") == 1 && !d->pve.running &&
             driver_undo(d);
    if (!is_bad(d) && undone && d->outcome == RECONCILE_DONE) {
        check_undone(d, &before);
    } else if (!is_bad(d) && undone && d->pve.n_struck == 0 && strstr(d->text, "`args`") == NULL) {
        fake_pve_problem(&d->pve, "not undone: %s", d->text);
    }
    fake_map_fini(&before);
    seen.undone += undone && d->outcome == RECONCILE_DONE;
}

/* Nobody meddles: an undo of what somebody changed since is refused, or brings back less. */
static void leave_alone(struct trial *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->trouble.n_faults && t->seed % 2 == 1; i++) {
        switch ((int)t->trouble.faults[i].kind) {
        case FAULT_EDITED_OTHER:
        case FAULT_EDITED_SAME:
        case FAULT_EDITED_DISK:
        case FAULT_EDITED_BOOT:
        case FAULT_DETACHED:
            break;
        default:
            t->trouble.faults[kept++] = t->trouble.faults[i];
        }
    }
    t->trouble.n_faults = kept;
    t->trouble.n_crashes = t->seed % 2 == 0 ? 0 : t->trouble.n_crashes;
    t->trouble.journal_fails_at = 0;
}

static void undo_restores_the_file(void **state)
{
    uint64_t first = driver_number("PROPERTY_SEED", FIRST_SEED);
    uint64_t runs = driver_number("PROPERTY_RUNS", RUNS) / 8;
    unsigned bad = 0;

    (void)state;
    for (uint64_t i = 0; i < runs && bad < BAD_MAX; i++) {
        struct trial t;
        struct driver d;

        trial_init(&t, first + i);
        leave_alone(&t);
        set_up(&t, &d);
        rewrite_and_undo(&t, &d);
        if (is_bad(&d)) {
            bad++;
            show(&t, d.pve.problem, rewrite_and_undo);
        }
        driver_fini(&d);
        trial_fini(&t);
    }
    printf("%u change sets undone\n", seen.undone);
    assert_int_equal(bad, 0);
    assert_true(seen.undone > runs / 4 || runs < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_vm_is_harmed_by_any_circumstance),
        cmocka_unit_test(undo_restores_the_file),
    };

    if (getenv("PROPERTY_DUMP") != NULL) {
        property_dump(driver_number("PROPERTY_SEED", 1), driver_number("PROPERTY_DUMP", 1));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
