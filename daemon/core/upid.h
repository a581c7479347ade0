/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The title of a PVE worker process: `task UPID:node:pid:pstart:time:TYPE:ID:user:` (facts/pve.md
 * 3). TYPE says what PVE is doing with the VM. A title is a claim of the process itself.
 */
#ifndef CORE_UPID_H
#define CORE_UPID_H

#include <stdbool.h>
#include <stdint.h>

enum {
    UPID_NODE_SIZE = 64,
    UPID_TYPE_SIZE = 32,
    UPID_ID_SIZE = 64,
    UPID_USER_SIZE = 128,   /* user@realm!token */
    UPID_TITLE_SIZE = 4096, /* enough of any title to see whether it is one */
};

struct upid {
    char node[UPID_NODE_SIZE];
    uint32_t pid;
    uint64_t pstart;           /* clock ticks since boot */
    uint64_t time;             /* seconds since 1970 */
    char type[UPID_TYPE_SIZE]; /* "qmstart", "vzdump", ... */
    char id[UPID_ID_SIZE];     /* mostly a VMID; "" for tasks without one (startall) */
    char user[UPID_USER_SIZE];
};

/* Whole title or nothing; no field longer than its place, no byte that PVE would not use. */
bool upid_parse_title(const char *title, struct upid *ret_upid);

#endif
