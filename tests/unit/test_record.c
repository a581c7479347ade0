/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of the change journal: what they look like, and what they add up to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/record.h"

#define TXN  "0b6f2a1c-1111-4222-8333-944455556666"
#define TXN2 "0b6f2a1c-1111-4222-8333-944455557777"
#define TIME "2026-11-23T10:00:00Z"

static const struct record_head head = {105, TXN, TIME};

/* Memory of records given as JSON, one object each. */
static struct record_memory replay(const char *json)
{
    struct record_memory memory = {0};
    json_error_t error;
    json_t *records = json_loads(json, 0, &error);

    if (records == NULL) {
        fail_msg("%s: %s", json, error.text);
    }
    assert_int_equal(record_replay(records, &memory), 0);
    json_decref(records);
    return memory;
}

#define HELD(key)      "{\"type\":\"held\",\"txn\":\"" TXN "\",\"key\":\"" key "\"}"
#define BEGIN          "{\"type\":\"begin\",\"txn\":\"" TXN2 "\",\"time\":\"" TIME "\",\"steps\":[1,2]}"
#define STEP(n, truth) "{\"type\":\"step\",\"step\":" #n ",\"applied\":" truth "}"
#define STUCK          "{\"type\":\"stuck\",\"keys\":\"scsi0\"}"
#define END(outcome)                                                                               \
    "{\"type\":\"end\",\"outcome\":\"" outcome "\",\"key\":\"k\",\"message\":\"m\"}"
#define STARTED "{\"type\":\"started\"}"
#define DROPPED "{\"type\":\"dropped\"}"
#define START   "{\"type\":\"start\"}"
#define IN_SYNC "{\"type\":\"in-sync\"}"

static void nothing_adds_up_to_nothing(void **state)
{
    static const char *const empty[] = {"[]", "{}", "[null,1,\"x\",[],{},{\"type\":7}]",
                                        "[{\"type\":\"from-the-future\",\"txn\":\"x\"}]"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
        CLEANUP(record_memory_fini) struct record_memory m = replay(empty[i]);

        assert_false(m.open || m.stuck || m.start_owed);
        assert_string_equal(m.txn, "");
        assert_null(m.last_time);
        assert_null(m.steps);
        assert_int_equal(m.changes, 0);
    }
}

static void a_begin_is_open_until_its_end(void **state)
{
    CLEANUP(record_memory_fini)
    struct record_memory open = replay("[" BEGIN "," STEP(0, "true") "," STEP(1, "false") "]");
    CLEANUP(record_memory_fini) struct record_memory closed = replay("[" BEGIN "," END("done") "]");
    CLEANUP(record_memory_fini)
    struct record_memory gap = replay("[" BEGIN "," STEP(1, "true") "]"); /* 0 was not written */

    (void)state;
    assert_int_equal(gap.steps_done, 2);
    assert_true(open.open);
    assert_string_equal(open.txn, TXN2);
    assert_string_equal(open.last_txn, TXN2);
    assert_string_equal(open.last_time, TIME);
    assert_int_equal(json_array_size(open.steps), 2);
    assert_int_equal(open.steps_done, 1);
    assert_false(closed.open);
    assert_string_equal(closed.txn, "");
    assert_null(closed.steps);
    assert_int_equal(closed.changes, 1);
    assert_string_equal(closed.settled_key, "");
}

/* What PVE had said yes to, and left pending: the step under way is that one again. */
static void a_step_that_was_not_done_after_all_is_under_way_again(void **state)
{
    CLEANUP(record_memory_fini)
    struct record_memory m = replay(
        "[" BEGIN "," STEP(0, "true") "," STEP(1, "true") "," STEP(1, "false") "]");

    (void)state;
    assert_int_equal(m.steps_done, 1);
}

static void a_second_begin_replaces_the_first(void **state)
{
    CLEANUP(record_memory_fini)
    struct record_memory m = replay("[" BEGIN "," STEP(0, "true") "," STUCK "," BEGIN "]");

    (void)state;
    assert_true(m.open);
    assert_false(m.stuck);
    assert_int_equal(m.steps_done, 0);
}

