/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The steps that make a node ready, in an order in which each needs only those before it: what may
 * do nothing yet (role, user), then the token, then the hook, and last what uses all of it.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/requests.h"
#include "core/setup.h"

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static const char *const bridge_privileges[] = {"SDN.Use", NULL};

static char *join(const char *const *words)
{
    struct buf text = BUF_INIT(0);

    for (size_t i = 0; words[i] != NULL; i++) {
        buf_addf(&text, "%s%s", i == 0 ? "" : " ", words[i]);
    }
    return buf_steal(&text);
}

/* Exactly these privileges: more than needed is a difference too. */
static bool has_exactly(const char *privs, const char *const *wanted)
{
    size_t n = 0;
    size_t found = 0;

    for (; wanted[n] != NULL; n++) {
        if (!setup_has_word(privs, wanted[n])) {
            return false;
        }
    }
    for (const char *at = privs; *at != '\0';) {
        at += strspn(at, ", ;");
        found += *at != '\0';
        at += strcspn(at, ", ;");
    }
    return found == n;
}

static void add_role(struct setup_plan *plan, const struct setup_facts *facts, const char *id,
                     const char *name, const char *const *wanted)
{
    const json_t *role = setup_find(facts->roles, "roleid", name);
    const char *privs = json_string_value(json_object_get(role, "privs"));
    bool same = privs != NULL && has_exactly(privs, wanted);
    CLEANUP_FREE char *list = join(wanted);
    struct setup_step *step;

    plan->failed = plan->failed || list == NULL;
    step = setup_add(plan, id, same ? SETUP_ALREADY : SETUP_NEEDED, "role %s: %s", name,
                     list != NULL ? list : "");
    if (!same && list != NULL) {
        setup_command(
            step, SETUP_COMMAND,
            WORDS("pveum", "role", role != NULL ? "modify" : "add", name, "--privs", list));
        if (role != NULL) {
            setup_remark(step, "it has now: %s", privs != NULL && *privs != '\0' ? privs : "none");
        }
    }
}

static bool is_flag(const json_t *value)
{
    return json_is_true(value) || json_integer_value(value) == 1 ||
           str_equal(json_string_value(value), "1");
}

static bool is_enabled(const json_t *user)
{
    json_int_t expire = json_integer_value(json_object_get(user, "expire"));

    return expire == 0 && is_flag(json_object_get(user, "enable"));
}

static void add_user(struct setup_plan *plan, const struct setup_facts *facts)
{
    const json_t *user = setup_find(facts->users, "userid", SETUP_USER);
    bool fine = user != NULL && is_enabled(user);
    struct setup_step *step = setup_add(plan, "user", fine ? SETUP_ALREADY : SETUP_NEEDED,
                                        "user %s", SETUP_USER);

    if (user == NULL) {
        setup_command(step, SETUP_COMMAND,
                      WORDS("pveum", "user", "add", SETUP_USER, "--comment", "pve-hwid daemon"));
    } else if (!fine) {
        setup_command(
            step, SETUP_COMMAND,
            WORDS("pveum", "user", "modify", SETUP_USER, "--enable", "1", "--expire", "0"));
        setup_remark(step, "it is disabled, or its time is over");
    }
}

static bool has_entry(const json_t *acl, const char *path, const char *role)
{
    size_t i;
    json_t *item;

    json_array_foreach ((json_t *)acl, i, item) { /* jansson's iterators: not const */
        if (str_equal(json_string_value(json_object_get(item, "path")), path) &&
            str_equal(json_string_value(json_object_get(item, "roleid")), role) &&
            str_equal(json_string_value(json_object_get(item, "ugid")), SETUP_USER) &&
            is_flag(json_object_get(item, "propagate"))) {
            return true;
        }
    }
    return false;
}

static void add_acl(struct setup_plan *plan, const struct setup_facts *facts, const char *id,
                    const char *path, const char *role)
{
    bool there = has_entry(facts->acl, path, role);
    struct setup_step *step = setup_add(plan, id, there ? SETUP_ALREADY : SETUP_NEEDED,
                                        "%s for %s on %s", role, SETUP_USER, path);

    if (!there) {
        setup_command(step, SETUP_COMMAND,
                      WORDS("pveum", "acl", "modify", path, "--users", SETUP_USER, "--roles", role,
                            "--propagate", "1"));
    }
}

/* The name, after the user's, of our user's token in the file; NULL: it is somebody else's. */
static const char *own_token(const struct setup_facts *facts)
{
    const char *name = facts->token_name;

    return name != NULL && str_starts(name, SETUP_USER "!") ? name + strlen(SETUP_USER "!") : NULL;
}

/*
 * `privsep`, PVE's default for a token made by hand: it may nothing of what its user may. Where it
 * has entries in the ACL of its own somebody meant it so.
 */
