/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Carries a setup plan out, step by step, or only shows it. */
#ifndef CLI_SETUP_DO_H
#define CLI_SETUP_DO_H

#include "cli/admin.h"

/* One line a step on stdout as it happens, or with --json one object in the end; `verb` is what is
 * being done, for the sentences. CLI_OK: all is done, or was; CLI_DIFFERS: `dry_run` and there is
 * something to do; CLI_ERROR: a step failed or cannot be done: what follows it is not tried. */
enum cli_exit setup_do(const struct cli *cli, const struct admin *admin,
                       const struct setup_plan *plan, bool dry_run);

#endif
