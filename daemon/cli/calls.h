/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls of the interface io.pvehwid as the verbs make them: asked, waited for, and every error
 * turned into one sentence for the administrator and an exit code.
 */
#ifndef CLI_CALLS_H
#define CLI_CALLS_H

#include <jansson.h>
#include <stdint.h>

#include "cli/cli.h"

struct call {
    const char *method;  /* without the interface */
    uint32_t vmid;       /* for the sentences; 0: none */
    json_t *parameters;  /* given up; NULL: out of memory */
    unsigned patience_s; /* silence of the daemon; 0: CALLS_PATIENCE_S. --timeout wins */
    /* An array that may come in parts, in replies that `continue`, because a frame is limited and
     * the journal of a VM is not; the answer holds all of it. NULL: none. */
    const char *collect;
    /* Other replies that `continue` go here. Without both only one reply is asked for. */
    void (*progress)(void *userdata, const json_t *parameters);
    void *userdata;
};

enum {
    CALLS_PATIENCE_S = 60,     /* longer than the daemon itself waits for an answer of PVE */
    CALLS_ITEMS_MAX = 1000000, /* of a collected array: nobody reads more, and memory ends */
    CALLS_PREFIX_SIZE = sizeof("VM 4294967295: "),
};

/* The last reply's parameters (new reference). Anything but CLI_OK was told already. */
enum cli_exit calls_run(const struct cli *cli, const struct call *call, json_t **ret_answer);

/* For those who can do without the daemon: nothing is told, `err` has the sentence. 0 or -errno. */
int calls_try(const struct cli *cli, const struct call *call, json_t **ret_answer, struct err *err);

/* calls_run() of a method that takes a VMID (0: none is sent); `collect` as above. */
enum cli_exit calls_vm(const struct cli *cli, const char *method, uint32_t vmid,
                       const char *collect, json_t **ret_answer);

/* Tells that an answer lacks something: CLI_ERROR. */
enum cli_exit calls_bad_answer(const struct cli *cli, uint32_t vmid, const char *what);

/* "VM 105: " or "" for 0. */
const char *calls_prefix(uint32_t vmid, char text[static CALLS_PREFIX_SIZE]);

#endif
