/* SPDX-License-Identifier: GPL-3.0-or-later */
/* core/machine, against what PVE accepted in recording 05. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/machine.h"

/* stored NULL: refused. Else what machine_format() makes of it. */
static const struct {
    const char *value;
    const char *stored;
} recorded[] = {
    {"pc-q35-99.0", "pc-q35-99.0"},
    {"pc-q35-10.2", "pc-q35-10.2"},
    {"pc-q35-10.2+pve0", "pc-q35-10.2+pve0"},
    {"pc-q35-10.2+pve7", "pc-q35-10.2+pve7"},
    {"pc-i440fx-9.0", "pc-i440fx-9.0"},
    {"pc-q35-9.0+pve9", "pc-q35-9.0+pve9"},
    {"pc-q35", NULL},
    {"q35", "q35"},
    {"pc", "pc"},
    {"i440fx", NULL},
    {"virt", "virt"},
    {"nonsense", NULL},
    {"pc-q35-9", NULL},
    {"pc-q35-2.4", "pc-q35-2.4"},
    {"pc-q35-6.0.0", "pc-q35-6.0.0"},
    {"type=pc-q35-9.0", "pc-q35-9.0"},
    {"q35,viommu=intel", "q35,viommu=intel"},
    {"pc-q35-9.0,enable-s3=1", "pc-q35-9.0,enable-s3=1"},
    {"pc-q35-9.0,nosuch=1", NULL},
    {"", "pc"},
    {" ", "pc"},
    {"PC-Q35-9.0", NULL},
    {"pc-q35-rhel8.6.0", NULL},
    {"pc-q35-5.2", "pc-q35-5.2"},
    {"pc-q35-4.0.1", "pc-q35-4.0.1"},
    /* From PVE's pattern, not recorded: */
    {"pc-1.3", "pc-1.3"},
    {"pc-q35-4.0.1+pve1.pxe", "pc-q35-4.0.1+pve1.pxe"},
    {"pc-i440fx-2.11.pxe", "pc-i440fx-2.11.pxe"},
    {"virt-9.0+pve1", "virt-9.0+pve1"},
    {"virt+pve1", "virt+pve1"},
    {"viommu=virtio", "pc,viommu=virtio"},
    {"q35,viommu=intel,aw-bits=48,enable-s4=0", "q35,viommu=intel,aw-bits=48,enable-s4=0"},
    {"virt-9.0.pxe", NULL},
    {"q35-9.0", NULL},
    {"q35+pve1", NULL},
    {"pc-q35-9.0.", NULL},
    {"pc-q35-9.0+pve", NULL},
    {"pc-q35-9.0.pxe+pve1", NULL},
    {"pc-q35-99999999999.0", NULL},
    {"q35,type=pc", NULL},
    {"q35,viommu=amd", NULL},
    {"q35,aw-bits=31", NULL},
    {"q35,enable-s3=2", NULL},
};

static void accepts_what_pve_accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(recorded); i++) {
        CLEANUP(machine_fini) struct machine m = {0};
        CLEANUP_FREE char *text = NULL;
        struct err err = {""};
        int rc = machine_parse(recorded[i].value, &m, &err);

        if (rc != (recorded[i].stored != NULL ? 0 : -EINVAL)) {
            fail_msg("%s: %d %s", recorded[i].value, rc, err.text);
        }
        if (rc == 0) {
            text = machine_format(&m);
            assert_string_equal(text, recorded[i].stored);
        }
    }
}

static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(recorded); i++) {
        CLEANUP(machine_fini) struct machine m = {0};
        CLEANUP_FREE char *text = NULL;

        if (recorded[i].stored != NULL) {
            assert_int_equal(machine_parse(recorded[i].stored, &m, NULL), 0);
            text = machine_format(&m);
            assert_string_equal(text, recorded[i].stored);
        }
    }
}

static void the_parts_of_a_type_are_told_apart(void **state)
{
    CLEANUP(machine_fini) struct machine m = {0};
    CLEANUP(machine_fini) struct machine absent = {0};

    (void)state;
    assert_int_equal(machine_parse("pc-q35-10.2.1+pve1,enable-s3=1", &m, NULL), 0);
    assert_int_equal(m.kind, MACHINE_Q35);
    assert_true(m.pinned);
    assert_int_equal(m.version.major, 10);
    assert_int_equal(m.version.minor, 2);
    assert_string_equal(m.rest, ".1+pve1");
    assert_string_equal(propstr_get(&m.extra, "enable-s3"), "1");
    assert_int_equal(machine_parse(NULL, &absent, NULL), 0);
    assert_int_equal(absent.kind, MACHINE_PC);
    assert_false(absent.pinned);
}

