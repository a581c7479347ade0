/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See record.h: what the hook asks where no daemon answers. */
#include "core/drive.h"
#include "core/reconcile_fit.h"
#include "core/record.h"

static bool is_attached(const struct pveconf *conf, const char *value)
{
    const struct pveconf_section *main_keys = &conf->sections[0];
    struct drive_slot slot;

    for (size_t i = 0; i < main_keys->n; i++) {
        if (drive_slot_parse(main_keys->keys[i].key, &slot) &&
            reconcile_same_volume(main_keys->keys[i].value, value)) {
            return true;
        }
    }
    return false;
}

/* Only the call that may be half carried out: what was done before it is recorded, and a disk that
 * somebody took off since then is his. */
const char *record_lost_disk(const struct record_memory *memory, const struct pveconf *conf,
                             const char **ret_slot)
{
    const json_t *step = json_array_get(memory->steps, memory->steps_done);
    const char *slot = json_string_value(json_object_get(step, "remove"));
    const char *present = json_string_value(json_object_get(step, "present"));

    if (!memory->open || slot == NULL || present == NULL || is_attached(conf, present)) {
        return NULL;
    }
    *ret_slot = slot;
    return present;
}
