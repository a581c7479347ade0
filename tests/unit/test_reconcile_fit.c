/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is somebody's change, and what only PVE's own way of writing a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/macros.h"
#include "core/reconcile_fit.h"

#define VOLUME "local:105/vm-105-disk-0.qcow2"
#define MAC    "00:50:56:8a:01:02"

static void spelling_is_no_difference_and_all_else_is(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {NULL, NULL, true},
        {NULL, "", false},
        {"e1000=" MAC ",bridge=vmbr0", "e1000=00:50:56:8A:01:02,bridge=vmbr0", true},
        {"bridge=vmbr0,e1000=" MAC, "e1000=00:50:56:8A:01:02,bridge=vmbr0", true},
        {"e1000=" MAC ",bridge=vmbr0", "e1000=" MAC ",bridge=VMBR0", false},
        {"e1000=" MAC ",bridge=vmbr0", "e1000=00:50:56:8a:01:03,bridge=vmbr0", false},
        {"e1000=" MAC ",bridge=vmbr0", "e1000e=" MAC ",bridge=vmbr0", false},
        {"e1000=" MAC ",bridge=vmbr0", "e1000=" MAC ",bridge=vmbr0,tag=1", false},
        {VOLUME ",size=1G", VOLUME ",size=2G", true},
        {VOLUME ",size=1G,ssd=1", "file=" VOLUME ",ssd=1", true},
        {VOLUME ",size=1G", VOLUME ",size=1G,serial=a", false},
        {VOLUME ",serial=a", VOLUME ",serial=A", false},
        {VOLUME, "local:105/vm-105-disk-1.qcow2", false},
        {"order=scsi0;net0", "order=net0;scsi0", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (reconcile_same_value(rows[i].a, rows[i].b) != rows[i].same ||
            reconcile_same_value(rows[i].b, rows[i].a) != rows[i].same) {
            fail_msg("row %zu: '%s' and '%s'", i, rows[i].a, rows[i].b);
        }
    }
}

static void volumes_are_told_apart_whatever_their_options(void **state)
{
    (void)state;
    assert_true(reconcile_same_volume(VOLUME ",size=1G", "ssd=1,file=" VOLUME));
    assert_false(reconcile_same_volume(VOLUME, VOLUME "2"));
    assert_false(reconcile_same_volume(VOLUME, NULL));
    assert_false(reconcile_same_volume(NULL, NULL));
}

static void a_step_is_done_or_to_do_or_somebody_has_been_there(void **state)
{
    static const struct {
        const char *config;
        enum reconcile_step_fit fit;
        enum disk_place place;
    } rows[] = {
        {"scsi0: " VOLUME ",size=1G\nboot: order=scsi0\n", STEP_TO_DO, DISK_IN_SLOT},
        {"scsi0: " VOLUME ",size=2G\nboot: order=scsi0\n", STEP_TO_DO, DISK_IN_SLOT},
        {"sata0: " VOLUME ",size=1G\nboot: order=sata0\n", STEP_APPLIED, DISK_IN_SLOT},
        {"sata0: " VOLUME ",size=1G\nboot: order=\n", STEP_FOREIGN, DISK_IN_SLOT},
        {"scsi0: " VOLUME ",ssd=1\nboot: order=scsi0\n", STEP_FOREIGN, DISK_IN_SLOT},
        {"scsi0: " VOLUME ",size=1G\nboot: order=net0\n", STEP_FOREIGN, DISK_IN_SLOT},
        {"scsi0: " VOLUME ",size=1G\nboot: order=scsi0\nsata0: none,media=cdrom\n", STEP_FOREIGN,
         DISK_IN_SLOT},
        {"unused0: " VOLUME "\nboot: order=sata0\n", STEP_FOREIGN, DISK_UNUSED},
        {"boot: order=sata0\n", STEP_FOREIGN, DISK_NOWHERE},
    };
    struct plan_set sets[] = {
        {.option = (char *)"sata0", .value = (char *)VOLUME ",size=1G"},
        {.option = (char *)"boot", .value = (char *)"order=sata0", .old = (char *)"order=scsi0"},
    };
    const struct plan_step step = {.remove = (char *)"scsi0",
                                   .probe = (char *)"scsi0",
                                   .probe_value = (char *)VOLUME ",size=1G",
                                   .sets = sets,
                                   .n_sets = ARRAY_SIZE(sets)};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(pveconf_freep) struct pveconf *conf = NULL;

        assert_int_equal(pveconf_parse(rows[i].config, strlen(rows[i].config), &conf, NULL), 0);
        if (reconcile_step_fits(&step, conf) != rows[i].fit ||
            reconcile_find_volume(&conf->sections[0], VOLUME) != rows[i].place) {
            fail_msg("row %zu", i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spelling_is_no_difference_and_all_else_is),
        cmocka_unit_test(volumes_are_told_apart_whatever_their_options),
        cmocka_unit_test(a_step_is_done_or_to_do_or_somebody_has_been_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