static void versions_are_numbers(void **state)
{
    struct machine_version v = {0, 0};

    (void)state;
    assert_true(machine_version_parse("10.0.13", &v));
    assert_true(v.major == 10 && v.minor == 0);
    assert_true(machine_version_parse("9.0", &v));
    assert_false(machine_version_parse("9", &v));
    assert_false(machine_version_parse(".9", &v));
    assert_false(machine_version_parse("", &v));
    assert_false(machine_version_parse(NULL, &v));
    assert_true(v.major == 9 && v.minor == 0);
    assert_true(machine_version_compare((struct machine_version){10, 0},
                                        (struct machine_version){9, 2}) > 0);
    assert_true(machine_version_compare((struct machine_version){8, 1},
                                        (struct machine_version){8, 2}) < 0);
    assert_int_equal(machine_version_compare(v, v), 0);
}

static void seabios_needs_9_0(void **state)
{
    static const struct {
        struct machine_version asked;
        bool ovmf;
        struct machine_version least;
    } cases[] = {
        {{8, 2}, true, {8, 2}},    {{8, 2}, false, {9, 0}},  {{9, 0}, false, {9, 0}},
        {{10, 1}, false, {10, 1}}, {{10, 1}, true, {10, 1}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct machine_version least = machine_least(cases[i].asked, cases[i].ovmf);

        assert_int_equal(machine_version_compare(least, cases[i].least), 0);
    }
}

static void an_unversioned_type_is_what_pve_makes_of_it(void **state)
{
    static const struct {
        const char *machine, *ostype, *meta;
        struct machine_version newest, effective;
    } cases[] = {
        {"pc-q35-8.2", "win10", NULL, {10, 0}, {8, 2}},
        {"q35", "l26", NULL, {10, 0}, {10, 0}},
        {"q35", NULL, "creation-qemu=9.2.0", {10, 0}, {10, 0}},
        {"q35", "l26", NULL, {0, 0}, {0, 0}},
        {"q35", "win10", "creation-qemu=9.2.0,ctime=1", {10, 0}, {9, 2}},
        {"q35", "win11", "ctime=1,creation-qemu=9.1.0", {10, 0}, {9, 1}},
        {"q35", "win11", "creation-qemu=9.0.2", {10, 0}, {5, 1}}, /* below 9.1: 5.1 */
        {"q35", "w2k8", "ctime=1", {10, 0}, {5, 1}},
        {"q35", "wvista", NULL, {0, 0}, {5, 1}},
        {"q35", "win10", "creation-qemu=11.0.1", {10, 2}, {10, 2}}, /* newer than the node */
        {"q35", "win10", "creation-qemu=11.0.1", {0, 0}, {11, 0}},
        {"q35", "win10", "creation-qemu=x", {0, 0}, {5, 1}},
        {"q35", "win10", "a,b", {0, 0}, {5, 1}},
        {"q35", "win", NULL, {10, 0}, {10, 0}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(machine_fini) struct machine m = {0};
        CLEANUP(machine_list_fini) struct machine_list list = {0};
        struct machine_version version;

        assert_int_equal(machine_parse(cases[i].machine, &m, NULL), 0);
        if (cases[i].newest.major > 0) {
            assert_int_equal(machine_list_add(&list, (struct machine_version){5, 1}), 0);
            assert_int_equal(machine_list_add(&list, cases[i].newest), 0);
            assert_int_equal(machine_list_add(&list, (struct machine_version){9, 0}), 0);
        }
        version = machine_effective(&m, cases[i].ostype, cases[i].meta, &list);
        if (machine_version_compare(version, cases[i].effective) != 0) {
            fail_msg("case %zu: %d.%d", i, version.major, version.minor);
        }
    }
}

static void the_list_has_each_version_once(void **state)
{
    CLEANUP(machine_list_fini) struct machine_list list = {0};

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(machine_list_add(&list, (struct machine_version){9, i % 10}), 0);
    }
    assert_int_equal(list.n, 10);
    assert_true(machine_list_has(&list, (struct machine_version){9, 9}));
    assert_false(machine_list_has(&list, (struct machine_version){8, 2}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_pve_accepts),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(the_parts_of_a_type_are_told_apart),
        cmocka_unit_test(versions_are_numbers),
        cmocka_unit_test(seabios_needs_9_0),
        cmocka_unit_test(an_unversioned_type_is_what_pve_makes_of_it),
        cmocka_unit_test(the_list_has_each_version_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
