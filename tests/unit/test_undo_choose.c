/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which change set an undo is about where nobody names one: undo after undo walks back, past those
 * that were undone and those that have no effect any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/undo_choose.h"

/* A change set of one call: net0 goes from one model to another. */
#define BEGIN(txn, more, from, to)                                                                 \
    "{\"type\":\"begin\",\"txn\":\"" txn "\",\"time\":\"T" txn "\",\"steps\":[{\"sets\":[["        \
    "\"net0\",\"" to "=00:50:56:8A:01:02\",\"" from "=00:50:56:8A:01:02\"]]}]" more "},"
#define END(txn)                                                                                   \
    "{\"type\":\"step\",\"txn\":\"" txn "\",\"step\":0,\"applied\":true},"                         \
    "{\"type\":\"end\",\"txn\":\"" txn "\",\"outcome\":\"done\"},"
#define SET(txn, from, to)      BEGIN(txn, "", from, to) END(txn)
#define UNDO(txn, of, from, to) BEGIN(txn, ",\"undoes\":\"" of "\"", from, to) END(txn)
#define HISTORY                                                                                    \
    SET("a", "e1000", "rtl8139")                                                                   \
    SET("b", "rtl8139", "virtio") SET("c", "virtio", "vmxnet3")

struct row {
    const char *records, *now, *txn;
    const char *found; /* NULL: none, and the sentence has `says` */
    const char *says;
    bool refused, idle;
};

static void check(const struct row *row)
{
    CLEANUP_FREE char *text = str_printf("[%s{\"type\":\"in-sync\"}]", row->records);
    CLEANUP_FREE char *config = str_printf("net0: %s=00:50:56:8A:01:02\n", row->now);
    CLEANUP(undo_choice_fini) struct undo_choice choice = {0};
    json_t *records = json_loads(text, 0, NULL);
    const struct assess_texts texts = {.config = config,
                                       .config_len = strlen(config),
                                       .config_path = "105.conf",
                                       .fingerprint_path = "105.json",
                                       .hold_path = "105.hold"};
    const struct assess_params params = {.vmid = 105};
    struct err err = {""};
    int rc;

    assert_non_null(records);
    rc = undo_choose(records, row->txn, &texts, &params, &choice, &err);
    json_decref(records);
    if (row->found == NULL) {
        assert_int_equal(rc, -ENOENT);
        assert_non_null(strstr(err.text, row->says));
        return;
    }
    assert_int_equal(rc, 0);
    assert_string_equal(choice.undo->txn, row->found);
    assert_int_equal(choice.assessment->outcome, ASSESS_PLANNED);
    assert_int_equal(choice.assessment->plan->refusals.n > 0, row->refused);
    assert_int_equal(plan_is_empty(choice.assessment->plan) && !row->refused, row->idle);
}

static void undo_after_undo_walks_back(void **state)
{
    static const struct row rows[] = {
        {.records = HISTORY, .now = "vmxnet3", .found = "c"},
        {.records = HISTORY UNDO("u", "c", "vmxnet3", "virtio"), .now = "virtio", .found = "b"},
        {.records = HISTORY UNDO("u", "c", "vmxnet3", "virtio") UNDO("v", "b", "virtio", "rtl8139"),
         .now = "rtl8139",
         .found = "a"},
        {.records = HISTORY UNDO("u", "c", "vmxnet3", "virtio") UNDO("v", "b", "virtio", "rtl8139")
             UNDO("w", "a", "rtl8139", "e1000"),
         .now = "e1000",
         .says = "nothing is left to undo; the change sets, the newest first: w"},
        /* Made anew by its fingerprint since. */
        {.records = HISTORY UNDO("u", "c", "vmxnet3", "virtio") SET("d", "virtio", "vmxnet3"),
         .now = "vmxnet3",
         .found = "d"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check(&rows[i]);
    }
}

static void what_has_no_effect_is_walked_past(void **state)
{
    static const struct row rows[] = {
        /* Somebody took the last one back by hand. */
        {.records = HISTORY, .now = "virtio", .found = "b"},
        {.records = HISTORY UNDO("u", "b", "virtio", "rtl8139"),
         .now = "virtio",
         .found = "a",
         .refused = true},
        {.records = SET("a", "e1000", "virtio"),
         .now = "e1000",
         .says = "nothing is left to undo: of change set a of Ta"},
        {.records = SET("a", "e1000", "virtio") SET("b", "e1000", "vmxnet3"),
         .now = "e1000",
         .says = "of change set b of Tb"},
        /* The one before it was meant and undone: it is not asked for again. */
        {.records = SET("a", "e1000", "virtio") SET("b", "virtio", "vmxnet3")
             UNDO("u", "a", "virtio", "e1000"),
         .now = "e1000",
         .says = "of change set b of Tb"},
        /* But it is where it has an effect still. */
        {.records = SET("a", "e1000", "virtio") SET("b", "virtio", "vmxnet3")
             UNDO("u", "a", "virtio", "e1000"),
         .now = "vmxnet3",
         .found = "b"},
        /* Somebody's own change is no reason to walk on. */
        {.records = HISTORY, .now = "pcnet", .found = "c", .refused = true},
        /* Where it is named, that is the answer. */
        {.records = HISTORY, .now = "virtio", .txn = "c", .found = "c", .idle = true},
        {.records = "", .now = "virtio", .says = "has changed nothing that could be undone"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check(&rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undo_after_undo_walks_back),
        cmocka_unit_test(what_has_no_effect_is_walked_past),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
