/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See hold_file.h. */
#include "cli/hold_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/calls.h"
#include "core/hold.h"
#include "io/clock.h"
#include "io/file.h"

enum { FILE_MODE = 0644, DIR_MODE = 0755, TELL_PATIENCE_S = 10, HOST_SIZE = 65 };

int hold_file_settings(const char *config, struct settings **ret, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(SETTINGS_MAX);
    int rc = file_read(AT_FDCWD, config, FILE_FOLLOW, &text, err);

    if (rc < 0 && rc != -ENOENT) {
        return rc;
    }
    rc = settings_parse(rc == 0 ? text.data : "", text.len, ret, err);
    return rc < 0 ? err_prefix(err, rc, "%s", config) : 0;
}

void hold_file_fini(struct hold_file *file)
{
    free(file->path);
    free(file->what);
    free(file->former);
    *file = (struct hold_file){0};
}

static char *path_of(const struct settings *settings, bool local, uint32_t vmid, const char *suffix)
{
    return local ? str_printf("%s/%u.%s", settings->fingerprint_dir, (unsigned)vmid, suffix)
                 : str_printf("%s/pve-hwid/%u.%s", settings->pve_dir, (unsigned)vmid, suffix);
}

bool hold_file_exists(const struct settings *settings, uint32_t vmid)
{
    CLEANUP_FREE char *of_cluster = path_of(settings, false, vmid, "hold");
    CLEANUP_FREE char *of_node = path_of(settings, true, vmid, "hold");

    return (of_cluster != NULL && file_exists(AT_FDCWD, of_cluster)) ||
           (of_node != NULL && file_exists(AT_FDCWD, of_node));
}

/* The place of a new hold. */
static int choose(const struct settings *settings, uint32_t vmid, char **ret_path, struct err *err)
{
    CLEANUP_FREE char *of_cluster = path_of(settings, false, vmid, "json");
    CLEANUP_FREE char *of_node = path_of(settings, true, vmid, "json");
    CLEANUP_FREE char *pve = str_printf("%s/qemu-server", settings->pve_dir);
    CLEANUP_FREE char *dir = str_printf("%s/pve-hwid", settings->pve_dir);
    bool local;

    if (of_cluster == NULL || of_node == NULL || pve == NULL || dir == NULL) {
        return err_oom(err);
    }
    local = !file_exists(AT_FDCWD, of_cluster) &&
            (file_exists(AT_FDCWD, of_node) || !file_exists(AT_FDCWD, pve));
    if (!local && mkdir(dir, DIR_MODE) < 0 && errno != EEXIST) {
        return err_set(err, -errno, "%s: %s", dir, strerror(errno));
    }
    *ret_path = path_of(settings, local, vmid, "hold");
    return *ret_path == NULL ? err_oom(err) : 0;
}

/* The hold that is there: 1 with *ret_path and, where it can be understood, *ret; 0: none. */
static int find(const struct settings *settings, uint32_t vmid, char **ret_path, struct hold **ret,
                struct err *err)
{
    for (int local = 0; local < 2; local++) {
        CLEANUP(buf_fini) struct buf text = BUF_INIT(HOLD_MAX);
        CLEANUP_FREE char *path = path_of(settings, local == 1, vmid, "hold");
        int rc = path == NULL ? err_oom(err) : file_read(AT_FDCWD, path, FILE_NOFOLLOW, &text, err);

        if (rc == -ENOENT) {
            continue;
        }
        if (rc == 0 && hold_parse(text.data, text.len, ret, err) == -ENOMEM) {
            rc = -ENOMEM;
        }
        if (rc == 0) {
            *ret_path = STEAL(path);
        }
        return rc < 0 ? rc : 1;
    }
    return 0;
}

/* Who says so: for people who read it later, nothing hangs on it. */
static char *who(void)
{
    const char *sudo = getenv("SUDO_USER");
    char host[HOST_SIZE] = "";
    bool plain = sudo != NULL && *sudo != '\0' && strlen(sudo) < 33;

    if (gethostname(host, sizeof(host)) < 0) {
        host[0] = '\0';
    }
    host[sizeof(host) - 1] = '\0';
    host[strcspn(host, ".")] = '\0';
    for (const char *c = sudo; plain && *c != '\0'; c++) {
        plain = ascii_is_alnum(*c) || strchr("-_.", *c) != NULL;
    }
    if (plain) {
        return str_printf("%s@%s", sudo, host);
    }
    return geteuid() == 0 ? str_printf("root@%s", host)
                          : str_printf("user %u@%s", (unsigned)geteuid(), host);
}