static void a_begin_binds_the_machine_to_the_vm(void **state)
{
    json_t *bound = record_bind(record_start(head), 1795397075, "a-machine");
    json_t *unknown = record_bind(record_start(head), 0, "a-machine");
    CLEANUP(record_memory_fini) struct record_memory never = replay("[" BEGIN "]");
    struct record_memory memory = {0};

    (void)state;
    assert_null(json_object_get(unknown, "ctime"));
    assert_int_equal(never.bound_ctime, 0);
    json_object_set_new(bound, "type", json_string("begin"));
    assert_int_equal(record_apply(&memory, bound), 0);
    assert_int_equal(memory.bound_ctime, 1795397075);
    assert_string_equal(memory.bound_name, "a-machine");
    /* What does not say leaves what was known. */
    json_object_set_new(unknown, "type", json_string("begin"));
    assert_int_equal(record_apply(&memory, unknown), 0);
    assert_int_equal(memory.bound_ctime, 1795397075);
    record_memory_fini(&memory);
    json_decref(bound);
    json_decref(unknown);
}

static void stuck_is_of_the_open_change_set(void **state)
{
    CLEANUP(record_memory_fini) struct record_memory open = replay("[" BEGIN "," STUCK "]");
    CLEANUP(record_memory_fini)
    struct record_memory over = replay("[" BEGIN "," STUCK "," END("failed") "]");
    CLEANUP(record_memory_fini) struct record_memory alone = replay("[" STUCK "]");

    (void)state;
    assert_true(open.stuck);
    assert_false(over.stuck);
    assert_false(alone.stuck);
}

static void a_held_start_is_owed_until_made_or_dropped(void **state)
{
    static const char *const owed[] = {
        "[" HELD("k") "]",
        "[" HELD("k") "," BEGIN "]",
        "[" HELD("k") "," BEGIN "," END("done") "]",
        "[" HELD("k") "," START "]",
        "[" BEGIN "," HELD("k") "," END("failed") "]",
        "[" STARTED "," HELD("k") "]",
        "[" HELD("k") "," IN_SYNC "]",
    };
    static const char *const paid[] = {
        "[" HELD("k") "," STARTED "]",
        "[" HELD("k") "," DROPPED "]",
        "[" HELD("k") "," HELD("l") "," START "," STARTED "]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(owed); i++) {
        CLEANUP(record_memory_fini) struct record_memory m = replay(owed[i]);

        assert_true(m.start_owed);
        assert_string_not_equal(m.txn, "");
    }
    for (size_t i = 0; i < ARRAY_SIZE(paid); i++) {
        CLEANUP(record_memory_fini) struct record_memory m = replay(paid[i]);

        assert_false(m.start_owed);
        assert_string_equal(m.txn, "");
    }
}

static void whether_a_start_was_asked_for_is_known_since_the_hold(void **state)
{
#define ASKED(second) "{\"type\":\"start\",\"time\":\"2026-11-23T10:00:" second ".123Z\"}"
    static const struct {
        const char *records;
        int64_t asked;
    } cases[] = {
        {"[" HELD("k") "," ASKED("01") "]", 1795428001},
        {"[" HELD("k") "," ASKED("01") "," ASKED("05") "]", 1795428001},
        {"[" HELD("k") "," ASKED("01") "," HELD("l") "]", 0},
        {"[" HELD("k") "," ASKED("01") "," HELD("l") "," ASKED("09") "]", 1795428009},
        {"[" HELD("k") "," ASKED("01") "," STARTED "]", 0},
        {"[" HELD("k") "," ASKED("01") "," DROPPED "]", 0},
        {"[" ASKED("01") "]", 0},
        {"[" HELD("k") "," START "]", 0},
    };
#undef ASKED

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(record_memory_fini) struct record_memory m = replay(cases[i].records);

        assert_int_equal(m.start_asked, cases[i].asked);
    }
}

static void what_was_held_or_settled_is_forgotten_when_in_sync(void **state)
{
    CLEANUP(record_memory_fini)
    struct record_memory before = replay("[" HELD("abc") "," BEGIN "," END("partial") "," STARTED
                                                                                      "]");
    CLEANUP(record_memory_fini)
    struct record_memory after = replay(
        "[" HELD("abc") "," BEGIN "," END("partial") "," STARTED "," IN_SYNC "]");

    (void)state;
    assert_string_equal(before.held_key, "abc");
    assert_string_equal(before.settled_key, "k");
    assert_int_equal(before.settled, RECORD_PARTIAL);
    assert_string_equal(before.settled_why, "m");
    assert_string_equal(after.held_key, "");
    assert_string_equal(after.settled_key, "");
    assert_null(after.settled_why);
}

