/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See drive.h: all drives of a configuration. */
#include "core/drive.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"

void drive_list_fini(struct drive_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        drive_fini(&list->items[i]);
    }
    free(list->items);
    *list = (struct drive_list){0};
}

static int compare_slots(const void *left, const void *right)
{
    const struct drive *a = left;
    const struct drive *b = right;

    return a->slot.bus != b->slot.bus ? (int)a->slot.bus - (int)b->slot.bus
                                      : a->slot.index - b->slot.index;
}

static int list_add(struct drive_list *list, struct drive_slot slot, const struct pveconf_key *key,
                    struct err *err)
{
    int rc;

    if (vec_reserve(&list->items, list->n, &list->cap, sizeof(list->items[0])) < 0) {
        return err_oom(err);
    }
    rc = drive_parse(slot, key->value, &list->items[list->n], err);
    if (rc < 0) {
        return rc == -ENOMEM ? rc : err_prefix(err, rc, "line %u: %s", key->line, key->key);
    }
    list->n++;
    return 0;
}

int drive_list_read(const struct pveconf *conf, struct drive_list *ret_list, struct err *err)
{
    CLEANUP(drive_list_fini) struct drive_list list = {0};
    const struct pveconf_section *section = &conf->sections[0];

    for (size_t i = 0; i < section->n; i++) {
        struct drive_slot slot;

        if (drive_slot_parse(section->keys[i].key, &slot)) {
            int rc = list_add(&list, slot, &section->keys[i], err);

            if (rc < 0) {
                return rc;
            }
        }
    }
    if (list.n > 1) {
        qsort(list.items, list.n, sizeof(list.items[0]), compare_slots);
    }
    *ret_list = list;
    list = (struct drive_list){0};
    return 0;
}
