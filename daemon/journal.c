/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See journal.h: the change journal on disk.
 *
 * A record counts once its newline is on disk; what a crash left behind the last newline was never
 * acknowledged. The next append closes it with RECORD_TORN_MARK, which makes it unreadable for
 * good: were it closed with a bare newline, a record that was cut exactly before its newline would
 * come to life later. The mark is written in one go with the new record, so that it needs no sync
 * of its own.
 */
#include "journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/record.h"
#include "io/file.h"

enum {
    VMID_MAX = 999999999, /* PVE's own limit */
};

static const char SUFFIX[] = ".jsonl";

struct journal {
    int dir_fd;
    char *path; /* of the directory */
    char *parent;
};

/* --- opening -------------------------------------------------------------------------------- */

/* Makes the directory where it is missing; its name is on disk then. */
static int make_dir(const char *parent, const char *path, struct err *err)
{
    CLEANUP_FD int fd = -1;
    int rc;

    if (mkdir(path, 0750) < 0) {
        return errno == EEXIST
                   ? 0
                   : err_set(err, -errno, "%s: cannot create: %s", path, strerror(errno));
    }
    rc = file_open_dir(AT_FDCWD, parent, &fd, err);
    if (rc == 0 && fsync(fd) < 0) {
        rc = err_set(err, -errno, "%s: cannot sync: %s", parent, strerror(errno));
    }
    return rc;
}

int journal_open(const char *state_dir, struct journal **ret, struct err *err)
{
    CLEANUP(journal_closep) struct journal *journal = calloc(1, sizeof(*journal));
    int rc;

    if (journal == NULL) {
        return err_oom(err);
    }
    journal->dir_fd = -1;
    journal->path = str_printf("%s/journal", state_dir);
    journal->parent = str_dup(state_dir);
    if (journal->path == NULL || journal->parent == NULL) {
        return err_oom(err);
    }
    rc = make_dir(state_dir, journal->path, err);
    if (rc == 0) {
        rc = file_open_dir(AT_FDCWD, journal->path, &journal->dir_fd, err);
    }
    if (rc < 0) {
        return err_prefix(err, rc, "the change journal");
    }
    *ret = STEAL(journal);
    return 0;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL) {
        return;
    }
    fd_closep(&journal->dir_fd);
    free(journal->path);
    free(journal->parent);
    free(journal);
}

static bool is_there(const struct journal *journal)
{
    struct stat named, ours;

    return stat(journal->path, &named) == 0 && fstat(journal->dir_fd, &ours) == 0 &&
           named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

/* The directory may have been removed, or another one put in its place (a restored backup, a disk
 * that was mounted late): what is written must be where the next daemon, and the hook alone, look
 * for it. One that is missing says nothing about what was written: it is read on. */
static int follow(struct journal *journal, bool make, struct err *err)
{
    CLEANUP_FD int fd = -1;
    int rc = 0;

    if (is_there(journal) || (!make && !file_exists(AT_FDCWD, journal->path))) {
        return 0;
    }
    if (make) {
        rc = make_dir(journal->parent, journal->path, err);
    }
    rc = rc < 0 ? rc : file_open_dir(AT_FDCWD, journal->path, &fd, err);
    if (rc == 0) {
        (void)close(journal->dir_fd); /* only files in it were written to */
        journal->dir_fd = fd_steal(&fd);
    }
    return make ? rc : 0; /* gone that moment: likewise */
}

static char *file_name(uint32_t vmid)
{
    return str_printf("%u%s", vmid, SUFFIX);
}

/* --- appending ------------------------------------------------------------------------------ */

/* Begins `line` with what closes a torn end of the file. */
static int close_torn_end(const struct journal *journal, int fd, struct buf *line, struct err *err)
{
    struct stat st;
    char last = '\n';

    if (fstat(fd, &st) < 0 || (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1)) {
        return err_set(err, -EIO, "cannot read its end: %s", strerror(errno));
    }
    if (st.st_size == 0 && fsync(journal->dir_fd) < 0) {
        /* the file may be the work of one who died between making it and syncing its name */
        return err_set(err, -errno, "cannot sync the directory: %s", strerror(errno));
    }
    if (last != '\n') {
        buf_adds(line, RECORD_TORN_MARK);
    }
    return 0;
}

static int add_record(struct buf *line, const json_t *record, struct err *err)
{
    char *text = json_dumps(record, JSON_COMPACT);
    size_t len;

    if (text == NULL) {
        return err_oom(err); /* the record is ours: an object of valid UTF-8 */
    }
    len = strlen(text);
    buf_add(line, text, len);
    buf_addc(line, '\n');
    free(text);
    if (len >= JOURNAL_LINE_MAX) {
        return err_set(err, -EFBIG, "a record of %zu bytes is longer than the %d allowed", len,
                       JOURNAL_LINE_MAX);
    }
    return line->error == 0 ? 0 : err_oom(err);
}

static int append_to(const struct journal *journal, const char *name, const json_t *record,
                     struct err *err)
{
    CLEANUP(buf_fini) struct buf line = BUF_INIT(0);
    CLEANUP_FD int fd = -1;
    int rc = file_open_append(journal->dir_fd, name, 0600, &fd, err);

    if (rc == 0) {
        rc = close_torn_end(journal, fd, &line, err);
    }
    if (rc == 0) {
        rc = add_record(&line, record, err);
    }
    return rc == 0 ? file_append(fd, line.data, line.len, err) : rc;
}

int journal_append(struct journal *journal, uint32_t vmid, const json_t *record, struct err *err)
{
    CLEANUP_FREE char *name = file_name(vmid);
    int rc;

    if (name == NULL) {
        return err_oom(err);
    }
    rc = follow(journal, true, err);
    rc = rc < 0 ? rc : append_to(journal, name, record, err);
    return rc < 0 ? err_prefix(err, rc, "%s/%s", journal->path, name) : 0;
}

/* --- reading -------------------------------------------------------------------------------- */

static int read_records(int fd, json_t *records, size_t *ret_bad)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(0);
    int rc = file_read_tail(fd, RECORD_TAIL_MAX, &text);

    return rc == 0 ? record_parse_lines(text.data, text.len, records, ret_bad) : rc;
}

