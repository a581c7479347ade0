/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two clocks: one that only goes forward, for deadlines; one with dates, for people. */
#ifndef IO_CLOCK_H
#define IO_CLOCK_H

#include <stdint.h>
#include <time.h>

enum { CLOCK_TEXT_SIZE = sizeof("2026-11-23T10:00:00.000Z") };

/* Milliseconds of CLOCK_MONOTONIC; never 0. */
uint64_t clock_monotonic_ms(void);
/* Microseconds, to measure how long something took. */
uint64_t clock_monotonic_us(void);

/* "2026-11-23T10:00:00.123Z": UTC now, with milliseconds, so that records sort as they came. */
void clock_now_text(char text[CLOCK_TEXT_SIZE]);

/* "2026-11-23T10:00:00Z" for a time_t, "" where it has no date. */
void clock_format(time_t when, char text[CLOCK_TEXT_SIZE]);

#endif
