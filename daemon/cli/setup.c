/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid setup`: makes a node ready for pve-hwidd, or with --remove takes it away again. The
 * facts are asked of PVE's own commands; core/setup.h decides; setup_do.h does.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "cli/api_ask.h"
#include "cli/setup_do.h"
#include "cli/vm_hooks.h"
#include "core/requests.h"
#include "io/file.h"
#include "io/process.h"

#define MEMORY_FILE "setup.json"

struct setup {
    struct admin admin;
    bool dry_run, remove, no_start;
    json_t *roles, *users, *tokens, *acl, *storage;
    char *token_name, *token_problem, *memory_file, *cluster_dir, *other_snippet, *hook_needed_by;
    struct setup_facts facts;
};

static void setup_fini(struct setup *setup)
{
    json_decref(setup->roles);
    json_decref(setup->users);
    json_decref(setup->tokens);
    json_decref(setup->acl);
    json_decref(setup->storage);
    free(setup->token_name);
    free(setup->token_problem);
    free(setup->memory_file);
    free(setup->cluster_dir);
    free(setup->other_snippet);
    free(setup->hook_needed_by);
    admin_fini(&setup->admin);
}

/* --- facts ------------------------------------------------------------------------------------ */

#define ASK(...)                                                                                   \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, "--output-format", "json", NULL                                               \
    }

static int ask_pve(struct setup *setup, struct err *err)
{
    int rc = admin_run(ASK("pveum", "role", "list"), ADMIN_COMMAND_MS, &setup->roles, err);

    rc = rc < 0 ? rc
                : admin_run(ASK("pveum", "user", "list"), ADMIN_COMMAND_MS, &setup->users, err);
    rc = rc < 0 ? rc : admin_run(ASK("pveum", "acl", "list"), ADMIN_COMMAND_MS, &setup->acl, err);
    rc = rc < 0 ? rc
                : admin_run(ASK("pvesh", "get", "/storage/" SETUP_STORAGE), ADMIN_COMMAND_MS,
                            &setup->storage, err);
    if (rc == 0 && setup_find(setup->users, "userid", SETUP_USER) != NULL) {
        rc = admin_run(ASK("pveum", "user", "token", "list", SETUP_USER), ADMIN_COMMAND_MS,
                       &setup->tokens, err);
    }
    return rc;
}

/* Does the token of the file work? Asked as the daemon would ask. */
static int try_token(struct setup *setup, struct err *err)
{
    CLEANUP(api_ask_closep) struct api_ask *ask = NULL;
    CLEANUP(api_reply_fini) struct api_reply reply = {0};
    struct err why = {""};
    int rc = api_ask_open(setup->admin.settings, &ask, &setup->token_name, &why);

    setup->facts.token = SETUP_TOKEN_MISSING;
    if (rc == 0) {
        rc = api_ask_send(ask, requests_bridge_permissions("vmbr0"), &reply, &why);
        setup->facts.token = rc < 0 || (reply.result != API_OK && reply.status != 401)
                                 ? SETUP_TOKEN_UNVERIFIED
                             : reply.result == API_OK ? SETUP_TOKEN_WORKS
                                                      : SETUP_TOKEN_REFUSED;
    }
    if (rc == -ENOMEM) {
        return err_oom(err);
    }
    setup->token_problem = str_dup(rc < 0                  ? why.text
                                   : reply.status == 401   ? "PVE does not accept the token"
                                   : reply.message != NULL ? reply.message
                                                           : "");
    return setup->token_problem == NULL ? err_oom(err) : 0;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool can_read(const char *path)
{
    CLEANUP_FD int fd = -1;

    return file_open(AT_FDCWD, path, FILE_FOLLOW, &fd, NULL) == 0;
}

/* "enabled" and "active" are exit code 0 of systemctl for each unit. */
static bool all_units(const char *verb)
{
    const char *const units[] = {SETUP_SOCKET_UNIT, SETUP_SERVICE};

    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        const char *const argv[] = {"systemctl", verb, "--quiet", units[i], NULL};

        if (admin_run(argv, ADMIN_COMMAND_MS, NULL, NULL) < 0) {
            return false;
        }
    }
    return true;
}

static bool any_unit(const char *property, const char *value)
{
    return admin_unit_is(SETUP_SOCKET_UNIT, property, value) ||
           admin_unit_is(SETUP_SERVICE, property, value);
}

/* With the token and the CA of its start; by now there may be others. */
static bool is_cut_off(const struct cli *cli)
{
    json_auto_t *status = NULL;
    bool failed = false;

    return admin_ask_daemon(cli, "Status", 0, &status, &failed, NULL) == 0 && !failed &&
           json_is_false(json_object_get(json_object_get(status, "api"), "ok"));
}

static void look_at_units(const struct cli *cli, struct setup_facts *facts)
{
    facts->handle_units = true;
    facts->units_enabled = all_units("is-enabled");
    facts->units_active = all_units("is-active");
    facts->units_masked = any_unit("LoadState", "masked");
    facts->units_failed = any_unit("ActiveState", "failed");
    facts->daemon_cut_off = facts->units_active && is_cut_off(cli);
}

/* Is there anything but our own note? Not known is yes. */
static bool is_used(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    bool used = dir == NULL;

    while (!used && (entry = readdir(dir)) != NULL) {
        used = !str_equal(entry->d_name, ".") && !str_equal(entry->d_name, "..") &&
               !str_equal(entry->d_name, MEMORY_FILE);
    }
    if (dir != NULL) {
        (void)closedir(dir); /* only read */
    }
    return used;
}

static int look_at_files(struct setup *setup, struct err *err)
{
    const struct admin *admin = &setup->admin;
    const struct settings *settings = admin->settings;
    struct setup_facts *facts = &setup->facts;

    setup->cluster_dir = str_printf("%s/pve-hwid", settings->pve_dir);
    setup->memory_file = str_printf("%s/pve-hwid/" MEMORY_FILE, settings->pve_dir);
    if (setup->cluster_dir == NULL || setup->memory_file == NULL) {
        return err_oom(err);
    }
    facts->has_cluster_dir = is_directory(setup->cluster_dir);
    facts->has_fingerprint_dir = is_directory(settings->fingerprint_dir);
    facts->has_ca = can_read(settings->ca_file);
    facts->has_token_file = file_exists(AT_FDCWD, settings->token_file);
    facts->has_memory_file = facts->added_snippets = file_exists(AT_FDCWD, setup->memory_file);
    facts->has_hook = file_exists(AT_FDCWD, admin->hook_target);
    facts->hook_same = admin->hook_source != NULL &&
                       admin_same_file(admin->hook_source, admin->hook_target) &&
                       admin_is_executable(admin->hook_target);
    facts->cluster_dir_used = is_used(setup->cluster_dir);
    return 0;
}

static int note_snippets(struct setup *setup, struct setup_node *node, const json_t *list)
{
    size_t i;
    json_t *item;

    node->knows_hook = true;
    json_array_foreach ((json_t *)list, i, item) { /* jansson's iterators: not const */
        const char *volid = json_string_value(json_object_get(item, "volid"));

        if (str_equal(volid, SETUP_HOOK_VOLID)) {
            node->has_hook = true;
        } else if (volid != NULL && setup->other_snippet == NULL) {
            setup->other_snippet = str_printf("%s on %s", volid, node->name);
            if (setup->other_snippet == NULL) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

/* What lies in the snippets of `local` on each node. */
static int ask_node(struct setup *setup, struct setup_node *node)
{
    json_auto_t *list = NULL;
    struct err why = {"it is offline"};

    if ((node->is_local || node->online) && admin_list_snippets(node->name, &list, &why) == 0) {
        return note_snippets(setup, node, list);
    }
    if (setup->other_snippet != NULL) {
        return 0;
    }
    /* For the removal: what is not known may be somebody's. */
    setup->other_snippet = str_printf("node %s could not be asked: %s", node->name, why.text);
    return setup->other_snippet == NULL ? -ENOMEM : 0;
}

static int ask_nodes(struct setup *setup, struct err *err)
{
    for (size_t i = 0; i < setup->admin.n_nodes; i++) {
        struct setup_node *node = &setup->admin.nodes[i];

        if ((setup->remove || !node->is_local) && ask_node(setup, node) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

static int gather(struct setup *setup, struct err *err)
{
    int rc = ask_pve(setup, err);
    const struct admin *admin = &setup->admin;

    rc = rc < 0 ? rc : try_token(setup, err);
    rc = rc < 0 ? rc : look_at_files(setup, err);
    rc = rc < 0 ? rc : ask_nodes(setup, err);
    if (rc < 0) {
        return rc;
    }
    setup->facts.node = admin->node;
    setup->facts.nodes = admin->nodes;
    setup->facts.n_nodes = admin->n_nodes;
    setup->facts.roles = setup->roles;
    setup->facts.users = setup->users;
    setup->facts.tokens = setup->tokens;
    setup->facts.acl = setup->acl;
    setup->facts.storage = setup->storage;
    setup->facts.token_name = setup->token_name;
    setup->facts.token_problem = setup->token_problem;
    setup->facts.token_file = admin->settings->token_file;
    setup->facts.ca_file = admin->settings->ca_file;
    setup->facts.memory_file = setup->memory_file;
    setup->facts.cluster_dir = setup->cluster_dir;
    setup->facts.fingerprint_dir = admin->settings->fingerprint_dir;
    setup->facts.hook_source = admin->hook_source;
    setup->facts.hook_target = admin->hook_target;
    setup->facts.other_snippet = setup->other_snippet;
    return 0;
}

/* --- guards ----------------------------------------------------------------------------------- */

/* Without quorum /etc/pve is read-only, and half of it would be done. */
static enum cli_exit check_cluster(const struct cli *cli, const struct admin *admin)
{
    if (admin->members_problem != NULL) {
        return cli_fail(cli, CLI_ERROR,
                        "%s; is this a node of Proxmox VE? systemctl status pve-cluster",
                        admin->members_problem);
    }
    if (!admin->quorate) {
        return cli_fail(cli, CLI_BUSY,
                        "the cluster has no quorum, so nothing can be written to %s; nothing was "
                        "done: pvecm status",
                        admin->settings->pve_dir);
    }
    return CLI_OK;
}

enum { NAMES_MAX = 512 }; /* of VMs in a sentence: more than anybody reads */

/* "105 (pve1), 106 (pve2)": those for which `is` holds; "" for none. The caller's; NULL: no memory.
 */
static char *name_vms(const struct vm_hooks *vms, bool (*is)(const struct vm_hook *), size_t *ret_n)
{
    struct buf names = BUF_INIT(NAMES_MAX);

    *ret_n = 0;
    for (size_t i = 0; i < vms->n; i++) {
        if (is(&vms->items[i])) {
            buf_addf(&names, "%s%u (%s)", *ret_n > 0 ? ", " : "", (unsigned)vms->items[i].vmid,
                     vms->items[i].node);
            (*ret_n)++;
        }
    }
    if (names.error == -EFBIG) {
        names.error = 0; /* what fits is there */
    }
    buf_add(&names, "", 0);
    return buf_steal(&names);
}

/* A VM whose hookscript is gone does not start. */
static enum cli_exit check_attached(const struct cli *cli, struct setup *setup)
{
    CLEANUP(vm_hooks_fini) struct vm_hooks vms = {0};
    CLEANUP_FREE char *names = NULL;
    struct err err = {""};
    size_t n = 0;

    if (vm_hooks_read(&setup->admin, &vms, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    names = name_vms(&vms, vm_hook_is_ours, &n);
    if (names == NULL) {
        return cli_oom(cli);
    }
    if (n > 0) {
        return cli_fail(cli, CLI_REFUSED,
                        "without the hook %zu VM%s that name%s it would not start any more: %s; "
                        "first, on each of these nodes: pve-hwid detach --all",
                        n, n == 1 ? "" : "s", n == 1 ? "s" : "", names);
    }
    setup->hook_needed_by = name_vms(&vms, vm_hook_in_snapshot, &n);
    setup->facts.hook_needed_by = n > 0 ? setup->hook_needed_by : NULL;
    return setup->hook_needed_by == NULL ? cli_oom(cli) : CLI_OK;
}

static enum cli_exit run_setup(struct cli *cli, struct setup *setup)
{
    CLEANUP(setup_plan_freep) struct setup_plan *plan = NULL;
    struct err err = {""};
    enum cli_exit code = admin_open(cli, &setup->admin);
    int rc;

    code = code != CLI_OK ? code : check_cluster(cli, &setup->admin);
    code = code == CLI_OK && setup->remove ? check_attached(cli, setup) : code;
    if (code != CLI_OK) {
        return code;
    }
    process_forbid_dumps();
    if (!setup->no_start) {
        look_at_units(cli, &setup->facts);
    }
    rc = gather(setup, &err);
    if (rc == 0) {
        rc = setup->remove ? setup_plan_remove(&setup->facts, &plan, &err)
                           : setup_plan_make(&setup->facts, &plan, &err);
    }
    if (rc < 0) {
        return cli_fail(cli, CLI_ERROR, "nothing was done: %s", err.text);
    }
    code = setup_do(cli, &setup->admin, plan, setup->dry_run);
    if (code == CLI_OK && !cli->json) {
        out_text(&cli->out, setup->remove ? "Fingerprints, journal and settings are still there.\n"
                                          : "Next: pve-hwid doctor\n");
    }
    return code;
}

static enum cli_exit setup_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(setup_fini) struct setup setup = {0};
    const struct arg_option options[] = {{"dry-run", 'n', ARG_FLAG, &setup.dry_run},
                                         {"remove", '\0', ARG_FLAG, &setup.remove},
                                         {"no-start", '\0', ARG_FLAG, &setup.no_start},
                                         ADMIN_OPTIONS(&setup.admin)};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = args_none(cli, &args, false);
    if (code != CLI_OK) {
        return code;
    }
    return run_setup(cli, &setup);
}

const struct verb verb_setup = {
    .name = "setup",
    .summary = "Makes this node ready for the daemon, or takes that away again",
    .usage = "setup [--dry-run] [--remove] [--no-start] [--json]",
    .details = "For root on a node of PVE. Makes the roles " SETUP_ROLE " and " SETUP_BRIDGE_ROLE
               ", the\n"
               "user " SETUP_USER ", its permissions, an API token for this node into the token\n"
               "file, the content type `snippets` of the storage local, the hook in it, the\n"
               "directories for fingerprints, and starts the daemon. What is so already is left\n"
               "alone; a token that works is kept. Run it on every node of a cluster.\n\n"
               "  -n, --dry-run  shows each step and its command, and changes nothing\n"
               "  --remove       takes away what setup made; refused while VMs have our hook\n"
               "  --no-start     leaves the systemd units alone\n"
               "  --config FILE  other settings than /etc/pve-hwid/pve-hwid.conf\n"
               "  --root DIR     before paths that PVE tells (a simulated node)\n\n"
               "Exit: 0 done, 3 with --dry-run where there is something to do, 4 no quorum,\n"
               "5 refused, 1 a step failed; run it again when that is mended.\n\n"
               "Examples:\n"
               "  pve-hwid setup --dry-run\n"
               "  pve-hwid setup\n"
               "  pve-hwid setup --remove\n",
    .run = setup_run,
};