int journal_read(struct journal *journal, uint32_t vmid, json_t **ret_records, size_t *ret_bad,
                 struct err *err)
{
    CLEANUP_FREE char *name = file_name(vmid);
    CLEANUP(json_decrefp) json_t *records = json_array();
    CLEANUP_FD int fd = -1;
    size_t bad = 0;
    int rc;

    if (name == NULL || records == NULL) {
        return err_oom(err);
    }
    rc = follow(journal, false, err);
    rc = rc < 0 ? rc : file_open(journal->dir_fd, name, FILE_NOFOLLOW, &fd, err);
    if (rc == 0) {
        rc = read_records(fd, records, &bad);
        rc = rc < 0 ? err_set(err, rc, "%s: %s", name, strerror(-rc)) : 0;
    } else if (rc == -ENOENT) {
        rc = 0;
    }
    if (rc < 0) {
        return err_prefix(err, rc, "%s", journal->path);
    }
    *ret_records = STEAL(records);
    *ret_bad = bad;
    return 0;
}

/* --- listing -------------------------------------------------------------------------------- */

struct vmids {
    uint32_t *items;
    size_t n, cap;
};

static void vmids_fini(struct vmids *vmids)
{
    free(vmids->items);
}

static void dir_closep(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* read only */
    }
}

static int compare_vmids(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

static int add_vmid_of(const char *name, struct vmids *vmids)
{
    CLEANUP_FREE char *number = NULL;
    uint64_t vmid;

    if (!str_ends(name, SUFFIX)) {
        return 0;
    }
    number = str_ndup(name, strlen(name) - strlen(SUFFIX));
    if (number == NULL) {
        return -ENOMEM;
    }
    if (number[0] == '0' || !str_to_u64(number, VMID_MAX, &vmid)) {
        return 0;
    }
    if (vec_reserve(&vmids->items, vmids->n, &vmids->cap, sizeof(vmids->items[0])) < 0) {
        return -ENOMEM;
    }
    vmids->items[vmids->n++] = (uint32_t)vmid;
    return 0;
}

int journal_list(struct journal *journal, uint32_t **ret_vmids, size_t *ret_n, struct err *err)
{
    CLEANUP(vmids_fini) struct vmids vmids = {0};
    CLEANUP(dir_closep) DIR *dir = NULL;
    CLEANUP_FD int fd = -1;
    const struct dirent *entry;
    int rc = file_open_dir(journal->dir_fd, ".", &fd, err);

    dir = rc == 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        return err_set(err, rc < 0 ? rc : -errno, "%s cannot be read", journal->path);
    }
    (void)fd_steal(&fd); /* the stream's now */
    while ((errno = 0, entry = readdir(dir)) != NULL) {
        if (add_vmid_of(entry->d_name, &vmids) < 0) {
            return err_oom(err);
        }
    }
    if (errno != 0) {
        return err_set(err, -errno, "%s: %s", journal->path, strerror(errno));
    }
    if (vmids.n > 0) {
        qsort(vmids.items, vmids.n, sizeof(vmids.items[0]), compare_vmids);
    }
    *ret_vmids = STEAL(vmids.items);
    *ret_n = vmids.n;
    return 0;
}
