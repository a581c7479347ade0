/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The records of a change journal (core/record.h) for people: time, type and a sentence, what was
 * changed below it, one a line. What only machines want (keys, API calls) is left to --json; fields
 * that are not known here are shown as they are.
 */
#ifndef CLI_LOG_VIEW_H
#define CLI_LOG_VIEW_H

#include <jansson.h>

#include "cli/cli.h"

/* An array of whatever the daemon told. -ENOMEM. */
int log_view_print(const struct cli *cli, const json_t *records);

#endif
