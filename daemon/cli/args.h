/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Options and operands of one verb, from a table. Not getopt: its state is global and its
 * sentences are not ours. Options may stand before or behind operands; `--name VALUE`,
 * `--name=VALUE`, `-o VALUE`; `--` ends them; `-` is an operand. --json and --help are known to
 * every verb, --config, --socket and --timeout to those that talk to the daemon. A verb whose table
 * has a --config of its own means that.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdint.h>

#include "cli/cli.h"

enum { ARGS_WORDS_MAX = 1024 }; /* VMs named in one call: a shell makes such lists */

enum arg_kind {
    ARG_FLAG, /* bool */
    ARG_TEXT, /* const char * */
    ARG_VMID, /* uint32_t */
};

struct arg_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum arg_kind kind;
    void *at;
};

struct args {
    const char *words[ARGS_WORDS_MAX];
    size_t n;
};

enum args_result {
    ARGS_RUN,
    ARGS_DONE, /* all was said already (--help, or a wrong usage): return *ret_code */
};

enum args_result args_parse(struct cli *cli, const struct arg_option *options, size_t n_options,
                            int argc, char **argv, struct args *ret, enum cli_exit *ret_code);

/* For a verb that takes none: CLI_OK, or the usage was told. `about_vms`: what somebody who gave it
 * the number of a VM is probably after is `check`. */
enum cli_exit args_none(const struct cli *cli, const struct args *args, bool about_vms);

/* "105": true and *ret_vmid. */
bool args_vmid(const char *word, uint32_t *ret_vmid);
/* args_vmid() of an operand: CLI_OK, or the usage was told. */
enum cli_exit args_take_vmid(const struct cli *cli, const char *word, uint32_t *ret_vmid);
/* The first operand of a verb that is about one VM: CLI_OK, or the usage was told. */
enum cli_exit args_need_vmid(const struct cli *cli, const struct args *args, uint32_t *ret_vmid);

#endif