static int make(const char *path, struct hold *hold, const char *why, char **ret_text,
                struct err *err)
{
    char now[CLOCK_TEXT_SIZE];
    CLEANUP_FREE char *by = who();
    int rc;

    clock_now_text(now);
    if (by == NULL || str_replace(&hold->since, now) < 0 || str_replace(&hold->by, by) < 0 ||
        str_replace(&hold->why, why) < 0) {
        return err_oom(err);
    }
    rc = hold_format(hold, ret_text, err);
    if (rc == 0) {
        rc = file_replace(AT_FDCWD, path, FILE_MODE, *ret_text, err);
    }
    return rc == -EACCES || rc == -EPERM ? err_set(err, rc,
                                                   "%s: %s; run as root, on a cluster "
                                                   "with quorum",
                                                   path, strerror(-rc))
                                         : rc;
}

static int describe_former(const struct hold *hold, const char *path, char **ret, struct err *err)
{
    CLEANUP_FREE char *text = NULL;
    int rc = hold_format(hold, &text, err);

    if (rc < 0) {
        return rc;
    }
    *ret = hold_describe(text, strlen(text), path, NULL);
    return *ret == NULL ? err_oom(err) : 0;
}

int hold_file_write(const struct settings *settings, uint32_t vmid, const char *why,
                    struct hold_file *ret, struct err *err)
{
    CLEANUP(hold_file_fini) struct hold_file file = {0};
    CLEANUP(hold_freep) struct hold *hold = NULL;
    CLEANUP_FREE char *text = NULL;
    int rc = find(settings, vmid, &file.path, &hold, err);

    if (rc < 0) {
        return rc;
    }
    file.was_there = rc == 1;
    if (hold == NULL) { /* or one that nobody understands: now it gets its words */
        hold = calloc(1, sizeof(*hold));
        rc = hold == NULL     ? err_oom(err)
             : file.was_there ? 0
                              : choose(settings, vmid, &file.path, err);
    }
    if (rc >= 0 && hold->since != NULL && why != NULL && !str_equal(hold->why, why)) {
        rc = describe_former(hold, file.path, &file.former, err);
    }
    if (rc >= 0 && (hold->since == NULL || why != NULL)) {
        rc = make(file.path, hold, why, &text, err);
    } else if (rc >= 0) {
        rc = hold_format(hold, &text, err);
    }
    if (rc < 0) {
        return rc;
    }
    file.what = hold_describe(text, strlen(text), file.path, NULL);
    if (file.what == NULL) {
        return err_oom(err);
    }
    *ret = file;
    file = (struct hold_file){0};
    return 0;
}

int hold_file_remove(const struct settings *settings, uint32_t vmid, struct err *err)
{
    int found = 1;

    for (int local = 0; local < 2; local++) {
        CLEANUP_FREE char *path = path_of(settings, local == 1, vmid, "hold");
        int rc = path == NULL ? err_oom(err) : file_remove(AT_FDCWD, path, err);

        if (rc < 0 && rc != -ENOENT) {
            return rc;
        }
        found = rc == 0 ? 0 : found;
    }
    return found;
}

bool hold_file_tell(const struct cli *cli, const char *method, uint32_t vmid,
                    const struct where *where, const char *if_not)
{
    json_auto_t *answer = NULL;
    struct err err = {""};
    struct call call = {.method = method, .vmid = vmid, .patience_s = TELL_PATIENCE_S};

    if (where->is == WHERE_NOWHERE) {
        cli_note(cli, "there is no VM %u in the cluster now", (unsigned)vmid);
        return false;
    }
    if (where->is == WHERE_ELSEWHERE) {
        cli_note(cli, "VM %u is on node %s, whose daemon sees that by itself", (unsigned)vmid,
                 where->node);
        return false;
    }
    call.parameters = json_pack("{s:I}", "vmid", (json_int_t)vmid);
    if (calls_try(cli, &call, &answer, &err) == 0) {
        return true;
    }
    cli_note(cli, "VM %u: %s: %s", (unsigned)vmid, if_not, err.text);
    return false;
}
