/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Undoing change sets: every golden plan is carried out on a model of PVE, written down as the
 * journal has it, and undone, also from each state in between; tests/golden/undo/NAME has
 * journal.jsonl, 105.conf, perhaps `args` (a change set), and expect (the plan and its calls, or
 * the sentence why there is none). UNDO_GOLDEN_WRITE=1 writes the expectations instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/record.h"
#include "core/undo.h"
#include "golden.h"
#include "pve_apply.h"

#define TXN "11111111-2222-3333-4444-555555555555"

static const struct record_head head = {105, TXN, "2026-11-23T10:00:00Z"};

/* --- the model -------------------------------------------------------------------------------- */

static struct pveconf *parse(const char *text)
{
    CLEANUP(pveconf_freep) struct pveconf *raw = NULL;
    struct pveconf *conf = NULL;

    assert_int_equal(pveconf_parse(text, strlen(text), &raw, NULL), 0);
    assert_int_equal(pveconf_apply_pending(raw, &conf), 0);
    return conf;
}

/* The main section, sorted: what must be equal byte for byte. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* PVE takes no order any more that names what is not there; it had no effect. */
static char *value_of(const struct pveconf *conf, const struct pveconf_key *key)
{
    CLEANUP_FREE char *copy = str_dup(key->value);
    struct buf out = BUF_INIT(0);
    char *state = NULL;

    if (!str_equal(key->key, "boot") || !str_starts(key->value, "order=")) {
        return STEAL(copy);
    }
    buf_adds(&out, "order=");
    for (char *d = strtok_r(copy + strlen("order="), ";", &state); d != NULL;
         d = strtok_r(NULL, ";", &state)) {
        if (pveconf_get(conf, d) != NULL) {
            buf_addf(&out, "%s%s", out.data[out.len - 1] == '=' ? "" : ";", d);
        }
    }
    return buf_steal(&out);
}

static char *sorted(const char *text)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = parse(text);
    const struct pveconf_section *main_section = &conf->sections[0];
    char **lines = calloc(main_section->n + 1, sizeof(*lines));
    struct buf out = BUF_INIT(0);

    assert_non_null(lines);
    for (size_t i = 0; i < main_section->n; i++) {
        CLEANUP_FREE char *value = value_of(conf, &main_section->keys[i]);

        lines[i] = str_printf("%s: %s\n", main_section->keys[i].key, value);
    }
    qsort(lines, main_section->n, sizeof(*lines), by_text);
    for (size_t i = 0; i < main_section->n; i++) {
        buf_adds(&out, lines[i]);
        free(lines[i]);
    }
    free(lines);
    return buf_steal(&out);
}

static struct undo *find(const json_t *records, const char *txn)
{
    struct undo *undo = NULL;
    struct err err = {""};

    if (undo_find(records, 105, txn, &undo, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return undo;
}

static struct plan *plan_undo(const struct undo *undo, const char *text)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = parse(text);
    struct plan *plan = NULL;

    assert_int_equal(undo_plan(undo, 105, conf, &plan), 0);
    return plan;
}

static struct plan *plan_forward(const char *dir, const char *text)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = parse(text);
    CLEANUP_FREE char *path = str_printf("%s/fingerprint.json", dir);
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    size_t len = 0;
    CLEANUP_FREE char *fp_text = golden_slurp(path, &len);
    const struct plan_input input = {.vmid = 105, .conf = conf};
    struct plan_input with = input;
    struct plan *plan = NULL;

    assert_int_equal(fingerprint_parse(fp_text, len, &fp, NULL), 0);
    with.fp = fp;
    assert_int_equal(plan_make(&with, &plan, NULL), 0);
    return plan;
}

/* --- every golden plan there and back --------------------------------------------------------- */

static void add(json_t *records, json_t *record)
{
    assert_int_equal(json_array_append_new(records, record), 0);
}

