/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See fake_pve.h: what pve-hwid must never ask of PVE, whatever the circumstances (laws 1, 2, 4).
 * Only what it was made for may change: smbios1, machine, scsihw, the model and MAC of a network
 * card, the bus and the identity of a disk, and the boot order as the disks move.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "fake_pve_priv.h"

/* Of `list`, "key=value" items of these names do not count. */
static bool is_of(const char *item, size_t len, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        size_t n = strlen(names[i]);

        if (len > n && strncmp(item, names[i], n) == 0 && item[n] == '=') {
            return true;
        }
    }
    return false;
}

/* The items of `a` that count are all in `b`, but for those that `bus` does not know. */
static const char *missing_item(const char *a, const char *b, const char *const *names,
                                const char *bus)
{
    for (size_t len = strcspn(a, ","); a[len] == ','; len = strcspn(a, ",")) {
        char *item, *both, *key;
        bool there, known;

        a += len + 1;
        len = strcspn(a, ",");
        item = str_printf(",%.*s,", (int)len, a);
        both = str_printf("%s,", b);
        key = str_ndup(a, strcspn(a, "=,"));
        there = strstr(both, item) != NULL;
        known = bus == NULL || fake_schema_bus_knows(bus, key);
        free(item);
        free(both);
        free(key);
        if (!there && known && !is_of(a, len, names)) {
            return a;
        }
    }
    return NULL;
}

static const char *const disk_names[] = {"serial", "model",    "vendor", "product",
                                         "size",   "iothread", NULL};
static const char *const net_names[] = {"queues", "mtu", "host_mtu", "macaddr", NULL};

/* --- before ----------------------------------------------------------------------------------- */

/* Values as they are, or as somebody left them pending, and nothing else: a probe, or setting back.
 */
static bool is_harmless(const struct fake_pve *pve, const struct fake_put *put)
{
    bool same = put->deletes.n == 0;

    for (size_t i = 0; i < put->sets.n; i++) {
        const struct fake_pair *pair = &put->sets.items[i];

        same = same && (str_equal(pair->value, fake_map_get(&pve->conf, pair->key)) ||
                        str_equal(pair->value, fake_map_get(&pve->pending, pair->key)));
    }
    return same;
}

static void watch_running(struct fake_pve *pve, const struct fake_put *put)
{
    if (!pve->running || is_harmless(pve, put) || pve->landing != NULL) {
        return; /* one that comes late was sent before: fake_late_watch() */
    }
    if (pve->we_know_it_runs) {
        fake_pve_problem(pve, "a change was sent although we knew that the VM runs");
    }
    pve->changes_while_running++;
    if (pve->changes_while_running > 1) {
        fake_pve_problem(pve, "two changes were sent to a running VM without a look in between");
    }
}

static bool may_set(const char *key)
{
    return str_equal(key, "smbios1") || str_equal(key, "machine") || str_equal(key, "scsihw") ||
           str_equal(key, "boot") || str_equal(key, "bootdisk") || fake_pve_is_disk(key) ||
           (str_starts(key, "net") && ascii_is_digit(key[3]));
}

static void watch_set(struct fake_pve *pve, const struct fake_pair *pair)
{
    const char *old = fake_map_get(&pve->conf, pair->key);

    if (!may_set(pair->key)) {
        fake_pve_problem(pve, "%s was set", pair->key);
    }
    if (!fake_schema_reads(pair->key, pair->value)) {
        fake_pve_problem(pve, "PVE cannot read this %s: %s", pair->key, pair->value);
    }
    if (fake_pve_is_disk(pair->key) &&
        (fake_pve_is_cdrom(pair->value) || (old != NULL && fake_pve_is_cdrom(old)))) {
        fake_pve_problem(pve, "%s is a cdrom and was set", pair->key);
    }
    if (str_equal(pair->key, "scsihw") && !str_equal(pair->value, "pvscsi") &&
        !str_equal(pair->value, old) && !pve->may_undo) {
        fake_pve_problem(pve, "scsihw: %s was set", pair->value);
    }
}

/* A disk whose volume is away must be found before it is touched, not half way through (06n). */
static void watch_unprobed(struct fake_pve *pve, const char *slot)
{
    if (!pve->garbled && pve->landing == NULL && fake_map_get(&pve->conf, slot) != NULL &&
        fake_map_get(&pve->probed, slot) == NULL) {
        fake_pve_problem(pve, "%s is moved or changed, and was not probed", slot);
    }
}

static void note_probe(struct fake_pve *pve, const struct fake_put *put)
{
    for (size_t i = 0; i < put->sets.n && put->reverts.n == 0; i++) {
        if (fake_pve_is_disk(put->sets.items[i].key)) {
            fake_map_set(&pve->probed, put->sets.items[i].key, "");
        }
    }
}

