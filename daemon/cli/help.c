/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See help.h. The table of verbs is the only source: a verb cannot be forgotten here. */
#include "cli/help.h"

#include "cli/args.h"

static const char *const online_options =
    "  --socket PATH   the daemon's socket (default " CLI_SOCKET ")\n"
    "  --timeout S     give up after S seconds without a word from the daemon\n";
static const char settings_option[] =
    "  --config FILE   the settings that say where things lie (default\n"
    "                  " CLI_CONFIG ")\n";

void help_print_all(const struct cli *cli)
{
    const struct out *out = &cli->out;

    out_text(out,
             "usage: pve-hwid VERB [OPTIONS]\n\n"
             "Keeps the hardware identity that a virtual machine had on VMware on Proxmox VE.\n"
             "\n");
    for (size_t i = 0; i < cli->n_verbs; i++) {
        out_printf(out, OUT_BOLD, "  %-9s", cli->verbs[i]->name);
        out_printf(out, OUT_PLAIN, " %s\n", cli->verbs[i]->summary);
    }
    out_text(out, "\nEvery verb: --json for programs, --help for its options and examples.\n"
                  "Exit: 0 in sync or done, 1 error, 2 usage, 3 differs, 4 locked or running,\n"
                  "      5 refused by a guard.\n"
                  "See also: man pve-hwid\n");
}

static void print_verb(const struct cli *cli, const struct verb *verb)
{
    const struct out *out = &cli->out;

    out_printf(out, OUT_PLAIN, "usage: pve-hwid %s\n\n%s.\n\n", verb->usage, verb->summary);
    out_text(out, verb->details);
    out_text(out, "\nOptions of every verb:\n"
                  "  --json          one JSON object on stdout\n"
                  "  -h, --help      this text\n");
    if (verb->online) {
        out_text(out, online_options);
        if (!verb->other_config) {
            out_text(out, settings_option);
        }
    }
}

enum cli_exit help_verb(const struct cli *cli, const struct verb *verb)
{
    if (cli->json) {
        return cli_print_json(cli,
                              json_pack("{s:s,s:s,s:s,s:s}", "name", verb->name, "summary",
                                        verb->summary, "usage", verb->usage, "details",
                                        verb->details),
                              CLI_OK);
    }
    print_verb(cli, verb);
    return CLI_OK;
}

static enum cli_exit print_json(const struct cli *cli)
{
    json_t *verbs = json_array();

    for (size_t i = 0; i < cli->n_verbs && verbs != NULL; i++) {
        const struct verb *verb = cli->verbs[i];

        if (json_array_append_new(verbs, json_pack("{s:s,s:s,s:s}", "name", verb->name, "summary",
                                                   verb->summary, "usage", verb->usage)) != 0) {
            json_decref(verbs);
            return cli_oom(cli);
        }
    }
    return cli_print_json(cli, json_pack("{s:o}", "verbs", verbs), CLI_OK);
}

static enum cli_exit help_run(struct cli *cli, int argc, char **argv)
{
    struct args args;
    enum cli_exit code;
    const struct verb *verb;

    if (args_parse(cli, NULL, 0, argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    if (args.n == 0) {
        if (cli->json) {
            return print_json(cli);
        }
        help_print_all(cli);
        return CLI_OK;
    }
    verb = cli_find_verb(cli, args.words[0]);
    if (verb == NULL) {
        return cli_no_verb(cli, args.words[0]);
    }
    return help_verb(cli, verb);
}

const struct verb verb_help = {
    .name = "help",
    .summary = "Tells the verbs, or the options and examples of one",
    .usage = "help [VERB] [--json]",
    .details = "With --json the same as an object, of each verb or of one.\n\n"
               "Examples:\n"
               "  pve-hwid help\n"
               "  pve-hwid help capture\n",
    .run = help_run,
};
