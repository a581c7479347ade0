/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See fake_pve.h: the file, and what a PUT makes of it. The order of steps is the behaviour that
 * matters (recordings 06n, 06q): deletions become pending first, then each option, in any order; a
 * volume that is missing ends it there; only then all that is pending is carried out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "fake_pve_priv.h"

/* --- maps ----------------------------------------------------------------------------------- */

static size_t map_index(const struct fake_map *map, const char *key)
{
    size_t i = 0;

    while (i < map->n && strcmp(map->items[i].key, key) < 0) {
        i++;
    }
    return i;
}

const char *fake_map_get(const struct fake_map *map, const char *key)
{
    size_t i = map_index(map, key);

    return i < map->n && str_equal(map->items[i].key, key) ? map->items[i].value : NULL;
}

void fake_map_set(struct fake_map *map, const char *key, const char *value)
{
    char *copy = str_dup(value); /* value may be the one that is replaced */
    size_t i = map_index(map, key);
    bool there = i < map->n && str_equal(map->items[i].key, key);

    if (there) {
        free(map->items[i].value);
        map->items[i].value = copy;
    }
    if (there && copy == NULL) {
        free(map->items[i].key);
        memmove(&map->items[i], &map->items[i + 1], (map->n - i - 1) * sizeof(map->items[0]));
        map->n--;
    }
    if (there || copy == NULL) {
        return;
    }
    if (vec_reserve(&map->items, map->n, &map->cap, sizeof(map->items[0])) < 0) {
        abort();
    }
    memmove(&map->items[i + 1], &map->items[i], (map->n - i) * sizeof(map->items[0]));
    map->items[i] = (struct fake_pair){.key = str_dup(key), .value = copy};
    map->n++;
}

void fake_map_fini(struct fake_map *map)
{
    while (map->n > 0) {
        fake_map_set(map, map->items[map->n - 1].key, NULL);
    }
    free(map->items);
}

/* --- the file ------------------------------------------------------------------------------- */

static void take_line(struct fake_pve *pve, char *line, bool *pending)
{
    char *value = strchr(line, ':');
    char *state = NULL;

    if (str_equal(line, "[PENDING]")) {
        *pending = true;
    }
    if (value == NULL) {
        return;
    }
    *value = '\0';
    value += 1 + strspn(value + 1, " ");
    if (*pending && str_equal(line, "delete")) {
        for (char *key = strtok_r(value, ",", &state); key != NULL;
             key = strtok_r(NULL, ",", &state)) {
            fake_map_set(&pve->deletes, key, "");
        }
    } else {
        fake_map_set(*pending ? &pve->pending : &pve->conf, line, value);
    }
}

void fake_pve_init(struct fake_pve *pve, const char *config, const char *fingerprint)
{
    char *text = str_dup(config);
    char *state = NULL;
    bool pending = false;

    *pve = (struct fake_pve){.fingerprint = str_dup(fingerprint), .dice = 88172645463325252u};
    for (char *line = strtok_r(text, "\n", &state); line != NULL;
         line = strtok_r(NULL, "\n", &state)) {
        take_line(pve, line, &pending);
    }
    free(text);
}

char *fake_pve_text(const struct fake_pve *pve)
{
    struct buf out = BUF_INIT(0);

    if (pve->gone) {
        return NULL;
    }
    for (size_t i = 0; i < pve->conf.n; i++) {
        buf_addf(&out, "%s: %s\n", pve->conf.items[i].key, pve->conf.items[i].value);
    }
    if (pve->pending.n + pve->deletes.n > 0) {
        buf_adds(&out, "\n[PENDING]\n");
    }
    for (size_t i = 0; i < pve->pending.n; i++) {
        buf_addf(&out, "%s: %s\n", pve->pending.items[i].key, pve->pending.items[i].value);
    }
    for (size_t i = 0; i < pve->deletes.n; i++) {
        buf_addf(&out, "%s%s", i == 0 ? "delete: " : ",", pve->deletes.items[i].key);
    }
    buf_adds(&out, pve->deletes.n > 0 ? "\n" : "");
    return buf_steal(&out);
}

const char *fake_pve_get(const struct fake_pve *pve, const char *key)
{
    return fake_map_get(&pve->conf, key);
}

void fake_pve_set(struct fake_pve *pve, const char *key, const char *value)
{
    fake_map_set(&pve->conf, key, value);
}

/* --- disks ---------------------------------------------------------------------------------- */

bool fake_pve_is_disk(const char *key)
{
    struct drive_slot slot;

    return drive_slot_parse(key, &slot);
}

static bool names_volume(const char *value, const char *volume, size_t len)
{
    return strncmp(value, volume, len) == 0 && (value[len] == '\0' || value[len] == ',');
}

