/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the report reads that tests/golden/report does not reach: `args`, licence words, figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "core/qemu_args.h"
#include "core/report.h"

static void expect_vendor(const char *args, const char *want)
{
    CLEANUP_FREE char *got = NULL;

    assert_int_equal(qemu_args_smbios(args, 0, "vendor", &got), 0);
    if (!str_equal(got, want)) {
        fail_msg("%s: %s expected, %s found", args, want, got);
    }
}

static void vendor_is_found_as_qemu_finds_it(void **state)
{
    (void)state;
    expect_vendor(NULL, NULL);
    expect_vendor("", NULL);
    expect_vendor("-smbios type=0,vendor=A", "A");
    expect_vendor("-smbios vendor=A,type=0", "A");
    expect_vendor("--smbios type=0,vendor=A", "A");
    expect_vendor("-smbios 'type=0,vendor=VMware,, Inc.'", "VMware, Inc.");
    expect_vendor("-smbios \"type=0,vendor=Phoenix Technologies LTD,date=x\"",
                  "Phoenix Technologies LTD");
    expect_vendor("-smbios type=0,vendor=A\\ B", "A B");
    expect_vendor("-smbios type=0,vendor=A -smbios type=0,version=2", "A");
    expect_vendor("-smbios type=0,vendor=A -smbios type=0,vendor=B", "B");
    expect_vendor("-smbios type=2,vendor=A", NULL);
    expect_vendor("-smbios type=1,manufacturer=A", NULL);
    expect_vendor("-smbios file=/x,vendor=A", NULL);
    expect_vendor("-smbios", NULL);
    expect_vendor("-cpu -smbios type=0,vendor=A", "A"); /* told twice: QEMU would not start */
    expect_vendor("-smbios 'type=0,vendor=A", "A");
    expect_vendor("-smbios type=0,vendor=", "");
    expect_vendor("-smbios type=0,vendors=A", NULL);
}

static void expect_set(const char *args, const char *id, const char *want)
{
    CLEANUP_FREE char *got = NULL;

    assert_int_equal(qemu_args_set(args, id, "model", &got), 0);
    if (!str_equal(got, want)) {
        fail_msg("%s: %s expected, %s found", args, want, got);
    }
}

static void properties_are_those_of_one_device(void **state)
{
    (void)state;
    expect_set("-set device.ide2.model=X", "ide2", "X");
    expect_set("-set 'device.ide2.model=N W CDR10'", "ide2", "N W CDR10");
    expect_set("-set device.ide2.model=X -set device.ide2.model=Y", "ide2", "Y");
    expect_set("-set device.ide20.model=X", "ide2", NULL);
    expect_set("-set device.ide2.models=X", "ide2", NULL);
    expect_set("device.ide2.model=X", "ide2", NULL);
    expect_set(NULL, "ide2", NULL);
}

static void channels_are_known_in_windows_own_words(void **state)
{
    static const struct {
        const char *said;
        enum report_channel channel;
    } cases[] = {
        {"Volume:MAK", REPORT_MAK},
        {"MAK", REPORT_MAK},
        {"VOLUME_MAK channel", REPORT_MAK},
        {"Volume:GVLK", REPORT_KMS},
        {"Volume:CSVLK", REPORT_KMS},
        {"VOLUME_KMSCLIENT channel", REPORT_KMS},
        {"KMS", REPORT_KMS},
        {"OEM:DM", REPORT_OEM},
        {"OEM_SLP", REPORT_OEM},
        {"Retail", REPORT_RETAIL},
        {"RETAIL channel", REPORT_RETAIL},
        {"TIMEBASED_EVAL", REPORT_CHANNEL_UNKNOWN},
        {"", REPORT_CHANNEL_UNKNOWN},
        {NULL, REPORT_CHANNEL_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(report_channel_of(cases[i].said), cases[i].channel);
    }
}

/* facts/vmware.md 6: ten classes, 30 in all, and no slack in BIOS, NIC and disk. */
static void figures_are_the_published_ones(void **state)
{
    int total = 0;

    (void)state;
    for (int i = 0; i < REPORT_CLASSES; i++) {
        total += report_class_weight((enum report_class)i);
    }
    assert_int_equal(REPORT_CLASSES, 10);
    assert_int_equal(total, REPORT_TOTAL);
    assert_int_equal(report_class_weight(REPORT_BIOS) + report_class_weight(REPORT_NIC) +
                         report_class_weight(REPORT_DISK),
                     REPORT_THRESHOLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vendor_is_found_as_qemu_finds_it),
        cmocka_unit_test(properties_are_those_of_one_device),
        cmocka_unit_test(channels_are_known_in_windows_own_words),
        cmocka_unit_test(figures_are_the_published_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
