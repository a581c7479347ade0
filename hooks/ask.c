/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One question to the daemon, one answer, one deadline. */
#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "hook.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/sock.h"

static int build_call(const struct hook *hook, struct buf *out, struct err *err)
{
    json_t *parameters = wire_hook_call_to_json(&hook->call);

    if (parameters == NULL) {
        return err_oom(err);
    }
    wire_add_call(out, WIRE_HOOK_METHOD, parameters, false);
    json_decref(parameters);
    return out->error != 0 ? err_set(err, out->error, "out of memory") : 0;
}

static int read_answer(const char *frame, size_t len, struct wire_hook_reply *ret_reply,
                       struct err *err)
{
    struct wire_reply reply;
    int rc;

    rc = wire_parse_reply(frame, len, &reply, err);
    if (rc < 0) {
        return err_prefix(err, rc, "its answer makes no sense");
    }
    if (reply.error != NULL || reply.continues) {
        rc = err_set(err, -EPROTO, "its answer is %s",
                     reply.error != NULL ? reply.error : "not the last one");
    } else {
        rc = wire_hook_reply_from_json(reply.parameters, ret_reply, err);
        rc = rc < 0 ? err_prefix(err, rc, "its answer makes no sense") : 0;
    }
    wire_reply_fini(&reply);
    return rc;
}

static int exchange(const struct hook *hook, struct buf *out, struct buf *in,
                    struct wire_hook_reply *ret_reply, struct err *err)
{
    bool starts = hook->call.phase == WIRE_PRE_START;
    uint64_t deadline = hook->deadline_ms - HOOK_LIMIT_MS +
                        (starts ? HOOK_ANSWER_MS : HOOK_LAST_WORD_MS);
    char path[HOOK_PATH_SIZE];
    CLEANUP_FD int fd = -1;
    size_t len = 0;
    int rc;

    if (!hook_path(hook, path, "/run/pve-hwid/socket")) {
        return err_set(err, -ENAMETOOLONG, "the root directory's name is too long");
    }
    rc = sock_connect(path, deadline, &fd, err);
    if (rc == 0) {
        rc = sock_send(fd, out->data, out->len, deadline, err);
    }
    if (rc == 0) {
        rc = sock_recv_frame(fd, in, deadline, &len, err);
    }
    return rc < 0 ? rc : read_answer(in->data, len, ret_reply, err);
}

int hook_ask(const struct hook *hook, struct wire_hook_reply *ret_reply, struct err *err)
{
    struct buf out = BUF_INIT(WIRE_CALL_MAX);
    struct buf in = BUF_INIT(HOOK_REPLY_MAX);
    int rc;

    /* jansson would read /dev/urandom for its hash tables (three system calls) against crafted
     * keys; an answer of HOOK_REPLY_MAX bytes cannot hold enough of them to matter. */
    json_object_seed((size_t)hook->deadline_ms | 1);
    rc = build_call(hook, &out, err);
    if (rc == 0) {
        rc = exchange(hook, &out, &in, ret_reply, err);
    }
    buf_fini(&out);
    buf_fini(&in);
    return rc;
}
