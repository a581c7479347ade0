/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See place.h. */
#include "cli/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "core/identity.h"
#include "io/file.h"

enum {
    FILE_MODE = 0644, /* the daemon is nobody and must read it; a fingerprint holds no secret */
    DIR_MODE = 0755,
};

void place_fini(struct place *place)
{
    free(place->node);
    free(place->local);
    free(place->cluster);
    fingerprint_free(place->fp);
    *place = (struct place){0};
}

const char *place_path(const struct place *place)
{
    return place->has_local ? place->local : place->cluster;
}

/* --- the VM ----------------------------------------------------------------------------------- */

static int read_ctime(const char *path, struct place *place, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(PVECONF_MAX);
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(identity_fini) struct identity id = {0};
    int rc = file_read(AT_FDCWD, path, FILE_FOLLOW, &text, err);

    if (rc < 0) {
        return rc;
    }
    rc = pveconf_parse(text.len > 0 ? text.data : "", text.len, &conf, err);
    if (rc < 0) {
        return err_prefix(err, rc, "%s", path);
    }
    if (identity_of_config(conf, &id) < 0) {
        return err_oom(err);
    }
    place->ctime = (long)id.ctime;
    return 0;
}

static void close_dirp(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* only read */
    }
}

static int try_node(const char *nodes, const char *name, struct place *place, struct err *err)
{
    CLEANUP_FREE char *path = str_printf("%s/%s/qemu-server/%u.conf", nodes, name,
                                         (unsigned)place->vmid);
    int rc;

    if (path == NULL) {
        return err_oom(err);
    }
    rc = read_ctime(path, place, err);
    if (rc == -ENOENT || rc == -ENOTDIR) {
        return 0;
    }
    return rc < 0 ? rc : str_replace(&place->node, name) < 0 ? err_oom(err) : 0;
}

static int find_vm(const struct settings *settings, struct place *place, struct err *err)
{
    CLEANUP_FREE char *nodes = str_printf("%s/nodes", settings->pve_dir);
    CLEANUP_FREE char *own = str_printf("%s/qemu-server/%u.conf", settings->pve_dir,
                                        (unsigned)place->vmid);
    CLEANUP(close_dirp) DIR *dir = nodes == NULL ? NULL : opendir(nodes);
    const struct dirent *entry;
    int rc = 0;

    if (nodes == NULL || own == NULL) {
        return err_oom(err);
    }
    if (dir == NULL) {
        return err_set(err, -errno, "%s: %s; is pve-cluster running?", nodes, strerror(errno));
    }
    while (rc == 0 && place->node == NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            rc = try_node(nodes, entry->d_name, place, err);
        }
    }
    place->here = place->node != NULL && file_exists(AT_FDCWD, own);
    return rc;
}

/* --- its fingerprint -------------------------------------------------------------------------- */

static int read_fingerprint(struct place *place, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FINGERPRINT_MAX);
    int rc;

    place->has_local = file_exists(AT_FDCWD, place->local);
    place->has_cluster = file_exists(AT_FDCWD, place->cluster);
    if (!place->has_local && !place->has_cluster) {
        return 0;
    }
    rc = file_read(AT_FDCWD, place_path(place), FILE_NOFOLLOW, &text, err);
    if (rc < 0) {
        return rc;
    }
    rc = fingerprint_parse(text.len > 0 ? text.data : "", text.len, &place->fp, err);
    return rc < 0 ? err_prefix(err, rc, "%s", place_path(place)) : 0;
}

int place_find_vm(const struct settings *settings, uint32_t vmid, struct place *ret,
                  struct err *err)
{
    CLEANUP(place_fini) struct place place = {.vmid = vmid};
    int rc = find_vm(settings, &place, err);

    if (rc == 0) {
        *ret = place;
        place = (struct place){0};
    }
    return rc;
}

int place_find(const struct settings *settings, uint32_t vmid, struct place *ret, struct err *err)
{
    CLEANUP(place_fini)
    struct place place = {
        .vmid = vmid,
        .local = str_printf("%s/%u.json", settings->fingerprint_dir, (unsigned)vmid),
        .cluster = str_printf("%s/pve-hwid/%u.json", settings->pve_dir, (unsigned)vmid),
    };
    int rc;

    if (place.local == NULL || place.cluster == NULL) {
        return err_oom(err);
    }
    rc = find_vm(settings, &place, err);
    rc = rc < 0 ? rc : read_fingerprint(&place, err);
    if (rc == 0) {
        *ret = place;
        place = (struct place){0};
    }
    return rc;
}

int place_write(const struct settings *settings, const char *path, const struct fingerprint *fp,
                struct err *err)
{
    CLEANUP_FREE char *dir = str_printf("%s/pve-hwid", settings->pve_dir);
    CLEANUP_FREE char *text = NULL;
    int rc = dir == NULL ? err_oom(err) : fingerprint_format(fp, &text, err);

    if (rc < 0) {
        return rc;
    }
    if (str_starts(path, dir) && mkdir(dir, DIR_MODE) < 0 && errno != EEXIST) {
        rc = err_set(err, -errno, "%s: %s", dir, strerror(errno));
    } else {
        rc = file_replace(AT_FDCWD, path, FILE_MODE, text, err);
    }
    return rc == -EACCES || rc == -EPERM || rc == -EROFS
               ? err_set(err, rc, "%s: %s; run as root, on a cluster with quorum", path,
                         strerror(-rc))
               : rc;
}
