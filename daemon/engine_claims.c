/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who has which identity, as far as files tell (core/claims.h judges by it): all fingerprints, and
 * the configurations of this node. Everything is read once after the start, a few milliseconds per
 * turn of the event loop; after that only what changed. Fingerprints are watched by the store. The
 * configurations are not: PVE tells of no change that another node makes. They are looked at when
 * it matters, which is when a VM would be given something: names, sizes and times of the directory,
 * at most once a second, and only what changed is read, or may have (store_index.h).
 *
 * What cannot be read for the moment is as it was: a claim that is dropped for an I/O error could
 * be given to somebody else.
 */
#include <errno.h>
#include <syslog.h>

#include "base/str.h"
#include "core/claims.h"
#include "engine_impl.h"
#include "message_ids.h"
#include "store_index.h"

void engine_claims_fini(struct engine *engine)
{
    claims_free(engine->claims);
    free(engine->to_load);
    store_index_fini(&engine->young);
    store_index_fini(&engine->unread);
    sd_event_source_disable_unref(engine->unread_timer);
}

void engine_claims_restart(struct engine *engine)
{
    free(engine->to_load);
    engine->to_load = NULL;
    engine->n_to_load = engine->next_to_load = 0;
    engine->listed = engine->loaded = false;
    engine->configs_ms = 0;
}

static int list_fingerprints(struct engine *engine)
{
    struct claims_owner owner;
    size_t at = 0;
    int rc = store_list(engine->store, &engine->to_load, &engine->n_to_load);

    while (rc == 0 && claims_next(engine->claims, &at, &owner)) {
        if (owner.where == CLAIMS_FINGERPRINT && !store_has(engine->store, owner.vmid)) {
            claims_drop(engine->claims, owner.vmid, CLAIMS_FINGERPRINT); /* another directory's */
        }
    }
    engine->listed = rc == 0;
    return rc;
}

/* --- fingerprints ----------------------------------------------------------------------------- */

/* An error of the moment, and not of what the file is: not there, not trusted, too long. */
static bool may_pass(int rc)
{
    return rc != -ENOENT && rc != -EPERM && rc != -EACCES && rc != -ELOOP && rc != -EINVAL &&
           rc != -EFBIG && rc != -ENOTDIR && rc != -EISDIR && rc != -ENXIO;
}

static int on_unread(sd_event_source *source, uint64_t usec, void *userdata);

/* Without memory or timer it is read when it changes. */
static void read_later(struct engine *engine, uint32_t vmid)
{
    (void)store_index_add(&engine->unread, vmid);
    if (engine->unread_timer == NULL) {
        (void)sd_event_add_time_relative(engine->event, &engine->unread_timer, CLOCK_MONOTONIC,
                                         ENGINE_UNREAD_S * 1000000, 0, on_unread, engine);
    }
}

/* One that cannot be used claims nothing: nothing is changed by it. 0 or -ENOMEM. */
static int read_fingerprint(struct engine *engine, uint32_t vmid)
{
    const struct claims_owner owner = {.vmid = vmid, .where = CLAIMS_FINGERPRINT};
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(identity_fini) struct identity id = {0};
    CLEANUP(store_file_fini) struct store_file file = {0};
    int rc = store_read_fingerprint(engine->store, vmid, &file, NULL);

    if (rc < 0 && rc != -ENOMEM && may_pass(rc)) {
        read_later(engine, vmid);
        return 0;
    }
    store_index_remove(&engine->unread, vmid);
    rc = rc < 0 ? rc : fingerprint_parse(file.text, file.len, &fp, NULL);
    rc = rc < 0 ? rc : identity_of_fingerprint(fp, &id);
    if (rc == -ENOMEM) {
        return rc;
    }
    if (rc < 0) {
        claims_drop(engine->claims, vmid, CLAIMS_FINGERPRINT);
        return 0;
    }
    return claims_set(engine->claims, &owner, &id, 1);
}

void engine_claims_fingerprint(struct engine *engine, uint32_t vmid)
{
    if (read_fingerprint(engine, vmid) < 0) {
        engine_claims_restart(engine); /* nothing is given before all has been read again */
    }
    engine->refused_again = true;
    engine_queue_kick(engine);
}

/* Its VM is looked at too: what it could not be told is perhaps to be done now. */
static int on_unread(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct engine *engine = userdata;
    struct store_index again = engine->unread;

    (void)source, (void)usec;
    engine->unread = (struct store_index){0};
    engine->unread_timer = sd_event_source_disable_unref(engine->unread_timer);
    for (size_t i = 0; i < again.n; i++) {
        engine_claims_fingerprint(engine, again.items[i].vmid);
        if (store_index_find(&engine->unread, again.items[i].vmid) == NULL) {
            /* No memory: at its next start or stop. */
            (void)engine_enqueue(engine, again.items[i].vmid, RECONCILE_FOR_RETRY);
        }
    }
    store_index_fini(&again);
    return 0;
}