bool fake_pve_volume_is_away(const struct fake_pve *pve, const char *value)
{
    return pve->volume != NULL && (pve->blinks || pve->now_ms < pve->away_until_ms) &&
           names_volume(value, pve->volume, strlen(pve->volume));
}

unsigned fake_pve_count_volume(const struct fake_pve *pve, const char *volume, bool unused)
{
    size_t len = strcspn(volume, ",");
    unsigned n = 0;

    for (size_t i = 0; i < pve->conf.n; i++) {
        const struct fake_pair *pair = &pve->conf.items[i];

        n += (unused ? str_starts(pair->key, "unused") : fake_pve_is_disk(pair->key)) &&
             names_volume(pair->value, volume, len);
    }
    return n;
}

static void register_unused(struct fake_pve *pve, const char *value)
{
    char *volume = str_ndup(value, strcspn(value, ","));

    for (unsigned i = 0; i < 256; i++) {
        char key[16];

        (void)snprintf(key, sizeof(key), "unused%u", i); /* fits */
        if (fake_pve_count_volume(pve, volume, true) == 0 &&
            fake_map_get(&pve->conf, key) == NULL) {
            fake_map_set(&pve->conf, key, volume);
        }
    }
    free(volume);
}

/* As PVE writes the file: an unused volume that is in use elsewhere is none. */
static void drop_used_unused(struct fake_pve *pve)
{
    for (size_t i = pve->conf.n; i-- > 0;) {
        const struct fake_pair *pair = &pve->conf.items[i];

        if (str_starts(pair->key, "unused") && fake_pve_count_volume(pve, pair->value, false) > 0) {
            fake_map_set(&pve->conf, pair->key, NULL);
        }
    }
}

static void drop_option(struct fake_pve *pve, const char *key)
{
    char *value = str_dup(fake_map_get(&pve->conf, key));

    fake_map_set(&pve->conf, key, NULL);
    if (value != NULL && fake_pve_is_disk(key) && strstr(value, "media=cdrom") == NULL) {
        register_unused(pve, value);
    }
    free(value);
}

static void take_option(struct fake_pve *pve, const char *key, const char *value)
{
    const char *old = fake_map_get(&pve->conf, key);

    if (old != NULL && fake_pve_is_disk(key) && strncmp(old, value, strcspn(value, ",")) != 0) {
        register_unused(pve, old);
    }
    fake_map_set(&pve->conf, key, value);
}

void fake_pve_apply_pending(struct fake_pve *pve)
{
    while (pve->deletes.n > 0) {
        drop_option(pve, pve->deletes.items[0].key);
        fake_map_set(&pve->deletes, pve->deletes.items[0].key, NULL);
    }
    while (pve->pending.n > 0) {
        take_option(pve, pve->pending.items[0].key, pve->pending.items[0].value);
        fake_map_set(&pve->pending, pve->pending.items[0].key, NULL);
    }
    drop_used_unused(pve);
}

/* A running VM: disks but the first of the boot order are unplugged at once, NICs refuse to be
 * another model (recordings 11b-11e). True: something could not be done now. */
static bool hotplug(struct fake_pve *pve)
{
    const char *boot = fake_map_get(&pve->conf, "boot");
    bool trouble = false;

    for (size_t i = pve->deletes.n; i-- > 0;) {
        const char *key = pve->deletes.items[i].key;

        if (boot != NULL && str_starts(boot, "order=") &&
            str_starts(boot + strlen("order="), key)) {
            trouble = true;
        } else if (str_starts(key, "scsi") || str_starts(key, "virtio")) {
            drop_option(pve, key);
            fake_map_set(&pve->deletes, key, NULL);
        }
    }
    for (size_t i = 0; i < pve->pending.n; i++) {
        trouble = trouble || str_starts(pve->pending.items[i].key, "net");
    }
    return trouble;
}

/* --- PUT ------------------------------------------------------------------------------------ */

struct put {
    struct fake_map sets, deletes, reverts;
    const char *digest;
};

static void add_list(struct fake_map *map, const char *list)
{
    char *copy = str_dup(list);
    char *state = NULL;

    for (char *key = strtok_r(copy, ",", &state); key != NULL; key = strtok_r(NULL, ",", &state)) {
        fake_map_set(map, key, "");
    }
    free(copy);
}

static void read_put(struct fake_pve *pve, const struct api_request *request, struct put *put)
{
    for (size_t i = 0; i < request->n_params; i++) {
        const struct api_param *param = &request->params[i];

        if (str_equal(param->key, "digest")) {
            put->digest = param->value;
        } else if (str_equal(param->key, "delete")) {
            add_list(&put->deletes, param->value);
        } else if (str_equal(param->key, "revert")) {
            add_list(&put->reverts, param->value);
        } else if (str_equal(param->key, "force") || str_equal(param->key, "skiplock")) {
            fake_pve_problem(pve, "`%s` was sent", param->key);
        } else if (fake_map_get(&put->sets, param->key) != NULL) {
            fake_pve_problem(pve, "%s was sent twice in one call", param->key);
        } else {
            fake_map_set(&put->sets, param->key, param->value);
        }
    }
}

