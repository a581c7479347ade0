/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vm_hooks.h. Only read: PVE's configuration is PVE's to write (law 4). */
#include "cli/vm_hooks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/str.h"
#include "core/assess.h"
#include "io/file.h"

static void vm_hook_fini(struct vm_hook *vm)
{
    free(vm->node);
    pveconf_free(vm->conf);
    free(vm->former);
    free(vm->former_problem);
    free(vm->problem);
}

void vm_hooks_fini(struct vm_hooks *vms)
{
    for (size_t i = 0; i < vms->n; i++) {
        vm_hook_fini(&vms->items[i]);
    }
    free(vms->items);
    *vms = (struct vm_hooks){0};
}

/* --- lists of numbered files -------------------------------------------------------------------
 */

void vmid_list_fini(struct vmid_list *list)
{
    free(list->items);
    *list = (struct vmid_list){0};
}

static int compare_vmids(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

bool vmid_list_has(const struct vmid_list *list, uint32_t vmid)
{
    return list->n > 0 &&
           bsearch(&vmid, list->items, list->n, sizeof(list->items[0]), compare_vmids) != NULL;
}

/* "105.conf"; 0: it is no such name. */
static uint32_t vmid_of(const char *name, const char *suffix)
{
    char digits[16];
    size_t len = strlen(name);
    size_t tail = strlen(suffix);
    uint32_t vmid = 0;

    if (len <= tail || len - tail >= sizeof(digits) || !str_ends(name, suffix)) {
        return 0;
    }
    memcpy(digits, name, len - tail);
    digits[len - tail] = '\0';
    return digits[0] != '0' && args_vmid(digits, &vmid) ? vmid : 0;
}

static void close_dirp(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* only read */
    }
}

int vmid_list_read(const char *dir, const char *suffix, struct vmid_list *list, struct err *err)
{
    CLEANUP(close_dirp) DIR *entries = opendir(dir);
    const struct dirent *entry;

    if (entries == NULL && errno == ENOENT) {
        return 0;
    }
    if (entries == NULL) {
        return err_set(err, -errno, "%s: %s", dir, strerror(errno));
    }
    while (errno = 0, (entry = readdir(entries)) != NULL) {
        uint32_t vmid = vmid_of(entry->d_name, suffix);

        if (vmid == 0) {
            continue;
        }
        if (list->n == VM_HOOKS_MAX ||
            vec_reserve(&list->items, list->n, &list->cap, sizeof(list->items[0])) < 0) {
            return err_set(err, -EFBIG, "%s: too many files", dir);
        }
        list->items[list->n++] = vmid;
    }
    if (errno != 0) {
        return err_set(err, -errno, "%s: %s", dir, strerror(errno));
    }
    if (list->n > 1) {
        qsort(list->items, list->n, sizeof(list->items[0]), compare_vmids);
    }
    return 0;
}

/* --- one VM ------------------------------------------------------------------------------------
 */

char *vm_hook_former_path(const struct admin *admin, uint32_t vmid)
{
    return str_printf("%s/pve-hwid/%u" FORMER_SUFFIX, admin->settings->pve_dir, (unsigned)vmid);
}

static int read_former(const struct admin *admin, struct vm_hook *vm)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FORMER_MAX);
    CLEANUP_FREE char *path = vm_hook_former_path(admin, vm->vmid);
    struct err why = {""};
    int rc = path == NULL ? -ENOMEM : file_read(AT_FDCWD, path, FILE_NOFOLLOW, &text, &why);

    if (rc == -ENOENT) {
        return 0;
    }
    rc = rc < 0 ? rc : former_parse(text.data, text.len, &vm->former, &why);
    if (rc == 0 || rc == -ENOMEM) {
        return rc;
    }
    vm->former_problem = str_dup(why.text);
    return vm->former_problem == NULL ? -ENOMEM : 0;
}

static int read_config(struct vm_hook *vm, const char *path)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(PVECONF_MAX);
    struct err why = {""};
    int rc = file_read(AT_FDCWD, path, FILE_FOLLOW, &text, &why);

    rc = rc < 0 ? rc : pveconf_parse(text.data, text.len, &vm->conf, &why);
    if (rc == 0 || rc == -ENOMEM) {
        return rc;
    }
    vm->problem = str_dup(why.text);
    return vm->problem == NULL ? -ENOMEM : 0;
}

struct reading {
    const struct admin *admin;
    struct vm_hooks *vms;
    struct vmid_list formers, shared, local; /* files beside the fingerprints, and those */
};

static void reading_fini(struct reading *reading)
{
    vmid_list_fini(&reading->formers);
    vmid_list_fini(&reading->shared);
    vmid_list_fini(&reading->local);
}