int engine_claims_bind(struct vm *vm)
{
    const struct record_memory *memory = &vm->memory;

    return memory->bound_ctime == 0
               ? 0
               : claims_bind(vm->engine->claims, vm->vmid, memory->bound_ctime, memory->bound_name);
}

/* --- this node's configurations --------------------------------------------------------------- */

static int set_config(struct engine *engine, const struct store_item *item,
                      const struct pveconf *conf)
{
    const struct pveconf_section *pending = pveconf_section(conf, PVECONF_PENDING);
    struct claims_owner owner = {.vmid = item->vmid, .where = CLAIMS_CONFIG, .stamp = item->stamp};
    struct identity ids[2] = {{0}, {0}}; /* what runs, and what will: both count */
    int rc = identity_of_config(conf, &ids[0]);

    for (size_t i = 0; pending != NULL && i < pending->n && rc == 0; i++) {
        rc = identity_add_option(&ids[1], pending->keys[i].key, pending->keys[i].value);
    }
    owner.is_template = ids[0].is_template;
    rc = rc < 0 ? rc : claims_set(engine->claims, &owner, ids, ARRAY_SIZE(ids));
    identity_fini(&ids[0]);
    identity_fini(&ids[1]);
    return rc;
}

/* It was read after `begun`: is that what it stays, as long as its stamp is the same? */
static void note_age(struct engine *engine, const struct store_item *item, int64_t begun)
{
    struct store_item *young = store_index_find(&engine->young, item->vmid);

    if (young != NULL && young->stamp == item->stamp) {
        if ((int32_t)((uint32_t)begun - young->due) >= 0) {
            store_index_remove(&engine->young, item->vmid); /* that was the last time */
        }
        return;
    }
    if (!item->young) {
        store_index_remove(&engine->young, item->vmid);
        return;
    }
    young = store_index_add(&engine->young, item->vmid);
    if (young == NULL) {
        claims_drop(engine->claims, item->vmid, CLAIMS_CONFIG); /* not known: it is read again */
        return;
    }
    young->stamp = item->stamp;
    young->due = (uint32_t)begun + STORE_YOUNG_MS;
}

enum { UNREAD = 1 }; /* an error of the moment: what was known stands, and it is read again */

/* 0, UNREAD or -ENOMEM. What makes no sense claims nothing, as PVE would start nothing with it. */
static int read_config(struct engine *engine, const struct store_item *item)
{
    const struct claims_owner nothing = {
        .vmid = item->vmid, .where = CLAIMS_CONFIG, .stamp = item->stamp};
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(store_file_fini) struct store_file file = {0};
    int64_t begun = engine_now();
    int rc = store_read_config(engine->store, item->vmid, &file, NULL);

    if (rc == -EACCES || rc == -EPERM || (rc < 0 && rc != -ENOMEM && may_pass(rc))) {
        return UNREAD; /* PVE, which is root, starts it all the same */
    }
    rc = rc < 0 ? rc : pveconf_parse(file.text, file.len, &conf, NULL);
    if (rc == -ENOMEM) {
        return rc;
    }
    rc = rc < 0 ? claims_set(engine->claims, &nothing, NULL, 0) : set_config(engine, item, conf);
    if (rc == 0) {
        note_age(engine, item, begun);
    }
    return rc;
}

static bool is_known(const struct engine *engine, const struct store_item *item)
{
    struct claims_owner owner;

    return claims_find(engine->claims, item->vmid, CLAIMS_CONFIG, &owner) && owner.node == NULL &&
           owner.stamp == item->stamp && store_index_find(&engine->young, item->vmid) == NULL;
}

static void drop_config(struct engine *engine, uint32_t vmid)
{
    store_index_remove(&engine->young, vmid);
    claims_drop(engine->claims, vmid, CLAIMS_CONFIG);
    engine_survey_doubt(engine);
}

/* What is not on this node any more was destroyed or moved: the survey finds out. */
static void drop_gone(struct engine *engine, const struct store_index *found)
{
    struct claims_owner owner;
    size_t at = 0;

    while (claims_next(engine->claims, &at, &owner)) {
        if (owner.where == CLAIMS_CONFIG && owner.node == NULL &&
            store_index_find(found, owner.vmid) == NULL) {
            drop_config(engine, owner.vmid);
        }
    }
}

/* True: it is another one than before. Where it cannot be told, it stays as known. */
static bool recheck(struct engine *engine, uint32_t vmid)
{
    struct store_item item = {.vmid = vmid};
    struct claims_owner owner;
    bool here = claims_find(engine->claims, vmid, CLAIMS_CONFIG, &owner) && owner.node == NULL;

    if (store_stamp_config(engine->store, &item) < 0) {
        return false;
    }
    if (item.stamp == 0 && here) {
        drop_config(engine, vmid);
        return true;
    }
    return item.stamp != 0 && !is_known(engine, &item) && read_config(engine, &item) == 0;
}

