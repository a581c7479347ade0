/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See fake_pve.h: the file, its drives, and how pending changes become real. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "fake_pve_priv.h"

/* --- the file ------------------------------------------------------------------------------- */

enum part { PART_MAIN, PART_PENDING, PART_SPECIAL, PART_SNAPSHOT };

static struct fake_snapshot *add_snapshot(struct fake_pve *pve, const char *line)
{
    if (vec_reserve(&pve->snapshots, pve->n_snapshots, &pve->cap_snapshots,
                    sizeof(pve->snapshots[0])) < 0) {
        abort();
    }
    pve->snapshots[pve->n_snapshots] = (struct fake_snapshot){
        .name = str_ndup(line + 1, strcspn(line + 1, "]"))};
    return &pve->snapshots[pve->n_snapshots++];
}

static enum part take_header(struct fake_pve *pve, const char *line)
{
    if (str_equal(line, "[PENDING]")) {
        return PART_PENDING;
    }
    if (str_starts(line, "[special:")) {
        return PART_SPECIAL; /* read, and not written back (recording 12) */
    }
    (void)add_snapshot(pve, line);
    return PART_SNAPSHOT;
}

static void append(char **at, const char *line)
{
    char *longer = str_printf("%s%s\n", *at == NULL ? "" : *at, line);

    free(*at);
    *at = longer;
}

static void take_deletes(struct fake_pve *pve, char *list)
{
    char *state = NULL;

    for (char *key = strtok_r(list, ",; ", &state); key != NULL;
         key = strtok_r(NULL, ",; ", &state)) {
        fake_map_set(&pve->deletes, key, "");
    }
}

static void take_line(struct fake_pve *pve, char *line, enum part part)
{
    struct fake_snapshot *last = part == PART_SNAPSHOT ? &pve->snapshots[pve->n_snapshots - 1]
                                                       : NULL;
    struct fake_map *map = part == PART_MAIN      ? &pve->conf
                           : part == PART_PENDING ? &pve->pending
                           : last != NULL         ? &last->keys
                                                  : NULL;
    char *value = strchr(line, ':');

    if (line[0] == '#') {
        append(last != NULL ? &last->head : &pve->head, line);
    }
    if (line[0] == '#' || value == NULL || map == NULL) {
        return;
    }
    *value = '\0';
    value += 1 + strspn(value + 1, " \t");
    value[strcspn(value, "\r")] = '\0';
    for (size_t len = strlen(value); len > 0 && ascii_is_space(value[len - 1]); len--) {
        value[len - 1] = '\0';
    }
    if (part == PART_PENDING && str_equal(line, "delete")) {
        take_deletes(pve, value);
    } else if (*value != '\0' && (last != NULL || fake_schema_reads(line, value))) {
        fake_map_set(map, line, value);
    } else {
        fake_map_set(&pve->unread, line, value);
    }
}

/* Every volume that the file names is there, as large as it says. */
static void find_volumes(struct fake_pve *pve, const struct fake_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct fake_pair *pair = &map->items[i];
        const char *size = strstr(pair->value, "size=");
        char *volume, *text;

        if (!fake_pve_is_drive(pair->key) && !str_starts(pair->key, "unused")) {
            continue;
        }
        volume = fake_pve_volume_of(pair->value);
        text = size == NULL ? str_dup("1G") : str_ndup(size + 5, strcspn(size + 5, ","));
        if (strchr(volume, ':') != NULL && fake_map_get(&pve->volumes, volume) == NULL) {
            fake_map_set(&pve->volumes, volume, text);
        }
        free(volume);
        free(text);
    }
}

static int compare_snapshots(const void *a, const void *b)
{
    return strcmp(((const struct fake_snapshot *)a)->name, ((const struct fake_snapshot *)b)->name);
}