/* Values as they are, and nothing else: a probe, or setting back. */
static bool is_harmless(const struct fake_pve *pve, const struct put *put)
{
    bool same = put->deletes.n == 0;

    for (size_t i = 0; i < put->sets.n; i++) {
        same = same && str_equal(put->sets.items[i].value,
                                 fake_map_get(&pve->conf, put->sets.items[i].key));
    }
    return same;
}

static void watch_running(struct fake_pve *pve, const struct put *put)
{
    if (!pve->running || is_harmless(pve, put)) {
        return;
    }
    if (pve->we_know_it_runs) {
        fake_pve_problem(pve, "a change was sent although we knew that the VM runs");
    }
    pve->changes_while_running++;
    if (pve->changes_while_running > 1) {
        fake_pve_problem(pve, "two changes were sent to a running VM without a look in between");
    }
}

static void watch(struct fake_pve *pve, const struct put *put)
{
    for (size_t i = 0; i < put->deletes.n; i++) {
        if (!fake_pve_is_disk(put->deletes.items[i].key)) {
            fake_pve_problem(pve, "delete=%s", put->deletes.items[i].key);
        }
    }
    if (put->deletes.n > 1) {
        fake_pve_problem(pve, "two slots deleted in one call");
    }
    for (size_t i = 0; i < put->sets.n; i++) {
        if (str_starts(put->sets.items[i].key, "unused")) {
            fake_pve_problem(pve, "%s was set", put->sets.items[i].key);
        }
    }
    if (put->sets.n + put->deletes.n + put->reverts.n == 0) {
        fake_pve_problem(pve, "a PUT without an option");
    }
    if (put->digest == NULL) {
        fake_pve_problem(pve, "a PUT without a digest");
    }
    watch_running(pve, put);
}

/* What PVE checks before it changes anything. */
static char *check(struct fake_pve *pve, const struct put *put)
{
    char *digest = fake_pve_digest(pve);
    bool stale = put->digest != NULL && (pve->stale || !str_equal(put->digest, digest));

    free(digest);
    if (put->digest != NULL) {
        pve->stale = pve->always_stale;
    }
    if (stale) {
        return str_dup("checksum mismatch (file change by other user?)");
    }
    if (fake_map_get(&pve->conf, "lock") != NULL) {
        return str_printf("VM is locked (%s)", fake_map_get(&pve->conf, "lock"));
    }
    for (size_t i = 0; i < put->sets.n; i++) {
        if (fake_pve_is_disk(put->sets.items[i].key) && pve->now_ms < pve->storage_until_ms) {
            return str_dup("storage 'local' does not exist");
        }
    }
    if (pve->flock_calls > 0) {
        pve->flock_calls--;
        return str_dup("can't lock file '/var/lock/qemu-server/lock-105.conf' - got timeout");
    }
    return NULL;
}

static char *check_boot(const struct fake_pve *pve, const struct put *put)
{
    const char *boot = fake_map_get(&put->sets, "boot");
    char *devices = boot != NULL && str_starts(boot, "order=") ? str_dup(boot + 6) : NULL;
    char *error = NULL, *state = NULL;

    for (char *d = devices == NULL ? NULL : strtok_r(devices, ";", &state);
         d != NULL && error == NULL; d = strtok_r(NULL, ";", &state)) {
        bool there = fake_map_get(&pve->conf, d) != NULL && fake_map_get(&pve->deletes, d) == NULL;

        if (!there && fake_map_get(&put->sets, d) == NULL &&
            fake_map_get(&pve->pending, d) == NULL) {
            error = str_printf("invalid bootorder: device '%s' does not exist'", d);
        }
    }
    free(devices);
    return error;
}

static void leave_boot_order(struct fake_pve *pve, const char *gone)
{
    const char *boot = fake_map_get(&pve->pending, "boot");
    struct buf out = BUF_INIT(0);
    char *devices, *state = NULL;

    boot = boot == NULL ? fake_map_get(&pve->conf, "boot") : boot;
    if (boot == NULL || !str_starts(boot, "order=")) {
        return;
    }
    devices = str_dup(boot + strlen("order="));
    buf_adds(&out, "order=");
    for (char *d = strtok_r(devices, ";", &state); d != NULL; d = strtok_r(NULL, ";", &state)) {
        if (!str_equal(d, gone)) {
            buf_addf(&out, "%s%s", out.data[out.len - 1] == '=' ? "" : ";", d);
        }
    }
    fake_map_set(&pve->pending, "boot", out.data);
    buf_fini(&out);
    free(devices);
}

