/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See engine.h. The engine's life, and the only file that knows both the API and the journal: here
 * an answer of PVE becomes a statement about the API's health, and a record becomes memory only
 * once it is on disk.
 */
#include "engine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/str.h"
#include "credential.h"
#include "engine_impl.h"
#include "io/clock.h"
#include "journal.h"
#include "message_ids.h"

/* A client of old settings: it goes when its last call has been answered. */
struct retired {
    struct retired *next;
    struct pve *pve;
};

int64_t engine_now(void)
{
    return (int64_t)clock_monotonic_ms();
}

void engine_fresh_id(char id[SMBIOS_UUID_SIZE])
{
    uuid_t uuid;

    uuid_generate(uuid);
    uuid_unparse_lower(uuid, id);
}

/* --- API
 * ------------------------------------------------------------------------------------------ */

static void note_health(struct engine *engine, const struct api_reply *reply)
{
    bool ok = reply->result == API_OK || (reply->result == API_REFUSED && reply->status != 401);

    if (ok != engine->api_ok && !ok) {
        engine_say(engine, 0, LOG_ERR, MESSAGE_API_UNREACHABLE, "PVE's API: %s",
                   reply->message == NULL ? "no answer" : reply->message);
    } else if (ok != engine->api_ok) {
        engine_say(engine, 0, LOG_INFO, MESSAGE_API_UNREACHABLE, "PVE's API answers at %s",
                   engine->settings->api_url);
    }
    engine->api_ok = ok;
    if (str_replace(&engine->api_detail, ok ? NULL : reply->message) < 0) {
        free(engine->api_detail);
        engine->api_detail = NULL;
    }
}

static void free_retired(struct engine *engine, bool all)
{
    struct retired **at = &engine->retired;

    while (*at != NULL) {
        struct retired *old = *at;
        struct pve_counts counts;

        pve_get_counts(old->pve, &counts);
        if (all || counts.running + counts.queued_changes + counts.queued_reads == 0) {
            *at = old->next;
            pve_free(old->pve);
            free(old);
        } else {
            at = &old->next;
        }
    }
}

/* Whoever asked may have gone meanwhile: a hook waits shorter than PVE takes to refuse a token. */
static void on_answer(void *userdata, const struct api_request *request,
                      const struct api_reply *reply)
{
    struct engine *engine = userdata;

    note_health(engine, reply);
    engine->counters.api[reply->result]++;
    /* pveproxy hands these on: an answer shows that both are alive. */
    if (reply->result == API_OK &&
        (request->changing || str_ends(request->path, "/status/current"))) {
        engine->pvedaemon_ms = engine_now();
    }
}

int engine_send(struct engine *engine, struct api_request *request, pve_done done, void *userdata,
                struct pve_call **ret_call)
{
    return request == NULL ? -ENOMEM
                           : pve_send(engine->pve, request, done, userdata, ret_call, NULL);
}

void engine_cancel(struct pve_call *call)
{
    if (call != NULL) {
        pve_cancel(call);
    }
}

void engine_queue_counts(const struct engine *engine, size_t *ret_changes, size_t *ret_reads)
{
    struct pve_counts counts;

    pve_get_counts(engine->pve, &counts);
    *ret_changes = counts.queued_changes;
    *ret_reads = counts.queued_reads;
}

/* Names all that a client depends on; a client of the same key is kept when settings are reloaded.
 */
static int make_client_key(const struct settings *settings, const struct secret *token,
                           char key[SMBIOS_UUID_SIZE])
{
    char *text = str_printf("%s\n%s\n%s\n%u %u %u", settings->api_url, settings->ca_file,
                            secret_text(token), settings->connect_timeout_ms,
                            settings->api_timeout_ms, settings->max_reads);

    if (text == NULL) {
        return -ENOMEM;
    }
    smbios_uuid_digest(text, strlen(text), key);
    explicit_bzero(text, strlen(text));
    free(text);
    return 0;
}

/* 1: as `key` says already, *ret is not touched; 0: a new client, `key` is its. */
static int make_client(sd_event *event, const struct settings *settings, struct pve **ret,
                       char key[SMBIOS_UUID_SIZE], struct err *err)
{
    CLEANUP(secret_freep) struct secret *token = NULL;
    char fresh[SMBIOS_UUID_SIZE];
    int rc = secret_read_token(settings->token_file, &token, err);

    if (rc < 0) {
        return rc;
    }
    if (make_client_key(settings, token, fresh) < 0) {
        return err_oom(err);
    }
    if (str_equal(fresh, key)) {
        return 1;
    }
    rc = pve_new(event, settings, secret_text(token), ret, err);
    if (rc == 0) {
        memcpy(key, fresh, sizeof(fresh));
    }
    return rc;
}

