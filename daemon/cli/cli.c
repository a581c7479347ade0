/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See cli.h. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/nearest.h"

/* Foreign bytes may be in any sentence (a VM's name, PVE's words), so none goes out unfiltered. */
static void say(const char *mark, const char *format, va_list args)
{
    struct out out;
    char text[ERR_TEXT_MAX + 256];

    (void)vsnprintf(text, sizeof(text), format, args); /* a cut sentence is still one */
    out_init(&out, stderr);
    out_printf(&out, OUT_PLAIN, "pve-hwid: ");
    if (mark != NULL) {
        out_printf(&out, OUT_WARN, "%s: ", mark);
    }
    out_printf(&out, OUT_PLAIN, "%s\n", text);
}

static void fail_json(const struct cli *cli, enum cli_exit code, const char *format, va_list args)
{
    char text[ERR_TEXT_MAX + 256];
    va_list copy;

    if (!cli->json) {
        return;
    }
    va_copy(copy, args);
    (void)vsnprintf(text, sizeof(text), format, copy); /* as in say() */
    va_end(copy);
    (void)cli_print_json(
        cli, json_pack("{s:{s:i,s:s%}}", "error", "exit", (int)code, "message", text, strlen(text)),
        code); /* the sentence on stderr is told in any case */
}

enum cli_exit cli_fail(const struct cli *cli, enum cli_exit code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail_json(cli, code, format, args);
    say(NULL, format, args);
    va_end(args);
    return code;
}

enum cli_exit cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail_json(cli, CLI_USAGE, format, args);
    say(NULL, format, args);
    va_end(args);
    if (cli->verb != NULL) {
        (void)fprintf(stderr, "usage: pve-hwid %s\nMore: pve-hwid %s --help\n", cli->verb->usage,
                      cli->verb->name);
    } else {
        (void)fprintf(stderr, "The verbs: pve-hwid help\n");
    }
    return CLI_USAGE;
}

void cli_note(const struct cli *cli, const char *format, ...)
{
    va_list args;

    (void)cli; /* notes are not for --json; whoever collects them puts them into its object */
    va_start(args, format);
    say("note", format, args);
    va_end(args);
}

enum cli_exit cli_oom(const struct cli *cli)
{
    (void)cli; /* no JSON: that would need memory */
    (void)fputs("pve-hwid: out of memory\n", stderr);
    return CLI_ERROR;
}

enum cli_exit cli_print_json(const struct cli *cli, json_t *object, enum cli_exit code)
{
    int rc;

    if (object == NULL) {
        return cli_oom(cli);
    }
    rc = json_dumpf(object, cli->out.file, JSON_INDENT(2));
    json_decref(object);
    if (rc != 0) {
        return cli_oom(cli); /* a failed write is found by main() at the end */
    }
    (void)fputc('\n', cli->out.file); /* likewise */
    return code;
}

static int weight(enum cli_exit code)
{
    switch (code) {
    case CLI_OK:
        return 0;
    case CLI_DIFFERS:
        return 1;
    case CLI_BUSY:
        return 2;
    case CLI_REFUSED:
        return 3;
    case CLI_ERROR:
        return 4;
    case CLI_USAGE:
        return 5;
    }
    return 4;
}

enum cli_exit cli_worst(enum cli_exit a, enum cli_exit b)
{
    return weight(a) >= weight(b) ? a : b;
}

const struct verb *cli_find_verb(const struct cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->n_verbs; i++) {
        if (str_equal(cli->verbs[i]->name, name)) {
            return cli->verbs[i];
        }
    }
    return NULL;
}

const char *cli_nearest_verb(const struct cli *cli, const char *name)
{
    struct nearest nearest = nearest_begin(name);

    for (size_t i = 0; i < cli->n_verbs; i++) {
        nearest_offer(&nearest, cli->verbs[i]->name);
    }
    return nearest.best;
}
