/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid apply`: has the daemon carry the plan out now, and shows it at work. Interrupting this
 * program does not interrupt the daemon: what was begun is ended, and is in the journal.
 */
#include <errno.h>

#include "base/str.h"
#include "cli/args.h"
#include "cli/calls.h"
#include "cli/plan_view.h"

/* The daemon waits up to a minute for PVE's lock and 20 s for each answer; it tells of each step.
 */
enum { APPLY_PATIENCE_S = 180 };

struct apply {
    const struct cli *cli;
    uint32_t vmid;
    bool dry_run;
    json_t *progress; /* all sentences, for --json */
};

static const struct outcome {
    const char *name;
    enum cli_exit code;
    const char *sentence; /* without a VMID: %s */
    const char *next;     /* NULL: nothing */
} outcomes[] = {
    {"unchanged", CLI_OK, "in sync, nothing to do", NULL},
    {"done", CLI_OK, "done", "to look back: pve-hwid log"},
    {"differs", CLI_DIFFERS, "dry run, nothing was changed", "to do it: pve-hwid apply"},
    {"busy", CLI_BUSY, "nothing was done, the VM runs or is locked",
     "when it is stopped and unlocked: pve-hwid apply"},
    {"refused", CLI_REFUSED, "refused, nothing was done", "to see why: pve-hwid plan"},
    {"failed", CLI_ERROR, "failed", "to see how far it came: pve-hwid log"},
};

static const struct outcome *find_outcome(const json_t *answer)
{
    const char *name = json_string_value(json_object_get(answer, "outcome"));

    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        if (str_equal(outcomes[i].name, name)) {
            return &outcomes[i];
        }
    }
    return NULL;
}

/* A reply on the way. Shown at once: somebody is waiting in front of it. */
static void take_progress(void *userdata, const json_t *parameters)
{
    struct apply *apply = userdata;
    const char *sentence = json_string_value(json_object_get(parameters, "progress"));
    char prefix[CALLS_PREFIX_SIZE];

    if (sentence == NULL) {
        return;
    }
    if (apply->cli->json) {
        /* Out of memory: the list is NULL or lacks one; only the outcome counts. */
        (void)json_array_append_new(apply->progress, json_string(sentence));
        return;
    }
    /* Most of the daemon's sentences name the VM, as the journal wants them. */
    out_printf(&apply->cli->out, OUT_PLAIN, "%s%s\n",
               str_starts(sentence, "VM ") ? "" : calls_prefix(apply->vmid, prefix), sentence);
    (void)fflush(apply->cli->out.file); /* main() finds a failed write at the end */
}

static enum cli_exit print_json(const struct apply *apply, const struct outcome *outcome,
                                const char *detail, const struct plan *plan)
{
    json_t *shown = plan != NULL ? plan_view_json(plan, NULL) : json_null();

    if (shown == NULL) {
        return cli_oom(apply->cli);
    }
    return cli_print_json(apply->cli,
                          json_pack("{s:I,s:b,s:s,s:s?,s:O,s:o}", "vmid", (json_int_t)apply->vmid,
                                    "dry_run", (int)apply->dry_run, "outcome", outcome->name,
                                    "detail", detail, "progress", apply->progress, "plan", shown),
                          outcome->code);
}

static enum cli_exit print_text(const struct apply *apply, const struct outcome *outcome,
                                const char *detail, const struct plan *plan)
{
    CLEANUP_FREE char *next = NULL;
    CLEANUP_FREE char *sentence = NULL;
    bool good = outcome->code == CLI_OK || outcome->code == CLI_DIFFERS;
    struct err err = {""};

    if (outcome->next != NULL) {
        next = str_printf("; %s %u", outcome->next, (unsigned)apply->vmid);
    }
    sentence = str_printf("VM %u: %s%s%s%s", (unsigned)apply->vmid, outcome->sentence,
                          detail != NULL && *detail != '\0' ? ": " : "",
                          detail != NULL ? detail : "", next != NULL ? next : "");
    if (sentence == NULL) {
        return cli_oom(apply->cli);
    }
    if (plan != NULL && outcome->code != CLI_OK && outcome->code != CLI_ERROR &&
        plan_view_print(apply->cli, plan, &err) < 0) {
        return cli_fail(apply->cli, CLI_ERROR, "%s", err.text);
    }
    if (!good) {
        return cli_fail(apply->cli, outcome->code, "%s", sentence);
    }
    out_printf(&apply->cli->out, OUT_PLAIN, "%s\n", sentence);
    return outcome->code;
}

static enum cli_exit apply_vm(struct apply *apply)
{
    CLEANUP(plan_freep) struct plan *plan = NULL;
    json_auto_t *answer = NULL;
    const struct call call = {
        .method = "Apply",
        .vmid = apply->vmid,
        .parameters = json_pack("{s:I,s:b}", "vmid", (json_int_t)apply->vmid, "dry_run",
                                (int)apply->dry_run),
        .patience_s = APPLY_PATIENCE_S,
        .progress = take_progress,
        .userdata = apply,
    };
    const struct outcome *outcome;
    const char *detail;
    const json_t *told;
    struct err err = {""};
    enum cli_exit code;

    code = calls_run(apply->cli, &call, &answer);
    if (code != CLI_OK) {
        return code;
    }
    outcome = find_outcome(answer);
    told = json_object_get(answer, "plan");
    detail = json_string_value(json_object_get(answer, "detail"));
    if (outcome == NULL) {
        return calls_bad_answer(apply->cli, apply->vmid, "it has no usable 'outcome'");
    }
    if (told != NULL && !json_is_null(told) && plan_view_parse(told, &plan, &err) < 0) {
        return calls_bad_answer(apply->cli, apply->vmid, err.text);
    }
    return apply->cli->json ? print_json(apply, outcome, detail, plan)
                            : print_text(apply, outcome, detail, plan);
}

static enum cli_exit apply_run(struct cli *cli, int argc, char **argv)
{
    struct apply apply = {.cli = cli};
    const struct arg_option options[] = {{"dry-run", 'n', ARG_FLAG, &apply.dry_run}};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    if (args.n == 0) {
        return cli_usage(cli, "apply needs the number of a VM, e.g. 105");
    }
    if (!args_vmid(args.words[0], &apply.vmid)) {
        return cli_usage(cli, "'%s' is not the number of a VM, e.g. 105", args.words[0]);
    }
    apply.progress = json_array();
    if (apply.progress == NULL) {
        return cli_oom(cli);
    }
    code = apply_vm(&apply);
    json_decref(apply.progress);
    return code;
}

const struct verb verb_apply = {
    .name = "apply",
    .summary = "Changes a stopped VM into what its fingerprint says",
    .usage = "apply VMID [--dry-run] [--json]",
    .details = "Asks the daemon to carry the plan out now and shows it at work. A VM that runs or\n"
               "is locked is left alone. Every change is in the journal: pve-hwid log VMID.\n\n"
               "  -n, --dry-run   only tell what would happen\n\n"
               "Exit: 0 done or in sync, 3 would change something (dry run), 4 runs or is locked,\n"
               "5 refused, 1 error.\n\n"
               "Examples:\n"
               "  pve-hwid apply 105 --dry-run\n"
               "  pve-hwid apply 105\n",
    .online = true,
    .run = apply_run,
};
