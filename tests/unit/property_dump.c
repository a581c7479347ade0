/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See property_dump.h. Each case: a VM, and a few calls of somebody who may ask for anything:
 * moves, half moves, swaps, occupied slots, deletions, reverts, values as they are, stale digests,
 * a volume that is away, a call that breaks in the middle, a VM that runs.
 */
#include "property_dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "fake_pve_priv.h"
#include "gen_conf.h"

struct dump {
    struct gen *g;
    struct fake_pve pve;
    struct api_request *request;
    const char *digest; /* "right", "stale" or NULL */
};

static void add(struct dump *d, const char *key, const char *value)
{
    for (size_t i = 0; i < d->request->n_params; i++) {
        if (str_equal(d->request->params[i].key, key)) {
            return;
        }
    }
    if (api_request_add(d->request, key, value) < 0) {
        abort();
    }
}

/* A drive of the VM; NULL: it has none. */
static const struct fake_pair *any_drive(struct dump *d)
{
    const struct fake_map *conf = &d->pve.conf;
    unsigned start = conf->n == 0 ? 0 : gen_roll(d->g, (unsigned)conf->n);

    for (size_t i = 0; i < conf->n; i++) {
        const struct fake_pair *pair = &conf->items[(start + i) % conf->n];

        if (fake_pve_is_disk(pair->key)) {
            return pair;
        }
    }
    return NULL;
}

static char *any_slot(struct dump *d)
{
    static const char *const buses[] = {"ide", "sata", "scsi", "virtio"};

    return str_printf("%s%u", buses[gen_roll(d->g, 4)], gen_roll(d->g, 4));
}

/* The value without what the new bus does not know, mostly. */
static char *fit(struct dump *d, const char *slot, const char *value)
{
    char *bus = str_ndup(slot, strcspn(slot, "0123456789"));
    char *copy = str_dup(value), *out = NULL, *state = NULL;

    for (char *part = strtok_r(copy, ",", &state); part != NULL;
         part = strtok_r(NULL, ",", &state)) {
        char *key = str_ndup(part, strcspn(part, "="));
        bool fits = out == NULL || fake_schema_bus_knows(bus, key) || gen_one_in(d->g, 30);
        char *longer = !fits ? out
                             : str_printf("%s%s%s", out == NULL ? "" : out, out == NULL ? "" : ",",
                                          part);

        if (longer != out) {
            free(out);
            out = longer;
        }
        free(key);
    }
    free(bus);
    free(copy);
    return out;
}

static void move(struct dump *d, bool with_delete, bool with_boot)
{
    const struct fake_pair *drive = any_drive(d);
    char *to = any_slot(d);

    if (drive != NULL) {
        char *value = fit(d, to, drive->value);
        char *boot = str_printf("order=%s%s", to,
                                fake_map_get(&d->pve.conf, "net0") != NULL ? ";net0" : "");

        add(d, to, value);
        if (with_delete && !str_equal(to, drive->key)) {
            add(d, "delete", drive->key);
        }
        if (with_boot) {
            add(d, "boot", boot);
        }
        free(value);
        free(boot);
    }
    free(to);
}

static void set_something(struct dump *d)
{
    static const struct {
        const char *key, *value;
    } things[] = {
        {"cores", "8"},
        {"tags", "a;b"},
        {"machine", "pc-q35-9.2"},
        {"scsihw", "pvscsi"},
        {"smbios1", "uuid=9b1a4d56-1100-3322-4455-66778899aabb"},
        {"smbios1", "uuid=56:4d"},
        {"net0", "vmxnet3=00:50:56:8A:01:02,tag=5,bridge=vmbr0"},
        {"net0", "e1000=BC:24:11:9A:A3:C0,rate=2,bridge=vmbr1"},
        {"net5", "virtio=BC:24:11:9A:A3:C5,bridge=vmbr0,queues=2"},
        {"boot", "order=net0"},
        {"boot", "order=sata5"},
        {"bootdisk", "scsi0"},
        {"vga", "std"},
        {"ide2", "none,media=cdrom"},
    };
    unsigned i = gen_roll(d->g, ARRAY_SIZE(things));

    add(d, things[i].key, things[i].value);
}

static void delete_something(struct dump *d)
{
    static const char *const keys[] = {"vga", "tags", "net1", "net0", "cores", "agent"};
    const struct fake_pair *drive = any_drive(d);

    if (drive != NULL && gen_one_in(d->g, 2)) {
        add(d, "delete", drive->key);
    } else {
        add(d, "delete", keys[gen_roll(d->g, ARRAY_SIZE(keys))]);
    }
}

static void revert_something(struct dump *d)
{
    const struct fake_map *deletes = &d->pve.deletes, *pending = &d->pve.pending;
    const struct fake_pair *drive = any_drive(d);

    if (deletes->n > 0 && gen_one_in(d->g, 2)) {
        char *keys = str_printf("%s,boot", deletes->items[0].key);

        add(d, "revert", keys);
        free(keys);
    } else if (pending->n > 0) {
        add(d, "revert", pending->items[gen_roll(d->g, (unsigned)pending->n)].key);
    } else if (drive != NULL) {
        add(d, "revert", drive->key);
    }
}

