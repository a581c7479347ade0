/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vcenter.h: the folder that takes the files. A file is there whole or not at all, so the files
 * themselves say what need not be asked again: that is all there is to resuming. They are known by
 * the id in their names, since VMs are renamed. The folder belongs to one vCenter (ids repeat) and
 * to one process at a time: both are the business of STATE.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/str.h"
#include "cli/vcenter.h"
#include "io/file.h"

enum { FILE_MODE = 0644, FOLDER_MODE = 0755, STATE_MAX = 1024 };

#define STATE ".pve-hwid-vcenter"
#define NOTES "notes.txt"

/* One vCenter per folder, by the address it was asked under. */
static int take_folder(struct vcenter_run *run, const char *path, struct err *err)
{
    CLEANUP(buf_fini) struct buf said = BUF_INIT(STATE_MAX);
    CLEANUP_FREE char *line = str_printf("%s\n", run->url);
    int rc = file_open_append(run->folder.dir_fd, STATE, FILE_MODE, &run->folder.lock_fd, err);

    if (line == NULL) {
        return err_oom(err);
    }
    if (rc == 0 && flock(run->folder.lock_fd, LOCK_EX | LOCK_NB) < 0) {
        return err_set(err, -EBUSY, "another capture is writing to %s just now", path);
    }
    rc = rc < 0 ? rc : file_read_fd(run->folder.lock_fd, STATE, &said, err);
    if (rc < 0) {
        return err_prefix(err, rc, "%s", path);
    }
    if (said.len == 0) {
        return file_append(run->folder.lock_fd, line, strlen(line), err);
    }
    if (!str_equal(said.data, line)) {
        said.data[strcspn(said.data, "\r\n")] = '\0';
        str_tame(said.data);
        return err_set(err, -EEXIST,
                       "%s holds VMs of %s, whose ids may be those of others here; take another "
                       "folder (or remove %s/" STATE " if both are the same vCenter)",
                       path, said.data, path);
    }
    return 0;
}

/* "web1.vm-12.json": "vm-12"; NULL: no such name. The caller's. */
static char *id_of(const char *name)
{
    size_t len = strlen(name) - strlen(".json");
    size_t start = len;

    while (start > 0 && name[start - 1] != '.') {
        start--;
    }
    return str_ndup(name + start, len - start);
}

static int note_file(struct vcenter_run *run, const char *name)
{
    CLEANUP_FREE char *id = NULL;

    if (str_ends(name, ".tmp") && strstr(name, ".json.") != NULL) {
        (void)unlinkat(run->folder.dir_fd, name,
                       0); /* of a capture that was killed; else it stays */
        return 0;
    }
    if (!str_ends(name, ".json")) {
        return 0;
    }
    id = id_of(name);
    if (id == NULL) {
        return -ENOMEM;
    }
    /* Names that are no UTF-8 are none of ours. */
    (void)json_object_set_new(run->folder.present, id, json_string(name));
    return 0;
}

static int look_around(struct vcenter_run *run, struct err *err)
{
    CLEANUP_FD int fd = openat(run->folder.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int rc = 0;

    if (dir == NULL) {
        return err_set(err, -errno, "%s: %s", run->options->output, strerror(errno));
    }
    (void)fd_steal(&fd); /* the stream's */
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        rc = note_file(run, entry->d_name);
    }
    (void)closedir(dir); /* only read */
    return rc < 0 ? err_oom(err) : 0;
}

int vcenter_folder_open(struct vcenter_run *run, struct err *err)
{
    const char *path = run->options->output;
    int rc;

    run->folder.present = json_object();
    if (run->folder.present == NULL) {
        return err_oom(err);
    }
    if (mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST) {
        return err_set(err, -errno, "%s: cannot be created: %s", path, strerror(errno));
    }
    rc = file_open_dir(AT_FDCWD, path, &run->folder.dir_fd, err);
    rc = rc < 0 ? rc : take_folder(run, path, err);
    return rc < 0 ? rc : look_around(run, err);
}

void vcenter_folder_close(struct vcenter_folder *folder)
{
    fd_closep(&folder->lock_fd);
    fd_closep(&folder->dir_fd);
    json_decref(folder->present);
}

/* What of it is missing, for the summary. */
static void count_missing(struct vcenter_run *run, const struct fingerprint *fp)
{
    struct vcenter_count *count = &run->count;
    unsigned missing = vcenter_missing(fp);

    count->no_uuid += (missing & VCENTER_MISSING_UUID) != 0;
    count->no_mac += (missing & VCENTER_MISSING_MAC) != 0;
    count->no_serial += (missing & VCENTER_MISSING_SERIAL) != 0;
    count->incomplete += (missing & (VCENTER_MISSING_UUID | VCENTER_MISSING_MAC)) != 0;
}

bool vcenter_folder_has(struct vcenter_run *run, const struct vcenter_item *vm)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FINGERPRINT_MAX);
    const char *name = json_string_value(json_object_get(run->folder.present, vm->id));

    if (run->options->force || name == NULL ||
        file_read(run->folder.dir_fd, name, FILE_NOFOLLOW, &text, NULL) < 0 ||
        fingerprint_parse(text.data, text.len, &fp, NULL) < 0) {
        return false;
    }
    count_missing(run, fp);
    run->count.skipped++;
    return true;
}

/* Beside the files, line by line; they are for reading, so a crash may cost one. */
static int put_notes(struct vcenter_run *run, const struct vcenter_item *vm,
                     const struct notes *notes, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(0);
    CLEANUP_FD int fd = -1;
    int rc;

    for (size_t i = 0; i < notes->n; i++) {
        buf_addf(&text, "%s (%s): %s\n", vm->name, vm->id, notes->items[i]);
    }
    if (text.error != 0) {
        return err_oom(err);
    }
    if (text.len == 0) {
        return 0;
    }
    rc = file_open_append(run->folder.dir_fd, NOTES, FILE_MODE, &fd, err);
    if (rc == 0) {
        rc = file_write_all(fd, text.data, text.len);
        run->count.notes += notes->n;
    }
    return rc < 0 ? err_set(err, rc, "%s/" NOTES ": %s", run->options->output, strerror(-rc)) : 0;
}

int vcenter_folder_put(struct vcenter_run *run, const struct vcenter_item *vm,
                       const struct fingerprint *fp, const struct notes *notes, struct err *err)
{
    const char *known = json_string_value(json_object_get(run->folder.present, vm->id));
    CLEANUP_FREE char *name = known != NULL ? str_dup(known) : vcenter_file_name(vm);
    CLEANUP_FREE char *text = NULL;
    int rc = name == NULL ? err_oom(err) : fingerprint_format(fp, &text, err);

    rc = rc < 0 ? rc : file_replace(run->folder.dir_fd, name, FILE_MODE, text, err);
    rc = rc < 0 ? rc : put_notes(run, vm, notes, err);
    if (rc < 0) {
        return err_prefix(err, rc, "%s", run->options->output);
    }
    count_missing(run, fp);
    run->count.captured++;
    return 0;
}
