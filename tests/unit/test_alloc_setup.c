/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The plans of `setup`: what they hold for given facts, and with each allocation failing in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/str.h"
#include "core/setup.h"

static const char roles[] =
    "[{\"roleid\":\"HwidDaemon\",\"privs\":\"VM.Audit,VM.Config.Disk,VM.Config.HWType,"
    "VM.Config.Network,VM.Config.Options,VM.PowerMgmt\"},"
    "{\"roleid\":\"HwidBridge\",\"privs\":\"SDN.Audit,SDN.Use\"}]";
static const char users[] = "[{\"userid\":\"root@pam\",\"enable\":1},"
                            "{\"userid\":\"pve-hwid@pve\",\"enable\":1,\"expire\":0}]";
static const char acl[] = "[{\"path\":\"/vms\",\"roleid\":\"HwidDaemon\",\"type\":\"user\","
                          "\"ugid\":\"pve-hwid@pve\",\"propagate\":1}]";
static const char tokens[] = "[{\"tokenid\":\"daemon-pve1\"},{\"tokenid\":\"daemon-pve2\"}]";
static const char storage[] = "{\"storage\":\"local\",\"content\":\"iso,backup\"}";
static const struct setup_node nodes[] = {{.name = "pve1", .online = true, .is_local = true},
                                          {.name = "pve2", .online = true, .knows_hook = true},
                                          {.name = "pve3"}};

struct world {
    json_t *roles, *users, *acl, *tokens, *storage;
    struct setup_facts facts;
};

static json_t *json(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);

    assert_non_null(value);
    return value;
}

static int set_up(void **state)
{
    static struct world world;

    world = (struct world){.roles = json(roles),
                           .users = json(users),
                           .acl = json(acl),
                           .tokens = json(tokens),
                           .storage = json(storage)};
    world.facts = (struct setup_facts){.node = "pve1",
                                       .nodes = nodes,
                                       .n_nodes = ARRAY_SIZE(nodes),
                                       .roles = world.roles,
                                       .users = world.users,
                                       .tokens = world.tokens,
                                       .acl = world.acl,
                                       .storage = world.storage,
                                       .token = SETUP_TOKEN_MISSING,
                                       .token_problem = "there is none",
                                       .token_file = "/etc/pve-hwid/token",
                                       .ca_file = "/etc/pve/pve-root-ca.pem",
                                       .memory_file = "/etc/pve/pve-hwid/setup.json",
                                       .cluster_dir = "/etc/pve/pve-hwid",
                                       .fingerprint_dir = "/etc/pve-hwid/fingerprints",
                                       .has_ca = true,
                                       .hook_source = "/usr/libexec/pve-hwid/pve-hwid-hook",
                                       .hook_target = "/var/lib/vz/snippets/pve-hwid",
                                       .handle_units = true,
                                       .units_active = true};
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    json_decref(world->roles);
    json_decref(world->users);
    json_decref(world->acl);
    json_decref(world->tokens);
    json_decref(world->storage);
    return 0;
}

static const struct setup_step *step_of(const struct setup_plan *plan, const char *id)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (str_equal(plan->steps[i].id, id)) {
            return &plan->steps[i];
        }
    }
    fail_msg("no step '%s'", id);
    return NULL;
}

static void expect(const struct setup_plan *plan, const char *id, enum setup_state state,
                   const char *command)
{
    const struct setup_step *step = step_of(plan, id);
    struct buf line = BUF_INIT(0);
    CLEANUP_FREE char *text = NULL;

    buf_adds(&line, "");
    for (size_t i = 0; step->argv[i] != NULL; i++) {
        buf_addf(&line, "%s%s", i == 0 ? "" : " ", step->argv[i]);
    }
    buf_add(&line, "", 0);
    text = buf_steal(&line);
    assert_int_equal(step->state, state);
    assert_string_equal(text, command);
}

