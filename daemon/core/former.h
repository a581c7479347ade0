/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A VM has one hookscript. Where it had one before ours was attached, PVE_DIR/pve-hwid/VMID.hook
 * keeps its volume id, one line, for `detach` to give back and for our hook to run meanwhile.
 */
#ifndef CORE_FORMER_H
#define CORE_FORMER_H

#include <stddef.h>

#include "base/err.h"

enum { FORMER_MAX = 512 }; /* bytes of the file; PVE's volume ids are far shorter */

#define FORMER_SUFFIX ".hook"

/* The volume id in the file. -EINVAL: not exactly one line with the volume id of a snippet, or our
 * own hook, which would run itself for ever. */
int former_parse(const char *text, size_t len, char **ret_volid, struct err *err);
#endif