void fake_watch_accepted(struct fake_pve *pve, const struct fake_put *put)
{
    if (is_harmless(pve, put)) {
        return;
    }
    fake_late_watch(pve);
    for (size_t i = 0; i < put->deletes.n; i++) {
        if (fake_pve_is_disk(put->deletes.items[i].key)) {
            watch_unprobed(pve, put->deletes.items[i].key);
        }
    }
    for (size_t i = 0; i < put->sets.n; i++) {
        const struct fake_pair *pair = &put->sets.items[i];

        if (fake_pve_is_disk(pair->key) &&
            !str_equal(pair->value, fake_map_get(&pve->conf, pair->key))) {
            watch_unprobed(pve, pair->key);
        }
    }
}

void fake_watch_before(struct fake_pve *pve, const struct fake_put *put)
{
    const char *protection = fake_map_get(&pve->conf, "protection");
    size_t slots = 0;

    for (size_t i = 0; i < pve->unread.n && pve->raw != NULL; i++) {
        if (fake_map_get(&pve->conf, pve->unread.items[i].key) == NULL &&
            fake_map_get(&pve->pending, pve->unread.items[i].key) == NULL) {
            fake_pve_problem(pve, "this call makes PVE drop the line '%s: %s'",
                             pve->unread.items[i].key, pve->unread.items[i].value);
        }
    }
    for (size_t i = 0; i < put->deletes.n; i++) {
        const char *key = put->deletes.items[i].key;
        const char *old = fake_map_get(&pve->conf, key);

        slots += fake_pve_is_disk(key);
        if (!fake_pve_is_disk(key) && !pve->may_undo) {
            fake_pve_problem(pve, "delete=%s", key);
        }
        if (old != NULL && fake_pve_is_cdrom(old)) {
            fake_pve_problem(pve, "%s is a cdrom and was deleted", key);
        }
        if (fake_pve_is_drive(key) && str_equal(protection, "1")) {
            fake_pve_problem(pve, "delete=%s of a protected VM", key);
        }
        if (put->sets.n == 0 && !pve->may_undo) {
            fake_pve_problem(pve, "%s was deleted and nothing set", key);
        }
    }
    /* An undo may take several options away, but no slot with them: PVE rewrites `boot` then. */
    if (put->deletes.n > 1 && (!pve->may_undo || slots > 0)) {
        fake_pve_problem(pve, "a slot and something else deleted in one call");
    }
    for (size_t i = 0; i < put->sets.n; i++) {
        watch_set(pve, &put->sets.items[i]);
    }
    if (put->sets.n + put->deletes.n + put->reverts.n == 0) {
        fake_pve_problem(pve, "a PUT without an option");
    }
    if (put->digest == NULL) {
        fake_pve_problem(pve, "a PUT without a digest");
    }
    watch_running(pve, put);
}

/* --- after ------------------------------------------------------------------------------------ */

const char *fake_pve_attached_twice(const struct fake_pve *pve)
{
    for (size_t i = 0; i < pve->conf.n; i++) {
        const struct fake_pair *pair = &pve->conf.items[i];

        if (fake_pve_is_disk(pair->key) && !fake_pve_is_cdrom(pair->value) &&
            fake_pve_count_volume(pve, pair->value, false) > 1) {
            return pair->value;
        }
    }
    return NULL;
}

static void watch_attached_twice(struct fake_pve *pve)
{
    const char *twice = fake_pve_attached_twice(pve);

    if (twice == NULL) {
        return;
    }
    /* Started past the hook a moment ago: nobody could know (recording 11e). It must be told then,
     * and be right after the stop. */
    if (pve->running && (!pve->we_know_it_runs || pve->landing != NULL)) {
        pve->twice_live = true;
        return;
    }
    fake_pve_problem(pve, "%s is attached twice", twice);
}

/* The slot of this volume; NULL: none. */
static const char *slot_of(const struct fake_map *map, const char *value)
{
    char *volume = fake_pve_volume_of(value);
    const char *found = NULL;

    for (size_t i = 0; i < map->n && found == NULL; i++) {
        char *other = fake_pve_is_disk(map->items[i].key) ? fake_pve_volume_of(map->items[i].value)
                                                          : NULL;

        if (other != NULL && str_equal(other, volume)) {
            found = map->items[i].key;
        }
        free(other);
    }
    free(volume);
    return found;
}

static void watch_disk(struct fake_pve *pve, const struct fake_pair *old)
{
    const char *slot = slot_of(&pve->conf, old->value);
    const char *now = slot == NULL ? NULL : fake_map_get(&pve->conf, slot);
    char *bus = slot == NULL ? NULL : str_ndup(slot, strcspn(slot, "0123456789"));
    const char *lost = now == NULL ? NULL : missing_item(old->value, now, disk_names, bus);

    if (now == NULL && pve->harmed_by_others) {
        free(bus); /* it was on its way back; whether it arrives is judged in the end */
        return;
    }
    if (now == NULL) {
        fake_pve_problem(pve, "the disk %s (%s) is in no slot after a change", old->key,
                         old->value);
    } else if (lost != NULL) {
        fake_pve_problem(pve, "%s lost %s: %s became %s: %s", old->key, lost, old->value, slot,
                         now);
    }
    free(bus);
}