void fake_pve_init(struct fake_pve *pve, const char *config, const char *fingerprint)
{
    char *text = str_dup(config);
    char *state = NULL;
    enum part part = PART_MAIN;

    *pve = (struct fake_pve){.fingerprint = str_dup(fingerprint), .dice = 88172645463325252u};
    for (char *line = strtok_r(text, "\n", &state); line != NULL;
         line = strtok_r(NULL, "\n", &state)) {
        if (line[0] == '[') {
            part = take_header(pve, line);
        } else {
            take_line(pve, line, part);
        }
    }
    free(text);
    pve->deletes_at_first = pve->deletes.n > 0;
    find_volumes(pve, &pve->conf);
    find_volumes(pve, &pve->pending);
    if (pve->n_snapshots > 1) {
        qsort(pve->snapshots, pve->n_snapshots, sizeof(pve->snapshots[0]), compare_snapshots);
    }
}

static void add_keys(struct buf *out, const struct fake_map *map, const struct fake_map *deletes)
{
    bool deleted = deletes == NULL || deletes->n == 0;

    for (size_t i = 0; i <= map->n; i++) {
        if (!deleted && (i == map->n || strcmp(map->items[i].key, "delete") > 0)) {
            for (size_t j = 0; j < deletes->n; j++) {
                buf_addf(out, "%s%s", j == 0 ? "delete: " : ",", deletes->items[j].key);
            }
            buf_addc(out, '\n');
            deleted = true;
        }
        if (i < map->n) {
            buf_addf(out, "%s: %s\n", map->items[i].key, map->items[i].value);
        }
    }
}

char *fake_pve_text(const struct fake_pve *pve)
{
    struct buf out = BUF_INIT(0);

    if (pve->gone) {
        return NULL;
    }
    if (pve->raw != NULL) {
        return str_dup(pve->raw);
    }
    buf_adds(&out, pve->head == NULL ? "" : pve->head);
    add_keys(&out, &pve->conf, NULL);
    if (pve->pending.n + pve->deletes.n > 0) {
        buf_adds(&out, out.len > 0 ? "\n[PENDING]\n" : "[PENDING]\n");
        add_keys(&out, &pve->pending, &pve->deletes);
    }
    for (size_t i = 0; i < pve->n_snapshots; i++) {
        buf_addf(&out, "%s[%s]\n%s", out.len > 0 ? "\n" : "", pve->snapshots[i].name,
                 pve->snapshots[i].head == NULL ? "" : pve->snapshots[i].head);
        add_keys(&out, &pve->snapshots[i].keys, NULL);
    }
    return buf_steal(&out);
}

const char *fake_pve_get(const struct fake_pve *pve, const char *key)
{
    return fake_map_get(&pve->conf, key);
}

void fake_pve_set(struct fake_pve *pve, const char *key, const char *value)
{
    fake_map_set(&pve->conf, key, value);
    fake_pve_write(pve);
}

void fake_pve_effective(const struct fake_pve *pve, struct fake_map *ret)
{
    fake_map_copy(&pve->conf, ret);
    for (size_t i = 0; i < pve->deletes.n; i++) {
        fake_map_set(ret, pve->deletes.items[i].key, NULL);
    }
    for (size_t i = 0; i < pve->pending.n; i++) {
        fake_map_set(ret, pve->pending.items[i].key, pve->pending.items[i].value);
    }
}

/* --- drives --------------------------------------------------------------------------------- */

bool fake_pve_is_disk(const char *key)
{
    struct drive_slot slot;

    return drive_slot_parse(key, &slot);
}

bool fake_pve_is_drive(const char *key)
{
    return fake_pve_is_disk(key) || str_equal(key, "efidisk0") || str_equal(key, "tpmstate0");
}

char *fake_pve_volume_of(const char *value)
{
    for (const char *at = value; *at != '\0';) {
        size_t len = strcspn(at, ",");

        if (memchr(at, '=', len) == NULL) {
            return str_ndup(at, len);
        }
        if (str_starts(at, "file=") || str_starts(at, "volume=")) {
            const char *begin = strchr(at, '=') + 1;

            return str_ndup(begin, len - (size_t)(begin - at));
        }
        at += len + (at[len] == ',');
    }
    return str_dup("");
}

