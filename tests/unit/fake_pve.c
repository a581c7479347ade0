/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See fake_pve.h: the answers, the faults, the starts. */
#include "fake_pve.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/drive.h"
#include "fake_pve_priv.h"

static const char *const names[FAULT_KINDS] = {
    [FAULT_UNREACHABLE] = "unreachable",
    [FAULT_LOST_BEFORE] = "lost-before",
    [FAULT_LOST_AFTER] = "lost-after",
    [FAULT_LOCK_TIMEOUT] = "lock-timeout",
    [FAULT_CHECKSUM] = "checksum",
    [FAULT_VM_LOCKED] = "vm-locked",
    [FAULT_FORBIDDEN] = "forbidden",
    [FAULT_VOLUME_AWAY] = "volume-away",
    [FAULT_VOLUME_BLINKS] = "volume-blinks",
    [FAULT_STORAGE_AWAY] = "storage-away",
    [FAULT_STARTED] = "started",
    [FAULT_STARTED_RAW] = "started-raw",
    [FAULT_EDITED_OTHER] = "edited-other",
    [FAULT_EDITED_SAME] = "edited-same",
    [FAULT_FP_REMOVED] = "fp-removed",
    [FAULT_FP_EDITED] = "fp-edited",
    [FAULT_FP_BROKEN] = "fp-broken",
    [FAULT_VM_GONE] = "vm-gone",
    [FAULT_OVERLOAD] = "overload",
};

enum {
    CALL_MS = 30,
    LOCK_WAIT_MS = 10000, /* recording 08a */
    LOST_MS = 15000,      /* until the client gives up waiting */
    AWAY_MS = 600000,
    LOCKED_MS = 90000,
};

const char *fake_fault_name(enum fake_fault_kind kind)
{
    return names[kind];
}

