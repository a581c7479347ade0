/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid version`. */
#include "cli/args.h"

#define VERSION_NAME "pve-hwid"

static enum cli_exit version_run(struct cli *cli, int argc, char **argv)
{
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, NULL, 0, argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = args_none(cli, &args, false);
    if (code != CLI_OK) {
        return code;
    }
    if (cli->json) {
        return cli_print_json(
            cli, json_pack("{s:s,s:s}", "name", VERSION_NAME, "version", PVE_HWID_VERSION), CLI_OK);
    }
    out_printf(&cli->out, OUT_PLAIN, "%s %s\n", VERSION_NAME, PVE_HWID_VERSION);
    return CLI_OK;
}

const struct verb verb_version = {
    .name = "version",
    .summary = "Tells the version of this program",
    .usage = "version [--json]",
    .details = "The daemon's own version is in: pve-hwid status\n",
    .run = version_run,
};
