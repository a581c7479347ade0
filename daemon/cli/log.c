/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid log`: the change journal of a VM, as long as it is there. */
#include "cli/args.h"
#include "cli/calls.h"
#include "cli/hold_file.h"
#include "cli/log_view.h"
#include "cli/where.h"

/* What was done to a VM that is gone can be read as long as its journal is there. */
static void tell_where(const struct cli *cli, uint32_t vmid)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP(where_fini) struct where where = {0};

    if (hold_file_settings(cli->config, &settings, NULL) < 0) {
        return;
    }
    where_find(settings, vmid, &where);
    if (where.is == WHERE_ELSEWHERE) {
        cli_note(
            cli,
            "VM %u is on node %s now: this is what was changed while it was here; what was changed "
            "there is told there",
            (unsigned)vmid, where.node);
    } else if (where.is == WHERE_NOWHERE) {
        cli_note(cli,
                 "there is no VM %u in the cluster any more: this is what was changed while it was "
                 "here",
                 (unsigned)vmid);
    }
}

static enum cli_exit log_vm(const struct cli *cli, uint32_t vmid)
{
    json_auto_t *answer = NULL;
    json_t *records;
    json_int_t unreadable;
    enum cli_exit code;

    code = calls_vm(cli, "Log", vmid, "records", &answer);
    if (code != CLI_OK) {
        return code;
    }
    records = json_object_get(answer, "records");
    unreadable = json_integer_value(json_object_get(answer, "unreadable"));
    if (!json_is_array(records)) {
        return calls_bad_answer(cli, vmid, "it has no 'records'");
    }
    if (cli->json) {
        return cli_print_json(cli,
                              json_pack("{s:I,s:O,s:I}", "vmid", (json_int_t)vmid, "records",
                                        records, "unreadable", unreadable),
                              CLI_OK);
    }
    tell_where(cli, vmid);
    if (unreadable > 0) {
        cli_note(cli,
                 "VM %u: %lld line%s of the journal cannot be read and %s left out: "
                 "/var/lib/pve-hwid/journal/%u.jsonl",
                 (unsigned)vmid, (long long)unreadable, unreadable == 1 ? "" : "s",
                 unreadable == 1 ? "was" : "were", (unsigned)vmid);
    }
    if (json_array_size(records) == 0) {
        out_printf(&cli->out, OUT_PLAIN, "VM %u: nothing was changed so far.\n", (unsigned)vmid);
        return CLI_OK;
    }
    return log_view_print(cli, records) < 0 ? cli_oom(cli) : CLI_OK;
}

static enum cli_exit log_run(struct cli *cli, int argc, char **argv)
{
    struct args args;
    enum cli_exit code;
    uint32_t vmid;

    if (args_parse(cli, NULL, 0, argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = args_need_vmid(cli, &args, &vmid);
    if (code != CLI_OK) {
        return code;
    }
    return log_vm(cli, vmid);
}

const struct verb verb_log = {
    .name = "log",
    .summary = "Shows what was changed in a VM, when and why",
    .usage = "log VMID [--json]",
    .details = "The change journal, oldest first; times are local, with\n"
               "their zone. --json has all of it, and UTC.\n\n"
               "Examples:\n"
               "  pve-hwid log 105\n"
               "  pve-hwid log 105 --json | jq '.records[-1]'\n",
    .online = true,
    .run = log_run,
};
