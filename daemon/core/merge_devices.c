/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See merge.h: what a VM has several of. One source gives the list, because numbers, order and
 * slots must come from one who knows them; the others are laid upon it, device by device, and
 * complete or contradict it. What only another one names is left out and told: a list that nobody
 * ever saw would put MACs on the wrong cards.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/merge_priv.h"

enum { NOBODY = -1, NO_DEVICE = -1, ATTRIBUTE_SIZE = 40, DEVICES_MAX = FINGERPRINT_DISKS_MAX };

static const struct fingerprint *fp_of(const struct merger *m, size_t i)
{
    return m->inputs[i].fp;
}

static void note(struct merger *m, size_t from, const char *base, const char *what)
{
    if (m->error == 0) {
        m->error = notes_add(&m->out->notes, "%s names %s, which %s does not: left out",
                             m->inputs[from].name, what, base);
    }
}

/* Whose list counts: who knows the slots best of those that have one. */
static int choose_base(const struct merger *m, enum fingerprint_part part,
                       size_t (*count)(const struct fingerprint *fp))
{
    int best = NOBODY, best_rank = 0;

    for (size_t i = 0; i < m->n; i++) {
        int rank = merge_rank_structure(m, i, part);

        if (count(fp_of(m, i)) > 0 && (best == NOBODY || rank > best_rank)) {
            best = (int)i;
            best_rank = rank;
        }
    }
    return best;
}

/* --- network cards ---------------------------------------------------------------------------- */

struct nic_origin {
    size_t model, mac; /* indices of inputs */
};

static size_t count_nics(const struct fingerprint *fp)
{
    return fp->n_nics;
}

/* One chip under several names: what VMware calls flexible is a vlance until its driver wakes up.
 */
static bool models_agree(enum fingerprint_nic_model a, enum fingerprint_nic_model b)
{
    bool flexible = a == FINGERPRINT_NIC_FLEXIBLE || b == FINGERPRINT_NIC_FLEXIBLE;
    enum fingerprint_nic_model other = a == FINGERPRINT_NIC_FLEXIBLE ? b : a;
    bool old_vmxnet = (a == FINGERPRINT_NIC_VMXNET || a == FINGERPRINT_NIC_VMXNET2) &&
                      (b == FINGERPRINT_NIC_VMXNET || b == FINGERPRINT_NIC_VMXNET2);

    return a == b || old_vmxnet ||
           (flexible && (other == FINGERPRINT_NIC_VLANCE || other == FINGERPRINT_NIC_VMXNET ||
                         other == FINGERPRINT_NIC_VMXNET2));
}

/* map[i]: which of the list's cards the i-th of `fp` is. By MAC; what remains, by order. */
static void map_nics(const struct fingerprint *list, const struct fingerprint *fp, int *map)
{
    bool taken[FINGERPRINT_NICS_MAX] = {false};
    size_t next = 0;

    for (size_t i = 0; i < fp->n_nics; i++) {
        map[i] = NO_DEVICE;
        for (size_t j = 0; j < list->n_nics && map[i] == NO_DEVICE; j++) {
            if (!taken[j] && fp->nics[i].mac[0] != '\0' &&
                str_iequal(fp->nics[i].mac, list->nics[j].mac)) {
                map[i] = (int)j;
                taken[j] = true;
            }
        }
    }
    for (size_t i = 0; i < fp->n_nics; i++) {
        if (map[i] != NO_DEVICE) {
            continue;
        }
        while (next < list->n_nics && taken[next]) {
            next++;
        }
        if (next < list->n_nics) {
            map[i] = (int)next;
            taken[next] = true;
        }
    }
}

static void merge_mac(struct merger *m, size_t at, size_t from, const char *mac,
                      struct nic_origin *origin)
{
    struct fingerprint_nic *nic = &m->out->fp->nics[at];
    char attribute[ATTRIBUTE_SIZE];
    struct merge_value now = {nic->mac, origin->mac}, other = {mac, from};
    bool wins = merge_rank(m, from, FINGERPRINT_PART_NICS_MAC) >
                merge_rank(m, origin->mac, FINGERPRINT_PART_NICS_MAC);
    bool said = nic->mac[0] != '\0';

    if (mac[0] == '\0') {
        return;
    }
    if (said && !str_iequal(nic->mac, mac)) {
        (void)snprintf(attribute, sizeof(attribute), "nics[%zu].mac", at); /* fits */
        merge_contradiction(m,
                            &(struct merge_about){FINGERPRINT_PART_NICS_MAC, attribute, true, NULL},
                            wins ? other : now, wins ? now : other);
    }
    if (!said || wins) {
        memmove(nic->mac, mac, sizeof(nic->mac));
        origin->mac = from;
    }
}

