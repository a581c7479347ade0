/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does the machine that runs have what its fingerprint says? Two questions to PVE, one look at
 * QEMU's process, and the pure comparison (core/verify.h). No guest agent is asked: there may be
 * none, and what it says is the guest's.
 */
#include <errno.h>

#include "core/verify.h"
#include "engine_impl.h"
#include "io/proc.h"

enum { ARGV_MAX = 256 * 1024 }; /* Linux's own limit of one argument is 128 KiB; PVE's have 5 */

struct engine_verification {
    struct engine_waiter waiter;
    struct engine *engine;
    uint32_t vmid;
    struct pve_call *call;
    json_t *status;
    engine_verify_done done;
    void *userdata;
};

void engine_verify_forget(struct engine_verification *v)
{
    engine_waiter_remove(v->engine, &v->waiter);
    engine_cancel(v->call);
    json_decref(v->status);
    free(v);
}

/* Gives the answer and is done with it. */
static void end(struct engine_verification *v, const json_t *answer, int code,
                const struct err *err)
{
    v->done(v->userdata, answer, code, err);
    engine_verify_forget(v);
}

static void end_early(struct engine_waiter *waiter, const struct err *why)
{
    end((struct engine_verification *)waiter, NULL, -EIO, why); /* its first member */
}

static json_t *make_answer(const struct engine_verification *v, const struct verify *verify)
{
    return json_pack("{s:I, s:b, s:s, s:o}", "vmid", (json_int_t)v->vmid, "running",
                     (int)verify->running, "result", verify_result_name(verify_result(verify)),
                     "checks", verify_checks_to_json(verify));
}

/* Without the command line what hangs on it is unknown, and said to be. */
static int read_argv(const struct engine_verification *v, struct buf *argv)
{
    json_int_t pid = json_integer_value(json_object_get(v->status, "pid"));
    int rc = pid <= 0 || pid > INT32_MAX ? -ESRCH : proc_read_cmdline("/proc", (pid_t)pid, argv);

    return rc == -ENOMEM ? rc : 0;
}

static int compare(struct engine_verification *v, const json_t *pending, json_t **ret_answer,
                   struct err *err)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    CLEANUP(buf_fini) struct buf argv = BUF_INIT(ARGV_MAX);
    CLEANUP(verify_fini) struct verify verify = {0};
    struct verify_input input = {.status = v->status, .pending = pending};
    int rc = engine_assess_planned(v->engine, v->vmid, &a, err);

    if (rc < 0) {
        return rc;
    }
    if (read_argv(v, &argv) < 0) {
        return err_oom(err);
    }
    input.assessment = a;
    input.argv = argv.len > 0 ? argv.data : NULL;
    input.argv_len = argv.len;
    if (verify_make(&input, &verify) < 0) {
        return err_oom(err);
    }
    *ret_answer = make_answer(v, &verify);
    return *ret_answer == NULL ? err_oom(err) : 0;
}

static int trouble(const struct api_reply *reply, struct err *err)
{
    return err_set(err, -EIO, "PVE does not tell: %s",
                   reply->message == NULL ? "no answer" : reply->message);
}

static void on_pending(void *userdata, const struct api_reply *reply)
{
    struct engine_verification *v = userdata;
    json_t *answer = NULL;
    struct err err = {""};
    int rc;

    v->call = NULL;
    rc = reply->result != API_OK ? trouble(reply, &err) : compare(v, reply->data, &answer, &err);
    end(v, answer, rc, &err);
    json_decref(answer);
}

static void on_status(void *userdata, const struct api_reply *reply)
{
    struct engine_verification *v = userdata;
    struct requests_vm target = {.node = v->engine->node, .vmid = v->vmid};
    struct err err = {""};

    v->call = NULL;
    if (reply->result != API_OK) {
        end(v, NULL, trouble(reply, &err), &err);
        return;
    }
    v->status = json_incref(reply->data);
    if (engine_send(v->engine, requests_pending(target), on_pending, v, &v->call) < 0) {
        end(v, NULL, err_oom(&err), &err);
    }
}

int engine_verify(struct engine *engine, uint32_t vmid, engine_verify_done done, void *userdata,
                  struct engine_verification **ret, struct err *err)
{
    struct requests_vm target = {.node = engine->node, .vmid = vmid};
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    CLEANUP_FREE struct engine_verification *v = NULL;
    int rc = engine_assess_planned(engine, vmid, &a, err); /* is there anything to ask about? */

    if (rc < 0) {
        return rc;
    }
    v = calloc(1, sizeof(*v));
    if (v == NULL) {
        return err_oom(err);
    }
    *v = (struct engine_verification){.waiter = {.end = end_early},
                                      .engine = engine,
                                      .vmid = vmid,
                                      .done = done,
                                      .userdata = userdata};
    if (engine_send(engine, requests_status(target), on_status, v, &v->call) < 0) {
        return err_oom(err);
    }
    engine_waiter_add(engine, &v->waiter);
    *ret = STEAL(v);
    return 0;
}