static void each_outcome_settles_or_does_not(void **state)
{
    static const struct {
        const char *records;
        const char *settled;
        unsigned long changes;
    } cases[] = {
        {"[" BEGIN "," END("done") "]", "", 1},
        {"[" BEGIN "," END("partial") "]", "k", 1},
        {"[" BEGIN "," END("failed") "]", "k", 0},
        {"[" BEGIN "," END("superseded") "]", "", 0},
        {"[" BEGIN "," END("interrupted") "]", "", 0},
        {"[" BEGIN "," END("unheard-of") "]", "", 0},
        {"[" END("partial") "]", "k", 0}, /* nothing could be begun */
        {"[" BEGIN "," END("failed") "," BEGIN "," END("done") "]", "", 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(record_memory_fini) struct record_memory m = replay(cases[i].records);

        assert_string_equal(m.settled_key, cases[i].settled);
        assert_int_equal(m.changes, cases[i].changes);
    }
}

static void a_hold_is_noted_until_its_resume(void **state)
{
    json_t *records[] = {record_on_hold(head, "why"), record_in_sync(head), record_resume(head)};
    const bool noted[] = {true, true, false};
    struct record_memory memory = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        assert_int_equal(record_apply(&memory, records[i]), 0);
        assert_int_equal(memory.hold_noted, noted[i]);
        json_decref(records[i]);
    }
    record_memory_fini(&memory);
}

static void an_id_that_is_too_long_equals_none(void **state)
{
    CLEANUP(record_memory_fini)
    struct record_memory m = replay("[" HELD(TXN TXN) ",{\"type\":\"begin\",\"txn\":\"" TXN TXN
                                                      "\"}]");

    (void)state;
    assert_int_equal(strlen(m.held_key), SMBIOS_UUID_SIZE - 1);
    assert_int_equal(strlen(m.txn), SMBIOS_UUID_SIZE - 1);
}

static void check_record(json_t *record, const char *type)
{
    assert_non_null(record);
    assert_int_equal(json_integer_value(json_object_get(record, "v")), RECORD_FORMAT);
    assert_int_equal(json_integer_value(json_object_get(record, "vmid")), 105);
    assert_string_equal(json_string_value(json_object_get(record, "type")), type);
    assert_string_equal(json_string_value(json_object_get(record, "txn")), TXN);
    assert_string_equal(json_string_value(json_object_get(record, "time")), TIME);
    json_decref(record);
}

static void every_record_says_what_when_whose(void **state)
{
    (void)state;
    check_record(record_held(head, "k", "why", 1795397075), "held");
    check_record(record_step(head, 2, NULL), "step");
    check_record(record_step(head, 2, "refused"), "step");
    check_record(record_stuck(head, "scsi0", NULL), "stuck");
    check_record(record_end(head, RECORD_DONE, "k", NULL), "end");
    check_record(record_start(head), "start");
    check_record(record_started(head, NULL), "started");
    check_record(record_dropped(head, "why"), "dropped");
    check_record(record_in_sync(head), "in-sync");
}

static void foreign_bytes_become_question_marks(void **state)
{
    json_t *bad = record_dropped(head, "caf\xe9!");
    json_t *good = record_dropped(head, "caf\xc3\xa9!");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(bad, "why")), "caf?!");
    assert_string_equal(json_string_value(json_object_get(good, "why")), "caf\xc3\xa9!");
    json_decref(bad);
    json_decref(good);
}

static void utf8_is_what_json_takes(void **state)
{
    static const char *const texts[] = {
        "",
        "a",
        "\xc3\xa9",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "\xc3",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\xf8\x88\x80\x80",
        "\x80",
        "\xff",
        "a\xfe",
        "\xe2\x28\xa1",
        "\xf0\x80\x80\x80",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        json_t *json = json_string(texts[i]);

        assert_int_equal(str_is_utf8(texts[i]), json != NULL);
        json_decref(json);
    }
}

static struct plan *make_plan(const char *config, const char *fingerprint)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    struct plan *plan = NULL;

    assert_int_equal(pveconf_parse(config, strlen(config), &conf, NULL), 0);
    assert_int_equal(fingerprint_parse(fingerprint, strlen(fingerprint), &fp, NULL), 0);
    assert_int_equal(
        plan_make(&(struct plan_input){.vmid = 105, .conf = conf, .fp = fp}, &plan, NULL), 0);
    return plan;
}

static const char config[] = "boot: order=scsi0;scsi1\nscsi0: local:105/a.raw,size=1G\n"
                             "scsi1: local:105/b.raw,size=1G\nsmbios1: serial=x\n";
