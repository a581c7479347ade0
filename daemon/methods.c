/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See methods.h. Each handler: read the parameters, ask the engine, answer or map the error. */
#include "methods.h"

#include <errno.h>

#include "base/str.h"
#include "core/survey.h"
#include "core/wire.h"
#include "io/clock.h"

/* --- errors
 * ----------------------------------------------------------------------------------------- */

static void fail(struct server_call *call, uint32_t vmid, int code, const struct err *err)
{
    json_t *message = json_pack("{s:s}", "message", err->text);
    json_t *which = json_pack("{s:I}", "vmid", (json_int_t)vmid);

    switch (-code) {
    case ENOENT:
        server_call_error(call, "io.pvehwid.NoFingerprint", json_incref(which));
        break;
    case ESRCH:
        server_call_error(call, "io.pvehwid.NoSuchVm", json_incref(which));
        break;
    case EINVAL:
        server_call_error(call, "io.pvehwid.BadInput", json_incref(message));
        break;
    case EBUSY:
        server_call_error(call, "io.pvehwid.Busy", json_incref(message));
        break;
    default:
        server_call_error(call, "io.pvehwid.Failed", json_incref(message));
        break;
    }
    json_decref(message);
    json_decref(which);
}

/* The one parameter of most methods; 0: an answer was given already. */
static uint32_t get_vmid(struct server_call *call)
{
    struct wire_fields f = {.object = server_call_parameters(call)};
    int64_t vmid = wire_get_int(&f, "vmid", WIRE_NEEDED, WIRE_VMID_MIN, WIRE_VMID_MAX);

    if (!wire_fields_done(&f)) {
        server_call_bad(call, f.bad);
        return 0;
    }
    return (uint32_t)vmid;
}

/* --- hook
 * -----------------------------------------------------------------------------------------------
 */

struct hook_call {
    struct server_call *call;
    struct engine *engine;
    enum wire_phase phase;
    uint64_t asked_us;
    bool gone;
};

static void count_hook(const struct hook_call *hook_call, enum wire_hook_exit exit_code)
{
    enum counters_answer answer = exit_code == WIRE_HOOK_RESTART  ? COUNTERS_RESTART
                                  : exit_code == WIRE_HOOK_REFUSE ? COUNTERS_REFUSE
                                                                  : COUNTERS_GO;

    engine_count_hook(hook_call->engine, hook_call->phase,
                      hook_call->gone ? COUNTERS_ABANDONED : answer,
                      clock_monotonic_us() - hook_call->asked_us);
}

static void on_hook_done(void *userdata, enum wire_hook_exit exit_code, const struct notes *lines)
{
    struct wire_hook_reply reply = {.exit_code = exit_code, .lines = *lines};
    struct hook_call *hook_call = userdata;

    server_call_on_gone(hook_call->call, NULL, NULL);
    server_call_reply(hook_call->call, wire_hook_reply_to_json(&reply));
    count_hook(hook_call, exit_code);
    free(hook_call);
}

static void on_hook_gone(void *userdata)
{
    struct hook_call *hook_call = userdata;

    hook_call->gone = true;
    engine_hook_gone(hook_call->engine, hook_call);
}

static void method_hook(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    struct hook_call *hook_call;
    struct wire_hook_call hook;
    const char *bad = NULL;

    if (!wire_hook_call_from_json(server_call_parameters(call), &hook, &bad)) {
        server_call_bad(call, bad);
        return;
    }
    if (hook.phase == WIRE_PRE_START && server_call_is_gone(call)) {
        engine_count_hook(methods->engine, hook.phase, COUNTERS_ABANDONED, 0);
        server_call_reply(call, json_object()); /* that hook has decided by itself */
        return;
    }
    hook_call = malloc(sizeof(*hook_call));
    if (hook_call == NULL) {
        fail(call, hook.vmid, -ENOMEM, &(struct err){"out of memory"});
        return;
    }
    *hook_call = (struct hook_call){.call = call,
                                    .engine = methods->engine,
                                    .phase = hook.phase,
                                    .asked_us = clock_monotonic_us()};
    server_call_on_gone(call, on_hook_gone, hook_call);
    (void)engine_hook(methods->engine, &hook, on_hook_done, hook_call); /* it always answers */
}

