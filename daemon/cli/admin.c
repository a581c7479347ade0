/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See admin.h. */
#include "cli/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/client.h"
#include "io/file.h"
#include "io/run.h"

enum { MEMBERS_MAX = 256 * 1024, COMPLAINTS_MAX = 64 * 1024 };

void admin_fini(struct admin *admin)
{
    for (size_t i = 0; i < admin->n_nodes; i++) {
        free((char *)admin->nodes[i].name); /* ours: read here */
    }
    free(admin->nodes);
    free(admin->node);
    free(admin->pve_node);
    free(admin->members_problem);
    free(admin->hook_source);
    free(admin->hook_target);
    settings_free(admin->settings);
    storagecfg_free(admin->storages);
}

char *admin_path(const struct admin *admin, const char *path)
{
    return str_printf("%s%s", admin->root != NULL ? admin->root : "", path);
}

/* --- PVE's commands ----------------------------------------------------------------------------
 */

/* The command's words on one line: perl's errors have several. */
static int complain(const char *const *argv, int status, const struct buf *complaints,
                    struct err *err)
{
    CLEANUP_FREE char *words = str_dup(complaints->data != NULL ? complaints->data : "");
    size_t len;

    if (words == NULL) {
        return err_oom(err);
    }
    len = strlen(words);
    while (len > 0 && ascii_is_space(words[len - 1])) {
        words[--len] = '\0';
    }
    for (char *c = words; *c != '\0'; c++) {
        *c = (char)(*c == '\n' ? ' ' : *c);
    }
    str_tame(words);
    return err_set(err, -EREMOTEIO, "%s %s: exit code %d%s%s", argv[0],
                   argv[1] != NULL ? argv[1] : "", status, *words != '\0' ? ": " : "", words);
}

static void wipe(struct buf *buf)
{
    if (buf->data != NULL) {
        explicit_bzero(buf->data, buf->cap);
    }
    buf_fini(buf);
}

int admin_run(const char *const *argv, unsigned limit_ms, json_t **ret, struct err *err)
{
    static const char room[4096];
    CLEANUP(wipe) struct buf out = BUF_INIT(ADMIN_OUTPUT_MAX);
    CLEANUP(buf_fini) struct buf complaints = BUF_INIT(COMPLAINTS_MAX);
    json_error_t error;
    int status = 0;
    int rc;

    buf_add(&out, room, sizeof(room)); /* an answer with a secret is not copied about as it grows */
    out.len = 0;
    rc = run_command(argv, limit_ms, &out, &complaints, &status, err);
    if (rc < 0) {
        return rc;
    }
    if (status != 0) {
        return complain(argv, status, &complaints, err);
    }
    if (ret == NULL) {
        return 0;
    }
    *ret = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    return *ret != NULL ? 0
                        : err_set(err, -EPROTO, "%s %s: its answer is no JSON: %s", argv[0],
                                  argv[1] != NULL ? argv[1] : "", error.text);
}

bool admin_unit_is(const char *unit, const char *property, const char *value)
{
    const char *const argv[] = {"systemctl", "show", "--value", "--property", property, unit, NULL};
    CLEANUP(buf_fini) struct buf out = BUF_INIT(COMPLAINTS_MAX);
    CLEANUP(buf_fini) struct buf complaints = BUF_INIT(COMPLAINTS_MAX);
    int status = 0;

    if (run_command(argv, ADMIN_COMMAND_MS, &out, &complaints, &status, NULL) < 0 || status != 0) {
        return false;
    }
    return out.len == strlen(value) + 1 && memcmp(out.data, value, out.len - 1) == 0;
}

int admin_ask_daemon(const struct cli *cli, const char *method, uint32_t vmid, json_t **ret_answer,
                     bool *ret_error, struct err *err)
{
    CLEANUP(client_close) struct client client = {.fd = -1};
    CLEANUP(wire_reply_fini) struct wire_reply reply = {0};
    CLEANUP_FREE char *name = str_printf("io.pvehwid.%s", method);
    json_auto_t *parameters = vmid == 0 ? json_object()
                                        : json_pack("{s:I}", "vmid", (json_int_t)vmid);
    int rc = name == NULL || parameters == NULL
                 ? err_oom(err)
                 : client_open(&client, cli->socket, ADMIN_DAEMON_MS, err);

    rc = rc < 0 ? rc : client_send(&client, name, parameters, false, err);
    rc = rc < 0 ? rc : client_receive(&client, &reply, err);
    if (rc == 0) {
        *ret_answer = json_incref(reply.parameters);
        *ret_error = reply.error != NULL;
    }
    return rc;
}