static const char fingerprint[] =
    "{\"format\":1,\"smbios\":{\"uuid\":\"9b1a4d56-1100-3322-4455-66778899aabb\"},"
    "\"disks\":[{\"controller\":\"sata\",\"bus\":0,\"unit\":0},"
    "{\"controller\":\"sata\",\"bus\":0,\"unit\":1}]}";

/* --- the disk that a call left behind --- */

#define MOVE(slot, value)                                                                          \
    "{\"remove\":\"" slot "\",\"probe\":\"" slot "\",\"present\":\"" value "\",\"sets\":[]}"
#define BEGIN_MOVES                                                                                \
    "{\"type\":\"begin\",\"ctime\":1000,\"machine\":\"m\",\"steps\":[{\"sets\":[]}," MOVE(         \
        "scsi0", "local:1/a,size=1G") "," MOVE("scsi1", "file=local:1/b") "]}"

static const char *lost(const char *json, const char *text, struct record_memory *memory)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(pveconf_freep) struct pveconf *next = NULL;
    const char *slot = "none";

    *memory = replay(json);
    assert_int_equal(pveconf_parse(text, strlen(text), &conf, NULL), 0);
    assert_int_equal(pveconf_apply_pending(conf, &next), 0);
    (void)record_lost_disk(memory, conf, next, &slot);
    return slot;
}

static void only_the_disk_of_the_call_under_way_can_be_lost(void **state)
{
    static const struct {
        const char *records, *config, *slot;
    } cases[] = {
        {"[" BEGIN_MOVES "," STEP(0, "true") "," STUCK "]",
         "unused0: local:1/a\nscsi1: local:1/b\n", "scsi0"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "]", "unused0: local:1/a\n", "scsi0"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "," STEP(1, "false") "]",
         "scsi0: local:1/a\n[PENDING]\ndelete: scsi0\n", "scsi0"},
        /* taken away by somebody; or not ours at all, under images of the same names */
        {"[" BEGIN_MOVES "," STEP(0, "true") "," STUCK "]", "name: x\n", "none"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "," STUCK "]",
         "meta: ctime=1001\nunused0: local:1/a\n", "none"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "," STUCK "]",
         "meta: creation-qemu=10.0.2,ctime=1000\nunused0: local:1/a\n", "scsi0"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "]", "sata3: local:1/a\n", "none"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "]", "scsi0: file=local:1/a,cache=none\n", "none"},
        /* the first call moves no disk; what was recorded as done is somebody else's since */
        {"[" BEGIN_MOVES "]", "unused0: local:1/a\n", "none"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "," STEP(1, "true") "]", "sata1: local:1/b\n", "none"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "," STEP(1, "true") "]",
         "sata0: local:1/a\nunused1: local:1/b\n", "scsi1"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "," STEP(1, "true") "," STEP(2, "true") "]",
         "name: x\n", "none"},
        {"[" BEGIN_MOVES "," STEP(0, "true") "," STUCK "," END("failed") "]", "name: x\n", "none"},
        {"[" BEGIN "]", "name: x\n", "none"},
        {"[" STUCK "]", "name: x\n", "none"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(record_memory_fini) struct record_memory memory = {0};

        assert_string_equal(lost(cases[i].records, cases[i].config, &memory), cases[i].slot);
    }
}

static void lines_that_were_cut_off_never_count(void **state)
{
    static const char text[] = "{\"n\":1}\n{\"n\":2}#torn\n{\"n\":3}\nrubbish\n[]\n{\"n\":4}";
    CLEANUP(json_decrefp) json_t *records = json_array();
    size_t bad = 0;

    (void)state;
    assert_int_equal(record_parse_lines(text, sizeof(text) - 1, records, &bad), 0);
    assert_int_equal(json_array_size(records), 2);
    assert_int_equal(bad, 2);
    assert_int_equal(record_parse_lines(NULL, 0, records, &bad), 0);
    assert_int_equal(bad, 0);
}

static void steps_come_back_as_they_were(void **state)
{
    CLEANUP(plan_freep) struct plan *plan = make_plan(config, fingerprint);
    json_t *begin = record_begin(head, "pre-start", "k", plan);
    struct plan_step *steps = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(record_steps_from_json(json_object_get(begin, "steps"), &steps, &n), 0);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(steps[i].n_sets, plan->steps[i].n_sets);
        assert_true(str_equal(steps[i].remove, plan->steps[i].remove));
        assert_true(str_equal(steps[i].probe, plan->steps[i].probe));
        assert_true(str_equal(steps[i].probe_value, plan->steps[i].probe_value));
        for (size_t j = 0; j < steps[i].n_sets; j++) {
            assert_string_equal(steps[i].sets[j].option, plan->steps[i].sets[j].option);
            assert_string_equal(steps[i].sets[j].value, plan->steps[i].sets[j].value);
        }
    }
    assert_string_equal(steps[0].sets[0].old, "serial=x");
    assert_int_equal(json_array_size(json_object_get(begin, "changes")), plan->n_changes);
    record_steps_free(steps, n);
    json_decref(begin);
}