static void watch_key(struct fake_pve *pve, const struct fake_pair *old, const struct fake_put *put)
{
    const char *now = fake_map_get(&pve->conf, old->key);
    const char *lost;

    if (fake_pve_is_disk(old->key) && !fake_pve_is_cdrom(old->value)) {
        watch_disk(pve, old);
    } else if (str_equal(now, old->value) || str_equal(old->key, "bootdisk") ||
               str_equal(old->key, "boot")) {
        return; /* the boot order is judged as a whole */
    } else if (str_starts(old->key, "unused")) {
        if (slot_of(&pve->conf, old->value) == NULL) {
            fake_pve_problem(pve, "%s: %s is gone", old->key, old->value);
        }
    } else if (fake_map_get(&put->sets, old->key) == NULL &&
               fake_map_get(&put->reverts, old->key) == NULL && !pve->may_undo) {
        fake_pve_problem(pve, "%s was %s and is %s", old->key, old->value,
                         now == NULL ? "gone" : now);
    } else if (now != NULL && str_starts(old->key, "net") && ascii_is_digit(old->key[3])) {
        lost = missing_item(old->value, now, net_names, NULL);
        if (lost != NULL) {
            fake_pve_problem(pve, "%s lost %s: %s", old->key, lost, now);
        }
    }
}

/* What boots, in order: volumes for disks, names for the rest; "" where it is not spelled out. */
char *fake_pve_boot_sequence(const struct fake_map *map)
{
    const char *boot = fake_map_get(map, "boot");
    struct buf out = BUF_INIT(0);
    char *devices, *state = NULL;

    buf_adds(&out, "");
    if (boot == NULL || !str_starts(boot, "order=")) {
        return buf_steal(&out);
    }
    devices = str_dup(boot + strlen("order="));
    for (char *d = strtok_r(devices, ";", &state); d != NULL; d = strtok_r(NULL, ";", &state)) {
        const char *value = fake_map_get(map, d);
        char *volume = value != NULL && fake_pve_is_disk(d) && !fake_pve_is_cdrom(value)
                           ? fake_pve_volume_of(value)
                           : str_dup(d);

        if (value != NULL) {
            buf_addf(&out, " %s", volume);
        }
        free(volume);
    }
    free(devices);
    return buf_steal(&out);
}

/* With the old style, what `bootdisk` names; NULL: nothing, or an order counts. The caller's. */
static char *boot_disk(const struct fake_map *map)
{
    const char *boot = fake_map_get(map, "boot");
    const char *slot = fake_map_get(map, "bootdisk");
    const char *value = slot == NULL ? NULL : fake_map_get(map, slot);

    /* One blank is an order, too: of nothing. */
    if ((boot != NULL && (str_starts(boot, "order=") || str_equal(boot, " "))) || value == NULL ||
        fake_pve_is_cdrom(value) || !fake_pve_is_disk(slot)) {
        return NULL;
    }
    return fake_pve_volume_of(value);
}

static void watch_boot(struct fake_pve *pve, const struct fake_map *before)
{
    char *old = fake_pve_boot_sequence(before), *now = fake_pve_boot_sequence(&pve->conf);
    char *old_disk = boot_disk(before), *now_disk = boot_disk(&pve->conf);
    size_t len = old_disk == NULL ? 0 : strlen(old_disk);

    if (old[0] != '\0' && !str_equal(old, now)) {
        fake_pve_problem(pve, "booted from%s, now from%s", old, now[0] == '\0' ? " nothing" : now);
    }
    if (old_disk != NULL && !str_equal(old_disk, now_disk) &&
        (strncmp(now + (now[0] == ' '), old_disk, len) != 0)) {
        fake_pve_problem(pve, "bootdisk was %s, now %s, and the order%s", old_disk,
                         now_disk == NULL ? "(none)" : now_disk, now);
    }
    free(old);
    free(now);
    free(old_disk);
    free(now_disk);
}

/* A half applied call is taken back: the boot order was wrong before, not now. */
static bool goes_back(const struct fake_put *put)
{
    bool disk = put->reverts.n > 0;

    for (size_t i = 0; i < put->sets.n; i++) {
        disk = disk || fake_pve_is_disk(put->sets.items[i].key);
    }
    return disk && put->deletes.n == 0;
}

void fake_watch_after(struct fake_pve *pve, const struct fake_put *put,
                      const struct fake_map *before)
{
    watch_attached_twice(pve);
    if (before != NULL && is_harmless(pve, put)) {
        note_probe(pve, put);
    }
    if (before == NULL || pve->running) {
        return; /* half applied, or pending: what becomes of it is judged in the end */
    }
    for (size_t i = 0; i < before->n; i++) {
        watch_key(pve, &before->items[i], put);
    }
    for (size_t i = 0; i < pve->conf.n; i++) {
        const struct fake_pair *pair = &pve->conf.items[i];

        if (fake_map_get(before, pair->key) == NULL &&
            fake_map_get(&put->sets, pair->key) == NULL &&
            fake_map_get(&put->reverts, pair->key) == NULL &&
            !(pve->harmed_by_others && str_starts(pair->key, "unused"))) {
            fake_pve_problem(pve, "%s: %s appeared", pair->key, pair->value);
        }
    }
    if (!goes_back(put) && !pve->may_undo) {
        watch_boot(pve, before);
    }
}
