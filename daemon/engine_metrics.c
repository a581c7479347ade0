/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The engine's numbers for monitoring: conf/io.pvehwid.varlink, Metrics(). */
#include <errno.h>

#include "engine_impl.h"

void engine_count_hook(struct engine *engine, enum wire_phase phase, enum counters_answer answer,
                       uint64_t us)
{
    counters_add_hook(&engine->counters, phase, answer, us);
}

/* The VMIDs of each state, all states; ten thousand numbers are well below WIRE_REPLY_MAX. */
static json_t *vms_by_state(const struct engine *engine)
{
    json_t *lists[VM_STATES];
    json_t *states = json_object();
    int rc = 0;

    for (int state = 0; state < VM_STATES; state++) {
        lists[state] = json_array(); /* borrowed from `states` after the next line */
        rc |= json_object_set_new(states, engine_state_name((enum vm_state)state), lists[state]);
    }
    for (size_t i = 0; rc == 0 && i < engine->n_summaries; i++) {
        const struct vm_summary *vm = &engine->summaries[i];

        rc = json_array_append_new(lists[vm->state], json_integer(vm->vmid));
    }
    if (rc < 0) {
        json_decref(states);
        return NULL;
    }
    return states;
}

int engine_metrics(struct engine *engine, json_t **ret_metrics)
{
    size_t changes, reads;
    json_t *metrics;

    engine_queue_counts(engine, &changes, &reads);
    metrics = json_pack("{s:s, s:I, s:i, s:o, s:I, s:{s:I, s:I, s:I}}", "version", PVE_HWID_VERSION,
                        "uptime_s", (json_int_t)((engine_now() - engine->started_ms) / 1000),
                        "api_up", engine->api_ok ? 1 : 0, "vms", vms_by_state(engine), "under_way",
                        (json_int_t)engine->active, "queues", "looks",
                        (json_int_t)(engine->n_queue - engine->queue_head), "changes",
                        (json_int_t)changes, "reads", (json_int_t)reads);
    if (metrics == NULL || counters_to_json(&engine->counters, metrics) < 0) {
        json_decref(metrics);
        return -ENOMEM;
    }
    *ret_metrics = metrics;
    return 0;
}
