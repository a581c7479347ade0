/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See capture_vmdk.h. */
#include "cli/capture_vmdk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "core/vmdk.h"
#include "io/file.h"

enum {
    CHAIN_MAX = 64 /* snapshots; VMware allows 32 */
};

/* No folder and no "..": what a .vmx names elsewhere is not ours to read. */
static bool is_plain(const char *name)
{
    return *name != '\0' && strpbrk(name, "/\\") == NULL && !str_equal(name, ".") &&
           !str_equal(name, "..");
}

/* Up to `len` bytes from `offset` to the end of `text`: 0 or -errno. */
static int read_at(int fd, uint64_t offset, size_t len, struct buf *text)
{
    char chunk[4096];

    buf_add(text, "", 0);
    while (len > 0 && text->error == 0) {
        size_t want = len < sizeof(chunk) ? len : sizeof(chunk);
        ssize_t n = pread(fd, chunk, want, (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        buf_add(text, chunk, (size_t)n);
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return text->error;
}

static int read_descriptor(int dir_fd, const char *name, struct vmdk *ret, struct err *err)
{
    CLEANUP_FD int fd = -1;
    CLEANUP(buf_fini) struct buf head = BUF_INIT(0);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(0);
    uint64_t offset = 0;
    size_t len = 0;
    int rc = file_open(dir_fd, name, FILE_NOFOLLOW, &fd, err);

    if (rc == -ENOENT) {
        return err_set(err, rc, "%s is not beside the .vmx", name);
    }
    if (rc < 0) {
        return rc;
    }
    rc = read_at(fd, 0, VMDK_HEAD, &head);
    if (rc == 0) {
        rc = vmdk_locate(head.data, head.len, &offset, &len, err);
        if (rc < 0) {
            return err_prefix(err, rc, "%s", name);
        }
        rc = read_at(fd, offset, len, &text);
    }
    if (rc < 0) {
        return err_set(err, rc, "%s: %s", name, strerror(-rc));
    }
    rc = vmdk_parse(text.data, text.len, ret, err);
    return rc < 0 ? err_prefix(err, rc, "%s", name) : 0;
}

/* A snapshot's descriptor mostly has no uuid: that of the disk it stands upon counts. */
static int find_serial(int dir_fd, const char *file, char serial[VMDK_SERIAL_SIZE], struct err *err)
{
    struct vmdk disk = {.parent = ""};
    CLEANUP_FREE char *name = str_dup(file);

    for (int i = 0; name != NULL && i < CHAIN_MAX; i++) {
        int rc;

        if (!is_plain(name)) {
            return err_set(err, -EINVAL, "%s is in another folder, where nothing is read", name);
        }
        rc = read_descriptor(dir_fd, name, &disk, err);
        if (rc < 0) {
            return rc;
        }
        if (disk.serial[0] != '\0') {
            memcpy(serial, disk.serial, VMDK_SERIAL_SIZE);
            return 0;
        }
        if (disk.parent[0] == '\0') {
            return err_set(err, -ENOENT, "%s has no ddb.uuid", name);
        }
        free(name);
        name = str_dup(disk.parent);
    }
    return name == NULL ? err_oom(err)
                        : err_set(err, -ELOOP, "%s stands upon too many snapshots", file);
}

static int open_folder(const char *path, int *ret_fd, struct err *err)
{
    const char *slash = strrchr(path, '/');
    CLEANUP_FREE char *folder = slash == NULL
                                    ? str_dup(".")
                                    : str_ndup(path, slash == path ? 1 : (size_t)(slash - path));

    return folder == NULL ? err_oom(err) : file_open_dir(AT_FDCWD, folder, ret_fd, err);
}

int vmdk_find_serials(const char *vmx_path, struct vmx_disk_files *files, struct err *err)
{
    CLEANUP_FD int dir_fd = -1;
    int rc = files->n == 0 ? 0 : open_folder(vmx_path, &dir_fd, err);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < files->n; i++) {
        char serial[VMDK_SERIAL_SIZE];
        struct err why = {""};

        rc = find_serial(dir_fd, files->items[i].file, serial, &why);
        if (rc == 0) {
            rc = str_replace(&files->items[i].serial, serial);
        } else if (rc != -ENOMEM) {
            str_tame(why.text);
            rc = str_replace(&files->items[i].why, why.text);
        }
        if (rc < 0) {
            return err_oom(err);
        }
    }
    return 0;
}
