/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The way back, in the other order. What is one for the whole cluster (user, roles, content of the
 * storage) goes with the last node. Fingerprints, journal and settings are the administrator's and
 * stay.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/setup.h"

#define WORDS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void add_units(struct setup_plan *plan, const struct setup_facts *facts)
{
    bool gone = !facts->units_enabled && !facts->units_active;
    struct setup_step *step;

    if (!facts->handle_units) {
        return;
    }
    step = setup_add(plan, "disable", gone ? SETUP_ALREADY : SETUP_NEEDED,
                     "%s is stopped and does not start at boot", SETUP_SERVICE);
    if (!gone) {
        setup_command(step, SETUP_COMMAND,
                      WORDS("systemctl", "disable", "--now", SETUP_SOCKET_UNIT, SETUP_SERVICE));
    }
}

/* "daemon-pve9", where the cluster has no pve9 any more: nobody else takes it away. */
static bool is_of_a_node_that_left(const struct setup_facts *facts, const char *id)
{
    if (!str_starts(id, SETUP_TOKEN_PREFIX)) {
        return false;
    }
    for (size_t i = 0; i < facts->n_nodes; i++) {
        if (str_equal(facts->nodes[i].name, id + strlen(SETUP_TOKEN_PREFIX))) {
            return false;
        }
    }
    return true;
}

/* Ours: of this node's name; or, on a node that is alone, whatever the token file names. */
static bool is_ours(const struct setup_facts *facts, const char *id, const char *own)
{
    size_t user = strlen(SETUP_USER "!");

    if (str_equal(id, own)) {
        return true;
    }
    return facts->n_nodes <= 1 && facts->token_name != NULL &&
           str_starts(facts->token_name, SETUP_USER "!") && str_equal(facts->token_name + user, id);
}

/* Returns how many tokens of our user remain; their names in `others`. */
static size_t add_tokens(struct setup_plan *plan, const struct setup_facts *facts,
                         struct buf *others)
{
    CLEANUP_FREE char *own = setup_token_id(facts->node);
    size_t remain = 0;
    size_t i;
    json_t *token;

    if (own == NULL) {
        others->error = -ENOMEM;
        return 0;
    }
    json_array_foreach ((json_t *)facts->tokens, i, token) { /* jansson's iterators: not const */
        const char *id = json_string_value(json_object_get(token, "tokenid"));
        struct setup_step *step;
        bool left;

        if (id == NULL) {
            continue;
        }
        left = !str_equal(id, own) && is_of_a_node_that_left(facts, id);
        if (!left && !is_ours(facts, id, own)) {
            buf_addf(others, "%s%s", remain++ == 0 ? "" : ", ", id);
            continue;
        }
        step = setup_add(plan, "token", SETUP_NEEDED, "take away token %s!%s", SETUP_USER, id);
        setup_command(step, SETUP_COMMAND,
                      WORDS("pveum", "user", "token", "remove", SETUP_USER, id));
        if (left) {
            setup_remark(step, "its node is in this cluster no more");
        }
    }
    return remain;
}

static void add_file(struct setup_plan *plan, const char *id, const char *what, const char *path,
                     bool there)
{
    struct setup_step *step = setup_add(plan, id, there ? SETUP_NEEDED : SETUP_ALREADY,
                                        "%s %s is gone", what, path);

    if (there) {
        setup_file(step, SETUP_REMOVE_FILE, path);
    }
}

/* The user's entries in the ACL go with it. */
static void add_user(struct setup_plan *plan, const struct setup_facts *facts)
{
    bool there = setup_find(facts->users, "userid", SETUP_USER) != NULL;
    struct setup_step *step = setup_add(plan, "user", there ? SETUP_NEEDED : SETUP_ALREADY,
                                        "user %s and its permissions are gone", SETUP_USER);

    if (there) {
        setup_command(step, SETUP_COMMAND, WORDS("pveum", "user", "delete", SETUP_USER));
    }
}

static void add_role(struct setup_plan *plan, const struct setup_facts *facts, const char *id,
                     const char *name)
{
    bool there = setup_find(facts->roles, "roleid", name) != NULL;
    struct setup_step *step = setup_add(plan, id, there ? SETUP_NEEDED : SETUP_ALREADY,
                                        "role %s is gone", name);

    if (there) {
        setup_command(step, SETUP_COMMAND, WORDS("pveum", "role", "delete", name));
    }
}

