/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The client of PVE's API: queues requests so that at most one changing one is under way per node
 * (facts/pve.md 2, recording 08g) and at most `max_reads` others; sends them by http; turns answers
 * into api_reply. Fair: first come, first served, per class.
 */
#ifndef PVE_H
#define PVE_H

#include <stddef.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "core/api.h"
#include "core/settings.h"

struct pve;
struct pve_call;

/* `reply` is borrowed. Called from the event loop, never from inside pve_send(). */
typedef void (*pve_done)(void *userdata, const struct api_reply *reply);

/* `token` is secret_text() of the token; copied, wiped at free. -EINVAL: not of its form, or
 * settings->api_url is not https. The CA is the credential "ca" where there is one and ca_file was
 * left at its default. */
int pve_new(sd_event *event, const struct settings *settings, const char *token, struct pve **ret,
            struct err *err);
/* From now on by other settings, or with another token. What waits is sent by the new ones, what is
 * under way is answered by the old ones, and the limits hold for all of it together. On error
 * nothing has changed. */
int pve_renew(struct pve *pve, const struct settings *settings, const char *token, struct err *err);
/* Told of every answer, but to what went by older settings, before its `done`, also where the call
 * was cancelled meanwhile: an answer says something about the API even when nobody waits for it any
 * more. One observer; NULL: none. Both pointers are borrowed; what pve_done may not do, it may not
 * do either. */
typedef void (*pve_observer)(void *userdata, const struct api_request *request,
                             const struct api_reply *reply);
void pve_observe(struct pve *pve, pve_observer observer, void *userdata);
/* Calls that wait or are under way are dropped without a word. Not from inside a pve_done. */
void pve_free(struct pve *pve);
DEFINE_CLEANUP(struct pve, pve_free)
/* Takes over `request`, also where it fails. ret_call may be NULL; *ret_call is valid until `done`
 * is called. */
int pve_send(struct pve *pve, struct api_request *request, pve_done done, void *userdata,
             struct pve_call **ret_call, struct err *err);
/* Forgets a call: a queued one is dropped, one under way goes on but only the observer is told. */
void pve_cancel(struct pve_call *call);

struct pve_counts {
    size_t queued_changes, queued_reads, running;
    unsigned long sent, failed; /* failed: answered or not, with anything but API_OK */
};
void pve_get_counts(const struct pve *pve, struct pve_counts *ret);

#endif
