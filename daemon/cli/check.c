/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid check`: is a VM, or are all VMs of this node, what their fingerprints say? Made for
 * monitoring: changes nothing, and the exit code is the answer.
 */
#include <stdio.h>

#include "base/str.h"
#include "cli/calls.h"
#include "cli/report_view.h"
#include "cli/several.h"
#include "cli/vm_state.h"

static const char *result_name(enum cli_exit code)
{
    return cli_word(code, "in-sync", "error");
}

static int print_table(const struct cli *cli, const struct vm_state_list *list)
{
    static const char *const heads[] = {"VMID", "NAME", "STATE", "CHANGES", "DETAIL"};
    CLEANUP(out_table_fini) struct out_table table;

    out_table_init(&table, heads, ARRAY_SIZE(heads));
    for (size_t i = 0; i < list->n; i++) {
        const struct vm_state *vm = &list->items[i];

        out_table_addf(&table, OUT_PLAIN, "%u", (unsigned)vm->vmid);
        out_table_add(&table, OUT_PLAIN, vm->name);
        out_table_add(&table, vm_state_style(vm), vm->state);
        out_table_addf(&table, OUT_PLAIN, "%lld", (long long)vm->changes);
        out_table_add_said(&table, vm->detail);
    }
    return out_table_print(&table, &cli->out);
}

static void print_one(const struct cli *cli, const struct vm_state *vm)
{
    const struct out *out = &cli->out;
    CLEANUP_FREE char *detail = out_local_times(vm->detail);

    out_printf(out, OUT_PLAIN, "VM %u", (unsigned)vm->vmid);
    if (vm->name != NULL) {
        out_printf(out, OUT_PLAIN, " (%s)", vm->name);
    }
    out_printf(out, OUT_PLAIN, ": ");
    out_printf(out, vm_state_style(vm), "%s", vm->state);
    if (vm->changes > 0) {
        out_printf(out, OUT_PLAIN, ", %lld change%s", (long long)vm->changes,
                   vm->changes == 1 ? "" : "s");
    }
    out_printf(out, OUT_PLAIN, "%s%s\n", *vm->detail != '\0' ? ": " : "",
               detail != NULL ? detail : vm->detail);
    if (vm->changes > 0) {
        out_printf(out, OUT_PLAIN, "Next: pve-hwid plan %u\n", (unsigned)vm->vmid);
    }
}

/* Asked for by its number, a VM that is not here is an error; in a list it is not. */
static enum cli_exit exit_of(const struct vm_state_list *list, bool one)
{
    enum cli_exit worst = CLI_OK;

    for (size_t i = 0; i < list->n; i++) {
        enum cli_exit code = vm_state_exit(&list->items[i]);

        if (one && str_equal(list->items[i].state, "no-config")) {
            code = CLI_ERROR;
        }
        worst = cli_worst(worst, code);
    }
    return worst;
}

/* One of several is an entry of the list that all of them are; alone it is such a list. */
static enum cli_exit print_list(const struct cli *cli, const struct vm_state_list *list,
                                enum cli_exit code)
{
    json_auto_t *vms = vm_state_list_json(list);

    if (cli->batch != NULL) {
        return cli_print_json(cli, json_incref(json_array_get(vms, 0)), code);
    }
    return cli_print_json(cli, json_pack("{s:s,s:O*}", "result", result_name(code), "vms", vms),
                          code);
}

static enum cli_exit check(const struct cli *cli, uint32_t vmid)
{
    CLEANUP(vm_state_list_fini) struct vm_state_list list = {0};
    json_auto_t *answer = NULL;
    struct err err = {""};
    enum cli_exit code;

    code = calls_vm(cli, "Check", vmid, "vms", &answer);
    if (code != CLI_OK) {
        return code;
    }
    if (vm_state_list_read(answer, &list, &err) < 0) {
        return calls_bad_answer(cli, vmid, err.text);
    }
    if (vmid != 0 && (list.n != 1 || list.items[0].vmid != vmid)) {
        return calls_bad_answer(cli, vmid, "it is not about that VM");
    }
    code = exit_of(&list, vmid != 0);
    if (vmid != 0) {
        cli_result(cli, list.items[0].state, list.items[0].detail);
    }
    if (cli->json) {
        return print_list(cli, &list, code);
    }
    if (vmid != 0) {
        print_one(cli, &list.items[0]);
        return code;
    }
    if (list.n == 0) {
        out_text(&cli->out, "No VM on this node has a fingerprint.\n");
        return code;
    }
    return print_table(cli, &list) < 0 ? cli_oom(cli) : code;
}

static enum cli_exit check_one(const struct cli *cli, uint32_t vmid, void *userdata)
{
    return *(const bool *)userdata ? report_view_online(cli, vmid) : check(cli, vmid);
}

static enum cli_exit check_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(several_fini) struct several several = {.result = result_name};
    bool report = false;
    const struct arg_option options[] = {{"report", '\0', ARG_FLAG, &report}};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    if (args.n == 0 && report) {
        return cli_usage(cli, "--report is about VMs by their numbers: check VMID --report");
    }
    if (args.n == 0) {
        return check(cli, 0);
    }
    code = several_operands(cli, &args, &several);
    return code != CLI_OK ? code : several_run(cli, &several, check_one, &report);
}

const struct verb verb_check = {
    .name = "check",
    .summary = "Tells whether a VM, or every VM, is what its fingerprint says",
    .usage = "check [VMID...] [--report] [--json]",
    .details =
        "Without a VMID: all VMs of this node that have a fingerprint; the exit code is that\n"
        "of the worst. Reads everything afresh and changes nothing.\n\n"
        "  --report  attribute by attribute: what the guest saw on VMware, sees now, and would\n"
        "            see after `apply`; and what that means for its activation\n\n"
        "Exit: 0 in sync, 3 differs, 4 something is under way, 5 refused by a guard, 1 error.\n\n"
        "Examples:\n"
        "  pve-hwid check 105\n"
        "  pve-hwid check 105 --report\n"
        "  pve-hwid check --json\n",
    .operands = ARGS_WORDS_MAX,
    .online = true,
    .run = check_run,
};
