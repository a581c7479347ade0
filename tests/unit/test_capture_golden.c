/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The other sources of a capture against directories of text (golden.h), and, where they are at
 * hand, real files of other projects. A .vmdk gives no fingerprint: its outcome is "serial parent".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "core/dmidecode.h"
#include "core/ovf.h"
#include "core/slmgr.h"
#include "core/vmdk.h"
#include "core/winguest.h"
#include "golden.h"

typedef int (*parse_fn)(const char *text, size_t len, const char *captured,
                        struct fingerprint **ret_fp, struct notes *notes, struct err *err);

static void capture_one(parse_fn parse, const char *text, size_t len, struct outcome *ret)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct err err = {""};

    if (parse(text, len, NULL, &fp, &notes, &err) < 0) {
        outcome_error(ret, err.text);
    }
    outcome_add(ret, fp, &notes, NULL);
}

static void capture_dmidecode(const char *text, size_t len, struct outcome *ret)
{
    capture_one(dmidecode_capture, text, len, ret);
}

static void capture_windows(const char *text, size_t len, struct outcome *ret)
{
    capture_one(winguest_capture, text, len, ret);
}

static void capture_slmgr(const char *text, size_t len, struct outcome *ret)
{
    capture_one(slmgr_capture, text, len, ret);
}

static void capture_ovf(const char *text, size_t len, struct outcome *ret)
{
    CLEANUP(ovf_vms_fini) struct ovf_vms vms = {0};
    struct err err = {""};

    if (ovf_capture(text, len, NULL, &vms, &err) < 0) {
        outcome_error(ret, err.text);
    }
    for (size_t i = 0; i < vms.n; i++) {
        outcome_add(ret, vms.items[i].fp, &vms.items[i].notes,
                    vms.n > 1 ? vms.items[i].fp->source.name : NULL);
    }
}

/* As the command line reads it: the head says where, then the descriptor is parsed. */
static void capture_vmdk(const char *text, size_t len, struct outcome *ret)
{
    struct vmdk disk;
    struct err err = {""};
    uint64_t offset = 0;
    size_t size = 0;
    int rc = vmdk_locate(text, len < VMDK_HEAD ? len : VMDK_HEAD, &offset, &size, &err);

    if (rc == 0) {
        offset = offset < len ? offset : len;
        size = size < len - offset ? size : len - offset;
        rc = vmdk_parse(text + offset, size, &disk, &err);
    }
    if (rc < 0) {
        outcome_error(ret, err.text);
        return;
    }
    ret->json = str_printf("{\"serial\": \"%s\", \"parent\": \"%s\"}\n", disk.serial, disk.parent);
}

static void ovf_directories_agree(void **state)
{
    (void)state;
    golden_check_all("ovf", "input.ovf", capture_ovf);
}

static void dmidecode_directories_agree(void **state)
{
    (void)state;
    golden_check_all("dmidecode", "input.txt", capture_dmidecode);
}

static void windows_directories_agree(void **state)
{
    (void)state;
    golden_check_all("windows", "input.json", capture_windows);
}

static void slmgr_directories_agree(void **state)
{
    (void)state;
    golden_check_all("slmgr", "input.txt", capture_slmgr);
}

static void vmdk_directories_agree(void **state)
{
    (void)state;
    golden_check_all("vmdk", "input.vmdk", capture_vmdk);
}

static void real_ovf_files_agree(void **state)
{
    (void)state;
    golden_check_fixtures("ovf", capture_ovf);
}

static void real_dmidecode_dumps_agree(void **state)
{
    (void)state;
    golden_check_fixtures("dmidecode", capture_dmidecode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ovf_directories_agree),      cmocka_unit_test(dmidecode_directories_agree),
        cmocka_unit_test(windows_directories_agree),  cmocka_unit_test(slmgr_directories_agree),
        cmocka_unit_test(vmdk_directories_agree),     cmocka_unit_test(real_ovf_files_agree),
        cmocka_unit_test(real_dmidecode_dumps_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
