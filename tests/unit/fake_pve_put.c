/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See fake_pve.h: what a PUT makes of the file. The order of steps is the behaviour that matters
 * (recordings 06n, 06q): deletions become pending first, then each option, in any order; a volume
 * that is missing ends it there; only then all that is pending is carried out.
 * tests/test_pvesim_model.py plays random calls to this and to the simulator, and compares.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "fake_pve_priv.h"

/* --- the call -------------------------------------------------------------------------------- */

static void add_list(struct fake_map *map, const char *list)
{
    char *copy = str_dup(list);
    char *state = NULL;

    for (char *key = strtok_r(copy, ",", &state); key != NULL; key = strtok_r(NULL, ",", &state)) {
        fake_map_set(map, key, "");
    }
    free(copy);
}

static void read_put(struct fake_pve *pve, const struct api_request *request, struct fake_put *put)
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

void fake_put_fini(struct fake_put *put)
{
    fake_map_fini(&put->sets);
    fake_map_fini(&put->deletes);
    fake_map_fini(&put->reverts);
}

/* --- 1. what PVE checks before it changes anything ------------------------------------------- */

static char *check_params(const struct fake_pve *pve, const struct fake_put *put)
{
    if (put->sets.n + put->deletes.n + put->reverts.n == 0) {
        return str_dup("no options specified");
    }
    for (size_t i = 0; i < put->sets.n; i++) {
        const char *key = put->sets.items[i].key;

        if (fake_map_get(&put->deletes, key) != NULL || fake_map_get(&put->reverts, key) != NULL) {
            return str_printf("you can't use '-%s' and -delete %s at the same time", key, key);
        }
        if (!fake_schema_reads(key, put->sets.items[i].value)) {
            return str_printf("Parameter verification failed. (%s: invalid format)", key);
        }
    }
    for (size_t i = 0; i < put->sets.n; i++) {
        char *volume = fake_pve_is_drive(put->sets.items[i].key)
                           ? fake_pve_volume_of(put->sets.items[i].value)
                           : NULL;
        char *error = NULL;

        if (volume != NULL && volume[0] == '/') {
            error = str_dup(
                "Only root can pass arbitrary filesystem paths. at Storage.pm line 651.");
        } else if (volume != NULL && strchr(volume, ':') != NULL &&
                   pve->now_ms < pve->storage_until_ms) {
            error = str_dup("storage 'local' does not exist");
        }
        free(volume);
        if (error != NULL) {
            return error;
        }
    }
    return NULL;
}

static char *check_boot(const struct fake_pve *pve, const struct fake_put *put)
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

static char *check(struct fake_pve *pve, const struct fake_put *put)
{
    char *digest = fake_pve_digest(pve);
    bool stale = put->digest != NULL && (pve->stale || !str_equal(put->digest, digest));
    char *error = check_params(pve, put);

    free(digest);
    if (error != NULL) {
        return error;
    }
    if (put->digest != NULL) {
        pve->stale = pve->always_stale;
    }
    if (stale) {
        return str_dup("checksum mismatch (file change by other user?)");
    }
    if (fake_map_get(&pve->conf, "lock") != NULL) {
        return str_printf("VM is locked (%s)", fake_map_get(&pve->conf, "lock"));
    }
    error = check_boot(pve, put);
    if (error == NULL && pve->flock_calls > 0) {
        pve->flock_calls--;
        return str_dup("can't lock file '/var/lock/qemu-server/lock-105.conf' - got timeout");
    }
    return error;
}

/* --- 2. deletions become pending ------------------------------------------------------------- */

static void leave_boot_order(struct fake_pve *pve, const char *gone)
{
    const char *boot = fake_map_get(&pve->pending, "boot");
    struct buf out = BUF_INIT(0);
    char *devices, *state = NULL;
    bool was_in = false;

    boot = boot == NULL ? fake_map_get(&pve->conf, "boot") : boot;
    if (boot == NULL || !str_starts(boot, "order=")) {
        return;
    }
    devices = str_dup(boot + strlen("order="));
    buf_adds(&out, "order=");
    for (char *d = strtok_r(devices, ";", &state); d != NULL; d = strtok_r(NULL, ";", &state)) {
        if (str_equal(d, gone)) {
            was_in = true;
        } else {
            buf_addf(&out, "%s%s", out.data[out.len - 1] == '=' ? "" : ";", d);
        }
    }
    if (was_in) {
        /* PVE writes an order of nothing as an empty value, and reads that as one blank. */
        fake_map_set(&pve->pending, "boot", str_equal(out.data, "order=") ? " " : out.data);
    }
    buf_fini(&out);
    free(devices);
}

