/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Undoing a change set: what the journal says it did, and the plan (core/plan.h) that brings back
 * exactly the values before it. The plan is made from the present configuration: every option must
 * still be what the change set made of it, or be back already; anything else is somebody's later
 * change, and then nothing is undone at all. So the plan is empty once all is undone, and may be
 * made again from any state in between: the same machine carries it out as any other.
 */
#ifndef CORE_UNDO_H
#define CORE_UNDO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/plan.h"
#include "core/smbios_uuid.h"

struct undo {
    char txn[SMBIOS_UUID_SIZE];
    char *time;              /* of its first begin */
    struct plan_step *steps; /* what it did, in order, with the value before each (`old`) */
    bool *certain;           /* by step: the journal says that it was carried out; else perhaps */
    size_t n;
    char *bootdisk; /* what PVE dropped when `boot` got an order; NULL: nothing */
};

/*
 * The change set `txn` among the records of a VM's journal; NULL: the last one that has ended,
 * however (one that failed at its second call has made its first), did something, and was neither
 * undone nor itself an undo. -ENOENT: there is none, with a sentence that names those that are
 * there; -EBUSY: it has not ended; -ENOMEM.
 */
int undo_find(const json_t *records, uint32_t vmid, const char *txn, struct undo **ret,
              struct err *err);
/*
 * The last one of those that has an effect on `conf` still (as read, [PENDING] and all): one that
 * somebody took back otherwise is passed over, so that an undo after the other walks back. One that
 * can only be refused has an effect. Errors as above.
 */
int undo_find_effective(const json_t *records, uint32_t vmid, const struct pveconf *conf,
                        struct undo **ret, struct err *err);
void undo_free(struct undo *undo);
DEFINE_CLEANUP(struct undo, undo_free)

/* `conf` without [PENDING]. 0 with a plan, also where it refuses; -ENOMEM. */
int undo_plan(const struct undo *undo, uint32_t vmid, const struct pveconf *conf,
              struct plan **ret);

#endif