/* `boot` changes with every disk: what is there before is what the step before set. */
static void old_values_follow_the_steps(void **state)
{
    CLEANUP(plan_freep) struct plan *plan = make_plan(config, fingerprint);
    json_t *json = record_steps_to_json(plan);
    struct plan_step *steps = NULL;
    const char *before = "order=scsi0;scsi1";
    size_t n = 0;

    (void)state;
    assert_int_equal(record_steps_from_json(json, &steps, &n), 0);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < steps[i].n_sets; j++) {
            if (str_equal(steps[i].sets[j].option, "boot")) {
                assert_string_equal(steps[i].sets[j].old, before);
                before = steps[i].sets[j].value;
            }
        }
    }
    assert_string_equal(before, "order=sata0;sata1");
    record_steps_free(steps, n);
    json_decref(json);
}

static void steps_of_a_foreign_shape_are_refused(void **state)
{
    static const char *const bad[] = {
        "[{}]",
        "[1]",
        "[{\"sets\":[]}]",
        "[{\"sets\":[[\"a\"]]}]",
        "[{\"sets\":[[1,2,3]]}]",
        "[{\"sets\":[\"a\"]}]",
        "[{\"probe\":\"scsi0\",\"sets\":[[\"a\",\"b\"]]}]",
        "[{\"present\":\"x\",\"sets\":[[\"a\",\"b\"]]}]",
        "[{\"sets\":[[\"a\",\"b\"]]},{}]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        json_t *json = json_loads(bad[i], 0, NULL);
        struct plan_step *steps = NULL;
        size_t n = 0;

        assert_non_null(json);
        assert_int_equal(record_steps_from_json(json, &steps, &n), -EINVAL);
        assert_null(steps);
        json_decref(json);
    }
}

static void a_value_that_no_record_can_hold_is_named(void **state)
{
    CLEANUP(plan_freep) struct plan *fine = make_plan(config, fingerprint);
    CLEANUP(plan_freep)
    struct plan *bad = make_plan("scsi0: local:105/\xe4.raw,size=1G\nscsi1: local:105/b.raw\n",
                                 fingerprint);

    (void)state;
    assert_null(record_steps_unfit(fine));
    assert_string_equal(record_steps_unfit(bad), "sata0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_adds_up_to_nothing),
        cmocka_unit_test(a_begin_is_open_until_its_end),
        cmocka_unit_test(a_step_that_was_not_done_after_all_is_under_way_again),
        cmocka_unit_test(a_second_begin_replaces_the_first),
        cmocka_unit_test(a_begin_binds_the_machine_to_the_vm),
        cmocka_unit_test(stuck_is_of_the_open_change_set),
        cmocka_unit_test(a_held_start_is_owed_until_made_or_dropped),
        cmocka_unit_test(whether_a_start_was_asked_for_is_known_since_the_hold),
        cmocka_unit_test(what_was_held_or_settled_is_forgotten_when_in_sync),
        cmocka_unit_test(each_outcome_settles_or_does_not),
        cmocka_unit_test(a_hold_is_noted_until_its_resume),
        cmocka_unit_test(an_id_that_is_too_long_equals_none),
        cmocka_unit_test(every_record_says_what_when_whose),
        cmocka_unit_test(foreign_bytes_become_question_marks),
        cmocka_unit_test(utf8_is_what_json_takes),
        cmocka_unit_test(only_the_disk_of_the_call_under_way_can_be_lost),
        cmocka_unit_test(lines_that_were_cut_off_never_count),
        cmocka_unit_test(steps_come_back_as_they_were),
        cmocka_unit_test(old_values_follow_the_steps),
        cmocka_unit_test(steps_of_a_foreign_shape_are_refused),
        cmocka_unit_test(a_value_that_no_record_can_hold_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
