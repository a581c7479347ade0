/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which disk of the VM is which disk of the fingerprint: by the volume it names, then by a serial
 * that only one has, then by order (boot order first, then bus and index).
 *
 * Order alone is not enough: moving a disk changes its bus and with that its place in the order, so
 * a second plan, or one made after a crash halfway, could take one disk for another and move both
 * again, for ever. Hence two rules. Where every bus already has as many disks as the fingerprint
 * wants there, order counts within a bus. And plan_match_is_stable() replays the plan: a plan that
 * a later one would not agree with is not made at all; naming the volumes is the way out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/plan_disks.h"

enum drive_bus plan_disk_bus(enum fingerprint_controller controller, bool *ret_exact)
{
    *ret_exact = true;
    switch (controller) {
    case FINGERPRINT_PVSCSI:
        return DRIVE_SCSI;
    case FINGERPRINT_SATA:
        return DRIVE_SATA;
    case FINGERPRINT_IDE:
        return DRIVE_IDE;
    case FINGERPRINT_LSILOGIC:
    case FINGERPRINT_LSISAS1068:
    case FINGERPRINT_BUSLOGIC:
    case FINGERPRINT_NVME:
        break;
    }
    *ret_exact = false; /* PVE has none of them; Windows boots from sata since Vista */
    return DRIVE_SATA;
}

static enum drive_bus wanted_bus(const struct fingerprint *fp, size_t index)
{
    bool exact;

    return plan_disk_bus(fp->disks[index].controller, &exact);
}

static int compare_places(const void *left, const void *right)
{
    const struct plan_place *a = left;
    const struct plan_place *b = right;

    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    return a->slot.bus != b->slot.bus ? (int)a->slot.bus - (int)b->slot.bus
                                      : a->slot.index - b->slot.index;
}

struct match {
    const struct fingerprint *fp;
    struct plan_place *places;
    size_t n;
    bool taken[FINGERPRINT_DISKS_MAX]; /* of the fingerprint's */
};

static void take(struct match *m, size_t index, struct plan_place *place)
{
    m->taken[index] = true;
    place->want = (int)index;
}

static enum plan_matched by_volume(struct match *m, bool *ret_all)
{
    *ret_all = true;
    for (size_t i = 0; i < m->fp->n_disks; i++) {
        const char *volume = m->fp->disks[i].volume;

        if (volume == NULL) {
            *ret_all = false;
            continue;
        }
        for (size_t j = 0; j < m->n; j++) {
            if (m->places[j].want == PLAN_NO_DISK && str_equal(m->places[j].volume, volume)) {
                take(m, i, &m->places[j]);
                break;
            }
        }
        if (!m->taken[i]) {
            return PLAN_MATCH_VOLUME_AWAY;
        }
    }
    return PLAN_MATCHED;
}

/* Only a serial that one disk has here and one has there says anything. */
static void by_serial(struct match *m)
{
    for (size_t i = 0; i < m->fp->n_disks; i++) {
        const char *serial = m->fp->disks[i].serial;
        struct plan_place *found = NULL;
        size_t n = 0;

        if (serial == NULL || m->taken[i]) {
            continue;
        }
        for (size_t j = 0; j < m->fp->n_disks; j++) {
            n += str_equal(m->fp->disks[j].serial, serial) ? 1 : 0;
        }
        for (size_t j = 0; j < m->n; j++) {
            if (str_equal(m->places[j].serial, serial)) {
                found = &m->places[j];
                n++;
            }
        }
        if (n == 2 && found != NULL && found->want == PLAN_NO_DISK) {
            take(m, i, found);
        }
    }
}

/* The next one from *at on that nothing has been found for yet. */
static struct plan_place *next_place(struct match *m, size_t *at)
{
    while (*at < m->n && m->places[*at].want != PLAN_NO_DISK) {
        (*at)++;
    }
    return *at < m->n ? &m->places[(*at)++] : NULL;
}

