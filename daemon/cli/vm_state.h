/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VmState of the interface: read, shown as a table, and what a state means as an exit code. */
#ifndef CLI_VM_STATE_H
#define CLI_VM_STATE_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/cli.h"

struct vm_state {
    uint32_t vmid;
    const char *name;        /* borrowed from the answer, as all of these; NULL: not known */
    const char *state;       /* "in-sync", ... as in conf/io.pvehwid.varlink */
    const char *origin;      /* "local", "cluster", "both" */
    const char *detail;      /* "" */
    int64_t changes;         /* how many a plan has */
    const char *last_change; /* ISO 8601; NULL: never */
    const char *txn;         /* NULL: none */
};

struct vm_state_list {
    struct vm_state *items;
    size_t n, cap;
};

/* Reads the array `vms` of an answer, which must outlive the list. -EPROTO, -ENOMEM. */
int vm_state_list_read(const json_t *answer, struct vm_state_list *ret, struct err *err);
void vm_state_list_fini(struct vm_state_list *list);

/* All keys always, null where not known. New reference; NULL: no memory. */
json_t *vm_state_list_json(const struct vm_state_list *list);

/* What `check` answers with: OK, DIFFERS, BUSY while something is under way, ERROR. A VM that is
 * not on this node (no-config) is nothing to worry about. */
enum cli_exit vm_state_exit(const struct vm_state *vm);
enum out_style vm_state_style(const struct vm_state *vm);

#endif