static void delete_option(struct fake_pve *pve, const char *key)
{
    if (fake_pve_is_disk(key)) {
        if (fake_map_get(&pve->pending, key) != NULL) {
            register_unused(pve, fake_map_get(&pve->pending, key));
        }
        leave_boot_order(pve, key);
    }
    fake_map_set(&pve->pending, key, NULL);
    if (fake_map_get(&pve->conf, key) != NULL) {
        fake_map_set(&pve->deletes, key, "");
    }
}

/* Volume or model first, the rest sorted, size= filled in. The caller's. */
static char *normal(const char *key, const char *value)
{
    struct buf out = BUF_INIT(0);
    struct fake_map parts = {0};
    char *copy = str_dup(value);
    char *state = NULL;

    if (!fake_pve_is_disk(key) && !str_starts(key, "net")) {
        return copy;
    }
    buf_adds(&out, strtok_r(copy, ",", &state));
    for (char *part = strtok_r(NULL, ",", &state); part != NULL;
         part = strtok_r(NULL, ",", &state)) {
        fake_map_set(&parts, part, "");
    }
    if (fake_pve_is_disk(key) && strstr(value, "size=") == NULL && strchr(value, ':') != NULL) {
        fake_map_set(&parts, "size=1G", "");
    }
    for (size_t i = 0; i < parts.n; i++) {
        buf_addf(&out, ",%s", parts.items[i].key);
    }
    fake_map_fini(&parts);
    free(copy);
    return buf_steal(&out);
}

static size_t roll(struct fake_pve *pve, size_t sides)
{
    pve->dice ^= pve->dice << 13;
    pve->dice ^= pve->dice >> 7;
    pve->dice ^= pve->dice << 17;
    return (size_t)(pve->dice % sides);
}

/* One option after the other, in PVE's order, which is any. */
static char *set_options(struct fake_pve *pve, struct fake_map *wanted)
{
    while (wanted->n > 0) {
        const struct fake_pair *pair = &wanted->items[roll(pve, wanted->n)];
        char *value;

        if (fake_pve_is_disk(pair->key) && fake_pve_volume_is_away(pve, pair->value)) {
            return str_printf("volume '%s' does not exist", pve->volume);
        }
        value = normal(pair->key, pair->value);
        fake_map_set(&pve->pending, pair->key, value);
        fake_map_set(&pve->deletes, pair->key, NULL);
        free(value);
        fake_map_set(wanted, pair->key, NULL);
    }
    return NULL;
}

static void drop_idle_pending(struct fake_pve *pve)
{
    for (size_t i = pve->pending.n; i-- > 0;) {
        const struct fake_pair *pair = &pve->pending.items[i];

        if (str_equal(fake_map_get(&pve->conf, pair->key), pair->value)) {
            fake_map_set(&pve->pending, pair->key, NULL);
        }
    }
}

static void watch_result(struct fake_pve *pve)
{
    for (size_t i = 0; i < pve->conf.n; i++) {
        const struct fake_pair *pair = &pve->conf.items[i];

        if (fake_pve_is_disk(pair->key) && strstr(pair->value, "media=cdrom") == NULL &&
            fake_pve_count_volume(pve, pair->value, false) > 1) {
            fake_pve_problem(pve, "%s is attached twice", pair->value);
        }
    }
}

static char *carry_out(struct fake_pve *pve, struct put *put, int *ret_status)
{
    char *error;

    for (size_t i = 0; i < put->reverts.n; i++) {
        const char *key = put->reverts.items[i].key;
        const char *now = fake_map_get(&pve->conf, key);

        if (now != NULL) {
            fake_map_set(&put->sets, key, now);
        } else if (fake_map_get(&pve->pending, key) != NULL) {
            fake_map_set(&put->deletes, key, "");
        }
    }
    for (size_t i = 0; i < put->deletes.n; i++) {
        delete_option(pve, put->deletes.items[i].key);
    }
    error = set_options(pve, &put->sets);
    if (error != NULL) {
        return error;
    }
    drop_idle_pending(pve);
    if (!pve->running) {
        fake_pve_apply_pending(pve);
    } else if (hotplug(pve)) {
        *ret_status = 400;
        error = str_dup("Parameter verification failed. (hotplug problem)");
    }
    drop_used_unused(pve);
    watch_result(pve);
    return error;
}

char *fake_pve_put(struct fake_pve *pve, const struct api_request *request, int *ret_status)
{
    struct put put = {0};
    char *error;

    read_put(pve, request, &put);
    watch(pve, &put);
    *ret_status = 500;
    error = check(pve, &put);
    if (error == NULL) {
        error = check_boot(pve, &put);
    }
    if (error == NULL) {
        error = carry_out(pve, &put, ret_status);
    }
    fake_map_fini(&put.sets);
    fake_map_fini(&put.deletes);
    fake_map_fini(&put.reverts);
    return error;
}
