/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * For tests: a plan's step applied to the text of a configuration the way PVE does it to a stopped
 * VM (recordings 03, 06a-06q), so that plans can be carried out without a node.
 */
#ifndef TESTS_PVE_APPLY_H
#define TESTS_PVE_APPLY_H

#include "core/plan.h"

/* 0 with the new text, or -EINVAL with what PVE would answer, or what must never be asked of it. */
int pve_apply_step(const char *text, const struct plan_step *step, char **ret_text,
                   struct err *err);
/* All steps in turn. */
int pve_apply_plan(const char *text, const struct plan *plan, char **ret_text, struct err *err);
/* Every image is behind one slot: 0, or -EINVAL naming the two. */
int pve_check_volumes(const char *text, struct err *err);

#endif
