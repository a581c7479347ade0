/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See fake_pve.h: the answers, the faults, the starts. */
#include "fake_pve.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "fake_pve_priv.h"

enum {
    CALL_MS = 30,
    LOCK_WAIT_MS = 10000, /* recording 08a */
    LOST_MS = 15000,      /* until the client gives up waiting */
    START_MS = 2000,      /* recording 09a */
    STOP_MS = 1000,
    BACKUP_MS = 90000,
};

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

void fake_pve_refuse(struct api_reply *reply, int status, char *message)
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

        if (fake_map_get(&pve->deletes, pair->key) == NULL && !str_equal(pair->key, "parent")) {
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
static char *try_start(struct fake_pve *pve, bool ours, const char *worker)
{
    int code;

    if (pve->gone) {
        return str_dup("Configuration file 'nodes/n1/qemu-server/105.conf' does not exist");
    }
    if (fake_map_get(&pve->conf, "template") != NULL) {
        return str_dup("you can't start a vm if it's a template");
    }
    if (fake_map_get(&pve->conf, "lock") != NULL && !str_equal(worker, "vzdump")) {
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
        if (ours && pve->detached == NULL && !pve->deletes_at_first) {
            fake_pve_problem(pve, "we started the VM with a deletion pending: %s",
                             pve->deletes.items[0].key);
        }
    }
    fake_pve_apply_pending(pve);
    if (ours && fake_pve_attached_twice(pve) != NULL) {
        fake_pve_problem(pve, "we started the VM with %s attached twice",
                         fake_pve_attached_twice(pve));
    }
    code = worker != NULL && pve->pre_start != NULL ? pve->pre_start(pve->userdata, ours, worker)
                                                    : 0;
    if (code != 0 && !str_equal(worker, "qmstart")) {
        fake_pve_problem(pve, "a start by %s was stopped", worker);
    }
    if (code != 0) {
        pve->own_start_refused = pve->own_start_refused || ours;
        return str_printf("hookscript error for 105 on pre-start: exit code %d ", code);
    }
    for (size_t i = 0; i < pve->conf.n; i++) {
        const struct fake_pair *pair = &pve->conf.items[i];

        if (fake_pve_is_drive(pair->key) && fake_pve_volume_is_away(pve, pair->value)) {
            return str_printf("volume of %s does not exist", pair->key);
        }
    }
    pve->running = true;
    pve->n_runs++;
    fake_late_note_start(pve, ours, pve->pre_start != NULL && str_equal(worker, "qmstart"));
    pve->we_know_it_runs = false;
    pve->changes_while_running = 0;
    return NULL;
}

void fake_pve_add_task(struct fake_pve *pve, struct fake_task task)
{
    if (vec_reserve(&pve->tasks, pve->n_tasks, &pve->cap_tasks, sizeof(task)) < 0) {
        abort();
    }
    pve->tasks[pve->n_tasks++] = task;
}

/* Likewise, with its task in the list. `worker` as in fake_pve_start_by_others(). */
static char *start(struct fake_pve *pve, bool ours, const char *worker)
{
    struct fake_task task = {.started_ms = pve->now_ms, .ours = ours, .polls = 2};
    char *exit;

    fake_pve_catch_up(pve);
    exit = try_start(pve, ours, worker);

    if (exit == NULL) {
        pve->now_ms += START_MS;
    }
    if (worker != NULL && !str_equal(worker, "qmstart")) {
        return exit;
    }
    task.exit = str_dup(exit);
    fake_pve_add_task(pve, task);
    return exit;
}

bool fake_pve_start_by_others(struct fake_pve *pve, bool hook)
{
    char *exit = start(pve, false, hook ? "qmstart" : NULL);
    bool runs = exit == NULL;

    free(exit);
    return runs;
}

void fake_pve_start_by_backup(struct fake_pve *pve)
{
    if (pve->gone || pve->running || fake_map_get(&pve->conf, "lock") != NULL) {
        return;
    }
    fake_pve_set(pve, "lock", "backup");
    free(start(pve, false, "vzdump")); /* or not: the backup ends all the same */
    pve->locked_until_ms = pve->now_ms + BACKUP_MS;
    pve->stops_with_lock = pve->running;
}

static void end_lock(struct fake_pve *pve)
{
    pve->locked_until_ms = 0;
    fake_pve_set(pve, "lock", NULL);
    if (pve->stops_with_lock) {
        pve->stops_with_lock = false;
        fake_pve_stop_by_others(pve);
    }
}

static void run_no_more(struct fake_pve *pve)
{
    fake_pve_catch_up(pve);
    /* Nobody has seen it run since: there was nobody to be told. */
    pve->twice_live = pve->twice_live && pve->we_know_it_runs;
    pve->running = pve->told_started = false;
    pve->now_ms += STOP_MS;
}

void fake_pve_stop(struct fake_pve *pve)
{
    run_no_more(pve);
    fake_pve_apply_pending(pve);
}

static void end_running(struct fake_pve *pve, void (*stop)(struct fake_pve *pve))
{
    if (pve->gone || !pve->running || fake_map_get(&pve->conf, "lock") != NULL) {
        return;
    }
    stop(pve);
    pve->n_stops++;
    if (pve->stopped != NULL) {
        pve->stopped(pve->userdata);
    }
}

void fake_pve_stop_by_others(struct fake_pve *pve)
{
    end_running(pve, fake_pve_stop);
}

void fake_pve_power_off(struct fake_pve *pve)
{
    end_running(pve, run_no_more);
}

static int64_t task_second(const struct fake_task *task)
{
    return FAKE_PVE_EPOCH + task->started_ms / 1000;
}

static const char *task_user(const struct fake_task *task, bool whole)
{
    return !task->ours ? "root@pam" : whole ? "pve-hwid@pve!daemon" : "pve-hwid@pve";
}

/* The caller's. */
static char *task_upid(const struct fake_pve *pve, size_t i)
{
    return str_printf("UPID:n1:%08zX:00066E30:%08llX:qmstart:105:%s:", i + 1,
                      (unsigned long long)task_second(&pve->tasks[i]),
                      task_user(&pve->tasks[i], true));
}

/* The one whose status this path asks for; NULL: there is none. */
static struct fake_task *find_task(const struct fake_pve *pve, const char *what)
{
    for (size_t i = 0; i < pve->n_tasks; i++) {
        CLEANUP_FREE char *upid = task_upid(pve, i);

        if (str_starts(what, upid) && str_equal(what + strlen(upid), "/status")) {
            return &pve->tasks[i];
        }
    }
    return NULL;
}

static void our_start(struct fake_pve *pve, struct api_reply *reply)
{
    CLEANUP_FREE char *upid = NULL;

    if (pve->told_started && pve->landing == NULL) {
        fake_pve_problem(pve, "a start was asked for twice, and the first had ended well");
    }
    pve->start_calls++;
    free(pve->task_exit);
    pve->task_exit = start(pve, true, "qmstart");
    pve->our_starts += pve->task_exit == NULL;
    upid = task_upid(pve, pve->n_tasks - 1);
    ok(reply, json_string(upid));
}

static void task_status(struct fake_pve *pve, const char *upid, struct api_reply *reply)
{
    struct fake_task *task = find_task(pve, upid);

    if (task == NULL) {
        fake_pve_problem(pve, "asked for a task that is none: %s", upid);
        fake_pve_refuse(reply, 400, str_dup("Parameter verification failed."));
        return;
    }
    if (task->polls > 0) {
        task->polls--;
        ok(reply, json_pack("{s:s}", "status", "running"));
        return;
    }
    if (task->ours && task == &pve->tasks[pve->n_tasks - 1]) {
        pve->told_started = task->exit == NULL && pve->running;
    }
    ok(reply, json_pack("{s:s, s:s}", "status", "stopped", "exitstatus",
                        task->exit == NULL ? "OK" : task->exit));
}

static json_t *task_entry(const struct fake_pve *pve, size_t i)
{
    const struct fake_task *task = &pve->tasks[i];
    CLEANUP_FREE char *upid = task_upid(pve, i);
    json_t *entry = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "upid", upid, "type", "qmstart",
                              "id", "105", "starttime", (json_int_t)task_second(task), "status",
                              task->polls > 0      ? "RUNNING"
                              : task->exit == NULL ? "OK"
                                                   : task->exit,
                              "node", "n1");

    /* The active ones have the user as it is in the UPID, the archived ones apart. */
    json_object_set_new(entry, "user", json_string(task_user(task, task->polls > 0)));
    if (task->ours && task->polls == 0) {
        json_object_set_new(entry, "tokenid", json_string("daemon"));
    }
    return entry;
}

