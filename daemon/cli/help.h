/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The usage texts: `pve-hwid help` and `pve-hwid VERB --help`. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/cli.h"

void help_print_all(const struct cli *cli);
/* The text, or with --json an object. */
enum cli_exit help_verb(const struct cli *cli, const struct verb *verb);

#endif