static void test_what_is_missing_is_needed(void **state)
{
    const struct world *world = *state;
    CLEANUP(setup_plan_freep) struct setup_plan *plan = NULL;

    assert_int_equal(setup_plan_make(&world->facts, &plan, NULL), 0);
    expect(plan, "ca", SETUP_ALREADY, "");
    expect(plan, "role", SETUP_ALREADY, "");
    expect(plan, "bridge-role", SETUP_NEEDED, "pveum role modify HwidBridge --privs SDN.Use");
    expect(plan, "user", SETUP_ALREADY, "");
    expect(plan, "acl-vms", SETUP_ALREADY, "");
    expect(plan, "acl-bridges", SETUP_NEEDED,
           "pveum acl modify /sdn/zones/localnetwork --users pve-hwid@pve --roles HwidBridge "
           "--propagate 1");
    expect(plan, "old-token", SETUP_NEEDED, "pveum user token remove pve-hwid@pve daemon-pve1");
    expect(plan, "content", SETUP_NEEDED, "pvesm set local --content iso,backup,snippets");
    expect(plan, "enable", SETUP_NEEDED, "systemctl enable pve-hwidd.socket pve-hwidd.service");
    expect(plan, "start", SETUP_NEEDED, "systemctl restart pve-hwidd.service");
    expect(plan, "other-node", SETUP_YOURS, "");
    assert_int_equal(step_of(plan, "hook")->deed, SETUP_HOOK);
    assert_int_equal(step_of(plan, "token")->deed, SETUP_TOKEN);
}

/* The secret is never in a plan: a plan is printed. */
static void test_no_plan_names_force_or_a_secret(void **state)
{
    const struct world *world = *state;
    CLEANUP(setup_plan_freep) struct setup_plan *plan = NULL;

    assert_int_equal(setup_plan_make(&world->facts, &plan, NULL), 0);
    for (size_t i = 0; i < plan->n; i++) {
        for (size_t at = 0; plan->steps[i].argv[at] != NULL; at++) {
            assert_null(strstr(plan->steps[i].argv[at], "force"));
            assert_null(strchr(plan->steps[i].argv[at], '='));
        }
    }
}

static void test_token_that_works_is_kept(void **state)
{
    struct world *world = *state;
    CLEANUP(setup_plan_freep) struct setup_plan *plan = NULL;
    CLEANUP(setup_plan_freep) struct setup_plan *unverified = NULL;

    world->facts.token_name = "pve-hwid@pve!daemon";
    world->facts.token = SETUP_TOKEN_WORKS;
    world->facts.has_cluster_dir = true;
    assert_int_equal(setup_plan_make(&world->facts, &plan, NULL), 0);
    expect(plan, "token", SETUP_ALREADY, "");
    expect(plan, "start", SETUP_ALREADY, "");
    world->facts.token = SETUP_TOKEN_UNVERIFIED; /* pveproxy is down: no reason to make another */
    assert_int_equal(setup_plan_make(&world->facts, &unverified, NULL), 0);
    expect(unverified, "token", SETUP_ALREADY, "");
    assert_non_null(step_of(unverified, "token")->remark);
}

/* What it was given at its start is not what it needs now. */
static void test_daemon_that_runs_is_started_anew_where_it_must(void **state)
{
    struct world *world = *state;
    CLEANUP(setup_plan_freep) struct setup_plan *blind = NULL;
    CLEANUP(setup_plan_freep) struct setup_plan *cut_off = NULL;
    CLEANUP(setup_plan_freep) struct setup_plan *unverified = NULL;

    world->facts.token_name = "pve-hwid@pve!daemon-pve1";
    world->facts.token = SETUP_TOKEN_WORKS;
    assert_int_equal(setup_plan_make(&world->facts, &blind, NULL), 0);
    expect(blind, "start", SETUP_NEEDED, "systemctl restart pve-hwidd.service");
    world->facts.has_cluster_dir = world->facts.daemon_cut_off = true;
    assert_int_equal(setup_plan_make(&world->facts, &cut_off, NULL), 0);
    expect(cut_off, "start", SETUP_NEEDED, "systemctl restart pve-hwidd.service");
    world->facts.token =
        SETUP_TOKEN_UNVERIFIED; /* the API answers nobody: a restart helps nothing */
    assert_int_equal(setup_plan_make(&world->facts, &unverified, NULL), 0);
    expect(unverified, "start", SETUP_ALREADY, "");
}