/* Steps 0 to n-1 of the plan, done and written down; the text after them. */
static char *carry_out(const char *text, const struct plan *plan, size_t n, json_t *records)
{
    char *now = str_dup(text);

    add(records, record_begin(head, "apply", "key", plan));
    for (size_t i = 0; i < n; i++) {
        char *next = NULL;
        struct err err = {""};

        if (pve_apply_step(now, &plan->steps[i], &next, &err) < 0) {
            fail_msg("%s", err.text);
        }
        free(now);
        now = next;
        add(records, record_step(head, i, NULL));
    }
    add(records,
        record_end(head, n == plan->n_steps ? RECORD_DONE : RECORD_INTERRUPTED, "k", NULL));
    return now;
}

static unsigned undone, from_between;

static void compare(const char *dir, const char *what, const char *got, const char *want)
{
    CLEANUP_FREE char *a = sorted(got);
    CLEANUP_FREE char *b = sorted(want);

    if (!str_equal(a, b)) {
        fail_msg("%s: %s:\n%s\ninstead of\n%s", dir, what, a, b);
    }
}

/* The undo's calls one by one; after each the undo is planned anew, as after a crash. */
static void undo_from(const char *dir, const struct undo *undo, const char *text,
                      const char *before)
{
    CLEANUP(plan_freep) struct plan *plan = plan_undo(undo, text);
    CLEANUP_FREE char *now = str_dup(text);
    CLEANUP(plan_freep) struct plan *rest = NULL;
    struct err err = {""};

    if (plan->refusals.n > 0) {
        fail_msg("%s: refused: %s\n%s", dir, plan->refusals.items[0], text);
    }
    for (size_t i = 0; i < plan->n_steps; i++) {
        CLEANUP(plan_freep) struct plan *again = plan_undo(undo, now);
        CLEANUP_FREE char *end = NULL;
        char *next = NULL;

        if (again->refusals.n > 0 || pve_apply_plan(now, again, &end, &err) < 0) {
            fail_msg("%s: after %zu calls: %s\n%s", dir, i,
                     again->refusals.n > 0 ? again->refusals.items[0] : err.text, now);
        }
        compare(dir, "planned anew in between", end, before);
        from_between++;
        if (pve_apply_step(now, &plan->steps[i], &next, &err) < 0 ||
            pve_check_volumes(next, &err) < 0) {
            fail_msg("%s: %s\n%s", dir, err.text, now);
        }
        free(now);
        now = next;
    }
    compare(dir, "undone", now, before);
    rest = plan_undo(undo, now);
    if (!plan_is_empty(rest)) {
        CLEANUP_FREE char *shown = NULL;

        assert_int_equal(plan_to_text(rest, &shown, NULL), 0);
        fail_msg("%s: a second undo has something to do:\n%s\n%s", dir, shown, now);
    }
}

static void there_and_back(const char *name)
{
    CLEANUP_FREE char *dir = golden_join("tests/golden/plan", name, "");
    CLEANUP_FREE char *path = str_printf("%s/105.conf", dir);
    size_t len = 0;
    CLEANUP_FREE char *text = golden_slurp(path, &len);
    CLEANUP(plan_freep) struct plan *plan = plan_forward(dir, text);

    if (plan->refusals.n > 0) {
        return;
    }
    for (size_t n = 1; n <= plan->n_steps; n++) {
        json_t *records = json_array();
        CLEANUP_FREE char *after = carry_out(text, plan, n, records);
        CLEANUP(undo_freep) struct undo *undo = find(records, NULL);

        undo_from(dir, undo, after, text);
        undone++;
        json_decref(records);
    }
}