static void merge_model(struct merger *m, size_t at, size_t from, enum fingerprint_nic_model model,
                        struct nic_origin *origin)
{
    struct fingerprint_nic *nic = &m->out->fp->nics[at];
    char attribute[ATTRIBUTE_SIZE];
    struct merge_value now = {fingerprint_nic_name(nic->model), origin->model};
    struct merge_value other = {fingerprint_nic_name(model), from};
    bool wins = merge_rank(m, from, FINGERPRINT_PART_NICS) >
                merge_rank(m, origin->model, FINGERPRINT_PART_NICS);

    if (model == FINGERPRINT_NIC_UNKNOWN) {
        return;
    }
    if (nic->model == FINGERPRINT_NIC_UNKNOWN) {
        nic->model = model;
        origin->model = from;
        return;
    }
    if (models_agree(nic->model, model)) {
        return;
    }
    (void)snprintf(attribute, sizeof(attribute), "nics[%zu].model", at); /* fits */
    merge_contradiction(
        m, &(struct merge_about){.part = FINGERPRINT_PART_NICS, .attribute = attribute},
        wins ? other : now, wins ? now : other);
    if (wins) {
        nic->model = model;
        origin->model = from;
    }
}

static void lay_nics(struct merger *m, size_t base, size_t from, struct nic_origin *origins)
{
    const struct fingerprint *fp = fp_of(m, from);
    int map[FINGERPRINT_NICS_MAX];

    map_nics(m->out->fp, fp, map);
    for (size_t i = 0; i < fp->n_nics && m->error == 0; i++) {
        CLEANUP_FREE char *what = NULL;

        if (map[i] != NO_DEVICE) {
            size_t at = (size_t)map[i];

            merge_mac(m, at, from, fp->nics[i].mac, &origins[at]);
            merge_model(m, at, from, fp->nics[i].model, &origins[at]);
            continue;
        }
        what = str_printf("a network card %s", fp->nics[i].mac);
        if (what == NULL) {
            m->error = -ENOMEM;
            return;
        }
        note(m, from, m->inputs[base].name, what);
    }
}

void merge_nics(struct merger *m)
{
    struct fingerprint *out = m->out->fp;
    struct nic_origin origins[FINGERPRINT_NICS_MAX];
    int base = choose_base(m, FINGERPRINT_PART_NICS, count_nics);
    size_t n = base == NOBODY ? 0 : fp_of(m, (size_t)base)->n_nics;

    if (n == 0 || n > FINGERPRINT_NICS_MAX || m->error != 0) {
        return;
    }
    out->nics = calloc(n, sizeof(*out->nics));
    if (out->nics == NULL) {
        m->error = -ENOMEM;
        return;
    }
    memcpy(out->nics, fp_of(m, (size_t)base)->nics, n * sizeof(*out->nics));
    out->n_nics = n;
    out->has_nics = true;
    for (size_t i = 0; i < n; i++) {
        origins[i] = (struct nic_origin){(size_t)base, (size_t)base};
    }
    for (size_t i = 0; i < m->n; i++) {
        if ((int)i != base) {
            lay_nics(m, (size_t)base, i, origins);
        }
    }
    merge_credit(m, FINGERPRINT_PART_NICS, (size_t)base);
    for (size_t i = 0; i < n; i++) {
        if (out->nics[i].mac[0] != '\0') {
            merge_credit(m, FINGERPRINT_PART_NICS_MAC, origins[i].mac);
        }
    }
}

/* --- drives: disks and CD-ROMs ---------------------------------------------------------------- */

struct drives {
    const char *name; /* "disks" */
    const char *word; /* "a disk" */
    enum fingerprint_part part, serial_part;
    bool identity; /* a serial number that contradicts is */
    struct fingerprint_disk *items;
    size_t n;
    struct disk_origin {
        size_t slot, serial, vendor, product, model; /* indices of inputs */
    } origins[DEVICES_MAX];
    size_t base;
};

static size_t count_disks(const struct fingerprint *fp)
{
    return fp->n_disks;
}

static size_t count_cdroms(const struct fingerprint *fp)
{
    return fp->n_cdroms;
}

/* Without regard to case, and to the dashes of vSphere's "6000C29x-...". */
static bool serials_agree(const char *a, const char *b)
{
    for (;;) {
        while (*a == '-' || *a == ' ') {
            a++;
        }
        while (*b == '-' || *b == ' ') {
            b++;
        }
        if (ascii_lower(*a) != ascii_lower(*b)) {
            return false;
        }
        if (*a == '\0') {
            return true;
        }
        a++;
        b++;
    }
}