/* --- the node's machine types
 * ----------------------------------------------------------------------- */

static int ask_machines(sd_event_source *source, uint64_t usec, void *userdata);

static void ask_machines_in(struct engine *engine, unsigned seconds)
{
    engine->machines_timer = sd_event_source_disable_unref(engine->machines_timer);
    /* Without the timer the list stays what it is, or unknown: plans work without it. */
    (void)sd_event_add_time_relative(engine->event, &engine->machines_timer, CLOCK_MONOTONIC,
                                     (uint64_t)seconds * 1000000, 100000, ask_machines, engine);
}

static void take_machines(struct engine *engine, const json_t *data)
{
    struct machine_list list = {0};
    const json_t *item;
    size_t i;

    json_array_foreach (data, i, item) {
        const char *version = json_string_value(json_object_get(item, "version"));
        struct machine_version parsed;

        if (str_equal(json_string_value(json_object_get(item, "type")), "q35") && version != NULL &&
            strchr(version, '+') == NULL && machine_version_parse(version, &parsed) &&
            !machine_list_has(&list, parsed) && machine_list_add(&list, parsed) < 0) {
            break; /* a shorter list is still true */
        }
    }
    machine_list_fini(&engine->machines);
    engine->machines = list;
}

static void on_machines(void *userdata, const struct api_reply *reply)
{
    struct engine *engine = userdata;
    bool first = engine->machines.n == 0;

    engine->machines_call = NULL;
    if (reply->result != API_OK) {
        engine->machines_retry_s = engine->machines_retry_s == 0 ? 2 : engine->machines_retry_s * 2;
        if (engine->machines_retry_s > 60) {
            engine->machines_retry_s = 60;
        }
        ask_machines_in(engine, engine->machines_retry_s);
        return;
    }
    engine->machines_retry_s = 0;
    take_machines(engine, reply->data);
    ask_machines_in(engine, ENGINE_MACHINES_S);
    if (first) {
        /* The first answer of the API since we run: now early rewriting can begin. */
        (void)engine_queue_all(engine, RECONCILE_FOR_DAEMON); /* no memory: rescan finds them */
        engine_survey_in(engine, 0);
    }
}

static int ask_machines(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct engine *engine = userdata;
    struct api_reply nothing = {.result = API_UNREACHABLE, .message = (char[]){"out of memory"}};

    (void)source, (void)usec;
    if (engine->machines_call != NULL) {
        return 0; /* the answer to the last one is still to come */
    }
    if (engine_send(engine, requests_machines(engine->node), on_machines, engine,
                    &engine->machines_call) < 0) {
        on_machines(engine, &nothing);
    }
    return 0;
}

/* --- journal
 * --------------------------------------------------------------------------------------------- */

int engine_record(struct vm *vm, const json_t *record, struct err *err)
{
    int rc = record == NULL ? -ENOMEM : journal_append(vm->engine->journal, vm->vmid, record, err);

    if (rc < 0) {
        engine_say(vm->engine, vm->vmid, LOG_ERR, MESSAGE_JOURNAL_BROKEN,
                   "VM %u: the change journal cannot be written: %s", vm->vmid,
                   err == NULL ? "see above" : err->text);
        return rc;
    }
    counters_add_record(&vm->engine->counters, record);
    rc = record_apply(&vm->memory, record);
    return rc < 0 ? rc : engine_claims_bind(vm);
}

int engine_load_memory(struct engine *engine, uint32_t vmid, struct record_memory *ret,
                       struct err *err)
{
    json_t *records = NULL;
    size_t bad = 0;
    int rc = journal_read(engine->journal, vmid, &records, &bad, err);

    if (rc == 0) {
        rc = record_replay(records, ret);
    }
    json_decref(records);
    if (bad > 0) {
        engine_say(engine, vmid, LOG_WARNING, MESSAGE_JOURNAL_BROKEN,
                   "VM %u: %zu lines of its change journal cannot be read and are left out", vmid,
                   bad);
    }
    return rc;
}

int engine_read_log(struct engine *engine, uint32_t vmid, json_t **ret_records, size_t *ret_bad,
                    struct err *err)
{
    return journal_read(engine->journal, vmid, ret_records, ret_bad, err);
}

