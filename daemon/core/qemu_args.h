/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PVE's option `args`: what root appends to QEMU's command line. Read only, and only for the two
 * things that change what a guest identifies the VM by: `-smbios type=N,..` and `-set device...`;
 * and the command line itself, of a QEMU that runs.
 */
#ifndef CORE_QEMU_ARGS_H
#define CORE_QEMU_ARGS_H

#include <stddef.h>

#include "base/err.h"

/* `key` of the last `-smbios type=TYPE,...` that has it (QEMU's ",," is one comma). *ret is NULL
 * where there is none. 0 or -ENOMEM. `args` may be NULL. */
int qemu_args_smbios(const char *args, int type, const char *key, char **ret);
/* The value of the last `-set device.ID.PROPERTY=VALUE`; likewise. */
int qemu_args_set(const char *args, const char *id, const char *property, char **ret);

/* The same of a running QEMU's command line: words with a NUL behind each, `len` bytes in all. */
int qemu_argv_smbios(const char *argv, size_t len, int type, const char *key, char **ret);
/* Of the last `-device MODEL,...,id=ID,...`: the value of `key`, or the model where key is NULL. */
int qemu_argv_device(const char *argv, size_t len, const char *id, const char *key, char **ret);

#endif
