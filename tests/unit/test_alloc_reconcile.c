/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every allocation of the reconciliation, of records, of assessments and of the hook's answer fails
 * in turn. The reconciliation is fed with the events of a run that was recorded before, so that
 * only its own allocations fail, not those of the fake node.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "base/str.h"
#include "core/hold.h"
#include "core/verify.h"
#include "driver.h"
#include "scenarios.h"

struct recorded {
    struct driver d;
    enum reconcile_cause cause;
};

static int feed_it(void *data)
{
    struct recorded *r = data;

    return driver_replay_log(&r->d, r->cause);
}

/* One run with these faults; then again and again without memory. */
static size_t record_and_fail_with(size_t scenario, enum reconcile_cause cause,
                                   const struct fake_fault *faults, size_t n_faults)
{
    struct recorded r = {.cause = cause};
    size_t n;

    driver_init(&r.d, scenarios[scenario].config, scenarios[scenario].fingerprint);
    r.d.pve.edited_fingerprint = scenarios[scenario].edited;
    r.d.pve.volume = scenarios[scenario].volumes[0];
    r.d.pve.pre_start = NULL;
    r.d.once = true;
    r.d.keep_log = true;
    r.d.give_up_ms = 50000; /* stuck: one round of it is enough */
    memcpy(r.d.pve.faults, faults, n_faults * sizeof(*faults));
    r.d.pve.n_faults = n_faults;
    driver_run(&r.d, cause);
    assert_string_equal(r.d.pve.problem, "");
    n = alloc_fail_each(feed_it, &r, ALLOC_FAIL_OWN);
    /* jansson's parser takes some failures for syntax errors: any result will do there. */
    (void)alloc_fail_each(feed_it, &r, ALLOC_FAIL_JANSSON | ALLOC_FAIL_ANY_RESULT);
    driver_fini(&r.d);
    return n;
}

static size_t record_and_fail(size_t scenario, enum reconcile_cause cause, unsigned at,
                              enum fake_fault_kind kind)
{
    const struct fake_fault fault = {at, kind};

    return record_and_fail_with(scenario, cause, &fault, at > 0);
}

static void a_start_that_is_looked_for_survives_any_lack_of_memory(void **state)
{
    static const struct fake_fault found[] = {{9, FAULT_LOST_AFTER}, {10, FAULT_STOPPED}};
    static const struct fake_fault not_found[] = {{9, FAULT_LOST_BEFORE}};

    (void)state;
    assert_true(record_and_fail_with(1, RECONCILE_FOR_HOLD, found, 2) > 200);
    assert_true(record_and_fail_with(1, RECONCILE_FOR_HOLD, not_found, 1) > 200);
}

static void a_rewrite_survives_any_lack_of_memory(void **state)
{
    (void)state;
    assert_true(record_and_fail(1, RECONCILE_FOR_HOLD, 0, FAULT_KINDS) > 200);
}

static void trouble_survives_any_lack_of_memory(void **state)
{
    static const struct {
        unsigned at;
        enum fake_fault_kind kind;
    } cases[] = {
        {3, FAULT_STORAGE_AWAY},  /* partial */
        {6, FAULT_CHECKSUM},      /* planned anew */
        {6, FAULT_VOLUME_BLINKS}, /* reverted */
        {6, FAULT_VOLUME_AWAY},   /* stuck */
        {6, FAULT_HALF},          /* half applied, taken back */
        {9, FAULT_GARBAGE},       /* no answer at all */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_true(record_and_fail(1, RECONCILE_FOR_HOLD, cases[i].at, cases[i].kind) > 50);
    }
}

static const char hold[] = "{\"format\":1,\"since\":\"t\",\"by\":\"r\",\"why\":\"w\"}";

static int make_held_assessment(const char *on_hold, struct assessment **ret)
{
    static const char config[] = "scsi0: local:105/a.raw\nsmbios1: serial=x\n";
    static const char wanted[] = "{\"format\":1," SCENARIO_SMBIOS "}";
    const struct assess_texts texts = {.config = config,
                                       .config_len = strlen(config),
                                       .config_path = "c",
                                       .fingerprint = wanted,
                                       .fingerprint_len = strlen(wanted),
                                       .fingerprint_path = "f",
                                       .hold = on_hold,
                                       .hold_len = strlen(hold),
                                       .hold_path = "h"};
    const struct assess_params params = {.vmid = 105};

    return assess(&texts, &params, NULL, 0, ret, NULL);
}

static int make_assessment(struct assessment **ret)
{
    return make_held_assessment(NULL, ret);
}

