/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of parsing, writing and capturing fails in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "base/str.h"
#include "core/vmx.h"

/* Comes by every kind of allocation there is: arrays that grow, notes, texts, iconv. */
static const char vmx[] = ".encoding = \"windows-1252\"\n"
                          "displayName = \"B\xfcro\"\n"
                          "displayName = \"B\xfcro 2\"\n"
                          "not a line\n"
                          "virtualHW.version = \"12\"\n"
                          "guestOS = \"ubuntu-64\"\n"
                          "uuid.bios = \"42 17 9c 03 5e d1 48 b6-0a 73 e2 9f 64 1c 85 3d\"\n"
                          "serialNumber = \"A1\"\n"
                          "disk.EnableUUID = \"TRUE\"\n"
                          "scsi0.present = \"TRUE\"\n"
                          "scsi0:0.present = \"TRUE\"\n"
                          "scsi0:0.fileName = \"\xfc.vmdk\"\n"
                          "scsi0:1.present = \"TRUE\"\n"
                          "scsi0:1.vendorID = \"ACME\"\n"
                          "ide0:0.present = \"TRUE\"\n"
                          "ide1:0.present = \"TRUE\"\n"
                          "ide1:0.deviceType = \"cdrom-raw\"\n"
                          "sata0.present = \"TRUE\"\n"
                          "sata0:0.present = \"TRUE\"\n"
                          "nvme0.present = \"TRUE\"\n"
                          "nvme0:0.present = \"TRUE\"\n"
                          "ethernet0.present = \"TRUE\"\n"
                          "ethernet0.generatedAddress = \"00:0c:29:1c:85:3d\"\n"
                          "vm.genid = \"1\"\n"
                          "vm.genidX = \"2\"\n";

static const char json[] =
    "{\"format\":1,\"source\":{\"kind\":\"vmx\",\"name\":\"n\",\"captured\":\"c\","
    "\"parts\":{\"nics\":\"vmx\",\"license\":\"slmgr\"}},\"display\":\"none\","
    "\"bios\":{\"vendor\":\"v\",\"version\":\"w\",\"date\":\"d\"},"
    "\"smbios\":{\"uuid\":\"039c1742-d15e-b648-0a73-e29f641c853d\",\"manufacturer\":\"m\","
    "\"product\":\"p\",\"version\":\"v\",\"serial\":\"s\",\"sku\":\"k\",\"family\":\"f\"},"
    "\"firmware\":\"efi\",\"machine\":{\"type\":\"q35\",\"min_version\":\"9.0\"},"
    "\"nics\":[{\"model\":\"e1000\",\"mac\":\"00:0c:29:1c:85:3d\"},{\"model\":\"unknown\"}],"
    "\"disks\":[{\"controller\":\"pvscsi\",\"serial\":\"s\",\"vendor\":\"v\",\"product\":\"p\","
    "\"volume\":\"a:b\"},{\"controller\":\"ide\",\"model\":\"m\"}],"
    "\"cdroms\":[{\"controller\":\"sata\"}],\"cpu\":{\"sockets\":1,\"cores\":2},"
    "\"memory_mib\":1,\"vmgenid\":\"eb219c71-ed70-3191-9bed-7fb23f377824\","
    "\"license\":{\"channel\":\"c\",\"status\":\"s\",\"product\":\"p\",\"partial_key\":\"k\","
    "\"kms_host\":\"h\",\"remaining_rearms\":1,\"grace_minutes\":2},"
    "\"policy\":{\"on_drift\":\"start\",\"on_error\":\"refuse\",\"disks\":\"keep\"}}";

static int run_capture(void *data)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct err err = {""};

    (void)data;
    return vmx_capture(vmx, strlen(vmx), "2026-11-23T10:00:00Z", &fp, &notes, &err);
}

static int run_parse(void *data)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    struct err err = {""};

    (void)data;
    return fingerprint_parse(json, strlen(json), &fp, &err);
}

static int run_format(void *data)
{
    CLEANUP_FREE char *text = NULL;
    struct err err = {""};

    return fingerprint_format(data, &text, &err);
}

static void capture_survives_each_failure(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(run_capture, NULL, ALLOC_FAIL_OWN) > 50);
}

static void parsing_survives_each_failure(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(run_parse, NULL, ALLOC_FAIL_OWN) > 25);
    assert_true(alloc_fail_each(run_parse, NULL, ALLOC_FAIL_JANSSON | ALLOC_FAIL_ANY_RESULT) > 100);
}

static void writing_survives_each_failure(void **state)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;

    (void)state;
    assert_int_equal(fingerprint_parse(json, strlen(json), &fp, NULL), 0);
    assert_true(alloc_fail_each(run_format, fp, ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capture_survives_each_failure),
        cmocka_unit_test(parsing_survives_each_failure),
        cmocka_unit_test(writing_survives_each_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