bool fake_pve_is_cdrom(const char *value)
{
    return strstr(value, ",media=cdrom") != NULL || str_starts(value, "media=cdrom") ||
           str_equal(value, "none") || str_starts(value, "none,");
}

static bool names_volume(const char *value, const char *volume)
{
    char *own = fake_pve_volume_of(value);
    bool same = strlen(own) == strcspn(volume, ",") && str_starts(volume, own);

    free(own);
    return same;
}

/* A cdrom's is not looked at. */
bool fake_pve_volume_is_away(const struct fake_pve *pve, const char *value)
{
    char *volume = fake_pve_volume_of(value);
    bool asked = strchr(volume, ':') != NULL && !fake_pve_is_cdrom(value);
    bool away = pve->volume != NULL && (pve->blinks || pve->now_ms < pve->away_until_ms) &&
                str_equal(volume, pve->volume);

    away = asked && (away || fake_map_get(&pve->volumes, volume) == NULL);
    free(volume);
    return away;
}

static unsigned count_volume(const struct fake_map *map, const char *volume, bool unused)
{
    unsigned n = 0;

    for (size_t i = 0; i < map->n; i++) {
        const struct fake_pair *pair = &map->items[i];

        n += (unused ? str_starts(pair->key, "unused") : fake_pve_is_drive(pair->key)) &&
             names_volume(pair->value, volume);
    }
    return n;
}

unsigned fake_pve_count_volume(const struct fake_pve *pve, const char *volume, bool unused)
{
    return count_volume(&pve->conf, volume, unused);
}

void fake_pve_register_unused(struct fake_pve *pve, const char *value)
{
    char *volume = fake_pve_volume_of(value);
    bool wanted = !fake_pve_is_cdrom(value) && strchr(volume, ':') != NULL &&
                  fake_pve_count_volume(pve, volume, true) == 0;

    for (unsigned i = 0; i < 256 && wanted; i++) {
        char key[16];

        (void)snprintf(key, sizeof(key), "unused%u", i); /* fits */
        if (fake_map_get(&pve->conf, key) == NULL) {
            fake_map_set(&pve->conf, key, volume);
            break;
        }
    }
    free(volume);
}

void fake_pve_write(struct fake_pve *pve)
{
    free(pve->raw);
    pve->raw = NULL;
    for (size_t i = pve->conf.n; i-- > 0;) {
        const struct fake_pair *pair = &pve->conf.items[i];

        if (str_starts(pair->key, "unused") &&
            count_volume(&pve->conf, pair->value, false) +
                    count_volume(&pve->pending, pair->value, false) >
                0) {
            fake_map_set(&pve->conf, pair->key, NULL);
        }
    }
}

/* --- pending changes become real ------------------------------------------------------------ */

static void drop_option(struct fake_pve *pve, const char *key)
{
    char *value = str_dup(fake_map_get(&pve->conf, key));

    fake_map_set(&pve->conf, key, NULL);
    if (value != NULL && fake_pve_is_drive(key)) {
        fake_pve_register_unused(pve, value);
    }
    free(value);
}

static void take_option(struct fake_pve *pve, const char *key, const char *value)
{
    char *old = str_dup(fake_map_get(&pve->conf, key));

    if (old != NULL && fake_pve_is_drive(key) && !names_volume(old, value)) {
        fake_pve_register_unused(pve, old);
    }
    fake_map_set(&pve->conf, key, value);
    free(old);
}

static void take_pending(struct fake_pve *pve, const char *key)
{
    char *name = str_dup(key);

    take_option(pve, name, fake_map_get(&pve->pending, name));
    fake_map_set(&pve->pending, name, NULL);
    free(name);
}

static void drop_pending(struct fake_pve *pve, const char *key)
{
    char *name = str_dup(key);

    drop_option(pve, name);
    fake_map_set(&pve->deletes, name, NULL);
    free(name);
}

