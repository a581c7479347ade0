/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plan as JSON. A configuration may hold any bytes, JSON is UTF-8: what is not becomes '?'. */
#include "core/plan.h"

#include <stdlib.h>

#include "base/str.h"

static char *make_ascii(const char *text)
{
    char *copy = str_dup(text);

    for (size_t i = 0; copy != NULL && copy[i] != '\0'; i++) {
        if (!ascii_is_print(copy[i])) {
            copy[i] = '?';
        }
    }
    return copy;
}

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80) {
        text++;
    }
    return *text == '\0';
}

static json_t *json_text(const char *text)
{
    CLEANUP_FREE char *ascii = NULL;
    json_t *value = text == NULL ? json_null() : json_string(text);

    if (value != NULL || is_ascii(text)) { /* refused, though ASCII: no memory */
        return value;
    }
    ascii = make_ascii(text); /* not UTF-8 */
    return ascii == NULL ? NULL : json_string(ascii);
}

static json_t *json_change(const struct plan_change *change)
{
    json_t *object = json_object();

    if (object == NULL || json_object_set_new(object, "option", json_text(change->option)) < 0 ||
        json_object_set_new(object, "old", json_text(change->old)) < 0 ||
        json_object_set_new(object, "new", json_text(change->new)) < 0 ||
        json_object_set_new(object, "why", json_text(change->why)) < 0 ||
        json_object_set_new(object, "match",
                            json_text(change->match == PLAN_EXACT ? "exact" : "substitute")) < 0) {
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

static json_t *json_notes(const struct notes *notes)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < notes->n; i++) {
        if (json_array_append_new(array, json_text(notes->items[i])) < 0) {
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
        json_object_set_new(object, "notes", json_notes(&plan->notes)) < 0 ||
        json_object_set_new(object, "refusals", json_notes(&plan->refusals)) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}
