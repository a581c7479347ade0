/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What `apply` and `undo` share: having the daemon carry a plan out while somebody watches, and
 * what its outcome means as a sentence and an exit code. Interrupting this program does not
 * interrupt the daemon: what was begun is ended, and is in the journal.
 */
#ifndef CLI_CARRY_OUT_H
#define CLI_CARRY_OUT_H

#include <jansson.h>
#include <stdint.h>

#include "cli/cli.h"
#include "core/plan.h"

struct carry_out {
    const struct cli *cli;
    const char *method; /* "Apply" or "Undo" */
    uint32_t vmid;
    bool dry_run;
    json_t *parameters; /* given up; NULL: out of memory */
    const struct carry_out_outcome *outcomes;
    size_t n_outcomes;
};

/* By the names in conf/io.pvehwid.varlink. */
struct carry_out_outcome {
    const char *name;
    enum cli_exit code;
    const char *sentence;
    const char *next; /* before the VMID; NULL: nothing */
};

struct carried_out {
    const struct carry_out_outcome *outcome;
    json_t *answer, *progress; /* owned */
    char *detail;              /* owned; NULL: none. Without the VM, which is told before it */
    struct plan *plan;         /* NULL: none */
};
void carried_out_fini(struct carried_out *done);

/* CLI_OK: *ret is what came of it. Anything else was told already. Progress is shown as it comes.
 */
enum cli_exit carry_out_run(const struct carry_out *what, struct carried_out *ret);
/* The outcome's sentence and, where it helps, the plan; the exit code. */
enum cli_exit carry_out_print(const struct carry_out *what, const struct carried_out *done);
/* The object for --json; new reference, NULL: no memory. */
json_t *carry_out_json(const struct carry_out *what, const struct carried_out *done);

#endif
