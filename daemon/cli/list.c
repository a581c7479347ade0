/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid list`: every VM that has a fingerprint, and what is known of it without looking again.
 */
#include "cli/args.h"
#include "cli/calls.h"
#include "cli/vm_state.h"

static int print_table(const struct cli *cli, const struct vm_state_list *list)
{
    static const char *const heads[] = {"VMID",        "NAME",        "STATE",
                                        "FINGERPRINT", "LAST CHANGE", "DETAIL"};
    CLEANUP(out_table_fini) struct out_table table;

    out_table_init(&table, heads, ARRAY_SIZE(heads));
    for (size_t i = 0; i < list->n; i++) {
        const struct vm_state *vm = &list->items[i];
        char when[OUT_TIME_SIZE];

        out_table_addf(&table, OUT_PLAIN, "%u", (unsigned)vm->vmid);
        out_table_add(&table, OUT_PLAIN, vm->name);
        out_table_add(&table, vm_state_style(vm), vm->state);
        out_table_add(&table, OUT_PLAIN, vm->origin);
        out_table_add(&table, OUT_PLAIN, out_iso_time(vm->last_change, when));
        out_table_add_said(&table, vm->detail);
    }
    return out_table_print(&table, &cli->out);
}

static enum cli_exit list_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(vm_state_list_fini) struct vm_state_list list = {0};
    json_auto_t *answer = NULL;
    struct args args;
    struct err err = {""};
    enum cli_exit code;

    if (args_parse(cli, NULL, 0, argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = args_none(cli, &args, true);
    if (code != CLI_OK) {
        return code;
    }
    code = calls_vm(cli, "List", 0, "vms", &answer);
    if (code != CLI_OK) {
        return code;
    }
    if (vm_state_list_read(answer, &list, &err) < 0) {
        return calls_bad_answer(cli, 0, err.text);
    }
    if (cli->json) {
        return cli_print_json(cli, json_pack("{s:o}", "vms", vm_state_list_json(&list)), CLI_OK);
    }
    if (list.n == 0) {
        out_text(&cli->out, "There are no fingerprints yet. Make the first one: pve-hwid capture "
                            "--help\n");
        return CLI_OK;
    }
    return print_table(cli, &list) < 0 ? cli_oom(cli) : CLI_OK;
}

const struct verb verb_list = {
    .name = "list",
    .summary = "Lists all VMs that have a fingerprint",
    .usage = "list [--json]",
    .details = "Tells what the daemon knows, without reading configurations again: see check for\n"
               "that. FINGERPRINT: local (this node), cluster, or both (then local counts).\n\n"
               "Example:\n"
               "  pve-hwid list --json | jq '.vms[] | select(.state != \"in-sync\")'\n",
    .online = true,
    .run = list_run,
};
