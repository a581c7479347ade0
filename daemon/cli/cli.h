/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What all verbs of `pve-hwid` share: the verb table's entry, the exit codes, and how a failure is
 * told, once, as a sentence on stderr and, with --json, as an object on stdout too.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/out.h"

/* The exit codes of docs/DESIGN.md. They are an interface: scripts ask for them. */
enum cli_exit {
    CLI_OK = 0,      /* in sync, or done */
    CLI_ERROR = 1,   /* could not find out, or could not do it */
    CLI_USAGE = 2,   /* the command line itself */
    CLI_DIFFERS = 3, /* there is something to change */
    CLI_BUSY = 4,    /* locked or running, so nothing was done */
    CLI_REFUSED = 5, /* a guard said no */
};

struct cli;

struct verb {
    const char *name;
    const char *summary; /* one line of `pve-hwid help` */
    const char *usage;   /* lines behind "usage: pve-hwid ", the first one starts with the name */
    const char *details; /* paragraphs and examples of `pve-hwid VERB --help` */
    size_t operands;     /* at most; 0: one */
    bool online;         /* talks to the daemon: --socket, --timeout, --config are known */
    bool other_config;   /* its --config is not that of the settings */
    enum cli_exit (*run)(struct cli *cli, int argc, char **argv); /* argv: behind the verb */
};

enum { CLI_SENTENCE_MAX = ERR_TEXT_MAX + 256 }; /* an error and what was put around it */

/* One of several VMs of one call (cli/several.h): what a verb says of it is put here too. */
struct cli_batch {
    json_t *items; /* --json: objects come here instead of being printed */
    uint32_t vmid;
    char word[24];                   /* "done", ...; "": by the exit code */
    char sentence[CLI_SENTENCE_MAX]; /* why; "" */
    bool no_daemon;                  /* it cannot be reached: for none of the others either */
};

struct cli {
    const struct verb *verb; /* NULL before it is known */
    const struct verb *const *verbs;
    size_t n_verbs;
    struct out out;          /* stdout */
    bool json;               /* --json */
    const char *socket;      /* --socket */
    const char *config;      /* --config, where it means the settings */
    long timeout_s;          /* --timeout; 0: the verb's own */
    struct cli_batch *batch; /* NULL: the verb is about one VM, or about none */
};

#define CLI_SOCKET "/run/pve-hwid/socket"
#define CLI_CONFIG "/etc/pve-hwid/pve-hwid.conf"

/* "pve-hwid: sentence" on stderr, {"error":{"exit":..,"message":..}} on stdout with --json. */
enum cli_exit cli_fail(const struct cli *cli, enum cli_exit code, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The same for a wrong command line, with the way to the help behind it: CLI_USAGE. */
enum cli_exit cli_usage(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* A remark that is no failure and no result: "pve-hwid: note: sentence" on stderr. */
void cli_note(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* The one way out of memory: CLI_ERROR. */
enum cli_exit cli_oom(const struct cli *cli);

/* What became of this VM, in one word and a reason (NULL: none): for the summary where it is one of
 * several, else nothing. */
void cli_result(const struct cli *cli, const char *word, const char *why);

/* Prints `object` (may be NULL: out of memory) as --json wants it and gives it up; returns `code`
 * or, where it could not be printed, CLI_ERROR. */
enum cli_exit cli_print_json(const struct cli *cli, json_t *object, enum cli_exit code);

/* A text of which not all bytes need be UTF-8, e.g. a path: those are '?' then. NULL is null. */
json_t *cli_json_text(const char *text);

/* The more serious of two: error, refused, busy, differs, ok. */
enum cli_exit cli_worst(enum cli_exit a, enum cli_exit b);
/* The word of --json and of tables: `ok`, differs, busy, refused, or else `failed`. */
const char *cli_word(enum cli_exit code, const char *ok, const char *failed);

const struct verb *cli_find_verb(const struct cli *cli, const char *name);
/* A wrong usage: no such verb, and which was probably meant. */
enum cli_exit cli_no_verb(const struct cli *cli, const char *name);

extern const struct verb verb_adopt, verb_apply, verb_attach, verb_capture, verb_check, verb_detach,
    verb_doctor, verb_help, verb_hold, verb_list, verb_log, verb_match, verb_metrics, verb_move,
    verb_plan, verb_resume, verb_setup, verb_status, verb_undo, verb_verify, verb_version;

#endif