/* Whatever the stamp says. */
void engine_claims_changed(struct engine *engine, uint32_t vmid)
{
    struct store_item item = {.vmid = vmid};

    if (store_stamp_config(engine->store, &item) == 0 && item.stamp != 0) {
        (void)read_config(engine, &item); /* no memory: it is not known, and read again */
    }
}

bool engine_claims_recheck(struct engine *engine, uint32_t vmid, const struct fingerprint *fp)
{
    enum { RIVALS_MAX = 64 }; /* more are clones that share a serial number */
    CLEANUP(claims_rivals_fini) struct claims_rivals rivals = {0};
    bool changed = false;

    /* Without memory, what was known a second ago stands. */
    if (claims_rivals(engine->claims, vmid, fp, CLAIMS_FINGERPRINT, &rivals) < 0 ||
        claims_rivals(engine->claims, vmid, fp, CLAIMS_CONFIG, &rivals) < 0) {
        return false;
    }
    for (size_t i = 0; i < rivals.n && i < RIVALS_MAX; i++) {
        changed = recheck(engine, rivals.vmids[i]) || changed;
    }
    return changed;
}

static void tell_unseen(struct engine *engine, size_t unseen)
{
    if (unseen > 0 && unseen != engine->unseen_configs) {
        engine_say(engine, 0, LOG_WARNING, MESSAGE_OTHERS_UNKNOWN,
                   "%zu configurations of this node cannot be looked at: which identity those VMs "
                   "have is as last known",
                   unseen);
    }
    engine->unseen_configs = unseen;
}

/* 0 all read, 1 time is up, <0. Reading gets that many ms, and never less than the look at the
 * directory took: where that is long (pmxcfs, many VMs) the next turn, which looks again, would
 * find the time up each time, and nothing would ever be read. */
static int read_configs(struct engine *engine, int64_t ms)
{
    CLEANUP(store_index_fini) struct store_index found = {0};
    int64_t begun = engine_now();
    size_t unseen = 0;
    int rc = store_scan_configs(engine->store, &found, &unseen);
    int64_t scanned = engine_now();
    int64_t until = scanned + (scanned - begun > ms ? scanned - begun : ms);

    for (size_t i = 0; i < found.n && rc == 0; i++) {
        /* One that cannot be looked at is as last known, and keeps nobody from anything: a start
         * that we stopped is made all the same. */
        if (found.items[i].stamp == 0 || is_known(engine, &found.items[i])) {
            continue;
        }
        if (engine_now() >= until) {
            return 1;
        }
        rc = read_config(engine, &found.items[i]);
        if (rc == UNREAD) {
            unseen++;
            rc = 0;
        }
    }
    if (rc == 0) {
        drop_gone(engine, &found);
        tell_unseen(engine, unseen);
        engine->configs_ms = engine_now();
    }
    return rc;
}

/* --- both ------------------------------------------------------------------------------------- */

int engine_claims_load(struct engine *engine, int64_t ms)
{
    int64_t until = engine_now() + ms;
    int rc = engine->listed ? 0 : list_fingerprints(engine);

    while (engine->next_to_load < engine->n_to_load && rc == 0 && engine_now() < until) {
        rc = read_fingerprint(engine, engine->to_load[engine->next_to_load]);
        engine->next_to_load += rc == 0;
    }
    if (rc == 0 && engine->next_to_load == engine->n_to_load) {
        int64_t left = until - engine_now();

        rc = read_configs(engine, left > ENGINE_LOAD_STEP_MS ? left : ENGINE_LOAD_STEP_MS);
        if (rc == -ENOENT) {
            rc = 0; /* pmxcfs is away, and so is every VM that could be changed */
        }
        engine->loaded = rc == 0;
    }
    if (engine->loaded) {
        free(engine->to_load);
        engine->to_load = NULL;
        engine->n_to_load = engine->next_to_load = 0;
    }
    return rc < 0 ? rc : 0;
}

bool engine_claims_refresh(struct engine *engine)
{
    enum { PATIENTLY_MS = 10000 }; /* rather late than twice; see docs/DESIGN.md */

    if (!engine->loaded) {
        return engine_claims_load(engine, PATIENTLY_MS) == 0;
    }
    if (engine->configs_ms != 0 && engine_now() - engine->configs_ms < ENGINE_CONFIGS_FRESH_MS) {
        return false;
    }
    /* Where it fails the VM's own file cannot be read either, and nothing is changed. */
    return read_configs(engine, PATIENTLY_MS) == 0;
}
