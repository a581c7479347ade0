/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One look at a VM: what each pair of files comes to, and the key that names the pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "core/assess.h"
#include "scenarios.h"

static const char config[] = "hookscript: local:snippets/pve-hwid\nscsi0: local:105/a.raw\n";
static const char wanted[] = "{\"format\":1," SCENARIO_OTHER_SMBIOS "}";

static struct assess_texts texts_of(const char *conf, const char *fingerprint)
{
    return (struct assess_texts){
        .config = conf,
        .config_len = conf == NULL ? 0 : strlen(conf),
        .config_path = "/105.conf",
        .fingerprint = fingerprint,
        .fingerprint_len = fingerprint == NULL ? 0 : strlen(fingerprint),
        .fingerprint_path = "/fp.json",
    };
}

static struct assessment *look_with(const struct assess_texts *texts,
                                    const struct assess_fixed *fixed, size_t n)
{
    const struct assess_params params = {
        .vmid = 105, .on_drift = FINGERPRINT_DRIFT_START, .on_error = FINGERPRINT_ERROR_REFUSE};
    struct assessment *a = NULL;

    assert_int_equal(assess(texts, &params, fixed, n, &a, NULL), 0);
    return a;
}

static struct assessment *look(const char *conf, const char *fingerprint)
{
    const struct assess_texts texts = texts_of(conf, fingerprint);

    return look_with(&texts, NULL, 0);
}

