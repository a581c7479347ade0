/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See match_files.h. One bad file among a thousand is told and left out; a folder that cannot be
 * read ends it, because half a cluster would make the wrong VM look like the only one. */
#include "cli/match_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/args.h"
#include "io/file.h"

void match_files_fini(struct match_files *files)
{
    for (size_t i = 0; i < files->n_fingerprints; i++) {
        free((char *)files->fingerprints[i].file);                         /* ours: read here */
        fingerprint_free((struct fingerprint *)files->fingerprints[i].fp); /* likewise */
    }
    for (size_t i = 0; i < files->n_vms; i++) {
        free((char *)files->vms[i].node);                   /* likewise */
        pveconf_free((struct pveconf *)files->vms[i].conf); /* likewise */
    }
    for (size_t i = 0; i < files->n_placed; i++) {
        fingerprint_free((struct fingerprint *)files->placed[i].fp); /* likewise */
    }
    free(files->fingerprints);
    free(files->vms);
    free(files->placed);
    notes_fini(&files->problems);
    *files = (struct match_files){0};
}

/* --- folders ---------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(const char *dir, const char *name, struct notes *names, struct err *err)
{
    if (names->n == MATCH_FILES_MAX) {
        return err_set(err, -EFBIG, "%s: more than %d files; is it the right folder?", dir,
                       MATCH_FILES_MAX);
    }
    return notes_add(names, "%s", name) < 0 ? err_oom(err) : 0;
}

static void close_dirp(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* only read */
    }
}

/* Names with that suffix ("": all), sorted, none that is hidden. */
static int list_dir(const char *path, const char *suffix, struct notes *names, struct err *err)
{
    CLEANUP(close_dirp) DIR *dir = opendir(path);
    struct dirent *entry;
    int rc = 0;

    if (dir == NULL) {
        return err_set(err, -errno, "%s: %s%s", path, strerror(errno),
                       errno == EACCES ? "; run as root" : "");
    }
    while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && str_ends(entry->d_name, suffix)) {
            rc = add_name(path, entry->d_name, names, err);
        }
    }
    if (rc == 0 && errno != 0) {
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    }
    if (names->n > 1) {
        qsort(names->items, names->n, sizeof(names->items[0]), compare_names);
    }
    return rc;
}

/* "105.conf" */
static uint32_t vmid_of(const char *name, const char *suffix)
{
    CLEANUP_FREE char *stem = str_ndup(name, strlen(name) - strlen(suffix));
    uint32_t vmid = 0;

    return stem != NULL && args_vmid(stem, &vmid) ? vmid : 0;
}

/* --- fingerprints ----------------------------------------------------------------------------- */

/* 0, 1: told as a problem, -ENOMEM. */
static int read_fingerprint(struct match_files *files, const char *path, struct fingerprint **ret)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FINGERPRINT_MAX);
    struct err why = {""};
    int rc = file_read(AT_FDCWD, path, FILE_FOLLOW, &text, &why);

    if (rc == 0) {
        rc = fingerprint_parse(text.len > 0 ? text.data : "", text.len, ret, &why);
        rc = rc < 0 ? err_prefix(&why, rc, "%s", path) : 0;
    }
    if (rc == 0 || rc == -ENOMEM) {
        return rc;
    }
    return notes_add(&files->problems, "%s", why.text) < 0 ? -ENOMEM : 1;
}

static int add_fingerprint(struct match_files *files, const char *dir, const char *name)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP_FREE char *path = str_printf("%s/%s", dir, name);
    CLEANUP_FREE char *copy = str_dup(name);
    int rc = path == NULL || copy == NULL ? -ENOMEM : read_fingerprint(files, path, &fp);

    if (rc != 0) {
        return rc;
    }
    rc = vec_reserve(&files->fingerprints, files->n_fingerprints, &files->cap_fingerprints,
                     sizeof(files->fingerprints[0]));
    if (rc == 0) {
        files->fingerprints[files->n_fingerprints++] = (struct match_fingerprint){
            .file = STEAL(copy), .fp = STEAL(fp)};
    }
    return rc;
}

int match_files_read_fingerprints(struct match_files *files, const char *dir, struct err *err)
{
    CLEANUP(notes_fini) struct notes names = {0};
    int rc = list_dir(dir, ".json", &names, err);

    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        rc = add_fingerprint(files, dir, names.items[i]) < 0 ? err_oom(err) : 0;
    }
    return rc;
}

