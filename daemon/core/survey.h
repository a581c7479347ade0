/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What PVE's API tells about the VMs of other nodes, as far as the identity guard wants to know it:
 * where they are (GET /cluster/resources) and what they carry (GET .../pending, which shows both
 * what runs and what will). Foreign bytes: what makes no sense is left out, never guessed.
 */
#ifndef CORE_SURVEY_H
#define CORE_SURVEY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "core/identity.h"

/* May this be the name of a node, and so a part of a path of the API? */
bool survey_is_node_name(const char *name);

struct survey_vm {
    uint32_t vmid;
    char *node;
};

struct survey_vms {
    struct survey_vm *items; /* in PVE's order */
    size_t n, cap;
};

/* The VMs of QEMU on nodes other than `node`. Containers and entries without a usable name of their
 * node are left out: the name becomes part of a path. 0, -EINVAL: no list, -ENOMEM. */
int survey_read_vms(const json_t *data, const char *node, struct survey_vms *ret);
void survey_vms_fini(struct survey_vms *vms);
/* NULL: not listed. */
const struct survey_vm *survey_find(const struct survey_vms *vms, uint32_t vmid);

/* now: what the VM carries; next: what pending changes would add. Both start as {0}. 0, -EINVAL: no
 * list, -ENOMEM. */
int survey_read_pending(const json_t *data, struct identity *now, struct identity *next);

#endif
