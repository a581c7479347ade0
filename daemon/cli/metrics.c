/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid metrics`: the daemon's numbers as Prometheus text, to standard output or, whole or not
 * at all, into the file that node_exporter's textfile collector reads. A daemon that does not
 * answer is a number too: whoever watches must see it, so it is written like the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "cli/args.h"
#include "cli/calls.h"
#include "core/metrics.h"
#include "io/file.h"

enum { FILE_MODE = 0644 }; /* node_exporter is another user */

/* As -o wants it: temporary file in the same directory, then rename. The umask of whoever calls
 * must not keep node_exporter out. */
static enum cli_exit write_file(const struct cli *cli, const char *path, const char *text)
{
    mode_t old = umask(0);
    struct err err = {""};
    int rc = file_replace(AT_FDCWD, path, FILE_MODE, text, &err);

    (void)umask(old);
    if (rc == -ENOENT) {
        return cli_fail(cli, CLI_ERROR,
                        "%s: its directory does not exist; it comes with the package "
                        "prometheus-node-exporter",
                        path);
    }
    return rc < 0 ? cli_fail(cli, CLI_ERROR, "%s", err.text) : CLI_OK;
}

/* `numbers` NULL: the daemon did not tell them. */
static enum cli_exit put(const struct cli *cli, const char *path, const json_t *numbers)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(0);
    struct err err = {""};
    enum cli_exit code = CLI_OK;
    enum cli_exit wrote = CLI_OK;

    if (numbers != NULL && metrics_render(numbers, &text, &err) < 0) {
        code = calls_bad_answer(cli, 0, err.text);
        buf_fini(&text);
        numbers = NULL;
    }
    if (numbers == NULL) {
        metrics_render_down(&text);
    }
    if (text.error != 0) {
        return cli_oom(cli);
    }
    if (path != NULL) {
        wrote = write_file(cli, path, text.data);
    } else {
        out_text(&cli->out, text.data);
    }
    return cli_worst(code, wrote);
}

static enum cli_exit metrics_run(struct cli *cli, int argc, char **argv)
{
    json_auto_t *numbers = NULL;
    const char *output = NULL;
    const struct arg_option table[] = {{"output", 'o', ARG_TEXT, &output}};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, table, ARRAY_SIZE(table), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = args_none(cli, &args, true);
    if (code != CLI_OK) {
        return code;
    }
    if (cli->json && output != NULL) {
        return cli_usage(cli, "--json is for standard output, -o writes Prometheus text");
    }
    if (output != NULL && output[0] == '-' && output[1] == '\0') {
        output = NULL;
    }
    code = calls_vm(cli, "Metrics", 0, NULL, &numbers);
    if (cli->json) {
        return code == CLI_OK ? cli_print_json(cli, json_incref(numbers), code) : code;
    }
    return cli_worst(code, put(cli, output, numbers));
}

const struct verb verb_metrics = {
    .name = "metrics",
    .summary = "Tells the daemon's numbers to Prometheus",
    .usage = "metrics [-o FILE] [--json]",
    .details =
        "Prints Prometheus text: VMs by state and one by one, starts that were stopped and made\n"
        "again, changes, requests to PVE's API and their errors, calls of the hook and how long\n"
        "they took. Counters begin at zero with the daemon. If the daemon does not answer there "
        "is\n"
        "pve_hwid_up 0 and nothing else, and the exit code is 1. For root only.\n\n"
        "  -o, --output FILE  write there, whole or not at all, readable for all: for the "
        "textfile\n"
        "                     collector of node_exporter. pve-hwid-metrics.timer does this twice "
        "a\n"
        "                     minute once it is enabled\n\n"
        "Examples:\n"
        "  pve-hwid metrics\n"
        "  pve-hwid metrics -o /var/lib/prometheus/node-exporter/pve-hwid.prom\n",
    .online = true,
    .run = metrics_run,
};
