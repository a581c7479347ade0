/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid hold`: from now on pve-hwid leaves a VM as it is. The file that says so is written
 * here, not by the daemon, so that it can be said also when something is wrong with the daemon. */
#include "cli/hold_file.h"
#include "cli/several.h"

/* A hold may wait for a VM that will come: then its fingerprint is there. Without one a number that
 * is nobody's is a wrong one, and the VM that was meant would go on being changed. */
static bool is_wrong_number(const struct where *where, const struct settings *settings,
                            uint32_t vmid)
{
    return where->is == WHERE_NOWHERE && !where->fingerprint && !hold_file_exists(settings, vmid);
}

static enum cli_exit hold_vm(const struct cli *cli, uint32_t vmid, void *userdata)
{
    const char *why = *(const char *const *)userdata; /* NULL: none was given */
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP(hold_file_fini) struct hold_file file = {0};
    CLEANUP(where_fini) struct where where = {0};
    struct err err = {""};
    bool told;
    CLEANUP_FREE char *what = NULL;
    int rc = hold_file_settings(cli->config, &settings, &err);

    if (rc == 0) {
        where_find(settings, vmid, &where);
        if (is_wrong_number(&where, settings, vmid)) {
            return where_fail(cli, vmid);
        }
        rc = hold_file_write(settings, vmid, why, &file, &err);
    }
    if (rc < 0) {
        return cli_fail(cli, CLI_ERROR, "VM %u is not on hold: %s", (unsigned)vmid, err.text);
    }
    told = hold_file_tell(cli, "Hold", vmid, &where,
                          "the hold counts, but the daemon was not told and writes it into its "
                          "journal later");
    if (cli->json) {
        return cli_print_json(cli,
                              json_pack("{s:I,s:b,s:b,s:o,s:o,s:b,s:o}", "vmid", (json_int_t)vmid,
                                        "on_hold", 1, "was_on_hold", (int)file.was_there, "file",
                                        cli_json_text(file.path), "detail",
                                        cli_json_text(file.what), "daemon_told", (int)told,
                                        "former", cli_json_text(file.former)),
                              CLI_OK);
    }
    what = out_local_times(file.what);
    if (file.former != NULL) {
        CLEANUP_FREE char *former = out_local_times(file.former);

        out_printf(&cli->out, OUT_PLAIN, "VM %u was %s: this is replaced.\n", (unsigned)vmid,
                   former != NULL ? former : file.former);
    }
    out_printf(&cli->out, OUT_PLAIN,
               "VM %u is %s: pve-hwid leaves it as it is, and a start goes on as it is.\n"
               "To end the hold: pve-hwid resume %u\n",
               (unsigned)vmid, what != NULL ? what : file.what, (unsigned)vmid);
    return CLI_OK;
}

static enum cli_exit hold_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(several_fini) struct several several = {0};
    const char *why = NULL;
    const struct arg_option options[] = {{"why", 'w', ARG_TEXT, &why}};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = several_operands(cli, &args, &several);
    return code != CLI_OK ? code : several_run(cli, &several, hold_vm, &why);
}

const struct verb verb_hold = {
    .name = "hold",
    .summary = "Leaves a VM as it is until resume, whatever its fingerprint says",
    .usage = "hold VMID... [--why TEXT] [--json]",
    .details =
        "A VM on hold is not rewritten, and its starts go on as they are, with a line in the\n"
        "task log. What was begun is ended. The hold is a file beside the fingerprint,\n"
        "/etc/pve/pve-hwid/VMID.hold: it goes with the VM to other nodes, and counts also when\n"
        "the daemon does not run.\n\n"
        "  -w, --why TEXT  the reason, for those who come later\n"
        "\n"
        "Exit: 0 it is on hold, 1 error; of several VMs that of the worst.\n\n"
        "Examples:\n"
        "  pve-hwid hold 105 --why 'the vendor looks at it until Friday'\n"
        "  pve-hwid resume 105\n",
    .operands = ARGS_WORDS_MAX,
    .online = true,
    .run = hold_run,
};
