/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PVE's `machine` option and QEMU's machine versions, with the SMBIOS entry point rule: SeaBIOS
 * publishes what Windows can find only from 9.0 on (facts/pve.md 6).
 */
#ifndef CORE_MACHINE_H
#define CORE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/propstr.h"

enum machine_kind { MACHINE_PC, MACHINE_Q35, MACHINE_VIRT };

struct machine_version {
    int major, minor; /* 0.0: none */
};

struct machine {
    enum machine_kind kind; /* absent option: MACHINE_PC */
    bool pinned;            /* names a version */
    bool plain_pc;          /* MACHINE_PC, pinned, spelt "pc-2.0" instead of "pc-i440fx-2.0" */
    struct machine_version version;
    char *rest;           /* what follows the version in the type: "+pve1", ".pxe", ".0"; "" */
    struct propstr extra; /* viommu=, enable-s3=, ... in their order */
};

/* The q35 versions a node's QEMU has (GET capabilities/qemu/machines), plain ones; n 0: unknown. */
struct machine_list {
    struct machine_version *items;
    size_t n, cap;
};

/* value NULL: PVE's default (pc, not pinned). -EINVAL where PVE would refuse it. */
int machine_parse(const char *value, struct machine *ret, struct err *err);
void machine_fini(struct machine *m);
/* As PVE writes it: type without `type=`, then the other keys. NULL: no memory. */
char *machine_format(const struct machine *m);

int machine_version_compare(struct machine_version a, struct machine_version b);
/* "9.0" or "10.0.1" (the rest is ignored) ; false where it is none. */
bool machine_version_parse(const char *text, struct machine_version *ret);
/* The least version that both the fingerprint and the firmware allow: SeaBIOS 9.0. */
struct machine_version machine_least(struct machine_version fingerprint_min, bool ovmf);
/* What an unpinned type really is: for a Windows ostype the QEMU of its creation (`meta:
 * creation-qemu=`), or 5.1 where that is absent or below 9.1, and never more than the newest of the
 * list; for others the newest of the list (0.0 where the list is unknown: then it counts as new
 * enough). */
struct machine_version machine_effective(const struct machine *m, const char *ostype,
                                         const char *meta, const struct machine_list *list);
int machine_list_add(struct machine_list *list, struct machine_version version);
bool machine_list_has(const struct machine_list *list, struct machine_version version);
void machine_list_fini(struct machine_list *list);

#endif
