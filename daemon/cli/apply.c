/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid apply`: has the daemon carry the plan out now, and shows it at work. */
#include "cli/carry_out.h"
#include "cli/several.h"

static const struct carry_out_outcome outcomes[] = {
    {"unchanged", CLI_OK, "nothing to do", NULL},
    {"done", CLI_OK, "done", "to look back: pve-hwid log"},
    {"partial", CLI_DIFFERS, "done in part", "to look back: pve-hwid log"},
    {"differs", CLI_DIFFERS, "dry run, nothing was changed", "to do it: pve-hwid apply"},
    {"busy", CLI_BUSY, "nothing was done", "when it is stopped and unlocked: pve-hwid apply"},
    {"refused", CLI_REFUSED, "refused, nothing was done", "to see why: pve-hwid plan"},
    {"failed", CLI_ERROR, "failed", "to see how far it came: pve-hwid log"},
};

struct order {
    bool dry_run, verbose;
};

/* Of hundreds of VMs nobody reads the plans: the table at the end has what would change. */
static bool is_brief(const struct cli *cli, const struct order *order)
{
    return cli->batch != NULL && order->dry_run && !order->verbose;
}

static enum cli_exit apply_vm(const struct cli *cli, uint32_t vmid, void *userdata)
{
    const struct order *order = userdata;
    bool dry_run = order->dry_run;
    CLEANUP(carried_out_fini) struct carried_out done = {0};
    const struct carry_out apply = {
        .cli = cli,
        .method = "Apply",
        .vmid = vmid,
        .dry_run = dry_run,
        .parameters = json_pack("{s:I,s:b}", "vmid", (json_int_t)vmid, "dry_run", (int)dry_run),
        .outcomes = outcomes,
        .n_outcomes = ARRAY_SIZE(outcomes),
    };
    enum cli_exit code = carry_out_run(&apply, &done);

    if (code != CLI_OK) {
        return code;
    }
    if (cli->json) {
        return cli_print_json(cli, carry_out_json(&apply, &done), done.outcome->code);
    }
    return is_brief(cli, order) ? done.outcome->code : carry_out_print(&apply, &done);
}

static enum cli_exit apply_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(several_fini) struct several several = {0};
    struct order order = {false, false};
    bool all = false;
    const struct arg_option options[] = {{"dry-run", 'n', ARG_FLAG, &order.dry_run},
                                         {"verbose", 'v', ARG_FLAG, &order.verbose},
                                         {"all", '\0', ARG_FLAG, &all}};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = several_take(cli, &args, all, false, &several);
    return code != CLI_OK ? code : several_run(cli, &several, apply_vm, &order);
}

const struct verb verb_apply = {
    .name = "apply",
    .summary = "Changes stopped VMs into what their fingerprints say",
    .usage = "apply VMID... | --all [--dry-run [--verbose]] [--json]",
    .details =
        "Asks the daemon to carry the plan out now and shows it at work. A VM that runs or is\n"
        "locked is left alone. Every change is in the journal: pve-hwid log VMID.\n\n"
        "Several VMs are done one after the other; what fails with one does not stop the others.\n"
        "A summary at the end names those that need a look. Ctrl-C ends the VM that is under\n"
        "way, and tells which were not begun.\n\n"
        "  --all           all VMs of this node that have a fingerprint, but those on hold\n"
        "  -n, --dry-run   only tell what would happen; of several VMs as a table\n"
        "  -v, --verbose   with --dry-run, the whole plan of each; or: pve-hwid plan VMID\n\n"
        "Exit: 0 done or in sync, 3 would change something (dry run), or done in part: the\n"
        "rest still differs, 4 runs or is locked, 5 refused, 1 error, or not all was begun; of\n"
        "several VMs that of the worst.\n\n"
        "Examples:\n"
        "  pve-hwid apply 105 --dry-run\n"
        "  pve-hwid apply 105 106 107\n"
        "  pve-hwid apply --all --json > apply.json\n",
    .operands = ARGS_WORDS_MAX,
    .online = true,
    .run = apply_run,
};
