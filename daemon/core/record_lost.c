/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See record.h: what the hook asks where no daemon answers. */
#include "base/str.h"
#include "core/drive.h"
#include "core/identity.h"
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

static bool is_unused(const struct pveconf *conf, const char *value)
{
    const struct pveconf_section *main_keys = &conf->sections[0];

    for (size_t i = 0; i < main_keys->n; i++) {
        if (str_starts(main_keys->keys[i].key, "unused") &&
            reconcile_same_volume(main_keys->keys[i].value, value)) {
            return true;
        }
    }
    return false;
}

/* Made at another time than the VM that the records speak of: the number was used again, and a new
 * VM's images have the old one's names. Without memory it is taken for the same. */
static bool is_another(const struct record_memory *memory, const struct pveconf *conf)
{
    CLEANUP(identity_fini) struct identity id = {0};

    return memory->bound_ctime != 0 && identity_of_config(conf, &id) == 0 && id.ctime != 0 &&
           id.ctime != memory->bound_ctime;
}

/* Only the call that may be half carried out: what was done before it is recorded, and a disk that
 * somebody took off since then is his. */
const char *record_lost_disk(const struct record_memory *memory, const struct pveconf *now,
                             const struct pveconf *next, const char **ret_slot)
{
    const json_t *step = json_array_get(memory->steps, memory->steps_done);
    const char *slot = json_string_value(json_object_get(step, "remove"));
    const char *present = json_string_value(json_object_get(step, "present"));

    if (!memory->open || slot == NULL || present == NULL || is_attached(next, present)) {
        return NULL;
    }
    if ((!is_attached(now, present) && !is_unused(now, present)) || is_another(memory, now)) {
        return NULL;
    }
    *ret_slot = slot;
    return present;
}
