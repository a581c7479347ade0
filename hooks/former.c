/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hookscript that the VM had before ours. We end by becoming it: same process, environment,
 * working directory, arguments, stdin, stdout and stderr as PVE gave us, so nothing about it has to
 * be passed on, be it output, a signal it dies by, or an hour it takes.
 *
 * A script that is gone or not executable fails the start as it would without us: PVE does the
 * same, and the guest may need what it does. What is wrong with our own file about it does not (law
 * 9).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/former.h"
#include "core/storagecfg.h"
#include "hook.h"
#include "io/file.h"

enum { FORMER_CANNOT_RUN = 1 };

/* -ENOENT without a word: there was no other hook. */
static int read_volid(const struct hook *hook, char **ret_volid, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FORMER_MAX);
    CLEANUP_FD int fd = -1;
    char path[HOOK_PATH_SIZE];
    int rc;

    if (!hook_former(hook, path)) {
        return err_set(err, -ENAMETOOLONG, "the path of its former hook is too long");
    }
    /* Root executes what this file names: nobody else may have written or placed it. */
    rc = file_open_trusted(path, &fd, err);
    if (rc == -ENOENT || rc == -ENOTDIR) {
        return -ENOENT;
    }
    rc = rc < 0 ? rc : file_read_fd(fd, path, &text, err);
    if (rc < 0) {
        return rc;
    }
    rc = former_parse(text.data, text.len, ret_volid, err);
    return rc < 0 ? err_prefix(err, rc, "%s", path) : 0;
}

/* Without a readable storage.cfg there is still `local`. */
static int find_script(const struct hook *hook, const char *volid, char **ret_path, struct err *err)
{
    CLEANUP(storagecfg_freep) struct storagecfg *cfg = NULL;
    CLEANUP(buf_fini) struct buf text = BUF_INIT(STORAGECFG_MAX);
    CLEANUP_FREE char *path = NULL;
    char file[HOOK_PATH_SIZE];
    int rc;

    if (!hook_storages(hook, file) || file_read(AT_FDCWD, file, FILE_FOLLOW, &text, NULL) < 0 ||
        storagecfg_parse(text.data, text.len, &cfg, NULL) < 0) {
        rc = storagecfg_parse("", 0, &cfg, err);
        if (rc < 0) {
            return rc;
        }
    }
    rc = storagecfg_snippet_path(cfg, volid, &path, err);
    if (rc < 0) {
        return rc;
    }
    if (!hook_path(hook, file, "%s", path)) {
        return err_set(err, -ENAMETOOLONG, "the path of '%s' is too long", volid);
    }
    return str_replace(ret_path, file) < 0 ? err_oom(err) : 0;
}

/* argv[0] is the path, as PVE calls it. */
static int become(const struct hook *hook, const char *path)
{
    char *argv[] = {(char *)path, hook->argv[0], hook->argv[1], NULL};

    (void)execvp(path,
                 argv); /* with a slash no search; a script without #! is /bin/sh's, as with PVE */
    return -errno;
}

int hook_run_former(const struct hook *hook)
{
    CLEANUP_FREE char *volid = NULL;
    CLEANUP_FREE char *path = NULL;
    const struct itimerval none = {0};
    struct err err = {""};
    struct stat st;
    int rc;

    (void)setitimer(ITIMER_REAL, &none, NULL); /* our alarm would hit it: timers survive an exec */
    rc = read_volid(hook, &volid, &err);

    if (rc == -ENOENT) {
        return 0;
    }
    if (rc < 0) {
        hook_sayf(hook,
                  "WARNING: VM %u: the hookscript it had before is not run: %s; mend it or run: "
                  "pve-hwid detach %u",
                  hook->call.vmid, err.text, hook->call.vmid);
        return 0;
    }
    rc = find_script(hook, volid, &path, &err);
    if (rc == 0) {
        rc = stat(path, &st) < 0       ? err_set(&err, -errno, "it does not exist at %s", path)
             : !S_ISREG(st.st_mode)    ? err_set(&err, -EINVAL, "%s is not a file", path)
             : access(path, X_OK) != 0 ? err_set(&err, -errno, "%s is not executable", path)
                                       : become(hook, path);
        rc = err.text[0] != '\0' ? rc : err_set(&err, rc, "%s: %s", path, strerror(-rc));
    }
    hook_sayf(
        hook,
        "ERROR: VM %u: the hookscript it had before, '%s', cannot be run: %s; put it back, or "
        "do without it: pve-hwid detach --drop-former %u",
        hook->call.vmid, volid, err.text, hook->call.vmid);
    return FORMER_CANNOT_RUN;
}
