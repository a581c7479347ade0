/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does a VM run, on whatever node it is? For `pve-hwid move`: an identity does not go to another VM
 * while the one that has it is up. */
#include <errno.h>

#include "base/str.h"
#include "engine_impl.h"

struct engine_question {
    struct pve_call *call;
    engine_running_done done;
    void *userdata;
};

static void on_status(void *userdata, const struct api_reply *reply)
{
    struct engine_question *question = userdata;
    const char *status = json_string_value(json_object_get(reply->data, "status"));
    struct err err = {""};

    if (reply->result != API_OK || status == NULL) {
        (void)err_set(&err, -EIO, "PVE does not tell whether it runs: %s",
                      reply->message == NULL ? "no status" : reply->message); /* the text counts */
    }
    question->done(question->userdata, status != NULL && !str_equal(status, "stopped"),
                   err.text[0] == '\0' ? NULL : &err);
    free(question);
}

int engine_running(struct engine *engine, uint32_t vmid, const char *node, engine_running_done done,
                   void *userdata, struct engine_question **ret, struct err *err)
{
    struct requests_vm target = {.node = node, .vmid = vmid};
    CLEANUP_FREE struct engine_question *question = calloc(1, sizeof(*question));

    if (question == NULL) {
        return err_oom(err);
    }
    question->done = done;
    question->userdata = userdata;
    if (engine_send(engine, requests_status(target), on_status, question, &question->call) < 0) {
        return err_oom(err);
    }
    *ret = STEAL(question);
    return 0;
}

void engine_running_forget(struct engine_question *question)
{
    engine_cancel(question->call);
    free(question);
}
