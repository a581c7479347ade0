/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See carry_out.h. */
#include "cli/carry_out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/calls.h"
#include "cli/plan_view.h"

/* The daemon waits up to a minute for PVE's lock and 20 s for each answer; it tells of each step.
 */
enum { CARRY_OUT_PATIENCE_S = 180 };

void carried_out_fini(struct carried_out *done)
{
    json_decref(done->answer);
    json_decref(done->progress);
    plan_free(done->plan);
    free(done->detail);
    *done = (struct carried_out){0};
}

struct watching {
    const struct carry_out *what;
    json_t *progress;
};

/* A reply on the way. Shown at once: somebody is waiting in front of it. */
static void take_progress(void *userdata, const json_t *parameters)
{
    struct watching *w = userdata;
    const char *sentence = json_string_value(json_object_get(parameters, "progress"));
    CLEANUP_FREE char *local = out_local_times(sentence);
    char prefix[CALLS_PREFIX_SIZE];

    if (sentence == NULL) {
        return;
    }
    if (w->what->cli->json) {
        /* Out of memory: the list is NULL or lacks one; only the outcome counts. */
        (void)json_array_append_new(w->progress, json_string(sentence));
        return;
    }
    /* Most of the daemon's sentences name the VM, as the journal wants them. */
    out_printf(&w->what->cli->out, OUT_PLAIN, "%s%s\n",
               str_starts(sentence, "VM ") ? "" : calls_prefix(w->what->vmid, prefix),
               local != NULL ? local : sentence);
    (void)fflush(w->what->cli->out.file); /* main() finds a failed write at the end */
}

static const struct carry_out_outcome *find_outcome(const struct carry_out *what,
                                                    const json_t *answer)
{
    const char *name = json_string_value(json_object_get(answer, "outcome"));

    for (size_t i = 0; i < what->n_outcomes; i++) {
        if (str_equal(what->outcomes[i].name, name)) {
            return &what->outcomes[i];
        }
    }
    return NULL;
}

/* The journal wants the VM in each sentence; here it stands before it. */
static int read_detail(const struct carry_out *what, struct carried_out *done)
{
    const char *said = json_string_value(json_object_get(done->answer, "detail"));
    CLEANUP_FREE char *vm = str_printf("VM %u", (unsigned)what->vmid);
    size_t len = vm != NULL ? strlen(vm) : 0;
    bool named = said != NULL && vm != NULL && str_starts(said, vm);

    if (said == NULL) {
        return 0;
    }
    if (named && str_starts(said + len, ": ")) {
        done->detail = str_dup(said + len + 2);
    } else {
        done->detail = named && said[len] == ' ' ? str_printf("it%s", said + len) : str_dup(said);
    }
    return vm == NULL || done->detail == NULL ? -ENOMEM : 0;
}

static enum cli_exit read_answer(const struct carry_out *what, struct carried_out *done)
{
    const json_t *told = json_object_get(done->answer, "plan");
    struct err err = {""};

    done->outcome = find_outcome(what, done->answer);
    if (read_detail(what, done) < 0) {
        return cli_oom(what->cli);
    }
    if (done->outcome == NULL) {
        return calls_bad_answer(what->cli, what->vmid, "it has no usable 'outcome'");
    }
    if (told != NULL && !json_is_null(told) && plan_view_parse(told, &done->plan, &err) < 0) {
        return calls_bad_answer(what->cli, what->vmid, err.text);
    }
    return CLI_OK;
}

/* For the summary: the reason, or what would change. */
static void note_result(const struct cli *cli, const struct carried_out *done)
{
    CLEANUP(buf_fini) struct buf options = BUF_INIT(0);
    const char *why = done->detail;

    for (size_t i = 0; done->plan != NULL && i < done->plan->n_changes; i++) {
        buf_addf(&options, "%s%s", i > 0 ? ", " : "", done->plan->changes[i].option);
    }
    if (str_equal(done->outcome->name, "differs") && options.len > 0 && options.error == 0) {
        why = options.data;
    } else if ((why == NULL || *why == '\0') && done->plan != NULL && done->plan->refusals.n > 0) {
        why = done->plan->refusals.items[0];
    }
    cli_result(cli, done->outcome->name, why);
}

enum cli_exit carry_out_run(const struct carry_out *what, struct carried_out *ret)
{
    CLEANUP(carried_out_fini) struct carried_out done = {.progress = json_array()};
    struct watching watching = {what, done.progress};
    const struct call call = {
        .method = what->method,
        .vmid = what->vmid,
        .parameters = what->parameters,
        .patience_s = CARRY_OUT_PATIENCE_S,
        .progress = take_progress,
        .userdata = &watching,
    };
    enum cli_exit code = calls_run(what->cli, &call, &done.answer);

    code = code != CLI_OK ? code : read_answer(what, &done);
    if (code == CLI_OK) {
        note_result(what->cli, &done);
        *ret = done;
        done = (struct carried_out){0};
    }
    return code;
}

json_t *carry_out_json(const struct carry_out *what, const struct carried_out *done)
{
    json_t *shown = done->plan != NULL ? plan_view_json(done->plan, NULL) : json_null();

    return shown == NULL
               ? NULL
               : json_pack("{s:I,s:b,s:s,s:s?,s:O,s:o}", "vmid", (json_int_t)what->vmid, "dry_run",
                           (int)what->dry_run, "outcome", done->outcome->name, "detail",
                           done->detail, "progress", done->progress, "plan", shown);
}

enum cli_exit carry_out_print(const struct carry_out *what, const struct carried_out *done)
{
    const struct carry_out_outcome *outcome = done->outcome;
    bool good = outcome->code == CLI_OK || outcome->code == CLI_DIFFERS;
    /* That of a dry run says what our own sentence says. */
    const char *detail = done->detail == NULL || what->dry_run ? "" : done->detail;
    CLEANUP_FREE char *next = NULL;
    CLEANUP_FREE char *sentence = NULL;
    CLEANUP_FREE char *local = NULL;
    struct err err = {""};

    if (outcome->next != NULL) {
        next = str_printf("; %s %u", outcome->next, (unsigned)what->vmid);
    }
    sentence = str_printf("VM %u: %s%s%s%s", (unsigned)what->vmid, outcome->sentence,
                          *detail != '\0' ? ": " : "", detail, next != NULL ? next : "");
    if (sentence == NULL) {
        return cli_oom(what->cli);
    }
    /* After a partial one the plan is what was done; what was not is the detail. */
    if (done->plan != NULL && outcome->code != CLI_OK && outcome->code != CLI_ERROR &&
        !str_equal(outcome->name, "partial") && plan_view_print(what->cli, done->plan, &err) < 0) {
        return cli_fail(what->cli, CLI_ERROR, "%s", err.text);
    }
    if (!good) {
        return cli_fail(what->cli, outcome->code, "%s", sentence);
    }
    local = out_local_times(sentence);
    out_printf(&what->cli->out, OUT_PLAIN, "%s\n", local != NULL ? local : sentence);
    return outcome->code;
}
