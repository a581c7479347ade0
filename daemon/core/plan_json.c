/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plan as JSON. */
#include "core/plan.h"

#include "core/jsonwrite.h"

static json_t *json_change(const struct plan_change *change)
{
    json_t *object = json_object();

    if (object == NULL ||
        json_object_set_new(object, "option", jsonwrite_text(change->option)) < 0 ||
        json_object_set_new(object, "old", jsonwrite_text(change->old)) < 0 ||
        json_object_set_new(object, "new", jsonwrite_text(change->new)) < 0 ||
        json_object_set_new(object, "why", jsonwrite_text(change->why)) < 0 ||
        json_object_set_new(object, "match",
                            jsonwrite_text(change->match == PLAN_EXACT ? "exact" : "substitute")) <
            0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *json_changes(const struct plan *plan)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < plan->n_changes; i++) {
        if (json_array_append_new(array, json_change(&plan->changes[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *plan_to_json(const struct plan *plan)
{
    json_t *object = json_object();

    /* json_object_set_new() takes a NULL for a failure and its value over in any case. */
    if (object == NULL ||
        json_object_set_new(object, "vmid", json_integer((json_int_t)plan->vmid)) < 0 ||
        json_object_set_new(object, "changes", json_changes(plan)) < 0 ||
        json_object_set_new(object, "notes", jsonwrite_notes(&plan->notes)) < 0 ||
        json_object_set_new(object, "refusals", jsonwrite_notes(&plan->refusals)) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}
