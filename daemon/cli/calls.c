/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See calls.h. */
#include "cli/calls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/client.h"
#include "cli/where.h"

#define INTERFACE "io.pvehwid."
#define SERVICE   "org.varlink.service."

const char *calls_prefix(uint32_t vmid, char text[static CALLS_PREFIX_SIZE])
{
    text[0] = '\0';
    if (vmid != 0) {
        (void)snprintf(text, CALLS_PREFIX_SIZE, "VM %u: ", (unsigned)vmid); /* fits */
    }
    return text;
}

static enum cli_exit fail_for(const struct cli *cli, uint32_t vmid, enum cli_exit code,
                              const char *sentence)
{
    char prefix[CALLS_PREFIX_SIZE];

    /* Some of the daemon's sentences name the VM already, as the journal wants them. */
    return cli_fail(cli, code, "%s%s",
                    str_starts(sentence, "VM ") ? "" : calls_prefix(vmid, prefix), sentence);
}

enum cli_exit calls_bad_answer(const struct cli *cli, uint32_t vmid, const char *what)
{
    char prefix[CALLS_PREFIX_SIZE];

    return cli_fail(cli, CLI_ERROR,
                    "%sthe daemon's answer is not understood: %s; after an upgrade: systemctl "
                    "restart pve-hwidd",
                    calls_prefix(vmid, prefix), what);
}

static enum cli_exit no_fingerprint(const struct cli *cli, uint32_t vmid)
{
    return cli_fail(cli, CLI_ERROR,
                    "VM %u has no fingerprint, so there is nothing to compare with: put one at "
                    "/etc/pve/pve-hwid/%u.json (pve-hwid capture --help)",
                    (unsigned)vmid, (unsigned)vmid);
}

/* What each error of the interface means for the administrator. */
static enum cli_exit explain_error(const struct cli *cli, const struct call *call,
                                   const struct wire_reply *reply)
{
    const char *message = json_string_value(json_object_get(reply->parameters, "message"));
    const char *name = reply->error;
    char prefix[CALLS_PREFIX_SIZE];

    calls_prefix(call->vmid, prefix);
    message = message != NULL && *message != '\0' ? message : "no reason was given";
    if (str_equal(name, INTERFACE "NotPermitted")) {
        return fail_for(cli, call->vmid, CLI_ERROR,
                        "the daemon does this for root only: run as "
                        "root");
    }
    if (str_equal(name, INTERFACE "NoFingerprint")) {
        return no_fingerprint(cli, call->vmid);
    }
    if (str_equal(name, INTERFACE "NoSuchVm")) {
        return where_fail(cli, call->vmid);
    }
    if (str_equal(name, INTERFACE "Busy")) {
        return cli_fail(cli, CLI_BUSY, "%snothing was done: %s; try again later", prefix, message);
    }
    if (str_equal(name, INTERFACE "BadInput") || str_equal(name, INTERFACE "Failed")) {
        return fail_for(cli, call->vmid, CLI_ERROR, message);
    }
    if (str_starts(name, SERVICE)) {
        return cli_fail(cli, CLI_ERROR,
                        "%sthe daemon does not know this call (%s); pve-hwid and pve-hwidd are of "
                        "different versions: systemctl restart pve-hwidd",
                        prefix, name);
    }
    return cli_fail(cli, CLI_ERROR, "%sthe daemon answered %s: %s", prefix, name, message);
}

/* Moves the items of a part's array behind those that came before. */
static int collect_part(const struct call *call, const json_t *parameters, json_t *items,
                        struct err *err)
{
    json_t *part = json_object_get(parameters, call->collect);

    if (json_array_size(items) + json_array_size(part) > CALLS_ITEMS_MAX) {
        return err_set(err, -EFBIG, "the daemon tells more than %d '%s'", (int)CALLS_ITEMS_MAX,
                       call->collect);
    }
    return part != NULL && json_array_extend(items, part) < 0
               ? err_set(err, -EPROTO, "the daemon's '%s' is not understood", call->collect)
               : 0;
}