static int answer_on_hold(void *data)
{
    struct record_memory memory = {0};
    struct prestart_input input = {.vmid = 105, .memory = &memory};
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    CLEANUP(prestart_fini) struct prestart p = {0};
    int rc = make_held_assessment(data, &a);

    input.assessment = a;
    return rc < 0 ? rc : prestart_decide(&input, &p);
}

static int write_hold(void *data)
{
    CLEANUP(hold_freep) struct hold *read = NULL;
    CLEANUP_FREE char *text = NULL;
    int rc = hold_parse(data, strlen(data), &read, NULL);

    return rc < 0 ? rc : hold_format(read, &text, NULL);
}

/* A change set of a move, an order that was not there before, and options; then its undo. */
static int plan_an_undo(void *data)
{
    static const char config[] = "boot: order=sata0\nmachine: pc-q35-9.0\nscsihw: pvscsi\n"
                                 "sata0: local:105/a.raw\nnet0: e1000=00:50:56:8A:01:02\n";
    CLEANUP(undo_freep) struct undo *undo = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;
    CLEANUP(api_request_freep) struct api_request *last = NULL;
    int rc = undo_find(data, 105, NULL, &undo, NULL);

    rc = rc < 0 ? rc : pveconf_parse(config, strlen(config), &conf, NULL);
    rc = rc < 0 ? rc : undo_plan(undo, 105, conf, &plan);
    if (rc < 0) {
        return rc;
    }
    assert_int_equal(plan->n_steps, 2);
    last = requests_step((struct requests_vm){"n", 105}, &plan->steps[1], "d");
    return last == NULL ? -ENOMEM : 0;
}

static int find_an_undo_with_effect(void *data)
{
    static const char config[] = "machine: pc-q35-9.0\nscsihw: lsi\n\n[PENDING]\nscsihw: pvscsi\n";
    CLEANUP(undo_freep) struct undo *undo = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    int rc = pveconf_parse(config, strlen(config), &conf, NULL);

    return rc < 0 ? rc : undo_find_effective(data, 105, conf, &undo, NULL);
}

static int find_no_undo(void *data)
{
    struct undo *undo = NULL;
    int rc = undo_find(data, 105, "nowhere", &undo, NULL);

    assert_null(undo);
    return rc == -ENOENT ? 0 : rc;
}

static int verify_a_machine(void *data)
{
    static const char argv[] = "kvm\0-smbios\0type=1,serial=y\0-device\0e1000,id=net0,mac=x";
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    CLEANUP(verify_fini) struct verify v = {0};
    struct verify_input in = {
        .status = data, .pending = NULL, .argv = argv, .argv_len = sizeof(argv)};
    int rc = make_assessment(&a);

    in.assessment = a;
    return rc < 0 || a->outcome != ASSESS_PLANNED ? rc : verify_make(&in, &v);
}

static void verifying_survives_any_lack_of_memory(void **state)
{
    json_t *status = json_pack("{s:s,s:s}", "status", "running", "running-machine", "pc-q35-9.0");

    (void)state;
    assert_true(alloc_fail_each(verify_a_machine, status, ALLOC_FAIL_OWN) > 40);
    json_decref(status);
}

static void an_undo_survives_any_lack_of_memory(void **state)
{
    json_t *records = json_loads(
        "[{\"type\":\"begin\",\"txn\":\"a\",\"time\":\"t\",\"changes\":[{\"option\":\"bootdisk\","
        "\"old\":\"scsi0\",\"new\":null}],\"steps\":[{\"sets\":[[\"machine\",\"pc-q35-9.0\",null],"
        "[\"net0\",\"e1000=00:50:56:8A:01:02\",\"virtio=00:50:56:8A:01:02\"]]},{\"remove\":"
        "\"scsi0\","
        "\"probe\":\"scsi0\",\"present\":\"local:105/a.raw\",\"sets\":[[\"sata0\","
        "\"local:105/a.raw\",null],[\"boot\",\"order=sata0\",null]]}]},"
        "{\"type\":\"step\",\"txn\":\"a\",\"step\":0,\"applied\":true},"
        "{\"type\":\"step\",\"txn\":\"a\",\"step\":1,\"applied\":true},"
        "{\"type\":\"end\",\"txn\":\"a\",\"outcome\":\"done\"}]",
        0, NULL);

    (void)state;
    assert_non_null(records);
    assert_true(alloc_fail_each(plan_an_undo, records, ALLOC_FAIL_OWN) > 60);
    assert_true(alloc_fail_each(find_an_undo_with_effect, records, ALLOC_FAIL_OWN) > 40);
    assert_true(alloc_fail_each(find_no_undo, records, ALLOC_FAIL_OWN) > 2);
    json_decref(records);
}

