/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid`, the command line: finds the verb and runs it. One file per verb; what they say on
 * stdout is their result, what they say on stderr is about them. Called by the name `pve-hwidd` it
 * is the daemon.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "main.h"

static const struct verb *const verbs[] = {
    &verb_setup,  &verb_attach, &verb_detach,  &verb_capture, &verb_match, &verb_move,
    &verb_adopt,  &verb_plan,   &verb_check,   &verb_verify,  &verb_apply, &verb_undo,
    &verb_hold,   &verb_resume, &verb_status,  &verb_list,    &verb_log,   &verb_metrics,
    &verb_doctor, &verb_help,   &verb_version,
};

/* A full disk behind `pve-hwid capture x.vmx > 105.json` must not look like success. */
static enum cli_exit finish(const struct cli *cli, enum cli_exit code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return code;
    }
    (void)fprintf(stderr, "pve-hwid: could not write everything to standard output: %s\n",
                  strerror(errno));
    (void)cli;
    return cli_worst(code, CLI_ERROR);
}

static enum cli_exit run(struct cli *cli, int argc, char **argv)
{
    const char *name;

    if (argc < 2) {
        return cli_usage(cli, "what shall be done? A verb must come first");
    }
    name = argv[1];
    if (str_equal(name, "--help") || str_equal(name, "-h")) {
        name = verb_help.name;
    } else if (str_equal(name, "--version")) {
        name = verb_version.name;
    }
    cli->verb = cli_find_verb(cli, name);
    if (cli->verb != NULL) {
        return cli->verb->run(cli, argc - 2, argv + 2); /* args_parse() looks for --json */
    }
    /* A verb that is none has no options, so any word may be the one for programs. */
    for (int i = 1; i < argc && !str_equal(argv[i], "--"); i++) {
        cli->json = cli->json || str_equal(argv[i], "--json");
    }
    return cli_no_verb(cli, name);
}

/* By the name alone, as ExecStart= or a shell gives it: no option of ours makes a daemon. */
static bool is_daemon(const char *path)
{
    const char *slash = strrchr(path, '/');

    return str_equal(slash == NULL ? path : slash + 1, DAEMON_NAME);
}

static int cli_main(int argc, char **argv)
{
    struct cli cli = {
        .verbs = verbs, .n_verbs = ARRAY_SIZE(verbs), .socket = CLI_SOCKET, .config = CLI_CONFIG};

    /* The daemon is nobody and reads what root writes; what is secret says so file by file. */
    (void)umask(022);
    (void)setvbuf(stderr, NULL, _IOLBF, 0); /* whole sentences, also where others write there */
    out_init(&cli.out, stdout);
    return (int)finish(&cli, run(&cli, argc, argv));
}

int main(int argc, char **argv)
{
    return argc > 0 && is_daemon(argv[0]) ? daemon_main(argc, argv) : cli_main(argc, argv);
}