void fake_pve_apply_pending(struct fake_pve *pve)
{
    if (pve->deletes.n + pve->pending.n == 0) {
        return;
    }
    while (pve->deletes.n > 0) {
        drop_pending(pve, pve->deletes.items[0].key);
    }
    while (pve->pending.n > 0) {
        take_pending(pve, pve->pending.items[0].key);
    }
    fake_pve_write(pve);
}

/* --- a running VM ---------------------------------------------------------------------------- */

/* Taken over at once, whether the VM runs or not. */
static bool is_fast(const char *key)
{
    static const char *const fast[] = {"name",       "description", "tags",    "onboot",
                                       "protection", "startup",     "hotplug", "shares",
                                       "autostart",  "hookscript",  "lock"};

    for (size_t i = 0; i < ARRAY_SIZE(fast); i++) {
        if (str_equal(key, fast[i])) {
            return true;
        }
    }
    return false;
}

static bool is_plugged_disk(const char *key)
{
    return fake_pve_is_disk(key) && (str_starts(key, "scsi") || str_starts(key, "virtio"));
}

static bool is_nic(const char *key)
{
    return str_starts(key, "net") && ascii_is_digit(key[3]);
}

/* The first device of the boot order cannot be unplugged. */
static bool boots_from(const struct fake_pve *pve, const char *key)
{
    const char *boot = fake_map_get(&pve->conf, "boot");
    size_t len = strlen(key);

    return boot != NULL && str_starts(boot, "order=") && strncmp(boot + 6, key, len) == 0 &&
           (boot[6 + len] == ';' || boot[6 + len] == ',' || boot[6 + len] == '\0');
}

/* "model=MAC", queues and mtu: what cannot be changed of a NIC that is plugged. */
static bool same_nic(const char *a, const char *b)
{
    static const char *const parts[] = {",queues=", ",mtu="};

    if (strcspn(a, ",") != strcspn(b, ",") || strncmp(a, b, strcspn(a, ",")) != 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        const char *in_a = strstr(a, parts[i]), *in_b = strstr(b, parts[i]);
        size_t len = in_a == NULL ? 0 : 1 + strcspn(in_a + 1, ",");

        if ((in_a == NULL) != (in_b == NULL) ||
            (in_a != NULL &&
             (len != 1 + strcspn(in_b + 1, ",") || strncmp(in_a, in_b, len) != 0))) {
            return false;
        }
    }
    return true;
}

/* True: it could not be plugged and somebody is told; what merely waits for the stop is no trouble.
 */
static bool plug(struct fake_pve *pve, const char *key)
{
    const char *old = fake_map_get(&pve->conf, key);

    if (is_nic(key)) {
        if (old != NULL && !same_nic(old, fake_map_get(&pve->pending, key))) {
            return true;
        }
        take_pending(pve, key);
    } else if (fake_pve_is_disk(key) &&
               (old == NULL ? is_plugged_disk(key) : fake_pve_is_cdrom(old))) {
        take_pending(pve, key);
    } else if (is_fast(key)) {
        take_pending(pve, key);
    }
    return false;
}

/* Recordings 11a-11j, with PVE's default `hotplug: network,disk,usb`. */
bool fake_pve_hotplug(struct fake_pve *pve)
{
    struct fake_map deletes, pending;
    bool trouble = false;

    fake_map_copy(&pve->deletes, &deletes);
    fake_map_copy(&pve->pending, &pending);
    for (size_t i = 0; i < deletes.n; i++) {
        const char *key = deletes.items[i].key;

        if (is_plugged_disk(key) && boots_from(pve, key)) {
            trouble = true;
        } else if (is_plugged_disk(key) || is_nic(key) || is_fast(key)) {
            drop_pending(pve, key);
        }
    }
    for (size_t i = 0; i < pending.n; i++) {
        trouble = plug(pve, pending.items[i].key) || trouble;
    }
    fake_map_fini(&deletes);
    fake_map_fini(&pending);
    return trouble;
}
