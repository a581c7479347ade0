/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the daemon has counted since it started: plain numbers for monitoring, which decide nothing.
 * They begin at zero with the daemon, as Prometheus expects of counters. One struct, the engine's.
 *
 * What happens to VMs is counted by the records of the journal, at the one place where they are
 * written: so the numbers and `pve-hwid log` can never tell two stories.
 */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <jansson.h>
#include <stdint.h>

#include "core/api.h"
#include "core/record.h"
#include "core/wire.h"

enum counters_answer {
    COUNTERS_GO,
    COUNTERS_RESTART,
    COUNTERS_REFUSE,
    COUNTERS_ABANDONED, /* the hook went away before its answer */
    COUNTERS_ANSWERS,
};

enum {
    COUNTERS_PHASES = WIRE_POST_STOP + 1,
    COUNTERS_API_RESULTS = API_LOST + 1,
    COUNTERS_OUTCOMES = RECORD_INTERRUPTED + 1,
    COUNTERS_BUCKETS = 11,
};

struct counters {
    uint64_t hooks[COUNTERS_PHASES][COUNTERS_ANSWERS];
    uint64_t latency[COUNTERS_BUCKETS + 1]; /* of pre-start; the last one: longer than all bounds */
    uint64_t latency_sum_us;
    uint64_t unchecked; /* starts let through although something was wrong */
    uint64_t api[COUNTERS_API_RESULTS];
    uint64_t steps_applied, steps_failed;
    uint64_t ends[COUNTERS_OUTCOMES];
    uint64_t held, started, dropped, stuck;
};

/* `us`: from the hook's question to its answer. */
void counters_add_hook(struct counters *counters, enum wire_phase phase,
                       enum counters_answer answer, uint64_t us);
/* A record that is on disk. Types that nobody counts are ignored. */
void counters_add_record(struct counters *counters, const json_t *record);
/* Sets the members of conf/io.pvehwid.varlink, Metrics(), that are counted here: 0 or -ENOMEM. */
int counters_to_json(const struct counters *counters, json_t *object);

#endif
