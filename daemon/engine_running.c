/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does a VM run, on whatever node it is? For `pve-hwid move`: an identity does not go to another VM
 * while the one that has it is up. */
#include <errno.h>

#include "base/str.h"
#include "engine_impl.h"

void engine_waiter_add(struct engine *engine, struct engine_waiter *waiter)
{
    waiter->next = engine->waiters;
    engine->waiters = waiter;
}

void engine_waiter_remove(struct engine *engine, struct engine_waiter *waiter)
{
    struct engine_waiter **at = &engine->waiters;

    while (*at != waiter) {
        at = &(*at)->next;
    }
    *at = waiter->next;
}

void engine_waiters_end(struct engine *engine)
{
    const struct err why = {"the daemon is stopping"};

    while (engine->waiters != NULL) {
        engine->waiters->end(engine->waiters, &why);
    }
}

struct engine_question {
    struct engine_waiter waiter;
    struct engine *engine;
    struct pve_call *call;
    engine_running_done done;
    void *userdata;
};

void engine_running_forget(struct engine_question *question)
{
    engine_waiter_remove(question->engine, &question->waiter);
    engine_cancel(question->call);
    free(question);
}

static void end(struct engine_waiter *waiter, const struct err *why)
{
    struct engine_question *question = (struct engine_question *)waiter; /* its first member */

    question->done(question->userdata, false, why);
    engine_running_forget(question);
}

static void on_status(void *userdata, const struct api_reply *reply)
{
    struct engine_question *question = userdata;
    const char *status = json_string_value(json_object_get(reply->data, "status"));
    struct err err = {""};

    question->call = NULL;
    if (reply->result != API_OK || status == NULL) {
        (void)err_set(&err, -EIO, "PVE does not tell whether it runs: %s",
                      reply->message == NULL ? "no status" : reply->message); /* the text counts */
    }
    question->done(question->userdata, status != NULL && !str_equal(status, "stopped"),
                   err.text[0] == '\0' ? NULL : &err);
    engine_running_forget(question);
}

int engine_running(struct engine *engine, uint32_t vmid, const char *node, engine_running_done done,
                   void *userdata, struct engine_question **ret, struct err *err)
{
    struct requests_vm target = {.node = node, .vmid = vmid};
    CLEANUP_FREE struct engine_question *question = calloc(1, sizeof(*question));

    if (question == NULL) {
        return err_oom(err);
    }
    *question = (struct engine_question){
        .waiter = {.end = end}, .engine = engine, .done = done, .userdata = userdata};
    if (engine_send(engine, requests_status(target), on_status, question, &question->call) < 0) {
        return err_oom(err);
    }
    engine_waiter_add(engine, &question->waiter);
    *ret = STEAL(question);
    return 0;
}