/* NULL, or why it cannot be deleted; the caller's. */
static char *delete_option(struct fake_pve *pve, const char *key)
{
    const char *pending = fake_map_get(&pve->pending, key);

    if (fake_map_get(&pve->conf, key) == NULL && pending == NULL) {
        return NULL;
    }
    if (fake_pve_is_drive(key)) {
        const char *protection = fake_map_get(&pve->conf, "protection");

        if (protection != NULL && !str_equal(protection, "0")) {
            return str_printf("can't remove drive '%s' - protection mode enabled", key);
        }
        if (pending != NULL) {
            fake_pve_register_unused(pve, pending);
        }
        leave_boot_order(pve, key);
    }
    fake_map_set(&pve->pending, key, NULL);
    if (fake_map_get(&pve->conf, key) != NULL) {
        fake_map_set(&pve->deletes, key, "");
    }
    return NULL;
}

/* --- 3. options become pending --------------------------------------------------------------- */

static void add_sorted(struct buf *out, struct fake_map *parts)
{
    for (size_t i = 0; i < parts->n; i++) {
        buf_addf(out, ",%s", parts->items[i].key);
    }
    fake_map_fini(parts);
}

/* Volume first, the rest sorted, size= as the volume has it. The caller's. */
static char *normal_drive(const struct fake_pve *pve, const char *value)
{
    char *volume = fake_pve_volume_of(value);
    bool sized = strchr(volume, ':') != NULL && !fake_pve_is_cdrom(value);
    const char *size = fake_map_get(&pve->volumes, volume);
    struct buf out = BUF_INIT(0);
    struct fake_map parts = {0};
    char *copy = str_dup(value), *state = NULL;

    for (char *part = strtok_r(copy, ",", &state); part != NULL;
         part = strtok_r(NULL, ",", &state)) {
        if (strchr(part, '=') != NULL && !str_starts(part, "file=") &&
            !(sized && str_starts(part, "size="))) {
            fake_map_set(&parts, part, "");
        }
    }
    if (sized) {
        char *part = str_printf("size=%s", size == NULL ? "1G" : size);

        fake_map_set(&parts, part, "");
        free(part);
    }
    buf_adds(&out, volume);
    add_sorted(&out, &parts);
    free(copy);
    free(volume);
    return buf_steal(&out);
}