static int add_placed(struct match_files *files, const char *dir, const char *name)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP_FREE char *path = str_printf("%s/%s", dir, name);
    uint32_t vmid = vmid_of(name, ".json");
    int rc;

    if (vmid == 0) {
        return 0;
    }
    rc = path == NULL ? -ENOMEM : read_fingerprint(files, path, &fp);
    if (rc != 0) {
        return rc;
    }
    rc = vec_reserve(&files->placed, files->n_placed, &files->cap_placed, sizeof(files->placed[0]));
    if (rc == 0) {
        files->placed[files->n_placed++] = (struct match_placed){.vmid = vmid, .fp = STEAL(fp)};
    }
    return rc;
}

/* The folder is not there before the first fingerprint is. */
static int read_placed(struct match_files *files, const char *pve_dir, struct err *err)
{
    CLEANUP(notes_fini) struct notes names = {0};
    CLEANUP_FREE char *dir = str_printf("%s/pve-hwid", pve_dir);
    int rc = dir == NULL ? err_oom(err) : list_dir(dir, ".json", &names, err);

    if (rc == -ENOENT) {
        return 0;
    }
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        rc = add_placed(files, dir, names.items[i]) < 0 ? err_oom(err) : 0;
    }
    return rc;
}

/* --- VMs -------------------------------------------------------------------------------------- */

/* 0, 1: told as a problem or gone (a VM that migrates changes its place), -ENOMEM, -EACCES. */
static int read_config(struct match_files *files, const char *path, struct pveconf **ret,
                       struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(PVECONF_MAX);
    struct err why = {""};
    int rc = file_read(AT_FDCWD, path, FILE_FOLLOW, &text, &why);

    if (rc == -ENOENT) {
        return 1;
    }
    if (rc == 0) {
        rc = pveconf_parse(text.len > 0 ? text.data : "", text.len, ret, &why);
        rc = rc < 0 ? err_prefix(&why, rc, "%s", path) : 0;
    }
    if (rc == 0 || rc == -ENOMEM) {
        return rc;
    }
    if (rc == -EACCES) { /* none may be read, and without them everything would be without a VM */
        return err_set(err, rc,
                       "%s: only root may read the VMs of the cluster, so nothing can be matched: "
                       "run as root",
                       path);
    }
    return notes_add(&files->problems, "%s", why.text) < 0 ? -ENOMEM : 1;
}

static int add_vm(struct match_files *files, const char *dir, const char *node, const char *name,
                  struct err *err)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP_FREE char *path = str_printf("%s/%s", dir, name);
    CLEANUP_FREE char *copy = str_dup(node);
    uint32_t vmid = vmid_of(name, ".conf");
    int rc;

    if (vmid == 0) {
        return 0;
    }
    rc = path == NULL || copy == NULL ? err_oom(err) : read_config(files, path, &conf, err);
    if (rc != 0) {
        return rc == -ENOMEM ? err_oom(err) : rc < 0 ? rc : 0;
    }
    rc = vec_reserve(&files->vms, files->n_vms, &files->cap_vms, sizeof(files->vms[0]));
    if (rc == 0) {
        files->vms[files->n_vms++] = (struct match_vm){
            .vmid = vmid, .node = STEAL(copy), .conf = STEAL(conf)};
    }
    return rc < 0 ? err_oom(err) : 0;
}

static int read_node(struct match_files *files, const char *pve_dir, const char *node,
                     struct err *err)
{
    CLEANUP(notes_fini) struct notes names = {0};
    CLEANUP_FREE char *dir = str_printf("%s/nodes/%s/qemu-server", pve_dir, node);
    int rc = dir == NULL ? err_oom(err) : list_dir(dir, ".conf", &names, err);

    if (rc == -ENOENT) {
        return 0; /* a node that never had a VM */
    }
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        if (files->n_vms == MATCH_FILES_MAX) {
            return err_set(err, -EFBIG, "%s: more than %d VMs", pve_dir, MATCH_FILES_MAX);
        }
        rc = add_vm(files, dir, node, names.items[i], err);
    }
    return rc;
}

int match_files_read_cluster(struct match_files *files, const char *pve_dir, struct err *err)
{
    CLEANUP(notes_fini) struct notes nodes = {0};
    CLEANUP_FREE char *dir = str_printf("%s/nodes", pve_dir);
    int rc = dir == NULL ? err_oom(err) : list_dir(dir, "", &nodes, err);

    if (rc == -ENOENT) {
        return err_set(err, rc,
                       "%s: there is no such folder; is this a node of Proxmox VE, and "
                       "pve-cluster running? --pve-dir names another place",
                       dir);
    }
    for (size_t i = 0; rc == 0 && i < nodes.n; i++) {
        rc = read_node(files, pve_dir, nodes.items[i], err);
    }
    return rc < 0 ? rc : read_placed(files, pve_dir, err);
}
