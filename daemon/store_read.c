/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading fingerprints and configurations, always afresh: the index is only a hint. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/hold.h"
#include "core/pveconf.h"
#include "io/file.h"
#include "store_private.h"

void store_file_fini(struct store_file *file)
{
    free(file->text);
    free(file->path);
    *file = (struct store_file){0};
}

/* Takes over `path`. */
static int read_file(char *path_, size_t max, bool trusted, struct store_file *ret, struct err *err)
{
    CLEANUP_FREE char *path = path_;
    CLEANUP(buf_fini) struct buf text = BUF_INIT(max);
    CLEANUP_FD int fd = -1;
    int rc;

    if (path == NULL) {
        return err_oom(err);
    }
    rc = trusted ? file_open(AT_FDCWD, path, FILE_NOFOLLOW, &fd, err)
                 : file_open_trusted(path, &fd, err);
    if (rc == -EACCES) {
        return err_set(err, rc, "%s: no permission to read it; chmod a+r %s", path, path);
    }
    if (rc == 0) {
        rc = file_read_fd(fd, path, &text, err);
    }
    if (rc < 0) {
        return rc;
    }
    ret->len = text.len;
    ret->text = STEAL(text.data);
    ret->path = STEAL(path);
    return 0;
}

static char *fingerprint_path(const struct store *store, size_t dir, uint32_t vmid)
{
    return str_printf("%s/%u.json", store->dirs[dir].path, vmid);
}

int store_read_fingerprint(const struct store *store, uint32_t vmid, struct store_file *ret,
                           struct err *err)
{
    struct store_file file = {.origin = STORE_LOCAL};
    CLEANUP_FREE char *cluster = fingerprint_path(store, STORE_DIR_CLUSTER, vmid);
    int rc;

    if (cluster == NULL) {
        return err_oom(err);
    }
    rc = read_file(fingerprint_path(store, STORE_DIR_LOCAL, vmid), FINGERPRINT_MAX, false, &file,
                   err);
    if (rc == 0 && file_exists(AT_FDCWD, cluster)) {
        file.origin = STORE_BOTH;
    } else if (rc == -ENOENT) {
        file.origin = STORE_CLUSTER;
        rc = read_file(STEAL(cluster), FINGERPRINT_MAX, false, &file, err);
    }
    if (rc == -ENOENT) {
        return err_set(err, rc, "VM %u has no fingerprint, neither in %s nor in %s", vmid,
                       store->dirs[STORE_DIR_LOCAL].path, store->dirs[STORE_DIR_CLUSTER].path);
    }
    if (rc == 0) {
        *ret = file;
    }
    return rc;
}

int store_read_hold(const struct store *store, uint32_t vmid, struct store_file *ret,
                    struct err *err)
{
    static const size_t dirs[] = {STORE_HOLD_CLUSTER, STORE_HOLD_LOCAL};
    int rc = -ENOENT;

    for (size_t i = 0; i < ARRAY_SIZE(dirs) && rc == -ENOENT; i++) {
        rc = read_file(str_printf("%s/%u.hold", store->dirs[dirs[i]].path, vmid), HOLD_MAX, false,
                       ret, err);
    }
    return rc;
}

int store_scan_configs(const struct store *store, struct store_index *ret, size_t *ret_unseen)
{
    CLEANUP_FD int fd = -1;
    int rc = file_open_dir(AT_FDCWD, store->dirs[STORE_DIR_CLUSTER].alive, &fd, NULL);

    return rc < 0 ? rc : store_scan(fd, ".conf", ret, ret_unseen);
}

int store_stamp_config(const struct store *store, struct store_item *item)
{
    CLEANUP_FD int fd = -1;
    int rc = file_open_dir(AT_FDCWD, store->dirs[STORE_DIR_CLUSTER].alive, &fd, NULL);

    return rc < 0 ? rc : store_stamp(fd, ".conf", item);
}

int store_read_config(const struct store *store, uint32_t vmid, struct store_file *ret,
                      struct err *err)
{
    const char *dir = store->dirs[STORE_DIR_CLUSTER].alive;
    struct store_file file = {.origin = STORE_NONE};
    int rc = read_file(str_printf("%s/%u.conf", dir, vmid), PVECONF_MAX, true, &file, err);

    if (rc == -ENOENT && !file_exists(AT_FDCWD, dir)) {
        return err_set(err, -ENOTCONN, "%s is not there; is pve-cluster running?", dir);
    }
    if (rc == -ENOENT) {
        return err_set(err, rc, "VM %u has no configuration on this node (%s/%u.conf)", vmid, dir,
                       vmid);
    }
    if (rc == 0) {
        *ret = file;
    }
    return rc;
}
