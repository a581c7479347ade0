/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Free slots. A slot that a disk of the plan leaves is not used again by the same plan: one name
 * for one disk all the way, in the journal and for whoever undoes half of it. A later plan, made
 * after a crash, finds it free; whether that would change its choice is asked here beforehand.
 */
#include "core/plan_disks.h"

void plan_slots_read(const struct plan_disk_set *set, struct plan_slots *slots)
{
    *slots = (struct plan_slots){0};
    for (size_t i = 0; i < set->list.n; i++) { /* whatever is there, a cdrom too */
        struct drive_slot slot = set->list.items[i].slot;

        slots->taken[slot.bus][slot.index] = true;
    }
}

static bool take_free(struct plan_slots *slots, enum drive_bus bus, int from,
                      struct drive_slot *ret_slot)
{
    for (int index = from; index < drive_bus_slots(bus); index++) {
        if (!slots->taken[bus][index]) {
            slots->taken[bus][index] = true;
            *ret_slot = (struct drive_slot){.bus = bus, .index = index};
            return true;
        }
    }
    return false;
}

bool plan_slots_choose(struct plan_slots *slots, const struct plan_disk_set *set,
                       const struct plan_disk *disk, struct drive_slot *ret_slot)
{
    int from = 0;

    for (size_t i = 0; i < set->n; i++) {
        const struct plan_disk *before = &set->items[i];

        if (before->place.want != PLAN_NO_DISK && before->place.want < disk->place.want &&
            before->to.bus == disk->bus && before->to.index >= from) {
            from = before->to.index + 1;
        }
    }
    return take_free(slots, disk->bus, from, ret_slot) || take_free(slots, disk->bus, 0, ret_slot);
}

bool plan_slots_agree_after(const struct plan_disk_set *set, int last_done)
{
    struct plan_slots slots;

    plan_slots_read(set, &slots);
    for (size_t i = 0; i < set->n; i++) {
        const struct plan_disk *disk = &set->items[i];

        if (disk->place.want <= last_done && plan_disk_moves(disk)) {
            slots.taken[disk->place.slot.bus][disk->place.slot.index] = false;
            slots.taken[disk->to.bus][disk->to.index] = true;
        }
    }
    for (int want = last_done + 1; want < (int)set->b->in->fp->n_disks; want++) {
        for (size_t i = 0; i < set->n; i++) {
            const struct plan_disk *disk = &set->items[i];
            struct drive_slot slot;

            if (disk->place.want == want && plan_disk_moves(disk) &&
                (!plan_slots_choose(&slots, set, disk, &slot) ||
                 !drive_slot_equal(slot, disk->to))) {
                return false;
            }
        }
    }
    return true;
}
