/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of the parsers beside the .vmx fails in turn: ours, expat's and jansson's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "alloc_fail.h"
#include "base/str.h"
#include "core/dmidecode.h"
#include "core/ovf.h"
#include "core/slmgr.h"
#include "core/vmx.h"
#include "core/winguest.h"
#include "golden.h"

typedef int (*parse_fn)(const char *text, size_t len, const char *captured,
                        struct fingerprint **ret_fp, struct notes *notes, struct err *err);

struct job {
    parse_fn parse;
    char *text;
    size_t len;
};

static int run_parse(void *data)
{
    const struct job *job = data;
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct err err = {""};

    return job->parse(job->text, job->len, "2026-11-23T10:00:00Z", &fp, &notes, &err);
}

static int run_ovf(void *data)
{
    const struct job *job = data;
    CLEANUP(ovf_vms_fini) struct ovf_vms vms = {0};
    struct err err = {""};

    return ovf_capture(job->text, job->len, "2026-11-23T10:00:00Z", &vms, &err);
}

static int run_find(void *data)
{
    const struct job *job = data;
    CLEANUP(vmx_disk_files_fini) struct vmx_disk_files files = {0};

    return vmx_find_disk_files(job->text, job->len, &files);
}

/* The input of a golden directory. */
static void load(struct job *job, parse_fn parse, const char *folder, const char *file)
{
    CLEANUP_FREE char *path = golden_join("tests/golden", folder, file);

    job->parse = parse;
    job->text = golden_slurp(path, &job->len);
    assert_non_null(job->text);
}

static void ovf_survives_each_failure(void **state)
{
    static const char *const folders[] = {"ovf/everything", "ovf/two-vms", "ovf/models-not-said",
                                          "ovf/one-of-two-is-not-vmware"};
    struct job job;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        load(&job, NULL, folders[i], "/input.ovf");
        assert_true(alloc_fail_each(run_ovf, &job, ALLOC_FAIL_OWN) > 50);
        free(job.text);
    }
}

static void dmidecode_survives_each_failure(void **state)
{
    struct job job;

    (void)state;
    load(&job, dmidecode_capture, "dmidecode/serial-contradicts-uuid", "/input.txt");
    assert_true(alloc_fail_each(run_parse, &job, ALLOC_FAIL_OWN) > 10);
    free(job.text);
}

static void windows_survives_each_failure(void **state)
{
    struct job job;

    (void)state;
    load(&job, winguest_capture, "windows/controllers-of-every-kind", "/input.json");
    assert_true(alloc_fail_each(run_parse, &job, ALLOC_FAIL_OWN) > 50);
    assert_true(alloc_fail_each(run_parse, &job, ALLOC_FAIL_JANSSON | ALLOC_FAIL_ANY_RESULT) > 100);
    free(job.text);
}

static void slmgr_survives_each_failure(void **state)
{
    struct job job;

    (void)state;
    load(&job, slmgr_capture, "slmgr/status-in-another-language", "/input.txt");
    assert_true(alloc_fail_each(run_parse, &job, ALLOC_FAIL_OWN) > 10);
    free(job.text);
}

static void finding_disk_files_survives_each_failure(void **state)
{
    struct job job;

    (void)state;
    load(&job, NULL, "vmx/disk-serials-are-in-the-vmdk", "/input.vmx");
    assert_true(alloc_fail_each(run_find, &job, ALLOC_FAIL_OWN) > 5);
    free(job.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ovf_survives_each_failure),
        cmocka_unit_test(dmidecode_survives_each_failure),
        cmocka_unit_test(windows_survives_each_failure),
        cmocka_unit_test(slmgr_survives_each_failure),
        cmocka_unit_test(finding_disk_files_survives_each_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
