/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Steps of a plan as JSON and back. The daemon carries out what it reads back from the record, not
 * the plan in memory: a recovery after a crash then walks the very same path.
 */
#include <errno.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/plan_builder.h"
#include "core/record.h"

/* The value an option has right before step `index`: from the last step that sets it, or else from
 * the configuration the plan was made for. */
static const char *value_before(const struct plan *plan, size_t index, const char *option)
{
    while (index-- > 0) {
        const struct plan_step *step = &plan->steps[index];

        for (size_t i = 0; i < step->n_sets; i++) {
            if (str_equal(step->sets[i].option, option)) {
                return step->sets[i].value;
            }
        }
    }
    for (size_t i = 0; i < plan->n_changes; i++) {
        if (str_equal(plan->changes[i].option, option)) {
            return plan->changes[i].old;
        }
    }
    return NULL;
}

static json_t *step_to_json(const struct plan *plan, size_t index)
{
    const struct plan_step *step = &plan->steps[index];
    json_t *sets = json_array();

    for (size_t i = 0; i < step->n_sets; i++) {
        const char *option = step->sets[i].option;
        json_t *set = json_pack("[s,s?,s?]", option, step->sets[i].value,
                                value_before(plan, index, option));

        if (json_array_append_new(sets, set) < 0) {
            json_decref(sets);
            return NULL;
        }
    }
    return json_pack("{s:s?, s:s?, s:s?, s:o}", "remove", step->remove, "probe", step->probe,
                     "present", step->probe_value, "sets", sets);
}

json_t *record_steps_to_json(const struct plan *plan)
{
    json_t *array = json_array();

    for (size_t i = 0; i < plan->n_steps; i++) {
        if (json_array_append_new(array, step_to_json(plan, i)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static const char *step_unfit(const struct plan *plan, size_t index)
{
    const struct plan_step *step = &plan->steps[index];

    for (size_t i = 0; i < step->n_sets; i++) {
        const char *old = value_before(plan, index, step->sets[i].option);

        const char *value = step->sets[i].value;

        if ((value != NULL && !str_is_utf8(value)) || (old != NULL && !str_is_utf8(old))) {
            return step->sets[i].option;
        }
    }
    return step->probe_value != NULL && !str_is_utf8(step->probe_value) ? step->probe : NULL;
}

const char *record_steps_unfit(const struct plan *plan)
{
    const char *unfit = NULL;

    for (size_t i = 0; i < plan->n_steps && unfit == NULL; i++) {
        unfit = step_unfit(plan, i);
    }
    return unfit;
}

void record_steps_free(struct plan_step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        plan_step_fini(&steps[i]);
    }
    free(steps);
}

static int copy_member(char **at, const json_t *json, const char *key)
{
    return str_replace(at, json_string_value(json_object_get(json, key)));
}

static int add_set(struct plan_step *step, const json_t *pair)
{
    const char *option = json_string_value(json_array_get(pair, 0));
    const char *value = json_string_value(json_array_get(pair, 1));
    struct plan_set *set;
    int rc;

    if (option == NULL || (value == NULL && !json_is_null(json_array_get(pair, 1)))) {
        return -EINVAL;
    }
    rc = vec_reserve(&step->sets, step->n_sets, &step->cap_sets, sizeof(step->sets[0]));
    if (rc < 0) {
        return rc;
    }
    set = &step->sets[step->n_sets];
    *set = (struct plan_set){.option = str_dup(option)};
    step->n_sets++;
    rc = str_replace(&set->value, value);
    rc = rc < 0 ? rc : str_replace(&set->old, json_string_value(json_array_get(pair, 2)));
    return rc < 0 || set->option == NULL ? -ENOMEM : 0;
}

static int step_from_json(const json_t *json, struct plan_step *step)
{
    const json_t *pair;
    size_t i;
    int rc;

    if (copy_member(&step->remove, json, "remove") < 0 ||
        copy_member(&step->probe, json, "probe") < 0 ||
        copy_member(&step->probe_value, json, "present") < 0) {
        return -ENOMEM;
    }
    json_array_foreach (json_object_get(json, "sets"), i, pair) {
        rc = add_set(step, pair);
        if (rc < 0) {
            return rc;
        }
    }
    /* A probe needs its value, a call needs something to do. */
    return step->n_sets == 0 || (step->probe == NULL) != (step->probe_value == NULL) ? -EINVAL : 0;
}

int record_steps_from_json(const json_t *json, struct plan_step **ret_steps, size_t *ret_n)
{
    size_t n = json_array_size(json);
    struct plan_step *steps = calloc(n + 1, sizeof(*steps));

    if (steps == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        int rc = step_from_json(json_array_get(json, i), &steps[i]);

        if (rc < 0) {
            record_steps_free(steps, n);
            return rc;
        }
    }
    *ret_steps = steps;
    *ret_n = n;
    return 0;
}