static void test_units_that_cannot_simply_be_started(void **state)
{
    struct world *world = *state;
    CLEANUP(setup_plan_freep) struct setup_plan *failed = NULL;
    CLEANUP(setup_plan_freep) struct setup_plan *masked = NULL;

    world->facts.units_active = false;
    world->facts.units_failed = true;
    assert_int_equal(setup_plan_make(&world->facts, &failed, NULL), 0);
    expect(failed, "reset", SETUP_NEEDED,
           "systemctl reset-failed pve-hwidd.socket pve-hwidd.service");
    expect(failed, "start", SETUP_NEEDED, "systemctl start pve-hwidd.socket pve-hwidd.service");
    world->facts.units_enabled = world->facts.units_masked = true;
    assert_int_equal(setup_plan_make(&world->facts, &masked, NULL), 0);
    expect(masked, "enable", SETUP_BLOCKED, "");
    assert_non_null(strstr(step_of(masked, "enable")->remark, "systemctl unmask pve-hwidd.socket"));
}

static void test_last_node_takes_all_along(void **state)
{
    struct world *world = *state;
    CLEANUP(setup_plan_freep) struct setup_plan *shared = NULL;
    CLEANUP(setup_plan_freep) struct setup_plan *last = NULL;
    json_t *own = json("[{\"tokenid\":\"daemon-pve1\"}]");

    world->facts.added_snippets = world->facts.has_memory_file = true;
    assert_int_equal(setup_plan_remove(&world->facts, &shared, NULL), 0);
    expect(shared, "token", SETUP_NEEDED, "pveum user token remove pve-hwid@pve daemon-pve1");
    expect(shared, "user", SETUP_YOURS, "");
    world->facts.tokens = own;
    json_decref(world->storage);
    world->storage = json("{\"content\":\"iso,snippets,backup\"}");
    world->facts.storage = world->storage;
    assert_int_equal(setup_plan_remove(&world->facts, &last, NULL), 0);
    expect(last, "user", SETUP_NEEDED, "pveum user delete pve-hwid@pve");
    expect(last, "role", SETUP_NEEDED, "pveum role delete HwidDaemon");
    expect(last, "content", SETUP_NEEDED, "pvesm set local --content iso,backup");
    json_decref(own);
}

static void test_answers_that_are_not_understood(void **state)
{
    struct world *world = *state;
    struct setup_plan *plan = NULL;
    struct err err = {""};

    json_decref(world->storage);
    world->storage = json("{}");
    world->facts.storage = world->storage;
    assert_int_equal(setup_plan_make(&world->facts, &plan, &err), -EPROTO);
    assert_non_null(strstr(err.text, "/storage/local"));
    world->facts.tokens = NULL; /* the last node looks at the storage */
    assert_int_equal(setup_plan_remove(&world->facts, &plan, &err), -EPROTO);
}

/* --- each allocation fails -------------------------------------------------------------------- */

static int make(void *data)
{
    const struct world *world = data;
    CLEANUP(setup_plan_freep) struct setup_plan *plan = NULL;

    return setup_plan_make(&world->facts, &plan, NULL);
}

static int take_away(void *data)
{
    const struct world *world = data;
    CLEANUP(setup_plan_freep) struct setup_plan *plan = NULL;

    return setup_plan_remove(&world->facts, &plan, NULL);
}

static void test_each_allocation_may_fail(void **state)
{
    struct world *world = *state;

    assert_true(alloc_fail_each(make, world, ALLOC_FAIL_OWN) > 20);
    assert_true(alloc_fail_each(take_away, world, ALLOC_FAIL_OWN) > 5);
    world->facts.n_nodes = 1;
    json_decref(world->tokens);
    world->tokens = json("[]");
    world->facts.tokens = world->tokens;
    world->facts.added_snippets = world->facts.has_memory_file = true;
    world->facts.has_cluster_dir = true;
    assert_true(alloc_fail_each(take_away, world, ALLOC_FAIL_OWN) > 5);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_is_missing_is_needed),
        CASE(test_no_plan_names_force_or_a_secret),
        CASE(test_token_that_works_is_kept),
        CASE(test_last_node_takes_all_along),
        CASE(test_daemon_that_runs_is_started_anew_where_it_must),
        CASE(test_units_that_cannot_simply_be_started),
        CASE(test_answers_that_are_not_understood),
        CASE(test_each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
