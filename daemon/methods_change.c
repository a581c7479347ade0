/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Methods about changing a VM: carrying a plan out, undoing one, holding it; and what is asked
 * before and after: does it run, and has the running machine what the fingerprint says? */
#include <errno.h>

#include "base/str.h"
#include "core/survey.h"
#include "core/wire.h"
#include "methods_private.h"

/* --- apply
 * -----------------------------------------------------------------------------------------------------
 */

struct apply {
    struct server_call *call;
    struct methods *methods;
    uint32_t vmid;
    struct engine_watch *watch;
    char undoes[SMBIOS_UUID_SIZE]; /* "": it is no undo */
};

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

/* A VM that runs is not looked at any further. Where nothing would be changed once it is stopped,
 * that is no work left undone. */
static bool is_in_sync(const struct apply *apply)
{
    json_auto_t *plan = NULL;

    return engine_plan(apply->methods->engine, apply->vmid, &plan, NULL) == 0 &&
           str_equal(foretell(plan, NULL), "unchanged");
}

static void on_apply_done(void *userdata, const char *outcome, const char *detail,
                          const json_t *plan)
{
    struct apply *apply = userdata;
    bool in_sync = str_equal(outcome, "busy") && *apply->undoes == '\0' && is_in_sync(apply);

    if (in_sync) {
        outcome = "unchanged";
        detail = "as its fingerprint says";
    }

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
        apply->methods = methods;
        apply->vmid = order->vmid;
        server_call_on_gone(call, on_apply_gone, apply);
        rc = order->undo
                 ? engine_undo(methods->engine, order->vmid, order->txn, &watcher, apply->undoes,
                               &apply->watch, &err)
                 : engine_apply(methods->engine, order->vmid, &watcher, &apply->watch, &err);
    }
    if (rc < 0) {
        server_call_on_gone(call, NULL, NULL);
        free(apply);
        methods_fail(call, order->vmid, rc, &err);
    }
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
        methods_fail(call, order->vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:s, s:s, s:o, s:s*}", "outcome", foretell(plan, on_hold),
                                      "detail", "dry run: nothing was changed", "plan", plan,
                                      "undoes", undoes[0] == '\0' ? NULL : undoes));
}

/* A VM that never was here has nothing that could fail. */
static bool exists(struct server_call *call, struct methods *methods, uint32_t vmid)
{
    json_auto_t *plan = NULL;
    struct err err = {""};
    int rc = engine_plan(methods->engine, vmid, &plan, &err);

    if (rc == -ESRCH) {
        methods_fail(call, vmid, rc, &err);
    }
    return rc != -ESRCH;
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
    } else if (!undo && !exists(call, methods, order.vmid)) {
        return; /* told */
    } else if (dry) {
        dry_run(call, methods, &order);
    } else {
        carry_out(call, methods, &order);
    }
}

void method_apply(struct server_call *call, void *userdata)
{
    method_change(call, userdata, false);
}

void method_undo(struct server_call *call, void *userdata)
{
    method_change(call, userdata, true);
}

/* --- hold and resume
 * ------------------------------------------------------------------------------------ */

/* The file counts, and root's command line writes it: we are told that it came or went. */
static void hold_changed(struct server_call *call, struct methods *methods, bool expected)
{
    uint32_t vmid = methods_vmid(call);
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
        methods_fail(call, vmid, rc, &err);
        return;
    }
    server_call_reply(call, json_pack("{s:s}", "detail", on_hold == NULL ? "" : on_hold));
}

void method_hold(struct server_call *call, void *userdata)
{
    hold_changed(call, userdata, true);
}

void method_resume(struct server_call *call, void *userdata)
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
        methods_fail(running->call, running->vmid, -EIO, err);
    } else {
        server_call_reply(running->call, json_pack("{s:b}", "running", (int)runs));
    }
    free(running);
}

void method_running(struct server_call *call, void *userdata)
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
        methods_fail(call, (uint32_t)vmid, -ENOMEM, &err);
        return;
    }
    *running = (struct running){
        .call = call, .question = running->question, .vmid = (uint32_t)vmid};
    server_call_on_gone(call, on_running_gone, running);
}

/* --- verify
 * --------------------------------------------------------------------------------------------- */

struct verification {
    struct server_call *call;
    struct engine_verification *question;
    uint32_t vmid;
};

static void on_verify_gone(void *userdata)
{
    struct verification *v = userdata;

    engine_verify_forget(v->question);
    server_call_reply(v->call, json_object()); /* nobody hears it */
    free(v);
}

static void on_verified(void *userdata, const json_t *answer, int code, const struct err *err)
{
    struct verification *v = userdata;

    server_call_on_gone(v->call, NULL, NULL);
    if (answer == NULL) {
        methods_fail(v->call, v->vmid, code, err);
    } else {
        server_call_reply(v->call, json_deep_copy(answer));
    }
    free(v);
}

void method_verify(struct server_call *call, void *userdata)
{
    struct methods *methods = userdata;
    uint32_t vmid = methods_vmid(call);
    struct err err = {"out of memory"};
    struct verification *v;
    int rc = -ENOMEM;

    if (vmid == 0) {
        return;
    }
    v = calloc(1, sizeof(*v));
    if (v != NULL) {
        *v = (struct verification){.call = call, .vmid = vmid};
        rc = engine_verify(methods->engine, vmid, on_verified, v, &v->question, &err);
    }
    if (rc < 0) {
        free(v);
        methods_fail(call, vmid, rc, &err);
        return;
    }
    server_call_on_gone(call, on_verify_gone, v);
}