static bool same_slot(const struct fingerprint_disk *a, const struct fingerprint_disk *b)
{
    bool both_scsi = a->controller < FINGERPRINT_SATA && b->controller < FINGERPRINT_SATA;

    return (both_scsi || a->controller == b->controller) && a->bus == b->bus && a->unit == b->unit;
}

static bool same_serial(const struct fingerprint_disk *a, const struct fingerprint_disk *b)
{
    return a->serial != NULL && b->serial != NULL && serials_agree(a->serial, b->serial);
}

static bool by_slot(const struct fingerprint_disk *a, const struct fingerprint_disk *b)
{
    return same_slot(a, b) && (a->serial == NULL || b->serial == NULL || same_serial(a, b));
}

static bool by_order(const struct fingerprint_disk *a, const struct fingerprint_disk *b)
{
    (void)a;
    (void)b;
    return true;
}

/* map[i]: which of the list's drives the i-th of `items` is: where it is, where the serials do not
 * speak against it; then by serial; by the place alone; and what remains by order, where as many
 * remain on both sides. */
static void map_drives(const struct drives *list, const struct fingerprint_disk *items, size_t n,
                       int *map)
{
    static bool (*const ways[])(const struct fingerprint_disk *,
                                const struct fingerprint_disk *) = {by_slot, same_serial, same_slot,
                                                                    by_order};
    bool taken[DEVICES_MAX] = {false};
    size_t left = n, left_list = list->n;

    for (size_t i = 0; i < n; i++) {
        map[i] = NO_DEVICE;
    }
    for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
        if (ways[way] == by_order && left != left_list) {
            return;
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < list->n && map[i] == NO_DEVICE; j++) {
                if (!taken[j] && ways[way](&items[i], &list->items[j])) {
                    map[i] = (int)j;
                    taken[j] = true;
                    left--;
                    left_list--;
                }
            }
        }
    }
}

struct field {
    const struct drives *drives;
    const char *name;
    size_t at; /* which drive */
    enum fingerprint_part part;
    bool identity;
    bool (*agree)(const char *a, const char *b);
};

static void merge_field(struct merger *m, const struct field *field, char **to, size_t *origin,
                        struct merge_value other)
{
    char attribute[ATTRIBUTE_SIZE];
    struct merge_value now = {*to, *origin};
    bool wins = merge_rank(m, other.from, field->part) > merge_rank(m, *origin, field->part);

    if (other.text == NULL || m->error != 0) {
        return;
    }
    if (*to != NULL && !field->agree(*to, other.text)) {
        (void)snprintf(attribute, sizeof(attribute), "%s[%zu].%s", field->drives->name, field->at,
                       field->name); /* fits */
        merge_contradiction(m, &(struct merge_about){field->part, attribute, field->identity, NULL},
                            wins ? other : now, wins ? now : other);
    } else if (*to != NULL) {
        *origin = wins ? other.from : *origin; /* the better word for the same */
        return;
    }
    if (*to == NULL || wins) {
        merge_set(m, to, other.text);
        *origin = other.from;
    }
}

/* The kind of controller, where it can be in that slot at all. */
static void merge_controller(struct merger *m, struct drives *drives, size_t at, size_t from,
                             enum fingerprint_controller controller)
{
    struct fingerprint_disk *disk = &drives->items[at];
    size_t *origin = &drives->origins[at].slot;
    struct merge_value now = {fingerprint_controller_name(disk->controller), *origin};
    struct merge_value other = {fingerprint_controller_name(controller), from};
    bool wins = merge_rank(m, from, drives->part) > merge_rank(m, *origin, drives->part) &&
                fingerprint_slot_exists(controller, disk->bus, disk->unit);
    char attribute[ATTRIBUTE_SIZE];

    if (disk->controller == controller) {
        return;
    }
    (void)snprintf(attribute, sizeof(attribute), "%s[%zu].controller", drives->name, at); /* fits */
    merge_contradiction(m, &(struct merge_about){.part = drives->part, .attribute = attribute},
                        wins ? other : now, wins ? now : other);
    if (wins) {
        disk->controller = controller;
        *origin = from;
    }
}

static void lay_drive(struct merger *m, struct drives *drives, size_t at, size_t from,
                      const struct fingerprint_disk *other)
{
    struct fingerprint_disk *disk = &drives->items[at];
    struct disk_origin *origin = &drives->origins[at];
    struct field field = {drives,           "serial",     at, drives->serial_part,
                          drives->identity, serials_agree};

    merge_controller(m, drives, at, from, other->controller);
    merge_field(m, &field, &disk->serial, &origin->serial,
                (struct merge_value){other->serial, from});
    field.identity = false;
    field.agree = str_iequal;
    field.name = "vendor";
    merge_field(m, &field, &disk->vendor, &origin->vendor,
                (struct merge_value){other->vendor, from});
    field.name = "product";
    merge_field(m, &field, &disk->product, &origin->product,
                (struct merge_value){other->product, from});
    field.name = "model";
    merge_field(m, &field, &disk->model, &origin->model, (struct merge_value){other->model, from});
    if (disk->volume == NULL && other->volume != NULL) {
        merge_set(m, &disk->volume, other->volume);
    }
}

