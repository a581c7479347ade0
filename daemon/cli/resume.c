/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid resume`: the end of a hold. Takes the file away and has the daemon look at the VM. */
#include "cli/hold_file.h"
#include "cli/several.h"

static enum cli_exit tell(const struct cli *cli, uint32_t vmid, bool was_on_hold, bool told)
{
    if (cli->json) {
        return cli_print_json(cli,
                              json_pack("{s:I,s:b,s:b,s:b}", "vmid", (json_int_t)vmid, "on_hold", 0,
                                        "was_on_hold", (int)was_on_hold, "daemon_told", (int)told),
                              CLI_OK);
    }
    out_printf(&cli->out, OUT_PLAIN,
               was_on_hold ? "VM %u is on hold no more%s.\n" : "VM %u was not on hold%s.\n",
               (unsigned)vmid, told ? ": the daemon looks at it now" : "");
    return CLI_OK;
}

static enum cli_exit resume_vm(const struct cli *cli, uint32_t vmid, void *userdata)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP(where_fini) struct where where = {0};
    struct err err = {""};
    int rc = hold_file_settings(cli->config, &settings, &err);

    (void)userdata; /* there are no orders */
    rc = rc < 0 ? rc : hold_file_remove(settings, vmid, &err);
    if (rc < 0) {
        return cli_fail(cli, CLI_ERROR, "VM %u stays on hold: %s", (unsigned)vmid, err.text);
    }
    where_find(settings, vmid, &where);
    if (rc != 0 && where.is == WHERE_NOWHERE) {
        return where_fail(cli, vmid);
    }
    return tell(cli, vmid, rc == 0,
                hold_file_tell(cli, "Resume", vmid, &where,
                               rc == 0 ? "the hold is over, but the daemon was not told and looks "
                                         "at the VM later"
                                       : "the daemon was not told to look at it"));
}

static enum cli_exit resume_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(several_fini) struct several several = {0};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, NULL, 0, argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = several_operands(cli, &args, &several);
    return code != CLI_OK ? code : several_run(cli, &several, resume_vm, NULL);
}

const struct verb verb_resume = {
    .name = "resume",
    .summary = "Ends a hold: the VM becomes what its fingerprint says again",
    .usage = "resume VMID... [--json]",
    .details =
        "Takes the hold file away, wherever it lies, and has the daemon look at the VM: a\n"
        "stopped VM with our hookscript is changed right away, others with their next start\n"
        "or with apply.\n\n"
        "Exit: 0 it is not on hold, 1 error; of several VMs that of the worst.\n\n"
        "Example:\n"
        "  pve-hwid resume 105\n",
    .operands = ARGS_WORDS_MAX,
    .online = true,
    .run = resume_run,
};
