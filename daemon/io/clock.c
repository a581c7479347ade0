/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See clock.h. Dates by snprintf: strftime asks the locale. */
#include "io/clock.h"

#include <stdio.h>

uint64_t clock_monotonic_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
}

uint64_t clock_monotonic_us(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* as above */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void format(time_t when, const char *fraction, char text[CLOCK_TEXT_SIZE])
{
    struct tm tm;
    int n = -1;

    if (gmtime_r(&when, &tm) != NULL) {
        n = snprintf(text, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
    }
    if (n < 0 || n >= CLOCK_TEXT_SIZE) {
        text[0] = '\0';
    }
}

void clock_now_text(char text[CLOCK_TEXT_SIZE])
{
    struct timespec now = {0};
    char fraction[sizeof(".000")] = "";
    unsigned ms;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    ms = (unsigned)(now.tv_nsec / 1000000) % 1000;
    (void)snprintf(fraction, sizeof(fraction), ".%03u", ms);
    format(now.tv_sec, fraction, text);
}

void clock_format(time_t when, char text[CLOCK_TEXT_SIZE])
{
    format(when, "", text);
}