void fake_pve_problem(struct fake_pve *pve, const char *format, ...)
{
    va_list args;

    if (pve->problem[0] != '\0') {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(pve->problem, sizeof(pve->problem), format, args); /* cut is fine */
    va_end(args);
}

/* --- replies -------------------------------------------------------------------------------- */

static void refuse(struct api_reply *reply, int status, char *message)
{
    *reply = (struct api_reply){.result = status == 0     ? API_UNREACHABLE
                                          : status == 504 ? API_LOST
                                                          : API_REFUSED,
                                .status = status,
                                .message = message};
}

static void ok(struct api_reply *reply, json_t *data)
{
    *reply = (struct api_reply){.result = API_OK, .status = 200, .data = data};
}

char *fake_pve_digest(const struct fake_pve *pve)
{
    char *text = fake_pve_text(pve);
    uint64_t hash = 14695981039346656037u; /* FNV-1a: any hash of the text will do */

    for (const char *c = text; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    }
    free(text);
    return str_printf("%016llx%016llx%08x", (unsigned long long)hash,
                      (unsigned long long)(hash * 31), (unsigned)(hash >> 32));
}

static json_t *config_data(const struct fake_pve *pve)
{
    json_t *data = json_object();
    char *hash = fake_pve_digest(pve);

    for (size_t i = 0; i < pve->conf.n; i++) {
        const struct fake_pair *pair = &pve->conf.items[i];

        if (fake_map_get(&pve->deletes, pair->key) == NULL) {
            json_object_set_new(data, pair->key, json_string(pair->value));
        }
    }
    for (size_t i = 0; i < pve->pending.n; i++) {
        json_object_set_new(data, pve->pending.items[i].key,
                            json_string(pve->pending.items[i].value));
    }
    json_object_set_new(data, "digest", json_string(hash));
    free(hash);
    return data;
}

static json_t *pending_data(const struct fake_pve *pve)
{
    json_t *data = json_array();
    char *hash = fake_pve_digest(pve);

    json_array_append_new(data, json_pack("{s:s, s:s}", "key", "digest", "value", hash));
    free(hash);
    for (size_t i = 0; i < pve->conf.n; i++) {
        const struct fake_pair *pair = &pve->conf.items[i];
        const char *pending = fake_map_get(&pve->pending, pair->key);
        json_t *item = json_pack("{s:s, s:s}", "key", pair->key, "value", pair->value);

        if (pending != NULL) {
            json_object_set_new(item, "pending", json_string(pending));
        }
        if (fake_map_get(&pve->deletes, pair->key) != NULL) {
            json_object_set_new(item, "delete", json_integer(1));
        }
        json_array_append_new(data, item);
    }
    for (size_t i = 0; i < pve->pending.n; i++) {
        const struct fake_pair *pair = &pve->pending.items[i];

        if (fake_map_get(&pve->conf, pair->key) == NULL) {
            json_array_append_new(
                data, json_pack("{s:s, s:s}", "key", pair->key, "pending", pair->value));
        }
    }
    return data;
}

static json_t *status_data(struct fake_pve *pve)
{
    pve->we_know_it_runs = pve->running;
    return json_pack("{s:s, s:{s:i}}", "status", pve->running ? "running" : "stopped", "ha",
                     "managed", pve->ha_managed);
}

/* --- starts --------------------------------------------------------------------------------- */

/* NULL: it runs; else the exit status of the start task. The caller's. */
static char *start(struct fake_pve *pve, bool ours, bool hook)
{
    int code;

    if (pve->gone) {
        return str_dup("Configuration file 'nodes/n1/qemu-server/105.conf' does not exist");
    }
    if (fake_map_get(&pve->conf, "lock") != NULL) {
        return str_printf("VM is locked (%s)", fake_map_get(&pve->conf, "lock"));
    }
    if (pve->flock_calls > 0) {
        pve->flock_calls--;
        return str_dup("can't lock file '/var/lock/qemu-server/lock-105.conf' - got timeout");
    }
    if (pve->running) {
        return str_dup("VM 105 already running");
    }
    if (pve->deletes.n > 0) {
        pve->harmed_by_others = true;
        if (ours) {
            fake_pve_problem(pve, "we started the VM with a deletion pending: %s",
                             pve->deletes.items[0].key);
        }
    }
    fake_pve_apply_pending(pve);
    code = hook && pve->pre_start != NULL ? pve->pre_start(pve->userdata, ours) : 0;
    if (code != 0) {
        pve->own_start_refused = pve->own_start_refused || ours;
        return str_printf("hookscript error for 105 on pre-start: exit code %d ", code);
    }
    for (size_t i = 0; i < pve->conf.n; i++) {
        const struct fake_pair *pair = &pve->conf.items[i];

        if (fake_pve_is_disk(pair->key) && fake_pve_volume_is_away(pve, pair->value)) {
            return str_printf("volume of %s does not exist", pair->key);
        }
    }
    pve->running = true;
    pve->we_know_it_runs = false;
    pve->changes_while_running = 0;
    return NULL;
}

bool fake_pve_start_by_others(struct fake_pve *pve, bool hook)
{
    char *exit = start(pve, false, hook);
    bool runs = exit == NULL;

    free(exit);
    return runs;
}

void fake_pve_stop(struct fake_pve *pve)
{
    pve->running = false;
    fake_pve_apply_pending(pve);
}

static void our_start(struct fake_pve *pve, struct api_reply *reply)
{
    pve->start_calls++;
    free(pve->task_exit);
    pve->task_exit = start(pve, true, true);
    pve->our_starts += pve->task_exit == NULL;
    pve->task_polls = 2;
    ok(reply, json_string("UPID:n1:00000638:00066E30:6B03A07B:qmstart:105:pve-hwid@pve!daemon:"));
}

static void task_status(struct fake_pve *pve, struct api_reply *reply)
{
    if (pve->task_polls > 0) {
        pve->task_polls--;
        ok(reply, json_pack("{s:s}", "status", "running"));
        return;
    }
    ok(reply, json_pack("{s:s, s:s}", "status", "stopped", "exitstatus",
                        pve->task_exit == NULL ? "OK" : pve->task_exit));
}

/* --- faults --------------------------------------------------------------------------------- */

static void edit(struct fake_pve *pve, const char *key, const char *value)
{
    if (pve->gone || fake_map_get(&pve->conf, "lock") != NULL) {
        return; /* PVE refuses somebody else, too */
    }
    if (pve->deletes.n > 0 && !pve->running) {
        pve->harmed_by_others = true; /* recording 06n3: any later PUT carries it out */
    }
    if (!pve->running) {
        fake_pve_apply_pending(pve);
        fake_map_set(&pve->conf, key, value);
    } else {
        fake_map_set(&pve->pending, key, value);
    }
}

static void set_fingerprint(struct fake_pve *pve, const char *text)
{
    free(pve->fingerprint);
    pve->fingerprint = str_dup(text);
}

static void lock_for_backup(struct fake_pve *pve)
{
    fake_map_set(&pve->conf, "lock", "backup");
    pve->locked_until_ms = pve->now_ms + LOCKED_MS;
}

static void go_away(struct fake_pve *pve)
{
    pve->gone = true;
    pve->running = false;
}

/* True: the answer is in `reply` already. */
static bool strike(struct fake_pve *pve, enum fake_fault_kind kind, struct api_reply *reply)
{
    switch (kind) {
    case FAULT_UNREACHABLE:
        refuse(reply, 0, str_dup("Connection refused"));
        return true;
    case FAULT_LOST_BEFORE:
        pve->now_ms += LOST_MS;
        refuse(reply, 504, str_dup("no answer"));
        return true;
    case FAULT_OVERLOAD:
        refuse(reply, 503, str_dup("Service Unavailable"));
        return true;
    case FAULT_FORBIDDEN:
        refuse(reply, 403, str_dup("Permission check failed (/vms/105, VM.Config.Disk)"));
        return true;
    case FAULT_LOST_AFTER:
        return false; /* fake_pve_call() drops the answer */
    case FAULT_LOCK_TIMEOUT:
        pve->flock_calls += 3;
        return false;
    case FAULT_CHECKSUM:
        pve->stale = true; /* no digest fits the next changing call */
        return false;
    case FAULT_VM_LOCKED:
        lock_for_backup(pve);
        return false;
    case FAULT_VOLUME_AWAY:
        pve->away_until_ms = pve->now_ms + AWAY_MS;
        return false;
    case FAULT_VOLUME_BLINKS:
        pve->blinks = true;
        return false;
    case FAULT_STORAGE_AWAY:
        pve->storage_until_ms = pve->now_ms + AWAY_MS;
        return false;
    case FAULT_STARTED:
    case FAULT_STARTED_RAW:
        (void)fake_pve_start_by_others(pve, kind == FAULT_STARTED); /* or not: both is fine */
        return false;
    case FAULT_EDITED_OTHER:
        edit(pve, "tags", "edited");
        return false;
    case FAULT_EDITED_SAME:
        edit(pve, "smbios1", "uuid=11111111-2222-3333-4444-555555555555");
        return false;
    case FAULT_FP_REMOVED:
        set_fingerprint(pve, NULL);
        return false;
    case FAULT_FP_EDITED:
        set_fingerprint(pve, pve->edited_fingerprint);
        return false;
    case FAULT_FP_BROKEN:
        set_fingerprint(pve, "{ not a fingerprint");
        return false;
    case FAULT_VM_GONE:
        go_away(pve);
        return false;
    case FAULT_KINDS:
        break;
    }
    abort();
}

/* --- the call ------------------------------------------------------------------------------- */

static void answer(struct fake_pve *pve, const struct api_request *request, struct api_reply *reply)
{
    const char *what = request->path + strlen("/nodes/n1/");

    if (str_starts(what, "tasks/")) {
        task_status(pve, reply);
    } else if (str_ends(what, "status/start") && request->method == API_POST) {
        our_start(pve, reply);
    } else if (pve->gone) {
        refuse(reply, 500,
               str_dup("Configuration file 'nodes/n1/qemu-server/105.conf' does not exist"));
    } else if (request->method == API_PUT && str_ends(what, "/config")) {
        int status = 200;
        char *error = fake_pve_put(pve, request, &status);

        if (error == NULL) {
            ok(reply, NULL);
        } else {
            refuse(reply, status, error);
        }
    } else if (str_ends(what, "/config")) {
        ok(reply, config_data(pve));
    } else if (str_ends(what, "/pending")) {
        ok(reply, pending_data(pve));
    } else if (str_ends(what, "status/current")) {
        ok(reply, status_data(pve));
    } else {
        fake_pve_problem(pve, "an unknown call: %s", request->path);
        refuse(reply, 501, str_dup("not implemented"));
    }
}

static void pass_time(struct fake_pve *pve)
{
    pve->now_ms += CALL_MS;
    if (pve->locked_until_ms != 0 && pve->now_ms >= pve->locked_until_ms) {
        fake_map_set(&pve->conf, "lock", NULL);
        pve->locked_until_ms = 0;
    }
}

/* PVE waits 10 s for the flock before it answers that somebody holds it. */
static void wait_for_flock(struct fake_pve *pve, const struct api_reply *reply)
{
    if (reply->message != NULL && strstr(reply->message, "got timeout") != NULL) {
        pve->now_ms += LOCK_WAIT_MS;
    }
}

void fake_pve_call(struct fake_pve *pve, const struct api_request *request,
                   struct api_reply *ret_reply)
{
    bool lost = false, answered = false;

    *ret_reply = (struct api_reply){0};
    pass_time(pve);
    pve->n_requests++;
    pve->n_changing += request->changing;
    if (request->changing != (request->method != API_GET)) {
        fake_pve_problem(pve, "%s: `changing` is wrong", request->path);
    }
    for (size_t i = 0; i < pve->n_faults && !answered; i++) {
        if (pve->faults[i].at == pve->n_requests) {
            lost = lost || pve->faults[i].kind == FAULT_LOST_AFTER;
            answered = strike(pve, pve->faults[i].kind, ret_reply);
        }
    }
    if (!answered) {
        answer(pve, request, ret_reply);
        wait_for_flock(pve, ret_reply);
    }
    pve->blinks = false;
    if (lost && !answered) {
        api_reply_fini(ret_reply);
        pve->now_ms += LOST_MS;
        refuse(ret_reply, 504, str_dup("no answer"));
    }
}

void fake_pve_fini(struct fake_pve *pve)
{
    fake_map_fini(&pve->conf);
    fake_map_fini(&pve->pending);
    fake_map_fini(&pve->deletes);
    free(pve->fingerprint);
    free(pve->task_exit);
}