/* --- plan, log, status
 * ------------------------------------------------------------------------------------ */

static void method_plan(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    uint32_t vmid = get_vmid(call);
    struct err err = {""};
    json_t *plan = NULL;
    int rc;

    if (vmid == 0) {
        return;
    }
    rc = engine_plan(methods->engine, vmid, &plan, &err);
    if (rc < 0) {
        fail(call, vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:o}", "plan", plan));
}

static void method_report(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    uint32_t vmid = get_vmid(call);
    struct err err = {""};
    json_t *report = NULL;
    int rc;

    if (vmid == 0) {
        return;
    }
    rc = engine_report(methods->engine, vmid, &report, &err);
    if (rc < 0) {
        fail(call, vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:o}", "report", report));
}

static void method_status(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    json_t *status = NULL;

    if (engine_status(methods->engine, &status) < 0) {
        fail(call, 0, -ENOMEM, &(struct err){"out of memory"});
        return;
    }
    server_call_reply(call, status);
}

static void method_metrics(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    json_t *metrics = NULL;

    if (engine_metrics(methods->engine, &metrics) < 0) {
        fail(call, 0, -ENOMEM, &(struct err){"out of memory"});
        return;
    }
    server_call_reply(call, metrics);
}

enum { LOG_PART = 50 }; /* records of one reply: a begin record may have some KiB */

static void method_log(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    uint32_t vmid = get_vmid(call);
    struct err err = {""};
    json_t *records = NULL;
    size_t bad = 0;
    int rc;

    if (vmid == 0) {
        return;
    }
    rc = engine_log(methods->engine, vmid, &records, &bad, &err);
    if (rc < 0) {
        fail(call, vmid, rc, &err);
        return;
    }
    while (server_call_wants_more(call) && json_array_size(records) > LOG_PART) {
        json_t *part = json_array();

        for (size_t i = 0; i < LOG_PART; i++) {
            (void)json_array_append(part, json_array_get(records, 0)); /* short of memory: a gap */
            (void)json_array_remove(records, 0);                       /* index 0 is there */
        }
        server_call_progress(call, json_pack("{s:o, s:i}", "records", part, "unreadable", 0));
    }
    server_call_reply(call,
                      json_pack("{s:o, s:I}", "records", records, "unreadable", (json_int_t)bad));
}

/* --- lists: a part per turn of the event loop, so that hooks never wait for them
 * ---------------------------- */

enum { LIST_PART = 32, LIST_PART_OF_OTHERS = 2 };

struct listing {
    struct server_call *call;
    struct methods *methods;
    sd_event_source *source;
    uint32_t *vmids;
    size_t n, next;
    json_t *states; /* of the part being filled */
    bool check;     /* compare afresh; else as last known */
};

static void listing_free(struct listing *listing)
{
    sd_event_source_disable_unref(listing->source);
    json_decref(listing->states);
    free(listing->vmids);
    free(listing);
}

static void listing_add(struct listing *listing, uint32_t vmid)
{
    struct engine *engine = listing->methods->engine;
    struct err err = {""};
    json_t *state = NULL;
    int rc = listing->check ? engine_check(engine, vmid, &state, &err)
                            : engine_state(engine, vmid, &state);

    if (rc == 0) {
        (void)json_array_append_new(listing->states, state); /* short of memory: a gap */
    } else if (rc == -EINVAL) {
        state = json_pack("{s:I, s:s, s:s, s:s, s:i}", "vmid", (json_int_t)vmid, "state", "failed",
                          "origin", "none", "detail", err.text, "changes", 0);
        (void)json_array_append_new(listing->states, state); /* likewise */
    }
}

static int on_listing(sd_event_source *source, void *userdata)
{
    struct listing *listing = userdata;
    size_t part = server_call_is_root(listing->call) ? LIST_PART : LIST_PART_OF_OTHERS;
    size_t end = listing->next + part < listing->n ? listing->next + part : listing->n;

    (void)source; /* the listing has it */
    while (listing->next < end) {
        listing_add(listing, listing->vmids[listing->next++]);
    }
    if (listing->next < listing->n) {
        if (server_call_wants_more(listing->call)) {
            server_call_progress(listing->call, json_pack("{s:O}", "vms", listing->states));
            (void)json_array_clear(listing->states); /* an array: cannot fail */
        }
        return 0;
    }
    server_call_on_gone(listing->call, NULL, NULL);
    server_call_reply(listing->call, json_pack("{s:O}", "vms", listing->states));
    listing_free(listing);
    return 0;
}

static void on_listing_gone(void *userdata)
{
    struct listing *listing = userdata;

    server_call_reply(listing->call, json_object()); /* nobody hears it */
    listing_free(listing);
}

static void list(struct server_call *call, struct methods *methods, bool check)
{
    struct listing *listing = calloc(1, sizeof(*listing));
    struct err err = {"out of memory"};
    int rc = -ENOMEM;

    if (listing != NULL) {
        *listing = (struct listing){
            .call = call, .methods = methods, .check = check, .states = json_array()};
        rc = engine_vmids(methods->engine, &listing->vmids, &listing->n);
    }
    if (rc >= 0) {
        rc = sd_event_add_defer(methods->event, &listing->source, on_listing, listing);
    }
    if (rc >= 0 && !server_call_is_root(call)) {
        rc = sd_event_source_set_priority(listing->source, SD_EVENT_PRIORITY_IDLE);
    }
    if (rc >= 0) {
        rc = sd_event_source_set_enabled(listing->source, SD_EVENT_ON);
    }
    if (rc < 0) {
        fail(call, 0, rc, &err);
        if (listing != NULL) {
            listing_free(listing);
        }
        return;
    }
    server_call_on_gone(call, on_listing_gone, listing);
}

static void method_list(struct server_call *call, void *userdata)
{
    struct wire_fields f = {.object = server_call_parameters(call)};

    if (!wire_fields_done(&f)) {
        server_call_bad(call, f.bad);
        return;
    }
    list(call, userdata, false);
}

static void method_check(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    struct wire_fields f = {.object = server_call_parameters(call)};
    int64_t vmid = wire_get_int(&f, "vmid", WIRE_OPTIONAL, WIRE_VMID_MIN, WIRE_VMID_MAX);
    struct err err = {""};
    json_t *state = NULL;
    int rc;

    if (!wire_fields_done(&f)) {
        server_call_bad(call, f.bad);
        return;
    }
    if (vmid == 0) {
        list(call, methods, true);
        return;
    }
    rc = engine_check(methods->engine, (uint32_t)vmid, &state, &err);
    if (rc < 0) {
        fail(call, (uint32_t)vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:[o]}", "vms", state));
}

/* --- apply
 * -----------------------------------------------------------------------------------------------------
 */

struct apply {
    struct server_call *call;
    struct engine_watch *watch;
    char undoes[SMBIOS_UUID_SIZE]; /* "": it is no undo */
};

static void on_apply_gone(void *userdata)
{
    struct apply *apply = userdata;

    if (apply->watch != NULL) {
        engine_unwatch(apply->watch);
    }
    server_call_reply(apply->call, json_object()); /* nobody hears it */
    free(apply);
}

static void on_apply_progress(void *userdata, const char *text)
{
    struct apply *apply = userdata;

    server_call_progress(apply->call, json_pack("{s:s}", "progress", text));
}

static void on_apply_done(void *userdata, const char *outcome, const char *detail,
                          const json_t *plan)
{
    struct apply *apply = userdata;

    server_call_on_gone(apply->call, NULL, NULL);
    server_call_reply(apply->call, json_pack("{s:s, s:s, s:O?, s:s*}", "outcome", outcome, "detail",
                                             detail, "plan", plan, "undoes",
                                             apply->undoes[0] == '\0' ? NULL : apply->undoes));
    free(apply);
}

/* What a method that changes a VM was asked for. */
struct order {
    uint32_t vmid;
    bool undo;
    const char *txn; /* to be undone; NULL: the last */
};

static void carry_out(struct server_call *call, struct methods *methods, const struct order *order)
{
    struct apply *apply = calloc(1, sizeof(*apply));
    struct engine_watcher watcher = {on_apply_progress, on_apply_done, apply};
    struct err err = {"out of memory"};
    int rc = -ENOMEM;

    if (apply != NULL) {
        apply->call = call;
        server_call_on_gone(call, on_apply_gone, apply);
        rc = order->undo
                 ? engine_undo(methods->engine, order->vmid, order->txn, &watcher, apply->undoes,
                               &apply->watch, &err)
                 : engine_apply(methods->engine, order->vmid, &watcher, &apply->watch, &err);
    }
    if (rc < 0) {
        server_call_on_gone(call, NULL, NULL);
        free(apply);
        fail(call, order->vmid, rc, &err);
    }
}

/* What would happen, by the plan alone. */
static const char *foretell(const json_t *plan, const char *on_hold)
{
    if (json_array_size(json_object_get(plan, "refusals")) > 0) {
        return "refused";
    }
    if (json_array_size(json_object_get(plan, "changes")) == 0) {
        return "unchanged";
    }
    return on_hold == NULL ? "differs" : "refused";
}

static void dry_run(struct server_call *call, struct methods *methods, const struct order *order)
{
    char undoes[SMBIOS_UUID_SIZE] = "";
    /* An undo is for a VM that is, or will be, on hold. */
    CLEANUP_FREE char *on_hold = order->undo ? NULL : engine_on_hold(methods->engine, order->vmid);
    struct err err = {""};
    json_t *plan = NULL;
    int rc = order->undo
                 ? engine_undo_plan(methods->engine, order->vmid, order->txn, undoes, &plan, &err)
                 : engine_plan(methods->engine, order->vmid, &plan, &err);

    if (rc < 0) {
        fail(call, order->vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:s, s:s, s:o, s:s*}", "outcome", foretell(plan, on_hold),
                                      "detail", "dry run: nothing was changed", "plan", plan,
                                      "undoes", undoes[0] == '\0' ? NULL : undoes));
}

static void method_change(struct server_call *call, struct methods *methods, bool undo)
{
    struct wire_fields f = {.object = server_call_parameters(call)};
    struct order order = {
        .vmid = (uint32_t)wire_get_int(&f, "vmid", WIRE_NEEDED, WIRE_VMID_MIN, WIRE_VMID_MAX),
        .undo = undo,
        .txn = undo ? wire_get_string(&f, "txn", WIRE_OPTIONAL) : NULL,
    };
    bool dry = wire_get_bool(&f, "dry_run", WIRE_OPTIONAL);

    if (!wire_fields_done(&f)) {
        server_call_bad(call, f.bad);
    } else if (dry) {
        dry_run(call, methods, &order);
    } else {
        carry_out(call, methods, &order);
    }
}

static void method_apply(struct server_call *call, void *userdata)
{
    method_change(call, userdata, false);
}

static void method_undo(struct server_call *call, void *userdata)
{
    method_change(call, userdata, true);
}

/* --- hold and resume
 * ------------------------------------------------------------------------------------ */

/* The file counts, and root's command line writes it: we are told that it came or went. */
static void hold_changed(struct server_call *call, struct methods *methods, bool expected)
{
    uint32_t vmid = get_vmid(call);
    CLEANUP_FREE char *on_hold = NULL;
    struct err err = {""};
    int rc;

    if (vmid == 0) {
        return;
    }
    rc = engine_hold_changed(methods->engine, vmid, &on_hold, &err);
    if (rc == 0 && (on_hold != NULL) != expected) {
        rc = expected ? err_set(&err, -EINVAL,
                                "VM %u has no hold file: use 'pve-hwid hold %u', which writes it",
                                vmid, vmid)
                      : err_set(&err, -EINVAL, "VM %u is still %s", vmid, on_hold);
    }
    if (rc < 0) {
        fail(call, vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:s}", "detail", on_hold == NULL ? "" : on_hold));
}

static void method_hold(struct server_call *call, void *userdata)
{
    hold_changed(call, userdata, true);
}

static void method_resume(struct server_call *call, void *userdata)
{
    hold_changed(call, userdata, false);
}

/* --- running
 * -------------------------------------------------------------------------------------------- */

struct running {
    struct server_call *call;
    struct engine_question *question;
    uint32_t vmid;
};

static void on_running_gone(void *userdata)
{
    struct running *running = userdata;

    engine_running_forget(running->question);
    server_call_reply(running->call, json_object()); /* nobody hears it */
    free(running);
}

static void on_running(void *userdata, bool runs, const struct err *err)
{
    struct running *running = userdata;

    server_call_on_gone(running->call, NULL, NULL);
    if (err != NULL) {
        fail(running->call, running->vmid, -EIO, err);
    } else {
        server_call_reply(running->call, json_pack("{s:b}", "running", (int)runs));
    }
    free(running);
}

static void method_running(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    struct wire_fields f = {.object = server_call_parameters(call)};
    int64_t vmid = wire_get_int(&f, "vmid", WIRE_NEEDED, WIRE_VMID_MIN, WIRE_VMID_MAX);
    const char *node = wire_get_string(&f, "node", WIRE_NEEDED);
    struct err err = {"out of memory"};
    struct running *running;

    if (!wire_fields_done(&f)) {
        server_call_bad(call, f.bad);
        return;
    }
    if (!survey_is_node_name(node)) { /* it becomes part of a path of the API */
        server_call_bad(call, "node");
        return;
    }
    running = calloc(1, sizeof(*running));
    if (running == NULL || engine_running(methods->engine, (uint32_t)vmid, node, on_running,
                                          running, &running->question, &err) < 0) {
        free(running);
        fail(call, (uint32_t)vmid, -ENOMEM, &err);
        return;
    }
    *running = (struct running){
        .call = call, .question = running->question, .vmid = (uint32_t)vmid};
    server_call_on_gone(call, on_running_gone, running);
}

const struct server_method methods_table[] = {
    {"io.pvehwid.Hook", SERVER_ROOT_ONLY, method_hook},
    /* What a configuration says is root's, as /etc/pve is; anybody may know how we are. */
    {"io.pvehwid.Plan", SERVER_ROOT_ONLY, method_plan},
    {"io.pvehwid.Report", SERVER_ROOT_ONLY, method_report},
    {"io.pvehwid.Check", SERVER_ROOT_ONLY, method_check},
    {"io.pvehwid.Apply", SERVER_ROOT_ONLY, method_apply},
    {"io.pvehwid.Undo", SERVER_ROOT_ONLY, method_undo},
    {"io.pvehwid.Hold", SERVER_ROOT_ONLY, method_hold},
    {"io.pvehwid.Resume", SERVER_ROOT_ONLY, method_resume},
    {"io.pvehwid.Running", SERVER_ROOT_ONLY, method_running},
    {"io.pvehwid.Status", SERVER_ANYBODY, method_status},
    {"io.pvehwid.Metrics", SERVER_ROOT_ONLY, method_metrics}, /* it tells VMIDs */
    {"io.pvehwid.List", SERVER_ROOT_ONLY, method_list},
    {"io.pvehwid.Log", SERVER_ROOT_ONLY, method_log},
};
const size_t methods_count = ARRAY_SIZE(methods_table);