static const char *param(const struct api_request *request, const char *key)
{
    for (size_t i = 0; i < request->n_params; i++) {
        if (str_equal(request->params[i].key, key)) {
            return request->params[i].value;
        }
    }
    return "";
}

/* The newest first. A token sees its own tasks, unless it may audit the node (recordings 01, 09).
 */
static void task_list(struct fake_pve *pve, const struct api_request *request,
                      struct api_reply *reply)
{
    json_t *data = json_array();
    int64_t since = strtoll(param(request, "since"), NULL, 10);

    if (!str_equal(param(request, "vmid"), "105") ||
        !str_equal(param(request, "typefilter"), "qmstart") ||
        !str_equal(param(request, "source"), "all")) {
        fake_pve_problem(pve, "the list of tasks is asked for in another way");
    }
    for (size_t i = pve->n_tasks; i-- > 0;) {
        if ((pve->tasks[i].ours || pve->auditor) && task_second(&pve->tasks[i]) >= since) {
            json_array_append_new(data, task_entry(pve, i));
        }
    }
    ok(reply, data);
}

/* --- the call ------------------------------------------------------------------------------- */

void fake_pve_answer(struct fake_pve *pve, const struct api_request *request,
                     struct api_reply *reply)
{
    const char *what = request->path + strlen("/nodes/n1/");

