/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes choose a VM, what happens at which request, and when the daemon dies: what must hold then
 * is in tests/unit/driver_check.c and fake_pve_watch.c. See also test_reconcile_crash.c.
 */
/* FUZZ-SOURCES: tests/unit/driver.c tests/unit/driver_check.c tests/unit/driver_hook.c */
/* FUZZ-SOURCES: tests/unit/fake_pve.c tests/unit/fake_pve_conf.c tests/unit/fake_pve_put.c */
/* FUZZ-SOURCES: tests/unit/fake_pve_watch.c tests/unit/fake_faults.c tests/unit/fake_schema.c */
/* FUZZ-SOURCES: tests/unit/fake_late.c tests/unit/fake_map.c tests/unit/driver_journal.c */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/driver.h"
#include "../unit/scenarios.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    const uint8_t *data;
    size_t n;
};

static unsigned take(struct bytes *bytes, unsigned sides)
{
    if (bytes->n == 0) {
        return 0;
    }
    bytes->n--;
    return *bytes->data++ % sides;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = {data, size};
    const struct scenario *scenario = &scenarios[take(&bytes, ARRAY_SIZE(scenarios))];
    unsigned flags = take(&bytes, 256);
    struct driver d;

    driver_init(&d, scenario->config, scenario->fingerprint);
    d.pve.edited_fingerprint = scenario->edited;
    d.pve.volume = scenario->volumes[0];
    d.pve.ha_managed = (flags & 6) == 6;
    d.raw_start_in_crash = (flags & 24) == 24;
    d.stop_in_crash = (flags & 128) != 0;
    d.pve.dice = 1 + take(&bytes, 256) * 0x9E3779B97F4A7C15u;
    d.journal_fails_at = (flags & 96) == 96 ? take(&bytes, 16) : 0;
    while (d.pve.n_faults < take(&bytes, FAKE_FAULTS_MAX + 1)) {
        struct fake_fault *fault = &d.pve.faults[d.pve.n_faults++];

        fault->at = 1 + take(&bytes, 64);
        fault->kind = (enum fake_fault_kind)take(&bytes, FAULT_KINDS);
    }
    while (d.n_crashes < take(&bytes, DRIVER_CRASHES_MAX + 1)) {
        struct driver_crash *crash = &d.crashes[d.n_crashes++];

        crash->at = 1 + take(&bytes, 128);
        crash->when = (enum driver_death)take(&bytes, DRIVER_DEATHS);
    }
    if ((flags & 1) != 0) {
        driver_start(&d);
    } else {
        driver_run(&d, RECONCILE_FOR_FINGERPRINT);
    }
    if (d.pve.problem[0] == '\0') {
        driver_check(&d, scenario->volumes);
    }
    if (d.pve.problem[0] != '\0') {
        fprintf(stderr, "%s: %s\n", scenario->name, d.pve.problem);
        __builtin_trap();
    }
    driver_fini(&d);
    return 0;
}
