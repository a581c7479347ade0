/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid capture --vcenter`: its options, and the way in. */
#ifndef CLI_CAPTURE_VCENTER_H
#define CLI_CAPTURE_VCENTER_H

#include "cli/capture.h"

enum cli_exit capture_vcenter(const struct cli *cli, const struct capture_options *options);

#endif
