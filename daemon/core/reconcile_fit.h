/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a step, or a value of one, stands in a configuration as PVE has written it. */
#ifndef CORE_RECONCILE_FIT_H
#define CORE_RECONCILE_FIT_H

#include <stdbool.h>

#include "core/plan.h"
#include "core/pveconf.h"

/* How a step stands in a configuration. */
enum reconcile_step_fit { STEP_TO_DO, STEP_APPLIED, STEP_FOREIGN };
enum reconcile_step_fit reconcile_step_fits(const struct plan_step *step,
                                            const struct pveconf *conf);
/* Alike but for what PVE writes in its own way: order, case of a MAC, size=. */
bool reconcile_same_value(const char *a, const char *b);
/* Do two values of drives name one volume? */
bool reconcile_same_volume(const char *a, const char *b); /* NULL: none, and so not the same */

/* Where is the disk that a step moves, `value` its drive's? In no slot, while its volume is an
 * unusedN: then the deletion that we left pending was carried out. In no slot and no unusedN:
 * somebody took it away. */
enum disk_place { DISK_IN_SLOT, DISK_UNUSED, DISK_NOWHERE };
enum disk_place reconcile_find_volume(const struct pveconf_section *section, const char *value);

#endif