static void a_hold_survives_any_lack_of_memory(void **state)
{
    CLEANUP_FREE char *text = str_dup(hold);

    (void)state;
    assert_true(alloc_fail_each(answer_on_hold, text, ALLOC_FAIL_OWN) > 20);
    assert_true(alloc_fail_each(write_hold, text, ALLOC_FAIL_OWN) > 5);
    (void)alloc_fail_each(write_hold, text,
                          ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON | ALLOC_FAIL_ANY_RESULT);
}

static int answer_hook(void *data)
{
    struct record_memory memory = {0};
    struct prestart_input input = {.vmid = 105, .memory = &memory};
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    CLEANUP(prestart_fini) struct prestart p = {0};
    CLEANUP(prestart_fini) struct prestart instead = {0};
    int rc = make_assessment(&a);

    if (rc < 0) {
        return rc;
    }
    input.assessment = a;
    if (data != NULL) {
        memcpy(memory.settled_key, a->key, sizeof(memory.settled_key));
    }
    rc = prestart_decide(&input, &p);
    if (rc < 0 || a->outcome != ASSESS_PLANNED) {
        return rc;
    }
    return prestart_without_hold(&input, "because", &instead);
}

static void an_answer_survives_any_lack_of_memory(void **state)
{
    int settled = 1;

    (void)state;
    /* jansson's parser takes some failures for syntax errors: any result will do there. */
    assert_true(alloc_fail_each(answer_hook, NULL, ALLOC_FAIL_OWN) > 20);
    assert_true(alloc_fail_each(answer_hook, &settled, ALLOC_FAIL_OWN) > 20);
    (void)alloc_fail_each(answer_hook, NULL, ALLOC_FAIL_JANSSON | ALLOC_FAIL_ANY_RESULT);
}

static int fold(void *data)
{
    struct record_memory memory = {0};
    int rc = record_replay(data, &memory);

    record_memory_fini(&memory);
    return rc;
}

static void folding_survives_any_lack_of_memory(void **state)
{
    json_t *records = json_loads(
        "[{\"type\":\"held\",\"txn\":\"a\",\"key\":\"k\"},"
        "{\"type\":\"begin\",\"txn\":\"a\",\"time\":\"t\",\"steps\":[{}]},"
        "{\"type\":\"end\",\"outcome\":\"failed\",\"key\":\"k\",\"message\":\"m\"},"
        "{\"type\":\"begin\",\"txn\":\"b\",\"time\":\"u\",\"steps\":[]},"
        "{\"type\":\"end\",\"outcome\":\"partial\",\"key\":\"k\",\"message\":\"n\"}]",
        0, NULL);

    (void)state;
    assert_true(alloc_fail_each(fold, records, ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON) > 3);
    json_decref(records);
}

static int build_records(void *data)
{
    const struct record_head head = {105, "a", "t"};
    json_t *records[] = {
        record_held(head, "k", "w\xff"),
        record_step(head, 1, "m"),
        record_stuck(head, "k", "m"),
        record_end(head, RECORD_FAILED, "k", "m"),
        record_start(head),
        record_started(head, "u"),
        record_dropped(head, "w"),
        record_in_sync(head),
        record_on_hold(head, "w"),
        record_resume(head),
    };
    bool all = true;

    (void)data;
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        all = all && records[i] != NULL;
        json_decref(records[i]);
    }
    return all ? 0 : -ENOMEM;
}

static void records_survive_any_lack_of_memory(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(build_records, NULL, ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON) > 30);
}

static int build_steps(void *data)
{
    json_t *json = record_steps_to_json(data);
    struct plan_step *steps = NULL;
    size_t n = 0;
    int rc = json == NULL ? -ENOMEM : record_steps_from_json(json, &steps, &n);

    if (rc == 0) {
        record_steps_free(steps, n);
    }
    json_decref(json);
    return rc;
}

static void steps_survive_any_lack_of_memory(void **state)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;

    (void)state;
    assert_int_equal(make_assessment(&a), 0);
    assert_true(alloc_fail_each(build_steps, a->plan, ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rewrite_survives_any_lack_of_memory),
        cmocka_unit_test(a_start_that_is_looked_for_survives_any_lack_of_memory),
        cmocka_unit_test(trouble_survives_any_lack_of_memory),
        cmocka_unit_test(an_answer_survives_any_lack_of_memory),
        cmocka_unit_test(verifying_survives_any_lack_of_memory),
        cmocka_unit_test(an_undo_survives_any_lack_of_memory),
        cmocka_unit_test(a_hold_survives_any_lack_of_memory),
        cmocka_unit_test(folding_survives_any_lack_of_memory),
        cmocka_unit_test(records_survive_any_lack_of_memory),
        cmocka_unit_test(steps_survive_any_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
