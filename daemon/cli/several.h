/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A verb for several VMs, one after the other: named, or with --all those of this node. One that
 * fails does not stop the others; the exit code is that of the worst. For people each is told as if
 * it were the only one, and a summary ends it; with --json it is one object with all of them.
 *
 * An interrupt ends the one that is under way, then the summary tells which were not begun. A
 * second one ends this program at once.
 */
#ifndef CLI_SEVERAL_H
#define CLI_SEVERAL_H

#include "cli/args.h"

struct several_vm {
    uint32_t vmid;
    enum cli_exit code;
    char *word, *why; /* owned; `word` is NULL until it was its turn */
};

struct several {
    struct several_vm *vms; /* in the order in which they were named, each once */
    size_t n, cap;
    bool many; /* a list in --json and a summary, also where it happens to be one */
    /* What "result" of --json says of the worst; NULL: there is none. */
    const char *(*result)(enum cli_exit worst);
};
void several_fini(struct several *several);

/* The verb's work on one VM. cli_fail(), cli_print_json(), cli_result() go where they belong. */
typedef enum cli_exit several_one(const struct cli *cli, uint32_t vmid, void *userdata);

/* -ENOMEM. One that is there already is not added again. */
int several_add(struct several *several, uint32_t vmid);
/* A VM about which nothing has to be asked any more. */
int several_add_told(struct several *several, uint32_t vmid, enum cli_exit code, const char *word,
                     const char *why);

/* The operands are VMIDs; or else all VMs of this node with a fingerprint, which the daemon is
 * asked for. `on_hold`: those on hold, which nobody shall touch, are among them. */
enum cli_exit several_take(const struct cli *cli, const struct args *args, bool all, bool on_hold,
                           struct several *ret);
/* The operands alone: at least one. */
enum cli_exit several_operands(const struct cli *cli, const struct args *args, struct several *ret);

enum cli_exit several_run(const struct cli *cli, struct several *several, several_one *one,
                          void *userdata);

#endif
