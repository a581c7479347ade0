/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See cli.h. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"
#include "cli/nearest.h"

/* Foreign bytes may be in any sentence (a VM's name, PVE's words), so none goes out unfiltered. */
static void say(const char *mark, const char *text)
{
    CLEANUP_FREE char *local = out_local_times(text); /* NULL: no memory, so as it came */
    struct out out;

    out_init(&out, stderr);
    out_printf(&out, OUT_PLAIN, "pve-hwid: ");
    if (mark != NULL) {
        out_printf(&out, OUT_WARN, "%s: ", mark);
    }
    out_printf(&out, OUT_PLAIN, "%s\n", local != NULL ? local : text);
}

json_t *cli_json_text(const char *text)
{
    json_t *value = text != NULL ? json_string(text) : json_null();
    CLEANUP_FREE char *clean = NULL;

    if (value != NULL) {
        return value;
    }
    clean = str_dup(text);
    for (char *at = clean; at != NULL && *at != '\0'; at++) {
        *at = ascii_is_print(*at) ? *at : '?';
    }
    return clean != NULL ? json_string(clean) : NULL;
}

static void fail(const struct cli *cli, enum cli_exit code, const char *text)
{
    if (cli->json) {
        json_t *object = json_pack("{s:{s:i,s:o}}", "error", "exit", (int)code, "message",
                                   cli_json_text(text));

        if (cli->batch != NULL &&
            object != NULL) { /* without its VMID it is an error all the same */
            (void)json_object_set_new(object, "vmid", json_integer(cli->batch->vmid));
        }
        (void)cli_print_json(cli, object, code); /* the sentence on stderr is told in any case */
    }
    if (cli->batch != NULL &&
        *cli->batch->word == '\0') { /* else its reason is there, and shorter */
        cli_result(cli, NULL, text);
    }
    (void)fflush(cli->out.file); /* in a log both are one text; main() finds a failed write */
    say(NULL, text);
}

enum cli_exit cli_fail(const struct cli *cli, enum cli_exit code, const char *format, ...)
{
    char text[CLI_SENTENCE_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* a cut sentence is still one */
    va_end(args);
    fail(cli, code, text);
    return code;
}

enum cli_exit cli_usage(const struct cli *cli, const char *format, ...)
{
    char text[CLI_SENTENCE_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* as above */
    va_end(args);
    fail(cli, CLI_USAGE, text);
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
    char text[CLI_SENTENCE_MAX];
    va_list args;

    (void)cli; /* notes are not for --json; whoever collects them puts them into its object */
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* as above */
    va_end(args);
    say("note", text);
}

void cli_result(const struct cli *cli, const char *word, const char *why)
{
    if (cli->batch == NULL) {
        return;
    }
    if (word != NULL) {
        (void)snprintf(cli->batch->word, sizeof(cli->batch->word), "%s", word); /* all fit */
    }
    if (why != NULL) {
        (void)snprintf(cli->batch->sentence, sizeof(cli->batch->sentence), "%s",
                       why); /* so do they */
    }
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
    if (cli->batch != NULL) {
        return json_array_append_new(cli->batch->items, object) < 0 ? cli_oom(cli) : code;
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

const char *cli_word(enum cli_exit code, const char *ok, const char *failed)
{
    switch (code) {
    case CLI_OK:
        return ok;
    case CLI_DIFFERS:
        return "differs";
    case CLI_BUSY:
        return "busy";
    case CLI_REFUSED:
        return "refused";
    case CLI_ERROR:
    case CLI_USAGE:
        break;
    }
    return failed;
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

enum cli_exit cli_no_verb(const struct cli *cli, const char *name)
{
    struct nearest nearest = nearest_begin(name);

    if (*name == '-') {
        return cli_usage(cli, "a verb must come first, '%s' is none", name);
    }
    for (size_t i = 0; i < cli->n_verbs; i++) {
        nearest_offer(&nearest, cli->verbs[i]->name);
    }
    if (nearest.best != NULL) {
        return cli_usage(cli, "there is no verb '%s'; did you mean '%s'?", name, nearest.best);
    }
    return cli_usage(cli, "there is no verb '%s'", name);
}