/* Replies until the last one, which is *ret_reply. */
static int receive_all(struct client *client, const struct call *call, json_t *items,
                       struct wire_reply *ret_reply, struct err *err)
{
    for (;;) {
        CLEANUP(wire_reply_fini) struct wire_reply reply = {0};
        int rc = client_receive(client, &reply, err);

        if (rc == 0 && call->collect != NULL && reply.error == NULL) {
            rc = collect_part(call, reply.parameters, items, err);
        }
        if (rc < 0) {
            return rc;
        }
        if (!reply.continues) {
            *ret_reply = reply;
            reply = (struct wire_reply){0};
            return 0;
        }
        if (call->progress != NULL) {
            call->progress(call->userdata, reply.parameters);
        }
    }
}

/* The last reply, with all that was collected in the place of its own part. */
static int receive_collected(struct client *client, const struct call *call,
                             struct wire_reply *ret_reply, struct err *err)
{
    json_auto_t *items = json_array();
    int rc;

    if (items == NULL) {
        return err_oom(err);
    }
    rc = receive_all(client, call, items, ret_reply, err);
    if (rc < 0 || call->collect == NULL ||
        json_object_get(ret_reply->parameters, call->collect) == NULL) {
        return rc;
    }
    return json_object_set(ret_reply->parameters, call->collect, items) < 0 ? err_oom(err) : 0;
}

static int talk(const struct cli *cli, const struct call *call, struct wire_reply *ret_reply,
                struct err *err)
{
    CLEANUP_FREE char *method = str_printf(INTERFACE "%s", call->method);
    CLEANUP(client_close) struct client client = {.fd = -1};
    long patience = call->patience_s > 0 ? (long)call->patience_s : CALLS_PATIENCE_S;
    int rc;

    if (method == NULL || call->parameters == NULL) {
        return err_oom(err);
    }
    patience = cli->timeout_s > 0 ? cli->timeout_s : patience;
    rc = client_open(&client, cli->socket, (uint64_t)patience * 1000, err);
    if (rc == 0) {
        rc = client_send(&client, method, call->parameters,
                         call->progress != NULL || call->collect != NULL, err);
    }
    return rc == 0 ? receive_collected(&client, call, ret_reply, err) : rc;
}

enum cli_exit calls_run(const struct cli *cli, const struct call *call, json_t **ret_answer)
{
    CLEANUP(wire_reply_fini) struct wire_reply reply = {0};
    struct err err = {""};
    int rc;

    rc = talk(cli, call, &reply, &err);
    json_decref(call->parameters);
    if (rc < 0) {
        if (cli->batch != NULL) {
            cli->batch->no_daemon = rc == -ENOENT || rc == -ECONNREFUSED || rc == -EACCES ||
                                    rc == -EPERM; /* those of client_open() */
        }
        return fail_for(cli, call->vmid, CLI_ERROR, err.text);
    }
    if (reply.error != NULL) {
        return explain_error(cli, call, &reply);
    }
    *ret_answer = STEAL(reply.parameters);
    return CLI_OK;
}

int calls_try(const struct cli *cli, const struct call *call, json_t **ret_answer, struct err *err)
{
    CLEANUP(wire_reply_fini) struct wire_reply reply = {0};
    const char *message;
    int rc = talk(cli, call, &reply, err);

    json_decref(call->parameters);
    if (rc < 0) {
        return rc;
    }
    if (str_equal(reply.error, INTERFACE "NoSuchVm")) {
        return err_set(err, -EREMOTEIO, "there is no such VM on this node");
    }
    if (str_equal(reply.error, INTERFACE "NotPermitted")) {
        return err_set(err, -EREMOTEIO, "the daemon does this for root only");
    }
    if (reply.error != NULL) {
        message = json_string_value(json_object_get(reply.parameters, "message"));
        return err_set(err, -EREMOTEIO, "the daemon answered %s%s%s", reply.error,
                       message == NULL ? "" : ": ", message == NULL ? "" : message);
    }
    *ret_answer = STEAL(reply.parameters);
    return 0;
}

enum cli_exit calls_vm(const struct cli *cli, const char *method, uint32_t vmid,
                       const char *collect, json_t **ret_answer)
{
    const struct call call = {
        .method = method,
        .vmid = vmid,
        .collect = collect,
        .parameters = vmid != 0 ? json_pack("{s:I}", "vmid", (json_int_t)vmid) : json_object(),
    };

    return calls_run(cli, &call, ret_answer);
}
