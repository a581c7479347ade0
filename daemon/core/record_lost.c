/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See record.h: is a VM, as its configuration is now, what the records speak of? */
#include "core/identity.h"
#include "core/reconcile_fit.h"
#include "core/record.h"

int64_t record_made_at(const struct pveconf *conf)
{
    CLEANUP(identity_fini) struct identity id = {0};

    return identity_of_config(conf, &id) == 0 ? id.ctime : 0;
}

bool record_is_another(const struct record_memory *memory, const struct pveconf *conf)
{
    int64_t now = record_made_at(conf);

    return memory->bound_ctime != 0 && now != 0 && now != memory->bound_ctime;
}

/* Only the call that may be half carried out: what was done before it is recorded, and a disk that
 * somebody took off since then is his. */
const char *record_lost_disk(const struct record_memory *memory, const struct pveconf *now,
                             const struct pveconf *next, const char **ret_slot)
{
    const json_t *step = json_array_get(memory->steps, memory->steps_done);
    const char *slot = json_string_value(json_object_get(step, "remove"));
    const char *present = json_string_value(json_object_get(step, "present"));

    if (!memory->open || slot == NULL || present == NULL ||
        reconcile_find_volume(&next->sections[0], present) == DISK_IN_SLOT) {
        return NULL;
    }
    if (reconcile_find_volume(&now->sections[0], present) == DISK_NOWHERE ||
        record_is_another(memory, now)) {
        return NULL;
    }
    *ret_slot = slot;
    return present;
}