static void lay_drives(struct merger *m, struct drives *drives, size_t from,
                       const struct fingerprint_disk *items, size_t n)
{
    int map[DEVICES_MAX];

    if (n > DEVICES_MAX) {
        return;
    }
    map_drives(drives, items, n, map);
    for (size_t i = 0; i < n && m->error == 0; i++) {
        CLEANUP_FREE char *what = NULL;

        if (map[i] != NO_DEVICE) {
            lay_drive(m, drives, (size_t)map[i], from, &items[i]);
            continue;
        }
        what = str_printf("%s at %s %d:%d", drives->word,
                          fingerprint_controller_name(items[i].controller), items[i].bus,
                          items[i].unit);
        if (what == NULL) {
            m->error = -ENOMEM;
            return;
        }
        note(m, from, m->inputs[drives->base].name, what);
    }
}

static void copy_drives(struct merger *m, struct drives *drives,
                        const struct fingerprint_disk *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct fingerprint_disk *disk = &drives->items[i];

        disk->controller = items[i].controller;
        disk->bus = items[i].bus;
        disk->unit = items[i].unit;
        merge_set(m, &disk->serial, items[i].serial);
        merge_set(m, &disk->vendor, items[i].vendor);
        merge_set(m, &disk->product, items[i].product);
        merge_set(m, &disk->model, items[i].model);
        merge_set(m, &disk->volume, items[i].volume);
        drives->origins[i] = (struct disk_origin){drives->base, drives->base, drives->base,
                                                  drives->base, drives->base};
    }
}

static void credit_drives(struct merger *m, const struct drives *drives)
{
    merge_credit(m, drives->part, drives->base);
    for (size_t i = 0; i < drives->n && drives->serial_part != drives->part; i++) {
        if (drives->items[i].serial != NULL) {
            merge_credit(m, drives->serial_part, drives->origins[i].serial);
        }
    }
}

/* `list_of` tells disks from CD-ROMs. */
static void merge_drives(struct merger *m, struct drives *drives,
                         size_t (*count)(const struct fingerprint *),
                         const struct fingerprint_disk *(*list_of)(const struct fingerprint *),
                         struct fingerprint_disk **ret_items, size_t *ret_n)
{
    int base = choose_base(m, drives->part, count);
    size_t n = base == NOBODY ? 0 : count(fp_of(m, (size_t)base));

    if (n == 0 || n > DEVICES_MAX || m->error != 0) {
        return;
    }
    drives->items = calloc(n, sizeof(*drives->items));
    if (drives->items == NULL) {
        m->error = -ENOMEM;
        return;
    }
    drives->n = n;
    drives->base = (size_t)base;
    *ret_items = drives->items; /* the fingerprint's from now on, whatever happens */
    *ret_n = n;
    copy_drives(m, drives, list_of(fp_of(m, (size_t)base)), n);
    for (size_t i = 0; i < m->n; i++) {
        if ((int)i != base) {
            lay_drives(m, drives, i, list_of(fp_of(m, i)), count(fp_of(m, i)));
        }
    }
    credit_drives(m, drives);
}

static const struct fingerprint_disk *disks_of(const struct fingerprint *fp)
{
    return fp->disks;
}

static const struct fingerprint_disk *cdroms_of(const struct fingerprint *fp)
{
    return fp->cdroms;
}

void merge_disks(struct merger *m)
{
    struct fingerprint *out = m->out->fp;
    struct drives disks = {.name = "disks",
                           .word = "a disk",
                           .part = FINGERPRINT_PART_DISKS,
                           .serial_part = FINGERPRINT_PART_DISKS_SERIAL,
                           .identity = true};
    struct drives cdroms = {.name = "cdroms",
                            .word = "a CD-ROM",
                            .part = FINGERPRINT_PART_CDROMS,
                            .serial_part = FINGERPRINT_PART_CDROMS};

    merge_drives(m, &disks, count_disks, disks_of, &out->disks, &out->n_disks);
    merge_drives(m, &cdroms, count_cdroms, cdroms_of, &out->cdroms, &out->n_cdroms);
    out->has_disks = out->n_disks > 0;
}
