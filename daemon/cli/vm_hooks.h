/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The VMs of the cluster, their hookscripts, and the notes about hookscripts they had before. */
#ifndef CLI_VM_HOOKS_H
#define CLI_VM_HOOKS_H

#include "cli/admin.h"
#include "core/former.h"
#include "core/pveconf.h"

enum { VM_HOOKS_MAX = 100000 }; /* VMs of a cluster: more is a wrong directory */

struct vm_hook {
    uint32_t vmid;
    char *node;
    struct pveconf *conf; /* NULL: `problem` */
    char *former;         /* volume id of the hookscript it had; NULL: none noted */
    char *former_problem; /* why the note cannot be used; NULL */
    char *problem;        /* why its configuration cannot be used; NULL */
    bool has_fingerprint; /* in the cluster's directory, or in this node's for one that is here */
    bool is_here;
};

struct vm_hooks {
    struct vm_hook *items; /* by VMID */
    size_t n, cap;
};

void vm_hooks_fini(struct vm_hooks *vms);
/* All VMs of all nodes. A file that cannot be read is a `problem`; a directory ends it. */
int vm_hooks_read(const struct admin *admin, struct vm_hooks *vms, struct err *err);
const struct vm_hook *vm_hooks_find(const struct vm_hooks *vms, uint32_t vmid);
/* Its hookscript as the next start sees it; NULL. */
const char *vm_hook_script(const struct vm_hook *vm);
bool vm_hook_is_ours(const struct vm_hook *vm);
/* Does a snapshot of it name ours? */
bool vm_hook_in_snapshot(const struct vm_hook *vm);

/* PVE_DIR/pve-hwid/VMID.hook; NULL: no memory. */
char *vm_hook_former_path(const struct admin *admin, uint32_t vmid);

/* VMIDs of the files VMID.SUFFIX in a directory, sorted; a directory that is missing has none. */
struct vmid_list {
    uint32_t *items;
    size_t n, cap;
};
void vmid_list_fini(struct vmid_list *list);
int vmid_list_read(const char *dir, const char *suffix, struct vmid_list *list, struct err *err);
bool vmid_list_has(const struct vmid_list *list, uint32_t vmid);

#endif
