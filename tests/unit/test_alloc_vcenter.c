/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of reading vCenter's answers fails in turn: ours and jansson's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "base/str.h"
#include "core/certificate.h"
#include "core/vcenter.h"
#include "golden.h"

struct job {
    char *text;
    size_t len;
};

static int run_capture(void *data)
{
    const struct job *job = data;
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct err err = {""};

    return vcenter_capture(job->text, job->len, "name", "2026-11-23T10:00:00Z", &fp, &notes, &err);
}

static int run_list(void *data)
{
    static const char text[] = "{\"value\":[{\"vm\":\"vm-1\",\"name\":\"a\"},{\"vm\":\"vm-2\"}]}";
    CLEANUP(vcenter_items_fini) struct vcenter_items items = {0};

    (void)data;
    return vcenter_read_list(text, strlen(text), VCENTER_VM, &items, NULL);
}

static int run_requests(void *data)
{
    char id[] = "vm-1", name[] = "web1";
    const struct vcenter_item vm = {.id = id, .name = name};
    CLEANUP(api_request_freep) struct api_request *list = vcenter_list(VCENTER_REST, VCENTER_VM);
    CLEANUP(api_request_freep) struct api_request *one = vcenter_get_vm(VCENTER_API, id);
    CLEANUP_FREE char *file = vcenter_file_name(&vm);
    int rc = list == NULL || one == NULL || file == NULL ? -ENOMEM : 0;

    (void)data;
    return rc < 0 ? rc : vcenter_add_filter(list, VCENTER_REST, "names", "x");
}

static int run_pin(void *data)
{
    char pin[CERTIFICATE_PIN_SIZE];

    (void)data;
    return certificate_key_pin("-----BEGIN CERTIFICATE-----\nMA4wDAIAMAAwADAAMAAwAA==\n", pin,
                               NULL);
}

static int run_thumbprint(void *data)
{
    static const char pem[] = "-----BEGIN CERTIFICATE-----\nYWJj\n";
    struct certificate_thumbprint thumbprint;

    (void)data;
    return certificate_thumbprint(pem, &thumbprint, NULL);
}

static void a_vm_survives_each_failure(void **state)
{
    static const char *const names[] = {"every-bus-in-7.0", "every-bus-in-6.7", "unknown-words"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *path = golden_join("tests/golden/vcenter", names[i], "/input.json");
        struct job job;

        job.text = golden_slurp(path, &job.len);
        assert_non_null(job.text);
        assert_true(alloc_fail_each(run_capture, &job, ALLOC_FAIL_OWN) > 20);
        assert_true(alloc_fail_each(run_capture, &job, ALLOC_FAIL_JANSSON | ALLOC_FAIL_ANY_RESULT) >
                    100);
        free(job.text);
    }
}

static void the_rest_survives_each_failure(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(run_list, NULL, ALLOC_FAIL_OWN) > 3);
    assert_true(alloc_fail_each(run_requests, NULL, ALLOC_FAIL_OWN) > 5);
    assert_true(alloc_fail_each(run_thumbprint, NULL, ALLOC_FAIL_OWN) > 0);
    assert_true(alloc_fail_each(run_pin, NULL, ALLOC_FAIL_OWN) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_survives_each_failure),
        cmocka_unit_test(the_rest_survives_each_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
