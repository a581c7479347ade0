/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See doctor.h: VMs, fingerprints, hookscripts and notes that do not belong together. */
#include <fcntl.h>

#include "base/str.h"
#include "cli/doctor.h"
#include "io/file.h"

/* --- files without a VM ----------------------------------------------------------------------- */

/* A VM that was on its way from one node to another while we read may be in none of the lists. */
static bool exists_now(const struct doctor *d, uint32_t vmid, bool this_node_only)
{
    for (size_t i = 0; i < d->admin.n_nodes; i++) {
        const struct setup_node *node = &d->admin.nodes[i];
        CLEANUP_FREE char *path = str_printf("%s/nodes/%s/qemu-server/%u.conf",
                                             d->admin.settings->pve_dir, node->name,
                                             (unsigned)vmid);

        if ((node->is_local || !this_node_only) && path != NULL && file_exists(AT_FDCWD, path)) {
            return true;
        }
    }
    return false;
}

static void check_stale(struct doctor *d, const char *dir, const char *suffix, const char *what,
                        bool this_node_only)
{
    CLEANUP(vmid_list_fini) struct vmid_list list = {0};
    struct err err = {""};

    if (vmid_list_read(dir, suffix, &list, &err) < 0) {
        (void)findings_add(&d->found, "directory", FINDING_FAIL, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < list.n; i++) {
        const struct vm_hook *vm = vm_hooks_find(&d->vms, list.items[i]);
        struct finding_about about = {.vmid = list.items[i]};
        struct finding *finding;

        if ((vm != NULL && (vm->is_here || !this_node_only)) ||
            exists_now(d, list.items[i], this_node_only)) {
            continue;
        }
        finding = findings_add_about(&d->found, "stale", FINDING_WARN, about,
                                     "there is %s, but no such VM %s: a new VM of that number "
                                     "would get it",
                                     what, this_node_only ? "on this node" : "in the cluster");
        findings_cure(&d->found, finding, "rm %s/%u%s", dir, (unsigned)list.items[i], suffix);
    }
}

/* --- one VM ----------------------------------------------------------------------------------- */

static bool runs(const struct doctor *d, const char *volid, struct err *why)
{
    CLEANUP_FREE char *path = NULL;

    if (admin_snippet(&d->admin, volid, &path, why) < 0) {
        return false;
    }
    if (admin_is_executable(path)) {
        return true;
    }
    (void)err_set(why, -1, "%s is %s", path,
                  file_exists(AT_FDCWD, path) ? "not executable" : "not there");
    return false;
}

/* "on pve2: " for a VM that is elsewhere: attach and detach work there. */
static char *where(const struct vm_hook *vm)
{
    return vm->is_here ? str_dup("") : str_printf("on %s: ", vm->node);
}

static void check_attached(struct doctor *d, const struct vm_hook *vm, const char *at)
{
    struct finding_about about = {.vmid = vm->vmid};
    const char *script = vm_hook_script(vm);
    struct finding *finding;
    struct err why = {""};

    if (!vm->has_fingerprint) {
        finding = findings_add_about(&d->found, "no-fingerprint", FINDING_WARN, about,
                                     "our hook is its hookscript, but it has no fingerprint");
        findings_cure(&d->found, finding,
                      "%spve-hwid capture FILE -o %s/pve-hwid/%u.json, or: pve-hwid detach %u", at,
                      d->admin.settings->pve_dir, (unsigned)vm->vmid, (unsigned)vm->vmid);
    }
    /* That of `local` was looked at once for all. */
    if (vm->is_here && !str_equal(script, SETUP_HOOK_VOLID) && !runs(d, script, &why)) {
        finding = findings_add_about(&d->found, "hookscript", FINDING_FAIL, about,
                                     "it does not start: its hookscript %s: %s", script, why.text);
        findings_cure(&d->found, finding, "qm set %u --hookscript " SETUP_HOOK_VOLID,
                      (unsigned)vm->vmid);
    }
}

static void check_former(struct doctor *d, const struct vm_hook *vm, const char *at)
{
    struct finding_about about = {.vmid = vm->vmid};
    struct finding *finding;
    struct err why = {""};

    if (vm->former_problem != NULL && vm_hook_is_ours(vm)) {
        finding = findings_add_about(&d->found, "former-hook", FINDING_FAIL, about,
                                     "the hookscript it had before is not run: %s",
                                     vm->former_problem);
        findings_cure(&d->found, finding, "%spve-hwid detach --drop-former %u", at,
                      (unsigned)vm->vmid);
    } else if (!vm_hook_is_ours(vm) && (vm->former != NULL || vm->former_problem != NULL)) {
        finding = findings_add_about(&d->found, "former-hook", FINDING_WARN, about,
                                     "there is a note about a former hookscript, but our hook is "
                                     "not attached");
        findings_cure(&d->found, finding, "%spve-hwid detach %u", at, (unsigned)vm->vmid);
    } else if (vm->former != NULL && vm->is_here && !runs(d, vm->former, &why)) {
        finding = findings_add_about(&d->found, "former-hook", FINDING_FAIL, about,
                                     "it does not start: the hookscript it had before, %s, cannot "
                                     "be run: %s",
                                     vm->former, why.text);
        findings_cure(&d->found, finding, "put it back, or: pve-hwid detach --drop-former %u",
                      (unsigned)vm->vmid);
    }
}

static void check_vm(struct doctor *d, const struct vm_hook *vm)
{
    struct finding_about about = {.vmid = vm->vmid};
    CLEANUP_FREE char *at = where(vm);
    struct finding *finding;

    if (at == NULL) {
        d->found.failed = true;
        return;
    }
    if (vm->conf == NULL) {
        (void)findings_add_about(&d->found, "config", FINDING_WARN, about, "%s", vm->problem);
        return;
    }
    if (vm_hook_is_ours(vm)) {
        check_attached(d, vm, at);
    } else if (vm->has_fingerprint) {
        finding = findings_add_about(
            &d->found, "not-attached", FINDING_WARN, about,
            "it has a fingerprint, but our hook is not its hookscript: only "
            "`apply` changes it, and its starts are not checked");
        findings_cure(&d->found, finding, "%spve-hwid attach %u", at, (unsigned)vm->vmid);
    }
    check_former(d, vm, at);
}

void doctor_vms(struct doctor *d)
{
    CLEANUP_FREE char *dir = str_printf("%s/pve-hwid", d->admin.settings->pve_dir);
    size_t before = d->found.n;

    if (dir == NULL) {
        d->found.failed = true;
        return;
    }
    if (d->knows_vms) {
        check_stale(d, dir, ".json", "a fingerprint", false);
        check_stale(d, dir, FORMER_SUFFIX, "a note about a former hookscript", false);
        check_stale(d, d->admin.settings->fingerprint_dir, ".json", "a fingerprint of this node",
                    true);
    }
    for (size_t i = 0; i < d->vms.n; i++) {
        check_vm(d, &d->vms.items[i]);
    }
    if (d->found.n == before && d->knows_vms) {
        (void)findings_add(&d->found, "vms", FINDING_OK,
                           "%zu VM%s in the cluster; fingerprints and hookscripts belong together",
                           d->vms.n, d->vms.n == 1 ? "" : "s");
    }
}
