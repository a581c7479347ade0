/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See methods.h; methods_change.c has what is about changing a VM. Each handler: read the
 * parameters, ask the engine, answer or map the error. */
#include "methods.h"

#include <errno.h>

#include "base/str.h"
#include "core/survey.h"
#include "core/wire.h"
#include "io/clock.h"
#include "methods_private.h"

/* --- errors
 * ----------------------------------------------------------------------------------------- */

void methods_fail(struct server_call *call, uint32_t vmid, int code, const struct err *err)
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
uint32_t methods_vmid(struct server_call *call)
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
        methods_fail(call, hook.vmid, -ENOMEM, &(struct err){"out of memory"});
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
    uint32_t vmid = methods_vmid(call);
    struct err err = {""};
    json_t *plan = NULL;
    int rc;

    if (vmid == 0) {
        return;
    }
    rc = engine_plan(methods->engine, vmid, &plan, &err);
    if (rc < 0) {
        methods_fail(call, vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:o}", "plan", plan));
}

static void method_report(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    uint32_t vmid = methods_vmid(call);
    struct err err = {""};
    json_t *report = NULL;
    int rc;

    if (vmid == 0) {
        return;
    }
    rc = engine_report(methods->engine, vmid, &report, &err);
    if (rc < 0) {
        methods_fail(call, vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:o}", "report", report));
}

static void method_status(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    json_t *status = NULL;

    if (engine_status(methods->engine, &status) < 0) {
        methods_fail(call, 0, -ENOMEM, &(struct err){"out of memory"});
        return;
    }
    server_call_reply(call, status);
}

static void method_metrics(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    json_t *metrics = NULL;

    if (engine_metrics(methods->engine, &metrics) < 0) {
        methods_fail(call, 0, -ENOMEM, &(struct err){"out of memory"});
        return;
    }
    server_call_reply(call, metrics);
}

enum { LOG_PART = 50 }; /* records of one reply: a begin record may have some KiB */

static void method_log(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    uint32_t vmid = methods_vmid(call);
    struct err err = {""};
    json_t *records = NULL;
    size_t bad = 0;
    int rc;

    if (vmid == 0) {
        return;
    }
    rc = engine_log(methods->engine, vmid, &records, &bad, &err);
    if (rc < 0) {
        methods_fail(call, vmid, rc, &err);
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

/* --- lists: a slice per turn of the event loop, after everything else that is due, so that hooks
 * never wait for more than one slice. A source that stays enabled keeps the place of its first
 * turn: it would be older, and so come before, any call that arrives meanwhile. So it is enabled
 * anew for each slice, and behind the calls by its priority.
 * ---------------------------- */

enum {
    LIST_PART = 32,           /* VMs of one answer */
    LIST_SLICE_US = 5 * 1000, /* of work, whatever is left of a part: pmxcfs may be slow */
};

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
    size_t end = listing->next + LIST_PART < listing->n ? listing->next + LIST_PART : listing->n;
    uint64_t began = clock_monotonic_us();

    while (listing->next < end && clock_monotonic_us() - began < LIST_SLICE_US) {
        listing_add(listing, listing->vmids[listing->next++]);
    }
    if (listing->next < listing->n) {
        if (server_call_wants_more(listing->call)) {
            server_call_progress(listing->call, json_pack("{s:O}", "vms", listing->states));
            (void)json_array_clear(listing->states); /* an array: cannot fail */
        }
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
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
    if (rc >= 0) {
        rc = sd_event_source_set_priority(listing->source, SD_EVENT_PRIORITY_IDLE);
    }
    if (rc >= 0) {
        rc = sd_event_source_set_enabled(listing->source, SD_EVENT_ONESHOT);
    }
    if (rc < 0) {
        methods_fail(call, 0, rc, &err);
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
        methods_fail(call, (uint32_t)vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:[o]}", "vms", state));
}

const struct server_method methods_table[] = {
    {"io.pvehwid.Hook", SERVER_ROOT_ONLY, method_hook},
    /* What a configuration says is root's, as /etc/pve is; anybody may know how we are. */
    {"io.pvehwid.Plan", SERVER_ROOT_ONLY, method_plan},
    {"io.pvehwid.Report", SERVER_ROOT_ONLY, method_report},
    {"io.pvehwid.Check", SERVER_ROOT_ONLY, method_check},
    {"io.pvehwid.Apply", SERVER_ROOT_ONLY, method_apply},
    {"io.pvehwid.Verify", SERVER_ROOT_ONLY, method_verify},
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
