/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a VM and its fingerprint are, by the files of the cluster that root can read: for the verbs
 * that write fingerprints (move, adopt). Needs no daemon.
 */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/settings.h"

struct place {
    uint32_t vmid;
    char *node;  /* NULL: there is no such VM in the cluster */
    bool here;   /* it is on this node */
    long ctime;  /* when PVE made it; 0: not said */
    char *local; /* paths of its fingerprint, whether or not it is there */
    char *cluster;
    bool has_local, has_cluster;
    struct fingerprint *fp; /* the one that counts; NULL: none */
};

/* The VM alone: its fingerprint may be unreadable. */
int place_find_vm(const struct settings *settings, uint32_t vmid, struct place *ret,
                  struct err *err);
int place_find(const struct settings *settings, uint32_t vmid, struct place *ret, struct err *err);
void place_fini(struct place *place);
/* The one that counts. */
const char *place_path(const struct place *place);
/* Writes `fp` there, whole or not at all; makes the cluster's directory where it is missing. */
int place_write(const struct settings *settings, const char *path, const struct fingerprint *fp,
                struct err *err);

#endif
