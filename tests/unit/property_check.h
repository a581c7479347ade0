/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For test_property.c: what must hold of a VM after whatever happened to it. */
#ifndef TESTS_PROPERTY_CHECK_H
#define TESTS_PROPERTY_CHECK_H

#include "driver.h"

/* What the VM was in the beginning. */
struct property {
    struct fake_map conf, effective; /* as found; as the next start would have seen it */
    char *boot, *boot_before_stop;   /* what it boots from, in order, likewise */
    bool deletes_disk;               /* somebody's deletion of a disk was pending from the first */
};

void property_init(struct property *p, const struct driver *d);
void property_fini(struct property *p);

/* All trouble ends; the daemon finishes what it has begun; somebody starts the VM, which must run,
 * and stops it again. Fills d->pve.problem with the first thing that is not as it must be. */
void property_check_calm(const struct property *p, struct driver *d);

#endif
