/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of telling and of rendering the numbers for monitoring fails in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "core/metrics.h"
#include "counters.h"

static int tell(json_t **ret)
{
    const struct counters counters = {.held = 1, .api = {3}};
    json_t *object = json_pack("{s:s, s:i, s:i, s:{s:[i]}, s:i, s:{s:i}}", "version", "1",
                               "uptime_s", 1, "api_up", 1, "vms", "in-sync", 105, "under_way", 0,
                               "queues", "looks", 0);

    if (object == NULL || counters_to_json(&counters, object) < 0) {
        json_decref(object);
        return -ENOMEM;
    }
    *ret = object;
    return 0;
}

static int run_tell(void *data)
{
    json_t *object = NULL;
    int rc = tell(&object);

    (void)data;
    json_decref(object);
    return rc;
}

static int run_render(void *data)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);

    return metrics_render(data, &out, NULL);
}

static void telling_survives_each_failure(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(run_tell, NULL, ALLOC_FAIL_JANSSON) > 100);
}

static void rendering_survives_each_failure(void **state)
{
    json_t *object = NULL;

    (void)state;
    assert_int_equal(tell(&object), 0);
    assert_true(alloc_fail_each(run_render, object, ALLOC_FAIL_OWN) > 3);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(telling_survives_each_failure),
        cmocka_unit_test(rendering_survives_each_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