/* "model=MAC" first, the rest sorted. The caller's. */
static char *normal_net(const char *value)
{
    struct buf out = BUF_INIT(0);
    struct fake_map parts = {0};
    char *copy = str_dup(value), *state = NULL;

    buf_adds(&out, strtok_r(copy, ",", &state));
    for (char *part = strtok_r(NULL, ",", &state); part != NULL;
         part = strtok_r(NULL, ",", &state)) {
        fake_map_set(&parts, part, "");
    }
    add_sorted(&out, &parts);
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

/* NULL, or why not; the caller's. */
static char *set_option(struct fake_pve *pve, const char *key, const char *value)
{
    const char *old = fake_map_get(&pve->pending, key);
    char *stored, *old_volume, *volume;

    if (!fake_pve_is_drive(key)) {
        stored = str_starts(key, "net") && ascii_is_digit(key[3]) ? normal_net(value)
                                                                  : str_dup(value);
    } else if (fake_pve_volume_is_away(pve, value)) {
        volume = fake_pve_volume_of(value);
        stored = str_printf("volume '%s' does not exist", volume);
        free(volume);
        return stored;
    } else {
        stored = normal_drive(pve, value);
        old_volume = old == NULL ? NULL : fake_pve_volume_of(old);
        volume = fake_pve_volume_of(stored);
        if (old != NULL && !str_equal(old_volume, volume)) {
            fake_pve_register_unused(pve, old);
        }
        free(old_volume);
        free(volume);
    }
    fake_map_set(&pve->pending, key, stored);
    fake_map_set(&pve->deletes, key, NULL);
    free(stored);
    return NULL;
}

/* What breaks in the middle (FAULT_HALF); NULL: nothing. The caller's. */
static char *break_here(struct fake_pve *pve)
{
    if (pve->half_writes == 0) {
        return NULL;
    }
    pve->half_writes--;
    if (pve->half_writes > 0) {
        return NULL;
    }
    pve->broken_at = pve->n_requests;
    return str_dup("unable to open file: Input/output error");
}

/* One option after the other, in PVE's order, which is any. */
static char *set_options(struct fake_pve *pve, struct fake_map *wanted)
{
    while (wanted->n > 0) {
        const struct fake_pair *pair = &wanted->items[roll(pve, wanted->n)];
        char *key = str_dup(pair->key);
        char *error = break_here(pve);

        if (error != NULL) {
            free(key);
            return error;
        }
        if (pve->order != NULL) {
            json_array_append_new(pve->order, json_string(key));
        }
        error = set_option(pve, key, pair->value);
        fake_map_set(wanted, key, NULL);
        free(key);
        if (error != NULL) {
            return error;
        }
        fake_pve_write(pve);
    }
    return NULL;
}

/* --- 4. all that is pending becomes real ------------------------------------------------------ */

static void drop_idle_pending(struct fake_pve *pve)
{
    for (size_t i = pve->pending.n; i-- > 0;) {
        const struct fake_pair *pair = &pve->pending.items[i];

        if (str_equal(fake_map_get(&pve->conf, pair->key), pair->value)) {
            fake_map_set(&pve->pending, pair->key, NULL);
        }
    }
    for (size_t i = pve->deletes.n; i-- > 0;) {
        if (fake_map_get(&pve->conf, pve->deletes.items[i].key) == NULL) {
            fake_map_set(&pve->deletes, pve->deletes.items[i].key, NULL);
        }
    }
}

static char *carry_out(struct fake_pve *pve, struct fake_put *put, int *ret_status)
{
    struct fake_map wanted, gone;
    char *error = NULL;

    fake_map_copy(&put->sets, &wanted);
    fake_map_copy(&put->deletes, &gone);
    for (size_t i = 0; i < put->reverts.n; i++) {
        const char *key = put->reverts.items[i].key;
        const char *now = fake_map_get(&pve->conf, key);

        if (now != NULL) {
            fake_map_set(&wanted, key, now);
        } else if (fake_map_get(&pve->pending, key) != NULL) {
            fake_map_set(&gone, key, "");
        }
    }
    for (size_t i = 0; i < gone.n && error == NULL; i++) {
        error = break_here(pve);
        error = error != NULL ? error : delete_option(pve, gone.items[i].key);
        if (error == NULL) {
            fake_pve_write(pve);
        }
    }
    if (error == NULL) {
        error = set_options(pve, &wanted);
    }
    if (error == NULL) {
        error = break_here(pve);
    }
    pve->half_writes = 0;
    fake_map_fini(&wanted);
    fake_map_fini(&gone);
    if (error != NULL) {
        return error;
    }
    drop_idle_pending(pve);
    if (!pve->running) {
        fake_pve_apply_pending(pve);
    } else if (fake_pve_hotplug(pve)) {
        *ret_status = 400;
        error = str_dup("Parameter verification failed. (hotplug problem)");
    }
    fake_pve_write(pve);
    return error;
}

char *fake_pve_put(struct fake_pve *pve, const struct api_request *request, int *ret_status)
{
    struct fake_put put = {0};
    struct fake_map before;
    char *error;

    read_put(pve, request, &put);
    fake_pve_effective(pve, &before);
    if (!pve->unwatched) {
        fake_watch_before(pve, &put);
    }
    *ret_status = 500;
    error = check(pve, &put);
    if (error == NULL) {
        if (!pve->unwatched) {
            fake_watch_accepted(pve, &put);
        }
        error = carry_out(pve, &put, ret_status);
        pve->n_moved += error == NULL && put.deletes.n > 0;
        if (!pve->unwatched) {
            fake_watch_after(pve, &put, error == NULL ? &before : NULL);
        }
    }
    fake_map_fini(&before);
    fake_put_fini(&put);
    return error;
}

char *fake_pve_edit(struct fake_pve *pve, const char *key, const char *value)
{
    struct fake_put put = {0};
    unsigned half = pve->half_writes; /* it is a call of ours that shall break */
    char *error;
    int status;

    pve->half_writes = 0;

    fake_map_set(value == NULL ? &put.deletes : &put.sets, key, value == NULL ? "" : value);
    error = pve->gone ? str_dup("gone") : check(pve, &put);
    if (error == NULL) {
        /* Recording 06n3: any later PUT carries a pending deletion out. */
        pve->harmed_by_others = pve->harmed_by_others || (pve->deletes.n > 0 && !pve->running);
        error = carry_out(pve, &put, &status);
    }
    pve->half_writes = half;
    fake_put_fini(&put);
    return error;
}
