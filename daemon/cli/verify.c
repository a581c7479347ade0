/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid verify`: has a VM, and has the machine that runs, what its fingerprint says? */
#include "base/buf.h"
#include "base/str.h"
#include "cli/calls.h"
#include "cli/several.h"
#include "core/wire.h"

static enum cli_exit exit_of(const char *result)
{
    return str_equal(result, "ok")        ? CLI_OK
           : str_equal(result, "differs") ? CLI_DIFFERS
                                          : CLI_ERROR;
}

static enum out_style style_of(const char *result)
{
    switch (exit_of(result)) {
    case CLI_OK:
        return OUT_GOOD;
    case CLI_DIFFERS:
        return OUT_BAD;
    case CLI_ERROR:
    case CLI_USAGE:
    case CLI_BUSY:
    case CLI_REFUSED:
        break;
    }
    return OUT_WARN;
}

static int print_checks(const struct cli *cli, const json_t *checks)
{
    static const char *const heads[] = {"WHAT", "RESULT", "DETAIL"};
    CLEANUP(out_table_fini) struct out_table table;
    const json_t *check;
    size_t i;

    out_table_init(&table, heads, ARRAY_SIZE(heads));
    json_array_foreach (checks, i, check) {
        const char *result = json_string_value(json_object_get(check, "result"));

        out_table_add(&table, OUT_PLAIN, json_string_value(json_object_get(check, "what")));
        out_table_add(&table, style_of(result), result);
        out_table_add(&table, OUT_PLAIN, json_string_value(json_object_get(check, "detail")));
    }
    return out_table_print(&table, &cli->out);
}

static void print_conclusion(const struct cli *cli, uint32_t vmid, bool running, const char *result)
{
    const char *sentence = "not all of it could be found out";

    if (str_equal(result, "ok")) {
        sentence = running ? "the machine that runs has what the fingerprint says"
                           : "it does not run, and its next start gets what the fingerprint says";
    } else if (str_equal(result, "differs")) {
        sentence = running
                       ? "the machine that runs has not all that the fingerprint says; what the "
                         "configuration has already, it gets by a stop and a start"
                       : "its next start does not get all that the fingerprint says";
    }
    out_printf(&cli->out, OUT_PLAIN, "VM %u: %s.\n", (unsigned)vmid, sentence);
}

/* For the summary: what differs, by name. */
static void note_result(const struct cli *cli, const char *result, const json_t *checks)
{
    CLEANUP(buf_fini) struct buf names = BUF_INIT(0);
    const json_t *check;
    size_t i;

    json_array_foreach (checks, i, check) {
        const char *what = json_string_value(json_object_get(check, "what"));

        if (what != NULL &&
            exit_of(json_string_value(json_object_get(check, "result"))) != CLI_OK) {
            buf_addf(&names, "%s%s", names.len > 0 ? ", " : "", what);
        }
    }
    cli_result(cli, result, names.error == 0 ? names.data : NULL);
}

static enum cli_exit verify_vm(const struct cli *cli, uint32_t vmid, void *userdata)
{
    json_auto_t *answer = NULL;
    struct wire_fields fields;
    const json_t *checks;
    const char *result;
    bool running;
    enum cli_exit code;

    (void)userdata;
    code = calls_vm(cli, "Verify", vmid, NULL, &answer);

    if (code != CLI_OK) {
        return code;
    }
    fields = (struct wire_fields){.object = answer};
    running = wire_get_bool(&fields, "running", WIRE_NEEDED);
    result = wire_get_string(&fields, "result", WIRE_NEEDED);
    checks = wire_get_array(&fields, "checks", WIRE_NEEDED);
    if (fields.bad != NULL) {
        return calls_bad_answer(cli, vmid, "it has no usable 'result' or 'checks'");
    }
    code = exit_of(result);
    note_result(cli, result, checks);
    if (cli->json) {
        return cli_print_json(cli, STEAL(answer), code);
    }
    if (print_checks(cli, checks) < 0) {
        return cli_oom(cli);
    }
    print_conclusion(cli, vmid, running, result);
    return code;
}

static enum cli_exit verify_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(several_fini) struct several several = {0};
    bool all = false;
    const struct arg_option options[] = {{"all", '\0', ARG_FLAG, &all}};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = several_take(cli, &args, all, true, &several);
    return code != CLI_OK ? code : several_run(cli, &several, verify_vm, NULL);
}

const struct verb verb_verify = {
    .name = "verify",
    .summary = "Tells whether the machine that runs has what its fingerprint says",
    .usage = "verify VMID... | --all [--json]",
    .details =
        "Where check compares the configuration alone, this asks also what QEMU was started with:\n"
        "SMBIOS, machine, network cards and disks, and what waits for the next start. Needs no\n"
        "guest agent. Changes nothing.\n\n"
        "  --all  all VMs of this node that have a fingerprint, and a summary\n\n"
        "Exit: 0 it has, 3 something differs, 1 error, or not all could be found out; of several\n"
        "VMs that of the worst.\n\n"
        "Examples:\n"
        "  pve-hwid verify 105\n"
        "  pve-hwid verify --all\n",
    .operands = ARGS_WORDS_MAX,
    .online = true,
    .run = verify_run,
};
