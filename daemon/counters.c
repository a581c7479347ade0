/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See counters.h. */
#include "counters.h"

#include <errno.h>

#include "base/str.h"

/* Upper bounds in microseconds. An answer from the files takes about one millisecond; a hold asks
 * PVE's API first and has 1.6 s for it; the hook itself gives up after 1.9 s. */
static const uint32_t bounds[COUNTERS_BUCKETS] = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 500000, 1000000, 2000000,
};

static const char *const answer_names[COUNTERS_ANSWERS] = {
    [COUNTERS_GO] = "go",
    [COUNTERS_RESTART] = "restart",
    [COUNTERS_REFUSE] = "refuse",
    [COUNTERS_ABANDONED] = "abandoned",
};

static const char *const api_names[COUNTERS_API_RESULTS] = {
    [API_OK] = "ok",
    [API_REFUSED] = "refused",
    [API_UNREACHABLE] = "unreachable",
    [API_LOST] = "lost",
};

void counters_add_hook(struct counters *counters, enum wire_phase phase,
                       enum counters_answer answer, uint64_t us)
{
    size_t bucket = 0;

    counters->hooks[phase][answer]++;
    if (phase != WIRE_PRE_START || answer == COUNTERS_ABANDONED) {
        return; /* the other phases are answered at once and would only hide the slow ones */
    }
    while (bucket < COUNTERS_BUCKETS && us > bounds[bucket]) {
        bucket++;
    }
    counters->latency[bucket]++;
    counters->latency_sum_us += us;
}

static void add_end(struct counters *counters, const char *outcome)
{
    for (int i = 0; i < COUNTERS_OUTCOMES; i++) {
        if (str_equal(outcome, record_outcome_name((enum record_outcome)i))) {
            counters->ends[i]++;
        }
    }
}

void counters_add_record(struct counters *counters, const json_t *record)
{
    const char *type = json_string_value(json_object_get(record, "type"));

    if (str_equal(type, "step")) {
        bool applied = json_is_true(json_object_get(record, "applied"));

        counters->steps_applied += applied;
        counters->steps_failed += !applied;
    } else if (str_equal(type, "end")) {
        add_end(counters, json_string_value(json_object_get(record, "outcome")));
    } else if (str_equal(type, "held")) {
        counters->held++;
    } else if (str_equal(type, "started")) {
        counters->started++;
    } else if (str_equal(type, "dropped")) {
        counters->dropped++;
    } else if (str_equal(type, "stuck")) {
        counters->stuck++;
    }
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* Other phases than pre-start always go, so they have one answer only. */
static json_t *hooks_to_json(const struct counters *counters)
{
    json_t *phases = json_object();

    for (int phase = 0; phase < COUNTERS_PHASES && phases != NULL; phase++) {
        int n = phase == WIRE_PRE_START ? COUNTERS_ANSWERS : 1;
        json_t *answers = json_object();
        int rc = answers == NULL ? -ENOMEM : 0;

        for (int i = 0; i < n && rc == 0; i++) {
            rc = json_object_set_new(answers, answer_names[i], number(counters->hooks[phase][i]));
        }
        if (json_object_set_new(phases, wire_phase_name((enum wire_phase)phase), answers) < 0 ||
            rc < 0) {
            json_decref(phases);
            return NULL;
        }
    }
    return phases;
}

static json_t *latency_to_json(const struct counters *counters)
{
    json_t *at = json_array();
    json_t *counts = json_array();
    int rc = at == NULL || counts == NULL ? -ENOMEM : 0;

    for (size_t i = 0; i <= COUNTERS_BUCKETS && rc == 0; i++) {
        rc = json_array_append_new(counts, number(counters->latency[i]));
        if (rc == 0 && i < COUNTERS_BUCKETS) {
            rc = json_array_append_new(at, number(bounds[i]));
        }
    }
    if (rc < 0) {
        json_decref(at);
        json_decref(counts);
        return NULL;
    }
    return json_pack("{s:o, s:o, s:I}", "bounds_us", at, "counts", counts, "sum_us",
                     (json_int_t)counters->latency_sum_us);
}

static json_t *api_to_json(const struct counters *counters)
{
    json_t *results = json_object();

    for (size_t i = 0; i < COUNTERS_API_RESULTS && results != NULL; i++) {
        if (json_object_set_new(results, api_names[i], number(counters->api[i])) < 0) {
            json_decref(results);
            return NULL;
        }
    }
    return results;
}

static json_t *ends_to_json(const struct counters *counters)
{
    json_t *outcomes = json_object();

    for (int i = 0; i < COUNTERS_OUTCOMES && outcomes != NULL; i++) {
        if (json_object_set_new(outcomes, record_outcome_name((enum record_outcome)i),
                                number(counters->ends[i])) < 0) {
            json_decref(outcomes);
            return NULL;
        }
    }
    return outcomes;
}

int counters_to_json(const struct counters *counters, json_t *object)
{
    const struct {
        const char *key;
        json_t *value; /* json_object_set_new() takes NULL for an error */
    } members[] = {
        {"starts_stopped", number(counters->held)},
        {"starts_made", number(counters->started)},
        {"starts_dropped", number(counters->dropped)},
        {"starts_unchecked", number(counters->unchecked)},
        {"stuck", number(counters->stuck)},
        {"changes", json_pack("{s:I, s:I}", "applied", (json_int_t)counters->steps_applied,
                              "failed", (json_int_t)counters->steps_failed)},
        {"change_sets", ends_to_json(counters)},
        {"api_requests", api_to_json(counters)},
        {"hook_calls", hooks_to_json(counters)},
        {"hook_latency", latency_to_json(counters)},
    };
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        rc |= json_object_set_new(object, members[i].key, members[i].value);
    }
    return rc < 0 ? -ENOMEM : 0;
}