static void each_pair_has_its_outcome(void **state)
{
    static const struct {
        const char *conf, *fingerprint;
        enum assess_outcome outcome;
        const char *problem;
        bool has_conf;
    } rows[] = {
        {config, wanted, ASSESS_PLANNED, NULL, true},
        {config, NULL, ASSESS_NO_FINGERPRINT, NULL, true},
        {NULL, wanted, ASSESS_NO_CONFIG, NULL, false},
        {NULL, NULL, ASSESS_NO_CONFIG, NULL, false},
        {NULL, "{", ASSESS_NO_CONFIG, NULL, false},
        {config, "{", ASSESS_BAD_FINGERPRINT, "/fp.json: ", true},
        {config, "", ASSESS_BAD_FINGERPRINT, "/fp.json: ", true},
        {"", wanted, ASSESS_PLANNED, NULL, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(assessment_freep)
        struct assessment *a = look(rows[i].conf, rows[i].fingerprint);

        assert_int_equal(a->outcome, rows[i].outcome);
        assert_int_equal(a->conf != NULL, rows[i].has_conf);
        assert_int_equal(a->plan != NULL, rows[i].outcome == ASSESS_PLANNED);
        assert_int_equal(a->problem != NULL, rows[i].problem != NULL);
        if (rows[i].problem != NULL) {
            assert_true(str_starts(a->problem, rows[i].problem));
        }
    }
}

static void a_config_with_a_nul_is_none(void **state)
{
    struct assess_texts texts = texts_of(config, wanted);
    CLEANUP(assessment_freep) struct assessment *bad = NULL;
    CLEANUP(assessment_freep) struct assessment *unasked = NULL;

    (void)state;
    texts.config_len++; /* with its NUL */
    bad = look_with(&texts, NULL, 0);
    assert_int_equal(bad->outcome, ASSESS_BAD_CONFIG);
    assert_true(str_starts(bad->problem, "/105.conf: "));
    texts.fingerprint = NULL;
    unasked = look_with(&texts, NULL, 0);
    assert_int_equal(unasked->outcome, ASSESS_NO_FINGERPRINT); /* nothing to do with us */
    assert_null(unasked->conf);
}

static void a_fingerprint_that_could_not_be_read_is_a_bad_one(void **state)
{
    struct assess_texts texts = texts_of(config, NULL);
    CLEANUP(assessment_freep) struct assessment *a = NULL;

    (void)state;
    texts.fingerprint_problem = "/fp.json: Permission denied";
    a = look_with(&texts, NULL, 0);
    assert_int_equal(a->outcome, ASSESS_BAD_FINGERPRINT);
    assert_string_equal(a->problem, "/fp.json: Permission denied");
    assert_int_equal(a->on_error, FINGERPRINT_ERROR_REFUSE);
}

static void the_fingerprints_policy_comes_before_the_settings(void **state)
{
    CLEANUP(assessment_freep) struct assessment *silent = look(config, wanted);
    CLEANUP(assessment_freep)
    struct assessment *says = look(config, "{\"format\":1," SCENARIO_OTHER_SMBIOS
                                           ",\"policy\":{\"on_drift\":\"restart\","
                                           "\"on_error\":\"start\"}}");

    (void)state;
    assert_int_equal(silent->on_drift, FINGERPRINT_DRIFT_START);
    assert_int_equal(silent->on_error, FINGERPRINT_ERROR_REFUSE);
    assert_int_equal(says->on_drift, FINGERPRINT_DRIFT_RESTART);
    assert_int_equal(says->on_error, FINGERPRINT_ERROR_START);
}

static void the_key_names_both_texts(void **state)
{
    static const char *const pairs[][2] = {
        {config, wanted}, {config, NULL},  {NULL, wanted},  {"", wanted},
        {config, ""},     {"a: b\n", "c"}, {"a: b\nc", ""}, {"", "a: b\nc"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        CLEANUP(assessment_freep) struct assessment *a = look(pairs[i][0], pairs[i][1]);
        CLEANUP(assessment_freep) struct assessment *same = look(pairs[i][0], pairs[i][1]);

        assert_string_equal(a->key, same->key);
        assert_int_equal(strlen(a->key), SMBIOS_UUID_SIZE - 1);
        for (size_t j = 0; j < i; j++) {
            CLEANUP(assessment_freep) struct assessment *b = look(pairs[j][0], pairs[j][1]);
            bool alike = (pairs[i][1] == NULL || *pairs[i][1] == '\0') &&
                         (pairs[j][1] == NULL || *pairs[j][1] == '\0') &&
                         str_equal(pairs[i][0], pairs[j][0]);
            bool empty = str_equal(pairs[i][1], pairs[j][1]) &&
                         (pairs[i][0] == NULL || *pairs[i][0] == '\0') &&
                         (pairs[j][0] == NULL || *pairs[j][0] == '\0');

            assert_int_equal(str_equal(a->key, b->key), alike || empty);
        }
    }
}

static void the_hook_is_known_by_its_name(void **state)
{
    CLEANUP(assessment_freep) struct assessment *ours = look(config, wanted);
    CLEANUP(assessment_freep)
    struct assessment *other = look("hookscript: local:snippets/other\n", wanted);
    CLEANUP(assessment_freep) struct assessment *none = look("name: x\n", wanted);

    (void)state;
    assert_true(ours->attached);
    assert_false(other->attached || none->attached);
    assert_true(assess_is_our_hook("nfs:snippets/pve-hwid"));
    assert_false(assess_is_our_hook(NULL));
    assert_false(assess_is_our_hook("local:snippets/not-pve-hwid"));
    assert_false(assess_is_our_hook("pve-hwid"));
}

static void pending_changes_count_as_made(void **state)
{
    CLEANUP(assessment_freep)
    struct assessment *a = look("cores: 1\n\n[PENDING]\nsmbios1: uuid=9b1a4d56-1100-3322-4455-"
                                "66778899aacc,manufacturer=T3RoZXI=,base64=1\n",
                                wanted);

    (void)state;
    assert_true(plan_is_empty(a->plan));
    assert_false(a->deletes_pending);
}

static void a_disk_about_to_be_deleted_is_seen(void **state)
{
    CLEANUP(assessment_freep)
    struct assessment *disk = look("scsi0: local:105/a.raw\n[PENDING]\ndelete: scsi0\n", wanted);
    CLEANUP(assessment_freep)
    struct assessment *forced = look("scsi0: local:105/a.raw\n[PENDING]\ndelete: !scsi0\n", wanted);
    CLEANUP(assessment_freep)
    struct assessment *other = look("cores: 2\n[PENDING]\ndelete: cores\n", wanted);

    (void)state;
    assert_true(disk->deletes_pending);
    assert_true(forced->deletes_pending);
    assert_false(other->deletes_pending);
}

static void a_fixed_disk_stays(void **state)
{
    static const struct assess_fixed fixed = {"scsi0", "scsi0 stays as it is: away"};
    const struct assess_texts texts = texts_of(config, "{\"format\":1,\"disks\":["
                                                       "{\"controller\":\"sata\",\"bus\":0,"
                                                       "\"unit\":0}]}");
    CLEANUP(assessment_freep) struct assessment *free_disk = look_with(&texts, NULL, 0);
    CLEANUP(assessment_freep) struct assessment *fixed_disk = look_with(&texts, &fixed, 1);

    (void)state;
    assert_false(plan_is_empty(free_disk->plan));
    assert_true(plan_is_empty(fixed_disk->plan));
    assert_string_equal(free_disk->key, fixed_disk->key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pair_has_its_outcome),
        cmocka_unit_test(a_config_with_a_nul_is_none),
        cmocka_unit_test(a_fingerprint_that_could_not_be_read_is_a_bad_one),
        cmocka_unit_test(the_fingerprints_policy_comes_before_the_settings),
        cmocka_unit_test(the_key_names_both_texts),
        cmocka_unit_test(the_hook_is_known_by_its_name),
        cmocka_unit_test(pending_changes_count_as_made),
        cmocka_unit_test(a_disk_about_to_be_deleted_is_seen),
        cmocka_unit_test(a_fixed_disk_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
