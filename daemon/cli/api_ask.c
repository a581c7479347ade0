/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See api_ask.h. */
#include "cli/api_ask.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "base/str.h"
#include "credential.h"
#include "pve.h"

struct api_ask {
    sd_event *event;
    struct pve *pve;
    struct api_reply *reply; /* of the question under way */
    bool answered, oom;
};

void api_ask_close(struct api_ask *ask)
{
    if (ask != NULL) {
        pve_free(ask->pve);
        sd_event_unref(ask->event);
        free(ask);
    }
}

int api_ask_open(const struct settings *settings, struct api_ask **ret, char **ret_name,
                 struct err *err)
{
    CLEANUP(api_ask_closep) struct api_ask *ask = calloc(1, sizeof(*ask));
    CLEANUP(secret_freep) struct secret *secret = NULL;
    CLEANUP_FREE char *name = NULL;
    int rc = ask == NULL ? err_oom(err) : secret_read_token(settings->token_file, &secret, err);

    if (rc < 0) {
        return rc;
    }
    name = str_ndup(secret_text(secret), strcspn(secret_text(secret), "="));
    rc = name == NULL ? -ENOMEM : sd_event_new(&ask->event);
    if (rc < 0) {
        return err_set(err, rc, "cannot make an event loop: %s", strerror(-rc));
    }
    rc = pve_new(ask->event, settings, secret_text(secret), &ask->pve, err);
    if (rc < 0) {
        return rc;
    }
    if (ret_name != NULL) {
        *ret_name = STEAL(name);
    }
    *ret = STEAL(ask);
    return 0;
}

static void on_reply(void *userdata, const struct api_reply *reply)
{
    struct api_ask *ask = userdata;

    *ask->reply = (struct api_reply){.result = reply->result,
                                     .status = reply->status,
                                     .message = str_dup(reply->message),
                                     .data = json_incref(reply->data)};
    ask->oom = reply->message != NULL && ask->reply->message == NULL;
    ask->answered = true;
}

/* curl's own time limits end it, so this needs none. */
int api_ask_send(struct api_ask *ask, struct api_request *request, struct api_reply *ret_reply,
                 struct err *err)
{
    int rc;

    if (request == NULL) {
        return err_oom(err);
    }
    ask->reply = ret_reply;
    ask->answered = false;
    rc = pve_send(ask->pve, request, on_reply, ask, NULL, err);
    while (rc >= 0 && !ask->answered) {
        rc = sd_event_run(ask->event, UINT64_MAX);
        if (rc < 0) {
            return err_set(err, rc, "cannot wait for PVE's answer: %s", strerror(-rc));
        }
    }
    if (rc >= 0 && ask->oom) {
        api_reply_fini(ret_reply);
        return err_oom(err);
    }
    return rc < 0 ? rc : 0;
}
