/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See fake_pve.h: calls that nobody waits for any more, because the answer got lost or the daemon
 * died, and that PVE carries out all the same, for as long as it waits for the VM's lock. Where the
 * file is another by then, the digest does not fit and nothing happens, as with any call.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "fake_pve_priv.h"

enum { LATE_MAX_MS = 10000 }; /* recording 08a: so long PVE waits for the lock */

static struct api_request *copy_of(const struct api_request *request)
{
    struct api_request *copy = api_request_new(request->method, request->path);

    for (size_t i = 0; copy != NULL && i < request->n_params; i++) {
        if (api_request_add(copy, request->params[i].key, request->params[i].value) < 0) {
            abort();
        }
    }
    if (copy == NULL) {
        abort();
    }
    return copy;
}

void fake_pve_put_off(struct fake_pve *pve, const struct api_request *request)
{
    struct fake_late *late = &pve->late[pve->n_late];

    if (!request->changing || pve->n_late == FAKE_LATE_MAX) {
        return; /* then it got lost on its way */
    }
    /* At once, at the end, or in between. */
    *late = (struct fake_late){
        .request = copy_of(request),
        .due_ms = pve->now_ms + (int64_t)(pve->dice >> 11) % (LATE_MAX_MS + 1),
    };
    pve->n_late++;
    pve->dice = pve->dice * 6364136223846793005u + 1442695040888963407u;
}

void fake_late_note_start(struct fake_pve *pve, bool ours, bool asked)
{
    for (size_t i = 0; i < pve->n_late; i++) {
        pve->late[i].started = pve->late[i].started || ours;
        pve->late[i].let_go = pve->late[i].let_go || (asked && !ours);
    }
}

/* What is carried out now changes something (or would, on a VM that is stopped). */
void fake_late_watch(struct fake_pve *pve)
{
    const struct fake_late *late = pve->landing;

    if (late == NULL || !pve->running) {
        return;
    }
    if (late->started) {
        fake_pve_problem(pve, "a call of ours was still under way when we started the VM, and "
                              "changed it while it ran");
    }
    if (late->let_go) {
        fake_pve_problem(pve, "a call of ours was still under way when the hook let somebody start "
                              "the VM, and changed it while it ran");
    }
}

static void land(struct fake_pve *pve)
{
    struct fake_late late = pve->late[0];
    struct api_reply reply = {0};

    pve->n_late--;
    memmove(&pve->late[0], &pve->late[1], pve->n_late * sizeof(late));
    pve->landing = &late;
    pve->n_landed++;
    fake_pve_answer(pve, late.request, &reply);
    pve->landing = NULL;
    api_reply_fini(&reply);
    api_request_free(late.request);
}

/* In the order in which they came: each waits behind the one before it. */
void fake_pve_catch_up(struct fake_pve *pve)
{
    while (pve->landing == NULL && pve->n_late > 0 && pve->late[0].due_ms <= pve->now_ms) {
        land(pve);
    }
}

void fake_late_fini(struct fake_pve *pve)
{
    for (size_t i = 0; i < pve->n_late; i++) {
        api_request_free(pve->late[i].request);
    }
    pve->n_late = 0;
}