int engine_journal_vmids(struct engine *engine, uint32_t **ret, size_t *ret_n)
{
    return journal_list(engine->journal, ret, ret_n, NULL);
}

void engine_tell(struct vm *vm, const struct reconcile_told *told)
{
    static const struct {
        int priority;
        const char *id;
    } how[] = {
        [RECONCILE_TELL_INFO] = {LOG_INFO, MESSAGE_IN_SYNC},
        [RECONCILE_TELL_CHANGE] = {LOG_NOTICE, MESSAGE_CHANGE_APPLIED},
        [RECONCILE_TELL_DONE] = {LOG_NOTICE, MESSAGE_REWRITTEN},
        [RECONCILE_TELL_WARNING] = {LOG_WARNING, MESSAGE_DRIFT},
        [RECONCILE_TELL_REVERTED] = {LOG_WARNING, MESSAGE_REVERTED},
        [RECONCILE_TELL_FAILED] = {LOG_ERR, MESSAGE_CHANGE_FAILED},
        [RECONCILE_TELL_STUCK] = {LOG_CRIT, MESSAGE_STUCK_DELETION},
        [RECONCILE_TELL_START] = {LOG_NOTICE, MESSAGE_START_REQUESTED},
        [RECONCILE_TELL_STARTED] = {LOG_NOTICE, MESSAGE_STARTED_AGAIN},
        [RECONCILE_TELL_DOWN] = {LOG_CRIT, MESSAGE_START_FAILED},
    };
    struct journal_message message = {
        .priority = how[told->kind].priority,
        .message_id = how[told->kind].id,
        .vmid = vm->vmid,
        .txn = vm->reconcile == NULL ? NULL : reconcile_txn(vm->reconcile),
        .option = told->option,
        .old = told->old,
        .new = told->new,
    };

    journal_tell(&message, "%s", told->text);
}

void engine_say(struct engine *engine, uint32_t vmid, int priority, const char *message_id,
                const char *format, ...)
{
    struct journal_message message = {.priority = priority, .message_id = message_id, .vmid = vmid};
    CLEANUP_FREE char *text = NULL;
    va_list args;

    (void)engine; /* one day it may be told to be quiet */
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) {
        text = NULL;
    }
    va_end(args);
    journal_tell(&message, "%s", text == NULL ? "(out of memory)" : text);
}

/* --- life --- */

static void on_store_changed(void *userdata, uint32_t vmid)
{
    struct engine *engine = userdata;
    struct vm *vm = engine_find(engine, vmid);

    engine_claims_fingerprint(engine, vmid);
    if (!store_has(engine->store, vmid) && (vm == NULL || vm->reconcile == NULL)) {
        engine_forget_unprinted(engine, vmid);
        return;
    }
    if (vm != NULL) {
        vm->retry_s = 0; /* something new: no reason to be slow */
    }
    /* No memory: the rescan comes by again. */
    (void)engine_enqueue(engine, vmid, RECONCILE_FOR_FINGERPRINT);
}

static char *short_host_name(void)
{
    char name[256];

    if (gethostname(name, sizeof(name)) < 0) {
        return NULL;
    }
    name[sizeof(name) - 1] = '\0';
    name[strcspn(name, ".")] = '\0';
    return str_dup(name);
}

static int build(struct engine *engine, struct err *err)
{
    int rc;

    engine->node = engine->settings->node != NULL ? str_dup(engine->settings->node)
                                                  : short_host_name();
    if (engine->node == NULL) {
        return err_set(err, -EINVAL, "this node's name is not known: set 'node:' in pve-hwid.conf");
    }
    rc = sd_event_add_defer(engine->event, &engine->queue_source, engine_queue_turn, engine);
    if (rc >= 0) {
        rc = sd_event_source_set_priority(engine->queue_source, SD_EVENT_PRIORITY_IDLE);
    }
    if (rc >= 0) {
        rc = sd_event_source_set_enabled(engine->queue_source, SD_EVENT_OFF);
    }
    if (rc < 0) {
        return err_set(err, rc, "event loop: %s", strerror(-rc));
    }
    rc = journal_open(engine->settings->state_dir, &engine->journal, err);
    if (rc >= 0) {
        rc = make_client(engine->event, engine->settings, &engine->pve, engine->client_key, err);
    }
    if (rc >= 0) {
        pve_observe(engine->pve, on_answer, engine);
        rc = store_new(engine->event, engine->settings, on_store_changed, engine, &engine->store,
                       err);
    }
    if (rc >= 0 && (claims_new(&engine->claims) < 0 || engine_survey_new(engine) < 0)) {
        rc = err_oom(err);
    }
    return rc;
}

