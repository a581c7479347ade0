/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an administrator does about an API token that may not do what pve-hwid has to: the
 * privilege, where it is missing, and the command that grants it. PVE's own words name the first
 * two (403: recording 10b) and for a token that it does not accept nothing at all (401: recording
 * 10).
 */
#ifndef CORE_ADVICE_H
#define CORE_ADVICE_H

#include <jansson.h>
#include <stdint.h>

/* A sentence on what GET /access/permissions?path=... says is missing: of what the daemon needs on
 * a VM (where it has none of it, the role itself was not given), and of SDN.Use on a bridge. NULL:
 * all is there, or no memory. */
char *advice_on_vm(uint32_t vmid, const json_t *permissions);
char *advice_on_bridge(const char *bridge, const json_t *permissions);

/* PVE's refusal with what to do about it; NULL: no advice (or no memory), the words stay. */
char *advice_refusal(int status, const char *message);

#endif
