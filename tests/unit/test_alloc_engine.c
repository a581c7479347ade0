/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is owed is tried again, whatever becomes of the try: without memory, or dropped in favour of
 * a start that went on. Nobody else would come back to it before the daemon's next start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "alloc_fail.h"
#include "base/str.h"
#include "engine_impl.h"
#include "https_server.h"
#include "io/clock.h"

static const char *const dirs[] = {"pve", "pve/qemu-server", "pve/pve-hwid",
                                   "fp",  "state",           "state/journal"};

struct node {
    char root[64];
    sd_event *event;
    struct engine *engine;
};

static void put(const struct node *node, const char *name, const char *text)
{
    CLEANUP_FREE char *path = str_printf("%s/%s", node->root, name);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static struct settings *settings_of(const struct node *node)
{
    CLEANUP_FREE char *text = str_printf("api_url: https://127.0.0.1:1\nca_file: %s/ca\n"
                                         "token_file: %s/token\nnode: pve1\npve_dir: %s/pve\n"
                                         "fingerprint_dir: %s/fp\nstate_dir: %s/state\n"
                                         "lock_dir: %s\n",
                                         node->root, node->root, node->root, node->root, node->root,
                                         node->root);
    struct settings *settings = NULL;

    assert_int_equal(settings_parse(text, strlen(text), &settings, NULL), 0);
    return settings;
}

/* A daemon that finds this record of VM 105 in its journal, of this instant. */
static void set_up(struct node *node, const char *record)
{
    CLEANUP_FREE char *journal = NULL;
    char now[CLOCK_TEXT_SIZE];
    struct err err = {""};

    (void)snprintf(node->root, sizeof(node->root), "/tmp/hwid-engine-XXXXXX"); /* fits */
    assert_non_null(mkdtemp(node->root));
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        CLEANUP_FREE char *path = str_printf("%s/%s", node->root, dirs[i]);

        assert_int_equal(mkdir(path, 0755), 0);
    }
    clock_now_text(now);
    journal = str_printf("{\"v\":1,\"time\":\"%s\",\"vmid\":105,\"txn\":\"t\",%s}\n", now, record);
    put(node, "state/journal/105.jsonl", journal);
    put(node, "pve/qemu-server/105.conf", "scsi0: local:105/a.raw\n");
    put(node, "token", "pve-hwid@pve!daemon=00000000-0000-0000-0000-000000000000\n");
    put(node, "ca", "");
    assert_true(sd_event_new(&node->event) >= 0);
    if (engine_new(node->event, settings_of(node), &node->engine, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void tear_down(struct node *node)
{
    engine_free(node->engine);
    sd_event_unref(node->event);
    remove_tree(node->root);
}

static void fire(struct node *node, struct vm *vm)
{
    assert_true(vm->retrying);
    assert_true(sd_event_source_set_priority(vm->retry, -100) >= 0); /* before all others */
    assert_true(sd_event_source_set_time_relative(vm->retry, 0) >= 0);
    assert_true(sd_event_run(node->event, 1000000) > 0);
}

static const char owed[] = "\"type\":\"held\",\"key\":\"k\",\"why\":\"w\"";
static const char open_set[] = "\"type\":\"begin\",\"key\":\"k\",\"steps\":[]";

static void check_is_tried_again(const char *record)
{
    struct node node = {.root = ""};
    struct vm *vm;
    unsigned wait;

    set_up(&node, record);
    vm = engine_find(node.engine, 105);
    assert_non_null(vm);
    assert_non_null(vm->reconcile);
    engine_abandon(vm, "dropped");
    engine_settle(vm);
    assert_ptr_equal(engine_find(node.engine, 105), vm);
    for (unsigned i = 0; i < 4; i++) {
        wait = vm->retry_s;
        alloc_fail_all(true);
        fire(&node, vm);
        alloc_fail_all(false);
        assert_ptr_equal(engine_find(node.engine, 105), vm);
        assert_null(vm->reconcile);
        assert_true(vm->retry_s == 2 * wait);
    }
    fire(&node, vm);
    assert_non_null(vm->reconcile);
    assert_false(vm->retrying);
    tear_down(&node);
}

static void a_start_that_is_owed_is_tried_again(void **state)
{
    (void)state;
    check_is_tried_again(owed);
}

static void a_change_set_that_is_open_is_tried_again(void **state)
{
    (void)state;
    check_is_tried_again(open_set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_that_is_owed_is_tried_again),
        cmocka_unit_test(a_change_set_that_is_open_is_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
