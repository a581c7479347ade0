/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An identity report as people see it. Made here or told by the daemon, it is shown from its JSON:
 * the one shape that both have.
 */
#ifndef CLI_REPORT_VIEW_H
#define CLI_REPORT_VIEW_H

#include <jansson.h>

#include "base/err.h"
#include "cli/cli.h"
#include "core/plan.h"

/* The report about these, on stdout as text or, with --json, as JSON; returns the exit code: 0
 * nothing to change, 3 something, 5 refused. */
enum cli_exit report_view_offline(const struct cli *cli, const struct plan_input *input,
                                  const struct plan *plan);
/* The same by the daemon. */
enum cli_exit report_view_online(const struct cli *cli, uint32_t vmid);

#endif