char *admin_command_line(char *const *argv)
{
    struct buf text = BUF_INIT(0);

    for (size_t i = 0; argv[i] != NULL; i++) {
        bool plain = argv[i][0] != '\0' && strpbrk(argv[i], " '\"$&|;<>()!*?`\\") == NULL;

        buf_addf(&text, plain ? "%s%s" : "%s'%s'", i == 0 ? "" : " ", argv[i]);
    }
    return buf_steal(&text);
}

int admin_list_snippets(const char *node, json_t **ret, struct err *err)
{
    CLEANUP_FREE char *path = str_printf("/nodes/%s/storage/" SETUP_STORAGE "/content", node);
    const char *const argv[] = {"pvesh",           "get",  path, "--content", "snippets",
                                "--output-format", "json", NULL};

    return path == NULL ? err_oom(err) : admin_run(argv, ADMIN_NODE_MS, ret, err);
}

/* --- files ------------------------------------------------------------------------------------ */

static bool read_whole(const char *path, struct buf *text)
{
    return file_read(AT_FDCWD, path, FILE_FOLLOW, text, NULL) == 0;
}

bool admin_same_file(const char *a, const char *b)
{
    CLEANUP(buf_fini) struct buf text_a = BUF_INIT(ADMIN_HOOK_MAX);
    CLEANUP(buf_fini) struct buf text_b = BUF_INIT(ADMIN_HOOK_MAX);

    return read_whole(a, &text_a) && read_whole(b, &text_b) && text_a.len == text_b.len &&
           memcmp(text_a.data, text_b.data, text_a.len) == 0;
}

bool admin_is_executable(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
}

int admin_snippet(const struct admin *admin, const char *volid, char **ret, struct err *err)
{
    CLEANUP_FREE char *path = NULL;
    int rc = storagecfg_snippet_path(admin->storages, volid, &path, err);

    if (rc < 0) {
        return rc;
    }
    *ret = admin_path(admin, path);
    return *ret == NULL ? err_oom(err) : 0;
}

/* Beside this program: PREFIX/bin/pve-hwid and PREFIX/libexec/pve-hwid/pve-hwid-hook, or a build
 * directory that has both. */
