/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See plan_view.h. */
#include "cli/plan_view.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

static int bad_plan(struct err *err, const char *why)
{
    return err_set(err, -EPROTO, "the plan makes no sense (%s)", why);
}

static int parse_change(const json_t *item, struct plan *plan, struct err *err)
{
    const char *option = json_string_value(json_object_get(item, "option"));
    const char *old = json_string_value(json_object_get(item, "old"));
    const char *new = json_string_value(json_object_get(item, "new"));
    const char *why = json_string_value(json_object_get(item, "why"));
    const char *match = json_string_value(json_object_get(item, "match"));
    struct plan_change *change;

    if (option == NULL || why == NULL || match == NULL) {
        return bad_plan(err, "a change lacks its option, reason or match");
    }
    if (vec_reserve(&plan->changes, plan->n_changes, &plan->cap_changes, sizeof(plan->changes[0])) <
        0) {
        return err_oom(err);
    }
    change = &plan->changes[plan->n_changes++]; /* plan_free() frees half a change too */
    *change = (struct plan_change){
        .option = str_dup(option),
        .old = str_dup(old),
        .new = str_dup(new),
        .why = str_dup(why),
        .match = str_equal(match, "substitute") ? PLAN_SUBSTITUTE : PLAN_EXACT,
    };
    if (change->option == NULL || change->why == NULL || (old != NULL && change->old == NULL) ||
        (new != NULL && change->new == NULL)) {
        return err_oom(err);
    }
    return 0;
}

static int parse_notes(const json_t *array, struct notes *notes, struct err *err)
{
    size_t i;
    json_t *item;

    if (!json_is_array(array)) {
        return bad_plan(err, "notes or refusals are missing");
    }
    json_array_foreach (array, i, item) {
        if (!json_is_string(item)) {
            return bad_plan(err, "a note is no text");
        }
        if (notes_add(notes, "%s", json_string_value(item)) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

int plan_view_parse(const json_t *object, struct plan **ret_plan, struct err *err)
{
    CLEANUP(plan_freep) struct plan *plan = calloc(1, sizeof(*plan));
    json_int_t vmid = json_integer_value(json_object_get(object, "vmid"));
    const json_t *changes = json_object_get(object, "changes");
    size_t i;
    json_t *item;
    int rc = 0;

    if (plan == NULL) {
        return err_oom(err);
    }
    if (vmid < 0 || vmid > UINT32_MAX || !json_is_array(changes)) {
        return bad_plan(err, "VMID or changes are missing");
    }
    plan->vmid = (uint32_t)vmid;
    json_array_foreach (changes, i, item) {
        rc = parse_change(item, plan, err);
        if (rc < 0) {
            return rc;
        }
    }
    rc = parse_notes(json_object_get(object, "notes"), &plan->notes, err);
    if (rc == 0) {
        rc = parse_notes(json_object_get(object, "refusals"), &plan->refusals, err);
    }
    if (rc < 0) {
        return rc;
    }
    *ret_plan = STEAL(plan);
    return 0;
}

enum cli_exit plan_view_exit(const struct plan *plan)
{
    if (plan->refusals.n > 0) {
        return CLI_REFUSED;
    }
    return plan->n_changes > 0 ? CLI_DIFFERS : CLI_OK;
}

const char *plan_view_result(const struct plan *plan)
{
    if (plan->refusals.n > 0) {
        return "refused";
    }
    return plan->n_changes > 0 ? "differs" : "in-sync";
}

json_t *plan_view_json(const struct plan *plan, json_t *pending)
{
    json_t *object = plan_to_json(plan);

    if (object == NULL ||
        json_object_set_new(object, "result", json_string(plan_view_result(plan))) < 0 ||
        json_object_set_new(object, "pending",
                            pending != NULL ? json_incref(pending) : json_null()) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

int plan_view_print(const struct cli *cli, const struct plan *plan, struct err *err)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *local = NULL;
    int rc = plan_to_text(plan, &text, err);

    if (rc < 0) {
        return rc;
    }
    local = out_local_times(text);
    out_text(&cli->out, local != NULL ? local : text);
    return 0;
}