static void add_token_rights(struct setup_plan *plan, const struct setup_facts *facts)
{
    const char *id = own_token(facts);
    const json_t *token = id != NULL ? setup_find(facts->tokens, "tokenid", id) : NULL;
    struct setup_step *step;

    if (!is_flag(json_object_get(token, "privsep")) ||
        setup_find(facts->acl, "ugid", facts->token_name) != NULL) {
        return;
    }
    step = setup_add(plan, "token-rights", SETUP_NEEDED, "token %s may what its user may",
                     facts->token_name);
    setup_command(step, SETUP_COMMAND,
                  WORDS("pveum", "user", "token", "modify", SETUP_USER, id, "--privsep", "0"));
    setup_remark(step, "it was made with privileges of its own (privsep), and has none");
}

/*
 * A token that works is kept, whatever its name. One of our name that nobody has the secret of any
 * more is made anew: PVE tells a secret once. No other node uses it.
 */
static void add_token(struct setup_plan *plan, const struct setup_facts *facts)
{
    CLEANUP_FREE char *id = setup_token_id(facts->node);
    bool keep = facts->token == SETUP_TOKEN_WORKS || facts->token == SETUP_TOKEN_UNVERIFIED;
    struct setup_step *step;

    if (id == NULL) {
        plan->failed = true;
        return;
    }
    if (keep) {
        step = setup_add(plan, "token", SETUP_ALREADY, "token %s in %s", facts->token_name,
                         facts->token_file);
        if (facts->token == SETUP_TOKEN_UNVERIFIED) {
            setup_remark(step, "it could not be tried: %s", facts->token_problem);
        }
        add_token_rights(plan, facts);
        return;
    }
    if (setup_find(facts->tokens, "tokenid", id) != NULL) {
        step = setup_add(plan, "old-token", SETUP_NEEDED, "take away token %s!%s", SETUP_USER, id);
        setup_command(step, SETUP_COMMAND,
                      WORDS("pveum", "user", "token", "remove", SETUP_USER, id));
        setup_remark(step, "its secret is lost: %s", facts->token_problem);
    }
    step = setup_add(plan, "token", SETUP_NEEDED, "token %s!%s, its secret into %s", SETUP_USER, id,
                     facts->token_file);
    setup_command(step, SETUP_TOKEN,
                  WORDS("pveum", "user", "token", "add", SETUP_USER, id, "--privsep", "0",
                        "--comment", "pve-hwidd on this node", "--output-format", "json"));
}

static void add_directory(struct setup_plan *plan, const char *id, const char *path, bool there)
{
    struct setup_step *step = setup_add(plan, id, there ? SETUP_ALREADY : SETUP_NEEDED,
                                        "directory %s", path);

    if (!there) {
        setup_file(step, SETUP_DIRECTORY, path);
    }
}

static int add_content(struct setup_plan *plan, const struct setup_facts *facts, struct err *err)
{
    const char *content = json_string_value(json_object_get(facts->storage, "content"));
    bool there = setup_has_word(content, "snippets");
    CLEANUP_FREE char *wanted = NULL;
    struct setup_step *step;

    if (content == NULL) {
        return err_set(err, -EPROTO, "pvesh get /storage/%s: there is no 'content'", SETUP_STORAGE);
    }
    wanted = str_printf("%s%ssnippets", content, *content != '\0' ? "," : "");
    step = setup_add(plan, "content", there ? SETUP_ALREADY : SETUP_NEEDED,
                     "storage %s holds snippets", SETUP_STORAGE);
    if (!there && wanted != NULL) {
        setup_command(step, SETUP_REMEMBER,
                      WORDS("pvesm", "set", SETUP_STORAGE, "--content", wanted));
        setup_file(step, SETUP_REMEMBER, facts->memory_file);
        setup_remark(step, "it has now: %s", *content != '\0' ? content : "nothing");
    }
    return wanted == NULL ? err_oom(err) : 0;
}

static void add_hook(struct setup_plan *plan, const struct setup_facts *facts)
{
    struct setup_step *step;

    if (facts->hook_source == NULL) {
        step = setup_add(plan, "hook", SETUP_BLOCKED, "hook at %s", facts->hook_target);
        setup_remark(step, "pve-hwid-hook is not beside this program: install pve-hwid again");
        return;
    }
    step = setup_add(plan, "hook", facts->hook_same ? SETUP_ALREADY : SETUP_NEEDED, "hook at %s",
                     facts->hook_target);
    if (!facts->hook_same) {
        setup_file(step, SETUP_HOOK, facts->hook_target);
        setup_remark(step, "a copy of %s", facts->hook_source);
    }
}

static void add_ca(struct setup_plan *plan, const struct setup_facts *facts)
{
    struct setup_step *step = setup_add(plan, "ca", facts->has_ca ? SETUP_ALREADY : SETUP_BLOCKED,
                                        "certificate authority %s", facts->ca_file);

    if (!facts->has_ca) {
        setup_remark(step, "it cannot be read; set ca_file in /etc/pve-hwid/pve-hwid.conf");
    }
}

