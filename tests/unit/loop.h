/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An event loop for tests: run until something has happened, never for ever. */
#ifndef TEST_LOOP_H
#define TEST_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "io/clock.h"

/* Runs the loop until *counter is at least `wanted`; false: not within `ms`. */
static inline bool loop_until(sd_event *event, const size_t *counter, size_t wanted, unsigned ms)
{
    uint64_t deadline = clock_monotonic_ms() + ms;

    while (*counter < wanted && clock_monotonic_ms() < deadline) {
        if (sd_event_run(event, 20 * 1000) < 0) {
            return false;
        }
    }
    return *counter >= wanted;
}

/* Runs the loop for that long, whatever happens. */
static inline void loop_for(sd_event *event, unsigned ms)
{
    size_t never = 0;

    (void)loop_until(event, &never, 1, ms);
}

#endif