static int find_hook(struct admin *admin, struct err *err)
{
    static const char *const places[] = {"../libexec/pve-hwid/pve-hwid-hook", "pve-hwid-hook"};
    char exe[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    const char *slash;

    if (len <= 0) {
        return 0;
    }
    exe[len] = '\0';
    slash = strrchr(exe, '/');
    for (size_t i = 0; slash != NULL && i < ARRAY_SIZE(places); i++) {
        CLEANUP_FREE char *path = str_printf("%.*s/%s", (int)(slash - exe), exe, places[i]);

        if (path == NULL) {
            return err_oom(err);
        }
        if (admin_is_executable(path)) {
            admin->hook_source = realpath(path, NULL);
            return admin->hook_source == NULL ? err_oom(err) : 0;
        }
    }
    return 0;
}

/* --- what is read ------------------------------------------------------------------------------
 */

static int read_settings(struct admin *admin, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(SETTINGS_MAX);
    CLEANUP_FREE char *usual = admin_path(admin, "/etc/pve-hwid/pve-hwid.conf");
    const char *path = admin->config != NULL ? admin->config : usual;
    int rc;

    if (usual == NULL) {
        return err_oom(err);
    }
    rc = file_read(AT_FDCWD, path, FILE_FOLLOW, &text, err);
    if (rc == -ENOENT && admin->config == NULL) {
        admin->settings = settings_new();
        return admin->settings == NULL ? err_oom(err) : 0;
    }
    rc = rc < 0 ? rc : settings_parse(text.data, text.len, &admin->settings, err);
    return rc < 0 ? err_prefix(err, rc, "%s", path) : 0;
}

static int add_node(struct admin *admin, const char *name, const json_t *entry, size_t *cap)
{
    char *copy = str_dup(name);

    if (copy == NULL ||
        vec_reserve(&admin->nodes, admin->n_nodes, cap, sizeof(admin->nodes[0])) < 0) {
        free(copy);
        return -ENOMEM;
    }
    admin->nodes[admin->n_nodes++] = (struct setup_node){
        .name = copy,
        .online = json_integer_value(json_object_get(entry, "online")) == 1,
        .is_local = str_equal(name, admin->node)};
    return 0;
}

static int take_members(struct admin *admin, const json_t *members, struct err *err)
{
    const char *own = json_string_value(json_object_get(members, "nodename"));
    const json_t *cluster = json_object_get(members, "cluster");
    json_t *list = json_object_get(members, "nodelist");
    size_t cap = 0;
    const char *name;
    json_t *entry;

    if (own == NULL) {
        return err_set(err, -EPROTO, "it has no 'nodename'");
    }
    if (str_replace(&admin->pve_node, own) < 0) {
        return err_oom(err);
    }
    if (admin->settings->node != NULL) {
        own = admin->settings->node;
    }
    if (str_replace(&admin->node, own) < 0) {
        return err_oom(err);
    }
    admin->in_cluster = cluster != NULL;
    admin->quorate = cluster == NULL ||
                     json_integer_value(json_object_get(cluster, "quorate")) == 1;
    json_object_foreach (list, name, entry) {
        if (add_node(admin, name, entry, &cap) < 0) {
            return err_oom(err);
        }
    }
    return admin->n_nodes == 0 && add_node(admin, own, NULL, &cap) < 0 ? err_oom(err) : 0;
}

/* .members is pmxcfs's own: it is there when /etc/pve is what it should be. */
static int read_members(struct admin *admin, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(MEMBERS_MAX);
    CLEANUP_FREE char *path = str_printf("%s/.members", admin->settings->pve_dir);
    json_auto_t *members = NULL;
    json_error_t error;
    int rc = path == NULL ? err_oom(err) : file_read(AT_FDCWD, path, FILE_FOLLOW, &text, err);

    if (rc == 0) {
        members = json_loadb(text.data, text.len, 0, &error);
        rc = members == NULL ? err_set(err, -EPROTO, "%s: %s", path, error.text)
                             : take_members(admin, members, err);
    }
    if (rc == 0 || rc == -ENOMEM) {
        return rc;
    }
    admin->members_problem = str_dup(err->text);
    return admin->members_problem == NULL ? err_oom(err) : 0;
}

/* Without pmxcfs the host's name is the best guess. */
static int guess_node(struct admin *admin, struct err *err)
{
    char name[256] = "";

    if (admin->node != NULL) {
        return 0;
    }
    (void)gethostname(name, sizeof(name) - 1); /* at worst it is "" */
    name[strcspn(name, ".")] = '\0';
    admin->node = str_dup(admin->settings->node != NULL ? admin->settings->node : name);
    return admin->node == NULL ? err_oom(err) : 0;
}

static int read_storages(struct admin *admin, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(STORAGECFG_MAX);
    CLEANUP_FREE char *path = str_printf("%s/storage.cfg", admin->settings->pve_dir);
    int rc = path == NULL ? err_oom(err) : file_read(AT_FDCWD, path, FILE_FOLLOW, &text, err);

    if (rc == -ENOENT) { /* PVE has defaults, then */
        return storagecfg_parse("", 0, &admin->storages, err);
    }
    return rc < 0 ? rc : storagecfg_parse(text.data, text.len, &admin->storages, err);
}

int admin_read(struct admin *admin, struct err *err)
{
    int rc = read_settings(admin, err);

    rc = rc < 0 ? rc : read_members(admin, err);
    rc = rc < 0 ? rc : guess_node(admin, err);
    rc = rc < 0 ? rc : read_storages(admin, err);
    rc = rc < 0 ? rc : admin_snippet(admin, SETUP_HOOK_VOLID, &admin->hook_target, err);
    return rc < 0 ? rc : find_hook(admin, err);
}

enum cli_exit admin_open(const struct cli *cli, struct admin *admin)
{
    struct err err = {""};

    if (geteuid() != 0) {
        return cli_fail(cli, CLI_ERROR, "%s is for root: run it as root", cli->verb->name);
    }
    if (admin_read(admin, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    return CLI_OK;
}