/* Does each bus hold as many as are wanted there, and the boot disk stand on its own? */
static bool buses_fit(struct match *m)
{
    int balance[DRIVE_BUSES] = {0};
    struct plan_place *place;
    bool first = true, fits = true;
    size_t at = 0;

    for (size_t i = 0; i < m->fp->n_disks; i++) {
        if (m->taken[i]) {
            continue;
        }
        place = next_place(m, &at);
        if (place == NULL) {
            return false;
        }
        if (first && place->rank != PLAN_RANK_NONE) {
            fits = place->slot.bus == wanted_bus(m->fp, i);
        }
        first = false;
        balance[place->slot.bus]++;
        balance[wanted_bus(m->fp, i)]--;
    }
    for (size_t bus = 0; bus < DRIVE_BUSES; bus++) {
        fits = fits && balance[bus] == 0;
    }
    return fits;
}

static void by_order(struct match *m)
{
    bool within_bus = buses_fit(m);

    for (size_t i = 0; i < m->fp->n_disks; i++) {
        for (size_t j = 0; j < m->n && !m->taken[i]; j++) {
            if (m->places[j].want == PLAN_NO_DISK &&
                (!within_bus || m->places[j].slot.bus == wanted_bus(m->fp, i))) {
                take(m, i, &m->places[j]);
            }
        }
    }
}

enum plan_matched plan_match_disks(const struct fingerprint *fp, struct plan_place *places,
                                   size_t n)
{
    struct match m = {.fp = fp, .places = places, .n = n};
    enum plan_matched matched;
    bool all_named;

    if (fp->n_disks > FINGERPRINT_DISKS_MAX) {
        return PLAN_MATCH_NUMBERS;
    }
    for (size_t i = 0; i < n; i++) {
        places[i].want = PLAN_NO_DISK;
    }
    if (n > 1) {
        qsort(places, n, sizeof(places[0]), compare_places);
    }
    matched = by_volume(&m, &all_named);
    if (matched != PLAN_MATCHED || all_named) {
        return matched; /* whoever names every disk means these and no others */
    }
    if (fp->n_disks != n) {
        return PLAN_MATCH_NUMBERS;
    }
    by_serial(&m);
    by_order(&m);
    return PLAN_MATCHED;
}

/* Two disks of the fingerprint that lead to the same value may be taken for each other. */
static bool same_wish(const struct fingerprint *fp, int a, int b)
{
    const struct fingerprint_disk *one, *other;

    if (a == b) {
        return true;
    }
    if (a == PLAN_NO_DISK || b == PLAN_NO_DISK) {
        return false;
    }
    one = &fp->disks[a];
    other = &fp->disks[b];
    return wanted_bus(fp, (size_t)a) == wanted_bus(fp, (size_t)b) &&
           str_equal(one->serial, other->serial) && str_equal(one->vendor, other->vendor) &&
           str_equal(one->product, other->product) && str_equal(one->model, other->model);
}

static bool agrees_after(const struct plan_disk_set *set, int last_done)
{
    const struct fingerprint *fp = set->b->in->fp;
    struct plan_place places[PLAN_DISKS_MAX];

    for (size_t i = 0; i < set->n; i++) {
        const struct plan_disk *disk = &set->items[i];

        places[i] = disk->place;
        if (disk->value != NULL && disk->place.want <= last_done) {
            places[i].slot = disk->to;
            places[i].serial = disk->serial_after;
        }
    }
    if (plan_match_disks(fp, places, set->n) != PLAN_MATCHED) {
        return false;
    }
    for (size_t i = 0; i < set->n; i++) {
        for (size_t j = 0; j < set->n; j++) {
            const struct plan_place *now = &set->items[j].place;

            if (str_equal(places[i].volume, now->volume) &&
                !same_wish(fp, places[i].want, now->want)) {
                return false;
            }
        }
    }
    return true;
}

static bool all_named(const struct fingerprint *fp)
{
    for (size_t i = 0; i < fp->n_disks; i++) {
        if (fp->disks[i].volume == NULL) {
            return false;
        }
    }
    return true;
}

bool plan_match_is_stable(const struct plan_disk_set *set)
{
    if (all_named(set->b->in->fp)) {
        return true; /* wherever they are */
    }
    for (size_t i = 0; i < set->n; i++) {
        const struct plan_disk *disk = &set->items[i];

        if (disk->value != NULL && (!agrees_after(set, disk->place.want) ||
                                    !plan_slots_agree_after(set, disk->place.want))) {
            return false;
        }
    }
    return true;
}
