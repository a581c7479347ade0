/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PVE's option `args`: what root appends to QEMU's command line. Read only, and only for the two
 * things that change what a guest identifies the VM by: `-smbios type=N,..` and `-set device...`.
 */
#ifndef CORE_QEMU_ARGS_H
#define CORE_QEMU_ARGS_H

#include "base/err.h"

/* `key` of the last `-smbios type=TYPE,...` that has it (QEMU's ",," is one comma). *ret is NULL
 * where there is none. 0 or -ENOMEM. `args` may be NULL. */
int qemu_args_smbios(const char *args, int type, const char *key, char **ret);
/* The value of the last `-set device.ID.PROPERTY=VALUE`; likewise. */
int qemu_args_set(const char *args, const char *id, const char *property, char **ret);

#endif