/* Why a daemon that runs has to be started again; NULL: it has not. It has the token that systemd
 * gave it at its start, and sees the directories that were there then. */
static const char *restart_reason(const struct setup_facts *facts)
{
    if (facts->token == SETUP_TOKEN_MISSING || facts->token == SETUP_TOKEN_REFUSED) {
        return "with the new token";
    }
    if (!facts->has_cluster_dir) {
        return "it sees the new directory only then";
    }
    return facts->daemon_cut_off && facts->token == SETUP_TOKEN_WORKS
               ? "it does not reach PVE's API, which this command does"
               : NULL;
}

static void add_start(struct setup_plan *plan, const struct setup_facts *facts)
{
    const char *why = restart_reason(facts);
    struct setup_step *step;

    if (facts->units_failed) {
        step = setup_add(plan, "reset", SETUP_NEEDED, "%s may be started again", SETUP_SERVICE);
        setup_command(step, SETUP_COMMAND,
                      WORDS("systemctl", "reset-failed", SETUP_SOCKET_UNIT, SETUP_SERVICE));
        setup_remark(step, "it failed, and systemd may have given it up");
    }
    step = setup_add(plan, "start",
                     facts->units_active && why == NULL ? SETUP_ALREADY : SETUP_NEEDED, "%s runs",
                     SETUP_SERVICE);
    if (!facts->units_active) {
        setup_command(step, SETUP_COMMAND,
                      WORDS("systemctl", "start", SETUP_SOCKET_UNIT, SETUP_SERVICE));
    } else if (why != NULL) {
        setup_command(step, SETUP_COMMAND, WORDS("systemctl", "restart", SETUP_SERVICE));
        setup_remark(step, "%s", why);
    }
}

static void add_units(struct setup_plan *plan, const struct setup_facts *facts)
{
    bool fine = facts->units_enabled && !facts->units_masked;
    struct setup_step *step;

    if (!facts->handle_units) {
        return;
    }
    step = setup_add(plan, "enable",
                     fine                  ? SETUP_ALREADY
                     : facts->units_masked ? SETUP_BLOCKED
                                           : SETUP_NEEDED,
                     "%s and %s start at boot", SETUP_SOCKET_UNIT, SETUP_SERVICE);
    if (facts->units_masked) {
        setup_remark(
            step,
            "somebody has masked one of them; if it may run again: systemctl unmask %s %s, "
            "then once more: pve-hwid setup",
            SETUP_SOCKET_UNIT, SETUP_SERVICE);
        return;
    }
    if (!fine) {
        setup_command(step, SETUP_COMMAND,
                      WORDS("systemctl", "enable", SETUP_SOCKET_UNIT, SETUP_SERVICE));
    }
    add_start(plan, facts);
}

/* A VM with our hook does not start on a node where the hook is missing. */
static void add_others(struct setup_plan *plan, const struct setup_facts *facts)
{
    for (size_t i = 0; i < facts->n_nodes; i++) {
        const struct setup_node *node = &facts->nodes[i];
        bool done = node->knows_hook && node->has_hook;
        struct setup_step *step;

        if (node->is_local) {
            continue;
        }
        step = setup_add(plan, "other-node", done ? SETUP_ALREADY : SETUP_YOURS, "node %s",
                         node->name);
        if (done) {
            setup_remark(step, "the hook is there");
        } else {
            setup_remark(
                step,
                "%s; install pve-hwid there, then run on %s: pve-hwid setup. Until then no "
                "VM with our hook can start on it",
                !node->online      ? "it is offline"
                : node->knows_hook ? "the hook is not there"
                                   : "it could not be asked",
                node->name);
        }
    }
}

int setup_plan_make(const struct setup_facts *facts, struct setup_plan **ret, struct err *err)
{
    CLEANUP(setup_plan_freep) struct setup_plan *plan = calloc(1, sizeof(*plan));
    int rc;

    if (plan == NULL) {
        return err_oom(err);
    }
    add_ca(plan, facts);
    add_role(plan, facts, "role", SETUP_ROLE, requests_privileges);
    add_role(plan, facts, "bridge-role", SETUP_BRIDGE_ROLE, bridge_privileges);
    add_user(plan, facts);
    add_acl(plan, facts, "acl-vms", SETUP_VMS_PATH, SETUP_ROLE);
    add_acl(plan, facts, "acl-bridges", SETUP_BRIDGE_PATH, SETUP_BRIDGE_ROLE);
    add_token(plan, facts);
    add_directory(plan, "cluster-dir", facts->cluster_dir, facts->has_cluster_dir);
    add_directory(plan, "local-dir", facts->fingerprint_dir, facts->has_fingerprint_dir);
    rc = add_content(plan, facts, err);
    if (rc < 0) {
        return rc;
    }
    add_hook(plan, facts);
    add_units(plan, facts);
    add_others(plan, facts);
    rc = setup_finish(plan, err);
    if (rc < 0) {
        return rc;
    }
    *ret = STEAL(plan);
    return 0;
}