static char *without_snippets(const char *content)
{
    struct buf text = BUF_INIT(0);

    for (const char *at = content; *at != '\0';) {
        size_t n;

        at += strspn(at, ", ;");
        n = strcspn(at, ", ;");
        if (n > 0 && (n != strlen("snippets") || memcmp(at, "snippets", n) != 0)) {
            buf_adds(&text, text.len > 0 ? "," : "");
            buf_add(&text, at, n);
        }
        at += n;
    }
    buf_add(&text, "", 0);
    return buf_steal(&text);
}

/* Only what we added, and only if nobody else came to need it. */
static int add_content(struct setup_plan *plan, const struct setup_facts *facts, struct err *err)
{
    const char *content = json_string_value(json_object_get(facts->storage, "content"));
    CLEANUP_FREE char *wanted = content != NULL ? without_snippets(content) : NULL;
    struct setup_step *step;

    if (content == NULL) {
        return err_set(err, -EPROTO, "pvesh get /storage/%s: there is no 'content'", SETUP_STORAGE);
    }
    if (wanted == NULL) {
        return err_oom(err);
    }
    if (!facts->added_snippets || !setup_has_word(content, "snippets") ||
        facts->other_snippet != NULL || *wanted == '\0') {
        step = setup_add(plan, "content", SETUP_ALREADY, "storage %s stays as it is",
                         SETUP_STORAGE);
        if (facts->added_snippets && facts->other_snippet != NULL) {
            setup_remark(step, "others may need it: %s", facts->other_snippet);
        }
        return 0;
    }
    step = setup_add(plan, "content", SETUP_NEEDED, "storage %s holds no snippets, as before",
                     SETUP_STORAGE);
    setup_command(step, SETUP_COMMAND, WORDS("pvesm", "set", SETUP_STORAGE, "--content", wanted));
    return 0;
}

static int add_shared(struct setup_plan *plan, const struct setup_facts *facts, struct err *err)
{
    int rc;

    add_user(plan, facts);
    add_role(plan, facts, "role", SETUP_ROLE);
    add_role(plan, facts, "bridge-role", SETUP_BRIDGE_ROLE);
    rc = add_content(plan, facts, err);
    if (rc == 0 && facts->has_memory_file) {
        add_file(plan, "memory", "note", facts->memory_file, true);
    }
    if (rc == 0 && facts->has_cluster_dir && !facts->cluster_dir_used) {
        setup_file(setup_add(plan, "cluster-dir", SETUP_NEEDED, "directory %s is gone: it is empty",
                             facts->cluster_dir),
                   SETUP_REMOVE_DIR, facts->cluster_dir);
    }
    return rc;
}

int setup_plan_remove(const struct setup_facts *facts, struct setup_plan **ret, struct err *err)
{
    CLEANUP(setup_plan_freep) struct setup_plan *plan = calloc(1, sizeof(*plan));
    CLEANUP(buf_fini) struct buf others = BUF_INIT(0);
    int rc = 0;

    if (plan == NULL) {
        return err_oom(err);
    }
    add_units(plan, facts);
    if (add_tokens(plan, facts, &others) > 0) {
        setup_remark(setup_add(plan, "user", SETUP_YOURS, "user %s, its roles and storage %s stay",
                               SETUP_USER, SETUP_STORAGE),
                     "other nodes use them (tokens: %s); run there, too: pve-hwid setup --remove",
                     others.data != NULL ? others.data : "");
    } else {
        rc = add_shared(plan, facts, err);
    }
    if (rc < 0 || others.error != 0) {
        return rc < 0 ? rc : err_oom(err);
    }
    add_file(plan, "token-file", "token file", facts->token_file, facts->has_token_file);
    if (facts->has_hook && facts->hook_needed_by != NULL) {
        setup_remark(
            setup_add(plan, "hook", SETUP_YOURS, "hook %s stays", facts->hook_target),
            "after a rollback to a snapshot that names it a VM would not start without it: "
            "%s; when they are gone: rm %s",
            facts->hook_needed_by, facts->hook_target);
    } else {
        add_file(plan, "hook", "hook", facts->hook_target, facts->has_hook);
    }
    rc = setup_finish(plan, err);
    if (rc < 0) {
        return rc;
    }
    *ret = STEAL(plan);
    return 0;
}