static void ask(struct dump *d)
{
    const struct fake_pair *drive = any_drive(d);

    switch (gen_roll(d->g, 8)) {
    case 0: /* a probe */
        if (drive != NULL) {
            add(d, drive->key, drive->value);
        }
        return;
    case 1:
    case 2:
        move(d, true, true);
        return;
    case 3:
        move(d, gen_one_in(d->g, 2), false);
        return;
    case 4:
        move(d, true, gen_one_in(d->g, 2));
        move(d, false, false);
        return;
    case 5:
        delete_something(d);
        return;
    case 6:
        revert_something(d);
        return;
    default:
        set_something(d);
        set_something(d);
        return;
    }
}

/* Circumstances of the call: for the model, and for whoever compares. */
static json_t *set_scene(struct dump *d)
{
    json_t *scene = json_object();
    unsigned digest = gen_roll(d->g, 5);

    d->digest = digest == 0 ? NULL : digest == 1 ? "stale" : "right";
    d->pve.now_ms = 1000;
    d->pve.away_until_ms = d->pve.volume != NULL && gen_one_in(d->g, 3) ? 2000 : 0;
    d->pve.storage_until_ms = gen_one_in(d->g, 15) ? 2000 : 0;
    d->pve.half_writes = gen_one_in(d->g, 10) ? 1 + gen_roll(d->g, 4) : 0;
    d->pve.running = gen_one_in(d->g, 4);
    json_object_set_new(scene, "digest", d->digest == NULL ? json_null() : json_string(d->digest));
    json_object_set_new(scene, "away",
                        d->pve.away_until_ms > 0 ? json_string(d->pve.volume) : json_null());
    json_object_set_new(scene, "storage_away", json_boolean(d->pve.storage_until_ms > 0));
    json_object_set_new(scene, "half_writes", json_integer(d->pve.half_writes));
    json_object_set_new(scene, "running", json_boolean(d->pve.running));
    return scene;
}

static json_t *params_json(const struct api_request *request)
{
    json_t *params = json_object();

    for (size_t i = 0; i < request->n_params; i++) {
        if (!str_equal(request->params[i].key, "digest")) {
            json_object_set_new(params, request->params[i].key,
                                json_string(request->params[i].value));
        }
    }
    return params;
}

/* One call with its answer; NULL: nothing came to mind. */
static json_t *call(struct dump *d)
{
    json_t *scene = set_scene(d);
    struct api_reply reply = {0};
    char *digest = fake_pve_digest(&d->pve), *text;

    d->request = api_request_new(API_PUT, "/nodes/n1/qemu/105/config");
    ask(d);
    if (d->request->n_params == 0) {
        json_decref(scene);
        scene = NULL;
    } else {
        json_object_set_new(scene, "params", params_json(d->request));
        if (d->digest != NULL) {
            add(d, "digest", str_equal(d->digest, "right") ? digest : "0");
        }
        d->pve.order = json_array();
        fake_pve_call(&d->pve, d->request, &reply);
        json_object_set_new(scene, "order", d->pve.order);
        json_object_set_new(scene, "status", json_integer(reply.status));
        json_object_set_new(scene, "message",
                            json_string(reply.message == NULL ? "" : reply.message));
        text = fake_pve_text(&d->pve);
        json_object_set_new(scene, "after", json_string(text));
        free(text);
        d->pve.order = NULL;
        api_reply_fini(&reply);
    }
    api_request_free(d->request);
    free(digest);
    return scene;
}

static json_t *volumes_json(const struct fake_pve *pve)
{
    json_t *volumes = json_object();

    for (size_t i = 0; i < pve->volumes.n; i++) {
        json_object_set_new(volumes, pve->volumes.items[i].key,
                            json_string(pve->volumes.items[i].value));
    }
    return volumes;
}

static void dump_case(uint64_t seed)
{
    struct gen g = gen_new(seed);
    struct dump d = {.g = &g};
    char *tidy = gen_config(&g);
    char *text = gen_one_in(&g, 4) ? gen_untidy(&g, tidy) : str_dup(tidy);
    json_t *all = json_object(), *calls = json_array();

    fake_pve_init(&d.pve, text, NULL);
    free(d.pve.raw);
    d.pve.raw = str_dup(text);
    d.pve.unwatched = true;
    d.pve.dice = gen_bits(&g);
    d.pve.volume = d.pve.volumes.n == 0
                       ? NULL
                       : d.pve.volumes.items[gen_roll(&g, (unsigned)d.pve.volumes.n)].key;
    json_object_set_new(all, "seed", json_integer((json_int_t)seed));
    json_object_set_new(all, "config", json_string(text));
    json_object_set_new(all, "volumes", volumes_json(&d.pve));
    for (unsigned i = 0; i < 6; i++) {
        json_t *one = call(&d);

        if (one != NULL) {
            json_array_append_new(calls, one);
        }
    }
    json_object_set_new(all, "calls", calls);
    json_dumpf(all, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(all);
    fake_pve_fini(&d.pve);
    free(tidy);
    free(text);
}

void property_dump(uint64_t first, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        dump_case(first + i);
    }
}
