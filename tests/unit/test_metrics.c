/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The numbers for monitoring. metrics_render() against directories of text:
 * tests/golden/metrics/NAME/input.json (the answer to Metrics) with expect.prom or expect.error;
 * METRICS_GOLDEN_WRITE=1 writes them anew. Then what the daemon counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "core/metrics.h"
#include "counters.h"
#include "golden.h"
#include "io/file.h"

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);

    if (json == NULL) {
        fail_msg("%s: %s", error.text, text);
    }
    return json;
}

static bool agrees(const char *name, const char *text, const char *suffix)
{
    CLEANUP_FREE char *path = golden_join("tests/golden/metrics", name, suffix);

    if (getenv("METRICS_GOLDEN_WRITE") != NULL && text != NULL) {
        assert_int_equal(file_replace(AT_FDCWD, path, 0644, text, NULL), 0);
    }
    return golden_agrees(name, "the text", text, path);
}

static bool check_directory(const char *name)
{
    CLEANUP_FREE char *path = golden_join("tests/golden/metrics", name, "/input.json");
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
    CLEANUP_FREE char *sentence = NULL;
    size_t len;
    CLEANUP_FREE char *text = golden_slurp(path, &len);
    struct err err = {""};
    json_t *numbers;
    int rc;

    assert_non_null(text);
    numbers = parse(text);
    rc = metrics_render(numbers, &out, &err);
    json_decref(numbers);
    sentence = rc < 0 ? str_printf("%s\n", err.text) : NULL;
    return agrees(name, rc < 0 ? NULL : out.data, "/expect.prom") &&
           agrees(name, sentence, "/expect.error");
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void golden_directories_agree(void **state)
{
    CLEANUP_FREE char *folder = golden_join("tests/golden", "metrics", "");
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_visible, alphasort);
    int bad = 0;

    (void)state;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        bad += !check_directory(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(bad, 0);
}

static void dead_daemon_is_a_number(void **state)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);

    (void)state;
    metrics_render_down(&out);
    assert_string_equal(out.data, "# HELP pve_hwid_up 1 if the daemon answers.\n"
                                  "# TYPE pve_hwid_up gauge\npve_hwid_up 0\n");
}

/* --- what is counted --- */

static json_int_t count_at(const struct counters *counters, const char *key, const char *inner)
{
    json_t *object = json_object();
    json_t *value;
    json_int_t count;

    assert_int_equal(counters_to_json(counters, object), 0);
    value = json_object_get(object, key);
    value = inner == NULL ? value : json_object_get(value, inner);
    assert_true(json_is_integer(value));
    count = json_integer_value(value);
    json_decref(object);
    return count;
}

static void add_record(struct counters *counters, const char *text)
{
    json_t *record = parse(text);

    counters_add_record(counters, record);
    json_decref(record);
}

static void records_are_counted_by_their_type(void **state)
{
    struct counters counters = {0};
    json_t *done = record_end((struct record_head){105, "t", "now"}, RECORD_DONE, NULL, NULL);
    json_t *failed = record_step((struct record_head){105, "t", "now"}, 0, "checksum mismatch");
    json_t *applied = record_step((struct record_head){105, "t", "now"}, 0, NULL);

    (void)state;
    counters_add_record(&counters, done);
    counters_add_record(&counters, failed);
    counters_add_record(&counters, applied);
    counters_add_record(&counters, applied);
    json_decref(done);
    json_decref(failed);
    json_decref(applied);
    add_record(&counters, "{\"type\":\"held\"}");
    add_record(&counters, "{\"type\":\"started\"}");
    add_record(&counters, "{\"type\":\"dropped\"}");
    add_record(&counters, "{\"type\":\"stuck\"}");
    add_record(&counters, "{\"type\":\"end\",\"outcome\":\"of a newer daemon\"}");
    add_record(&counters, "{\"type\":\"end\"}");
    add_record(&counters, "{\"type\":\"begin\"}");
    add_record(&counters, "{}");
    assert_int_equal(count_at(&counters, "change_sets", "done"), 1);
    assert_int_equal(count_at(&counters, "change_sets", "failed"), 0);
    assert_int_equal(count_at(&counters, "changes", "applied"), 2);
    assert_int_equal(count_at(&counters, "changes", "failed"), 1);
    assert_int_equal(count_at(&counters, "starts_stopped", NULL), 1);
    assert_int_equal(count_at(&counters, "starts_made", NULL), 1);
    assert_int_equal(count_at(&counters, "starts_dropped", NULL), 1);
    assert_int_equal(count_at(&counters, "stuck", NULL), 1);
}

static json_int_t bucket(const struct counters *counters, size_t i)
{
    json_t *object = json_object();
    json_int_t count;

    assert_int_equal(counters_to_json(counters, object), 0);
    count = json_integer_value(
        json_array_get(json_object_get(json_object_get(object, "hook_latency"), "counts"), i));
    json_decref(object);
    return count;
}

/* `le` means at most: 500 us are in the first bucket, 501 in the second. */
static void latency_falls_into_the_bucket_of_its_bound(void **state)
{
    struct counters counters = {0};

    (void)state;
    counters_add_hook(&counters, WIRE_PRE_START, COUNTERS_GO, 0);
    counters_add_hook(&counters, WIRE_PRE_START, COUNTERS_RESTART, 500);
    counters_add_hook(&counters, WIRE_PRE_START, COUNTERS_REFUSE, 501);
    counters_add_hook(&counters, WIRE_PRE_START, COUNTERS_GO, 2000000);
    counters_add_hook(&counters, WIRE_PRE_START, COUNTERS_GO, 2000001);
    assert_int_equal(bucket(&counters, 0), 2);
    assert_int_equal(bucket(&counters, 1), 1);
    assert_int_equal(bucket(&counters, COUNTERS_BUCKETS - 1), 1);
    assert_int_equal(bucket(&counters, COUNTERS_BUCKETS), 1);
    assert_int_equal(counters.latency_sum_us, 4001002);
}

/* Others are answered at once; a hook that went away was not answered at all. */
static void latency_is_that_of_answers_to_pre_start(void **state)
{
    struct counters counters = {0};

    (void)state;
    counters_add_hook(&counters, WIRE_POST_STOP, COUNTERS_GO, 10);
    counters_add_hook(&counters, WIRE_PRE_START, COUNTERS_ABANDONED, 1900000);
    assert_int_equal(counters.latency_sum_us, 0);
    assert_int_equal(bucket(&counters, 0), 0);
    assert_int_equal(counters.hooks[WIRE_POST_STOP][COUNTERS_GO], 1);
    assert_int_equal(counters.hooks[WIRE_PRE_START][COUNTERS_ABANDONED], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_directories_agree),
        cmocka_unit_test(dead_daemon_is_a_number),
        cmocka_unit_test(records_are_counted_by_their_type),
        cmocka_unit_test(latency_falls_into_the_bucket_of_its_bound),
        cmocka_unit_test(latency_is_that_of_answers_to_pre_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