int engine_new(sd_event *event, struct settings *settings, struct engine **ret, struct err *err)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    int rc;

    if (engine == NULL) {
        return err_oom(err);
    }
    engine->event = sd_event_ref(event);
    engine->settings = settings;
    engine->started_ms = engine_now();
    engine->api_ok = true; /* until shown otherwise: the first failure is told */
    rc = build(engine, err);
    if (rc >= 0) {
        rc = engine_recover(engine, err);
    }
    if (rc >= 0) {
        rc = engine_queue_all(engine, RECONCILE_FOR_DAEMON);
    }
    if (rc < 0) {
        engine->settings = NULL; /* still the caller's */
        engine_free(engine);
        return rc;
    }
    ask_machines_in(engine, 0);
    *ret = engine;
    return 0;
}

void engine_free(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    engine_waiters_end(engine);
    engine_hooks_end(engine);
    while (engine->vms != NULL) {
        engine_vm_free(engine->vms);
    }
    for (size_t i = 0; i < engine->n_summaries; i++) {
        free(engine->summaries[i].detail);
    }
    free(engine->summaries);
    free(engine->queue);
    engine_survey_free(engine);
    engine_claims_fini(engine);
    sd_event_source_disable_unref(engine->queue_source);
    sd_event_source_disable_unref(engine->machines_timer);
    store_free(engine->store);
    engine_cancel(engine->machines_call);
    free_retired(engine, true);
    pve_free(engine->pve);
    journal_close(engine->journal);
    machine_list_fini(&engine->machines);
    settings_free(engine->settings);
    free(engine->api_detail);
    free(engine->node);
    sd_event_unref(engine->event);
    free(engine);
}

static int reload_parts(struct engine *engine, struct settings *settings, struct err *err)
{
    struct retired *old = calloc(1, sizeof(*old));
    struct store *store = NULL;
    struct pve *pve = NULL;
    char key[SMBIOS_UUID_SIZE];
    int rc = -ENOMEM;

    memcpy(key, engine->client_key, sizeof(key));
    if (old != NULL) {
        rc = make_client(engine->event, settings, &pve, key, err);
    }
    if (rc >= 0) {
        rc = store_new(engine->event, settings, on_store_changed, engine, &store, err);
    }
    if (rc < 0) {
        pve_free(pve);
        free(old);
        return rc;
    }
    free_retired(engine, false);
    if (pve != NULL) {
        *old = (struct retired){.next = engine->retired, .pve = engine->pve};
        engine->retired = STEAL(old);
        pve_observe(engine->pve, NULL, NULL); /* what an old token is told says nothing now */
        pve_observe(pve, on_answer, engine);
        engine->pve = pve;
        memcpy(engine->client_key, key, sizeof(key));
    }
    free(old);
    store_free(engine->store);
    engine->store = store;
    return 0;
}

/* Another fingerprint_dir has other VMs. */
static void forget_absent(struct engine *engine)
{
    for (size_t i = engine->n_summaries; i > 0; i--) {
        uint32_t vmid = engine->summaries[i - 1].vmid;

        if (!store_has(engine->store, vmid) && engine_find(engine, vmid) == NULL) {
            engine_summary_remove(engine, vmid);
        }
    }
}

int engine_reload(struct engine *engine, struct settings *settings, struct err *err)
{
    int rc;

    if (!str_equal(settings->state_dir, engine->settings->state_dir) ||
        (settings->node != NULL && !str_equal(settings->node, engine->node))) {
        return err_set(
            err, -EINVAL,
            "'state_dir' and 'node' cannot change while the daemon runs: restart it with "
            "'systemctl restart pve-hwidd'");
    }
    rc = reload_parts(engine, settings, err);
    if (rc < 0) {
        return rc;
    }
    settings_free(engine->settings);
    engine->settings = settings;
    forget_absent(engine);
    engine_claims_restart(engine);
    ask_machines_in(engine, 0);
    /* The settings are ours by now, so there is no way back. No memory: at its next start or stop.
     */
    (void)engine_queue_all(engine, RECONCILE_FOR_FINGERPRINT);
    return 0;
}