static int only_names(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void for_each_case(const char *folder, void (*run)(const char *name), int at_least)
{
    CLEANUP_FREE char *path = str_printf("%s/%s", golden_root(), folder);
    struct dirent **names = NULL;
    int n = scandir(path, &names, only_names, alphasort);

    assert_true(n >= at_least);
    for (int i = 0; i < n; i++) {
        run(names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

static void every_golden_plan_is_undone_from_every_state(void **state)
{
    (void)state;
    for_each_case("tests/golden/plan", there_and_back, 25);
    printf("%u undone, %u planned anew in between\n", undone, from_between);
    assert_true(undone > 60 && from_between > undone);
}

/* --- golden cases ----------------------------------------------------------------------------- */

static json_t *read_journal(const char *text)
{
    CLEANUP_FREE char *copy = str_dup(text);
    json_t *records = json_array();
    char *state = NULL;

    for (char *line = strtok_r(copy, "\n", &state); line != NULL;
         line = strtok_r(NULL, "\n", &state)) {
        json_t *record = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

        assert_non_null(record);
        add(records, record);
    }
    return records;
}

static void add_steps(struct buf *out, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];

        buf_adds(out, "\ncall");
        if (step->remove != NULL) {
            buf_addf(out, " delete=%s", step->remove);
        }
        for (size_t j = 0; j < step->n_sets; j++) {
            const struct plan_set *set = &step->sets[j];

            buf_addf(out, set->value == NULL ? " delete=%s" : " %s=%s", set->option, set->value);
        }
    }
    buf_adds(out, plan->n_steps > 0 ? "\n" : "");
}

static char *render(const json_t *records, const char *txn, const char *text)
{
    CLEANUP(undo_freep) struct undo *undo = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;
    CLEANUP_FREE char *shown = NULL;
    struct buf out = BUF_INIT(0);
    struct err err = {""};
    int rc = undo_find(records, 105, txn, &undo, &err);

    if (rc < 0) {
        buf_addf(&out, "%s: %s\n", rc == -ENOENT ? "none" : "busy", err.text);
        return buf_steal(&out);
    }
    plan = plan_undo(undo, text);
    assert_int_equal(plan_to_text(plan, &shown, NULL), 0);
    buf_addf(&out, "undoes %s\n%s", undo->txn, shown);
    add_steps(&out, plan);
    return buf_steal(&out);
}

static void golden_case(const char *name)
{
    CLEANUP_FREE char *dir = golden_join("tests/golden/undo", name, "");
    CLEANUP_FREE char *conf_path = str_printf("%s/105.conf", dir);
    CLEANUP_FREE char *journal_path = str_printf("%s/journal.jsonl", dir);
    CLEANUP_FREE char *args_path = str_printf("%s/args", dir);
    CLEANUP_FREE char *expect_path = str_printf("%s/expect", dir);
    size_t len = 0;
    CLEANUP_FREE char *conf = golden_slurp(conf_path, &len);
    CLEANUP_FREE char *journal = golden_slurp(journal_path, &len);
    CLEANUP_FREE char *txn = golden_slurp(args_path, &len);
    CLEANUP_FREE char *got = NULL;
    json_t *records;

    assert_non_null(conf);
    assert_non_null(journal);
    records = read_journal(journal);
    if (txn != NULL) {
        txn[strcspn(txn, "\n")] = '\0';
    }
    got = render(records, txn, conf);
    json_decref(records);
    if (getenv("UNDO_GOLDEN_WRITE") != NULL) {
        FILE *f = fopen(expect_path, "w");

        assert_non_null(f);
        assert_true(fputs(got, f) >= 0);
        assert_int_equal(fclose(f), 0);
        return;
    }
    assert_true(golden_agrees(name, "expect", got, expect_path));
}

static void every_golden_undo_is_as_expected(void **state)
{
    (void)state;
    for_each_case("tests/golden/undo", golden_case, 8);
}

/* --- the choice ------------------------------------------------------------------------------- */

static json_t *records_of(const char *text)
{
    json_t *records = json_loads(text, 0, NULL);

    assert_non_null(records);
    return records;
}

#define BEGIN(txn, more)                                                                           \
    "{\"type\":\"begin\",\"txn\":\"" txn "\",\"time\":\"t-" txn                                    \
    "\",\"steps\":[{\"sets\":[[\"machine\",\"q35\",\"pc\"]]}]" more "},"
#define STEP(txn)         "{\"type\":\"step\",\"txn\":\"" txn "\",\"step\":0,\"applied\":true},"
#define NO_STEP(txn)      "{\"type\":\"step\",\"txn\":\"" txn "\",\"step\":0,\"applied\":false},"
#define END(txn, outcome) "{\"type\":\"end\",\"txn\":\"" txn "\",\"outcome\":\"" outcome "\"},"
#define SET(txn)          BEGIN(txn, "") STEP(txn) END(txn, "done")
#define UNDO(txn, of)     BEGIN(txn, ",\"undoes\":\"" of "\"") STEP(txn) END(txn, "done")
#define ALL(x)            "[" x "{\"type\":\"in-sync\"}]"

static void the_last_that_did_something_is_undone(void **state)
{
    static const struct {
        const char *records, *txn, *found; /* found NULL: none */
        int rc;
    } rows[] = {
        {ALL(""), NULL, NULL, -ENOENT},
        {ALL(SET("a")), NULL, "a", 0},
        {ALL(SET("a") SET("b")), NULL, "b", 0},
        {ALL(SET("a") SET("b")), "a", "a", 0},
        {ALL(SET("a")), "z", NULL, -ENOENT},
        {ALL(SET("a") SET("b") UNDO("u", "b")), NULL, "a", 0},
        {ALL(SET("a") UNDO("u", "a")), NULL, NULL, -ENOENT},
        {ALL(SET("a") UNDO("u", "a")), "u", "u", 0},
        {ALL(SET("a") UNDO("u", "a") UNDO("v", "u")), NULL, "a", 0},
        {ALL(SET("a") UNDO("u", "a") SET("b")), NULL, "b", 0},
        {ALL(SET("a") BEGIN("b", "") NO_STEP("b") END("b", "failed")), NULL, "a", 0},
        {ALL(SET("a") BEGIN("b", "") STEP("b") END("b", "failed")), NULL, "b", 0},
        /* It turned out not to be done. */
        {ALL(SET("a") BEGIN("b", "") STEP("b") NO_STEP("b") END("b", "failed")), NULL, "a", 0},
        {ALL(SET("a") BEGIN("b", "") STEP("b")), NULL, "a", 0},
        {ALL(SET("a") BEGIN("b", "") STEP("b")), "b", NULL, -EBUSY},
        {ALL(SET("a") BEGIN("u", ",\"undoes\":\"a\"") STEP("u") END("u", "failed")), NULL, "a", 0},
        /* Planned anew within one change set: still one. */
        {ALL(BEGIN("a", "") STEP("a") END("a", "superseded") SET("a")), NULL, "a", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        json_t *records = records_of(rows[i].records);
        CLEANUP(undo_freep) struct undo *undo = NULL;
        struct err err = {""};

        assert_int_equal(undo_find(records, 105, rows[i].txn, &undo, &err), rows[i].rc);
        if (rows[i].rc < 0) {
            assert_true(str_starts(err.text, "VM 105: "));
        } else {
            assert_string_equal(undo->txn, rows[i].found);
        }
        json_decref(records);
    }
}

#define OF(txn, option, old, new)                                                                  \
    "{\"type\":\"begin\",\"txn\":\"" txn "\",\"time\":\"t\",\"steps\":[{\"sets\":[[\"" option      \
    "\",\"" new "\",\"" old "\"]]}]}," STEP(txn) END(txn, "done")

/* One undo after the other walks back, past what somebody has set back otherwise. */
static void what_is_back_already_is_passed_over(void **state)
{
    static const char journal[] = ALL(OF("a", "machine", "pc", "q35") OF(
        "b", "net0", "e1000=00:50:56:8A:01:02", "vmxnet3=00:50:56:8A:01:02")
                                          OF("c", "machine", "q35", "pc-q35-9.0"));
    static const struct {
        const char *config, *found; /* NULL: none */
    } rows[] = {
        {"machine: pc-q35-9.0\nnet0: vmxnet3=00:50:56:8A:01:02\n", "c"},
        {"machine: q35\nnet0: vmxnet3=00:50:56:8A:01:02\n", "b"},
        {"machine: q35\nnet0: e1000=00:50:56:8A:01:02\n", "a"},
        {"machine: pc\nnet0: e1000=00:50:56:8A:01:02\n",
         "c"}, /* neither: to be refused, not passed */
        {"machine: q35\nnet0: e1000e=00:50:56:8A:01:02\n", "b"},
        /* Pending counts, as the next start sees it. */
        {"machine: q35\nnet0: vmxnet3=00:50:56:8A:01:02\n\n[PENDING]\n"
         "net0: e1000=00:50:56:8A:01:02\n",
         "a"},
    };
    json_t *records = records_of(journal);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(undo_freep) struct undo *undo = NULL;
        CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
        struct err err = {""};

        assert_int_equal(pveconf_parse(rows[i].config, strlen(rows[i].config), &conf, NULL), 0);
        assert_int_equal(undo_find_effective(records, 105, conf, &undo, &err), 0);
        assert_string_equal(undo->txn, rows[i].found);
    }
    json_decref(records);
}

static void where_all_is_back_nothing_is_left_to_undo(void **state)
{
    static const char config[] = "machine: pc\n";
    json_t *records = records_of(
        ALL(OF("a", "machine", "pc", "q35") OF("b", "machine", "pc", "q35") UNDO("u", "b")));
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    struct undo *undo = NULL;
    struct err err = {""};

    (void)state;
    assert_int_equal(pveconf_parse(config, strlen(config), &conf, NULL), 0);
    assert_int_equal(undo_find_effective(records, 105, conf, &undo, &err), -ENOENT);
    assert_string_equal(err.text,
                        "VM 105: nothing is left to undo; the change sets, the newest "
                        "first: u (t-u, an undo), b (t, undone), a (t, of which nothing is "
                        "there any more)");
    json_decref(records);
}

/* A journal is ours, but what it says goes to PVE: only what a plan could have said. */
static void what_no_plan_says_is_never_undone(void **state)
{
    static const char *const steps[] = {
        "{\"sets\":[[\"force\",\"1\",null]]}",
        "{\"sets\":[[\"unused0\",\"a:b\",null]]}",
        "{\"sets\":[[\"args\",\"x\",\"y\"]]}",
        "{\"sets\":[[\"scsi0\",\"a:b\",\"a:c\"]]}",
        "{\"probe\":\"efidisk0\",\"present\":\"a:b\",\"sets\":[[\"sata0\",\"a:b\",null]]}",
        "{\"remove\":\"scsi1\",\"probe\":\"scsi0\",\"present\":\"a:b\",\"sets\":[[\"sata0\",\"a:"
        "b\",null]]}",
        "{\"remove\":\"scsi0\",\"probe\":\"scsi0\",\"present\":\"a:b\",\"sets\":[[\"sata0\",null,"
        "null]]}",
        "{\"remove\":\"scsi0\",\"probe\":\"scsi0\",\"present\":\"a:b\",\"sets\":[[\"sata0\",\"a:"
        "b\",null],"
        "[\"sata1\",\"a:b\",null]]}",
        "{\"remove\":\"scsi0\",\"sets\":[[\"machine\",\"q35\",null]]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        CLEANUP_FREE char *text = str_printf(
            "[{\"type\":\"begin\",\"txn\":\"a\",\"steps\":[%s]}," STEP("a") END("a", "done") "1]",
            steps[i]);
        json_t *records = records_of(text);
        struct undo *undo = NULL;

        assert_int_equal(undo_find(records, 105, NULL, &undo, NULL), -ENOENT);
        assert_null(undo);
        json_decref(records);
    }
}

static void steps_that_nobody_can_read_are_no_change_set(void **state)
{
    json_t *records = records_of(
        "[{\"type\":\"begin\",\"txn\":\"a\",\"steps\":[{\"sets\":7}]}," STEP("a")
            END("a", "done") "1]");
    struct undo *undo = NULL;
    struct err err = {""};

    (void)state;
    assert_int_equal(undo_find(records, 105, NULL, &undo, &err), -ENOENT);
    assert_non_null(strstr(err.text, "cannot be read"));
    json_decref(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_plan_is_undone_from_every_state),
        cmocka_unit_test(every_golden_undo_is_as_expected),
        cmocka_unit_test(the_last_that_did_something_is_undone),
        cmocka_unit_test(what_is_back_already_is_passed_over),
        cmocka_unit_test(where_all_is_back_nothing_is_left_to_undo),
        cmocka_unit_test(what_no_plan_says_is_never_undone),
        cmocka_unit_test(steps_that_nobody_can_read_are_no_change_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
