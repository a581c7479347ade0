/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an administrator does about an API token that may not do what pve-hwid has to: the
 * privilege, where it is missing, and the command that grants it. PVE's own words name the first
 * two (403: recording 10b) and for a token that it does not accept nothing at all (401: recording
 * 10).
 */
#ifndef CORE_ADVICE_H
#define CORE_ADVICE_H

#include <stdbool.h>

/* A sentence. `privileges`: separated by blanks; `all`: every one that the daemon needs there is
 * missing, so that it is the role itself that was not given. NULL: no memory. */
char *advice_missing(const char *path, const char *privileges, bool all);

/* PVE's refusal with what to do about it; NULL: no advice (or no memory), the words stay. */
char *advice_refusal(int status, const char *message);

#endif