    if (str_starts(what, "tasks/")) {
        task_status(pve, what + strlen("tasks/"), reply);
    } else if (str_equal(what, "tasks")) {
        task_list(pve, request, reply);
    } else if (str_ends(what, "status/start") && request->method == API_POST) {
        our_start(pve, reply);
    } else if (pve->gone) {
        fake_pve_refuse(
            reply, 500,
            str_dup("Configuration file 'nodes/n1/qemu-server/105.conf' does not exist"));
    } else if (request->method == API_PUT && str_ends(what, "/config")) {
        int status = 200;
        char *error = fake_pve_put(pve, request, &status);

        if (error == NULL) {
            ok(reply, NULL);
        } else {
            fake_pve_refuse(reply, status, error);
        }
    } else if (str_ends(what, "/config")) {
        ok(reply, config_data(pve));
    } else if (str_ends(what, "/pending")) {
        ok(reply, pending_data(pve));
    } else if (str_ends(what, "status/current")) {
        ok(reply, status_data(pve));
    } else {
        fake_pve_problem(pve, "an unknown call: %s", request->path);
        fake_pve_refuse(reply, 501, str_dup("not implemented"));
    }
}

void fake_pve_forget_probes(struct fake_pve *pve)
{
    fake_map_fini(&pve->probed);
    pve->probed = (struct fake_map){0};
}

void fake_pve_calm(struct fake_pve *pve)
{
    pve->n_faults = 0;
    pve->away_until_ms = pve->storage_until_ms = pve->api_until_ms = 0;
    pve->flock_calls = pve->half_writes = 0;
    pve->stale = pve->always_stale = pve->blinks = false;
    if (pve->locked_until_ms != 0) {
        end_lock(pve);
    }
}

static void pass_time(struct fake_pve *pve)
{
    pve->now_ms += CALL_MS;
    if (pve->locked_until_ms != 0 && pve->now_ms >= pve->locked_until_ms) {
        end_lock(pve);
    }
}

/* PVE waits 10 s for the flock before it answers that somebody holds it. */
static void wait_for_flock(struct fake_pve *pve, const struct api_reply *reply)
{
    if (reply->message != NULL && strstr(reply->message, "got timeout") != NULL) {
        pve->now_ms += LOCK_WAIT_MS;
    }
}

static bool is_due(const struct fake_pve *pve, const struct fake_fault *fault)
{
    return fault->at != 0 ? fault->at == pve->n_requests
                          : pve->broken_at != 0 && pve->broken_at + 1 == pve->n_requests;
}

void fake_pve_call(struct fake_pve *pve, const struct api_request *request,
                   struct api_reply *ret_reply)
{
    bool lost = false, answered = false;

    *ret_reply = (struct api_reply){0};
    pass_time(pve);
    fake_pve_catch_up(pve);
    pve->n_requests++;
    pve->n_changing += request->changing;
    if (request->changing != (request->method != API_GET)) {
        fake_pve_problem(pve, "%s: `changing` is wrong", request->path);
    }
    for (size_t i = 0; i < pve->n_faults && !answered; i++) {
        if (is_due(pve, &pve->faults[i])) {
            pve->n_struck++;
            lost = lost || pve->faults[i].kind == FAULT_LOST_AFTER;
            answered = fake_pve_strike(pve, pve->faults[i].kind, ret_reply);
            if (pve->faults[i].kind == FAULT_LATE) {
                fake_pve_put_off(pve, request);
            }
        }
    }
    if (!answered && pve->now_ms < pve->api_until_ms) {
        fake_pve_refuse(ret_reply, 0, str_dup("Connection refused"));
    } else if (!answered) {
        fake_pve_answer(pve, request, ret_reply);
        wait_for_flock(pve, ret_reply);
    }
    pve->blinks = false;
    if (lost && !answered) {
        api_reply_fini(ret_reply);
        pve->now_ms += LOST_MS;
        fake_pve_refuse(ret_reply, 504, str_dup("no answer"));
    }
}

void fake_pve_fini(struct fake_pve *pve)
{
    fake_map_fini(&pve->conf);
    fake_map_fini(&pve->pending);
    fake_map_fini(&pve->deletes);
    fake_map_fini(&pve->volumes);
    fake_map_fini(&pve->unread);
    fake_map_fini(&pve->probed);
    for (size_t i = 0; i < pve->n_snapshots; i++) {
        free(pve->snapshots[i].name);
        free(pve->snapshots[i].head);
        fake_map_fini(&pve->snapshots[i].keys);
    }
    free(pve->snapshots);
    fake_late_fini(pve);
    free(pve->raw);
    free(pve->head);
    free(pve->detached);
    free(pve->fingerprint);
    free(pve->task_exit);
    for (size_t i = 0; i < pve->n_tasks; i++) {
        free(pve->tasks[i].exit);
    }
    free(pve->tasks);
}
