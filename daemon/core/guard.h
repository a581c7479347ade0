/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whose start is it (law 3)? From the few signs a hook has, whether this pre-start is an ordinary
 * start, which we may stop, or one that must never be touched (facts/pve.md 3).
 */
#ifndef CORE_GUARD_H
#define CORE_GUARD_H

#include "core/pveconf.h"

enum guard_verdict {
    GUARD_ORDINARY,       /* ours */
    GUARD_MIGRATION,      /* PVE_MIGRATED_FROM is not empty */
    GUARD_FOREIGN_CONFIG, /* the configuration is not in this node's qemu-server directory */
    GUARD_RESUME,         /* lock: suspended, vmstate:, or a qmresume worker */
    GUARD_ROLLBACK,       /* a qmrollback worker */
    GUARD_BACKUP,         /* a vzdump worker, or lock: backup */
    GUARD_LOCKED,         /* any other lock: */
    GUARD_TEMPLATE,       /* template: 1 */
    GUARD_NO_WORKER,      /* nobody's start: called by hand */
    GUARD_UNKNOWN_WORKER, /* a worker of a type we do not know */
};

struct guard_signs {
    const char *migrated_from;  /* environment; NULL or "": none */
    const char *worker_type;    /* TYPE of the nearest ancestor's UPID; NULL or "": none */
    const struct pveconf *conf; /* NULL: no such file on this node */
};

enum guard_verdict guard_decide(const struct guard_signs *signs);
/* "vzdump (backup): the hardware stays as it is", for task log and journal. */
const char *guard_reason(enum guard_verdict verdict);

#endif
