/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A plan as the command line shows it. Made here or told by the daemon: it is the same value with
 * the same rendering (law 7), so what a Varlink reply holds becomes a struct plan first.
 */
#ifndef CLI_PLAN_VIEW_H
#define CLI_PLAN_VIEW_H

#include <jansson.h>

#include "base/err.h"
#include "cli/cli.h"
#include "core/plan.h"

/* From a VmPlan of the interface; without steps, which only who carries it out needs. -EPROTO. */
int plan_view_parse(const json_t *object, struct plan **ret_plan, struct err *err);

/* "in-sync", "differs", "refused". */
const char *plan_view_result(const struct plan *plan);
/* 0, 3, 5. */
enum cli_exit plan_view_exit(const struct plan *plan);

/* {"vmid","result","changes","notes","refusals","pending"}: `pending` (borrowed, may be NULL for
 * "not known") lists the pending options that count as applied. New reference; NULL: no memory. */
json_t *plan_view_json(const struct plan *plan, json_t *pending);

/* The text on stdout: 0 or -ENOMEM. */
int plan_view_print(const struct cli *cli, const struct plan *plan, struct err *err);

#endif