static int read_vm(struct reading *reading, const char *dir, const char *node, uint32_t vmid)
{
    CLEANUP_FREE char *path = str_printf("%s/%u.conf", dir, (unsigned)vmid);
    struct vm_hooks *vms = reading->vms;
    struct vm_hook *vm;
    int rc;

    if (path == NULL || vec_reserve(&vms->items, vms->n, &vms->cap, sizeof(vms->items[0])) < 0) {
        return -ENOMEM;
    }
    vm = &vms->items[vms->n++];
    *vm = (struct vm_hook){
        .vmid = vmid, .node = str_dup(node), .is_here = str_equal(node, reading->admin->node)};
    vm->has_fingerprint = vmid_list_has(&reading->shared, vmid) ||
                          (vm->is_here && vmid_list_has(&reading->local, vmid));
    rc = vm->node == NULL ? -ENOMEM : read_config(vm, path);
    return rc == 0 && vmid_list_has(&reading->formers, vmid) ? read_former(reading->admin, vm) : rc;
}

static int read_node(struct reading *reading, const char *node, struct err *err)
{
    CLEANUP(vmid_list_fini) struct vmid_list list = {0};
    CLEANUP_FREE char *dir = str_printf("%s/nodes/%s/qemu-server",
                                        reading->admin->settings->pve_dir, node);
    int rc = dir == NULL ? err_oom(err) : vmid_list_read(dir, ".conf", &list, err);

    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        rc = read_vm(reading, dir, node, list.items[i]) < 0 ? err_oom(err) : 0;
    }
    return rc;
}

static int read_nodes(struct reading *reading, struct err *err)
{
    CLEANUP_FREE char *path = str_printf("%s/nodes", reading->admin->settings->pve_dir);
    CLEANUP(close_dirp) DIR *nodes = path == NULL ? NULL : opendir(path);
    const struct dirent *entry;
    int rc = 0;

    if (nodes == NULL) {
        return err_set(err, -errno,
                       "%s: %s; is this a node of Proxmox VE, and pve-cluster running?",
                       path != NULL ? path : "?", strerror(errno));
    }
    while (rc == 0 && (errno = 0, entry = readdir(nodes)) != NULL) {
        if (entry->d_name[0] != '.') {
            rc = read_node(reading, entry->d_name, err);
        }
    }
    return rc < 0 || errno == 0 ? rc : err_set(err, -errno, "%s: %s", path, strerror(errno));
}

static int compare_vms(const void *a, const void *b)
{
    return compare_vmids(&((const struct vm_hook *)a)->vmid, &((const struct vm_hook *)b)->vmid);
}

int vm_hooks_read(const struct admin *admin, struct vm_hooks *vms, struct err *err)
{
    CLEANUP(reading_fini) struct reading reading = {.admin = admin, .vms = vms};
    CLEANUP_FREE char *dir = str_printf("%s/pve-hwid", admin->settings->pve_dir);
    int rc = dir == NULL ? err_oom(err) : 0;

    rc = rc < 0 ? rc : vmid_list_read(dir, FORMER_SUFFIX, &reading.formers, err);
    rc = rc < 0 ? rc : vmid_list_read(dir, ".json", &reading.shared, err);
    rc = rc < 0 ? rc
                : vmid_list_read(admin->settings->fingerprint_dir, ".json", &reading.local, err);
    rc = rc < 0 ? rc : read_nodes(&reading, err);
    if (rc == 0 && vms->n > 1) {
        qsort(vms->items, vms->n, sizeof(vms->items[0]), compare_vms);
    }
    return rc;
}

const struct vm_hook *vm_hooks_find(const struct vm_hooks *vms, uint32_t vmid)
{
    const struct vm_hook key = {.vmid = vmid};

    return vms->n == 0 ? NULL
                       : bsearch(&key, vms->items, vms->n, sizeof(vms->items[0]), compare_vms);
}

const char *vm_hook_script(const struct vm_hook *vm)
{
    const char *volid = vm->conf != NULL ? pveconf_get_pending(vm->conf, "hookscript") : NULL;

    return volid != NULL && *volid != '\0' ? volid : NULL;
}

bool vm_hook_is_ours(const struct vm_hook *vm)
{
    return assess_is_our_hook(vm_hook_script(vm));
}

bool vm_hook_in_snapshot(const struct vm_hook *vm)
{
    for (size_t i = 0; vm->conf != NULL && i < vm->conf->n_sections; i++) {
        const struct pveconf_section *section = &vm->conf->sections[i];

        for (size_t k = 0; section->kind == PVECONF_SNAPSHOT && k < section->n; k++) {
            if (str_equal(section->keys[k].key, "hookscript") &&
                assess_is_our_hook(section->keys[k].value)) {
                return true;
            }
        }
    }
    return false;
}
