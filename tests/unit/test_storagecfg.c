/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a snippet lies, from storage.cfg; and the note about a VM's former hookscript. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/former.h"
#include "core/storagecfg.h"

static const char example[] = "dir: local\n"
                              "\tpath /var/lib/vz\n"
                              "\tcontent iso,vztmpl,backup\n"
                              "\n"
                              "# a comment\n"
                              "lvmthin: local-lvm\n"
                              "\tthinpool data\n"
                              "\tvgname pve\n"
                              "\tcontent rootdir,images\n"
                              "\n"
                              "nfs: nas\n"
                              "\texport /vol\n"
                              "# in between\n"
                              "\tpath /mnt/pve/nas  \n"
                              "\tpath /second\n"
                              "\tcontent snippets;iso\n"
                              "\tcontent-dirs iso=x,snippets=/hooks/mine\n"
                              "\tdisable\n";

static struct storagecfg *parsed(const char *text)
{
    struct storagecfg *cfg = NULL;

    assert_int_equal(storagecfg_parse(text, strlen(text), &cfg, NULL), 0);
    return cfg;
}

/* "" where there is no such path. */
static void expect_path(const char *text, const char *volid, const char *path)
{
    CLEANUP(storagecfg_freep) struct storagecfg *cfg = parsed(text);
    CLEANUP_FREE char *found = NULL;
    struct err err = {""};
    int rc = storagecfg_snippet_path(cfg, volid, &found, &err);

    assert_string_equal(rc == 0 ? found : "", path);
    assert_true((rc == 0) == (err.text[0] == '\0'));
}

static void test_reads_storages(void **state)
{
    CLEANUP(storagecfg_freep) struct storagecfg *cfg = parsed(example);
    const struct storagecfg_item *nas = storagecfg_find(cfg, "nas");

    (void)state;
    assert_int_equal(cfg->n, 3);
    assert_non_null(nas);
    assert_string_equal(nas->type, "nfs");
    assert_true(nas->disabled);
    assert_string_equal(nas->path, "/mnt/pve/nas");
    assert_true(storagecfg_has_content(nas, "snippets"));
    assert_false(storagecfg_has_content(storagecfg_find(cfg, "local"), "snippets"));
    assert_false(storagecfg_has_content(nas, "snippet"));
    assert_null(storagecfg_find(cfg, "no"));
}

static void test_volumes_to_paths(void **state)
{
    (void)state;
    expect_path(example, "local:snippets/a.pl", "/var/lib/vz/snippets/a.pl");
    expect_path(example, "nas:snippets/a.pl", "/mnt/pve/nas/hooks/mine/a.pl");
    expect_path(example, "local-lvm:snippets/a.pl", "");
    expect_path(example, "none:snippets/a.pl", "");
    expect_path("dir: x\n\tpath relative\n", "x:snippets/a", "");
    expect_path("dir: x\n\tpath /p\n\tcontent-dirs snippets=\n", "x:snippets/a", "/p/snippets/a");
}

static void test_local_is_what_pve_makes_of_it(void **state)
{
    static const char *const texts[] = {
        "",
        "dir: other\n\tpath /x\n",
        "dir: local\n\tpath /elsewhere\n\tcontent iso\n",
        "nfs: local\n\tpath /mnt\n",
        "dir: local\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        expect_path(texts[i], "local:snippets/x", "/var/lib/vz/snippets/x");
    }
    /* One that PVE replaces has all contents; one that it only completes has what it says: none. */
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(storagecfg_freep) struct storagecfg *cfg = parsed(texts[i]);

        assert_int_equal(storagecfg_has_content(storagecfg_find(cfg, "local"), "snippets"), i < 4);
    }
}

static void test_only_snippets_are_volumes_of_hooks(void **state)
{
    static const char *const bad[] = {
        "",
        "local",
        "local:",
        "local:snippets/",
        "local:iso/x",
        "local:snippets/a/b",
        "local:snippets/..",
        "local:snippets/.",
        "local:snippets/a b",
        "local:snippets/a\n",
        "../x:snippets/a",
        ":snippets/a",
        "a b:snippets/x",
        "/etc/passwd",
        "local:snippets/\xc3\xa4",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(storagecfg_is_snippet(bad[i]));
        expect_path(example, bad[i], "");
    }
    assert_true(storagecfg_is_snippet("local:snippets/a.pl"));
    assert_true(storagecfg_is_snippet("my-nas_2:snippets/...x"));
}

static void test_odd_files(void **state)
{
    CLEANUP(storagecfg_freep) struct storagecfg *cfg = NULL;
    CLEANUP_FREE char *large = calloc(1, STORAGECFG_MAX + 2);
    struct err err = {""};

    (void)state;
    expect_path("\tpath /orphan\ndir local\n: x\ndir:\n-d: x\nd: /x\n\tpath /p\n", "x:snippets/a",
                "");
    assert_int_equal(storagecfg_parse("dir: a\0b", 8, &cfg, &err), -EINVAL);
    assert_non_null(large);
    memset(large, '#', STORAGECFG_MAX + 1);
    assert_int_equal(storagecfg_parse(large, STORAGECFG_MAX + 1, &cfg, &err), -EINVAL);
}

static void test_former(void **state)
{
    static const char *const bad[] = {"",
                                      "\n",
                                      "x\n",
                                      "local:snippets/a\n\n",
                                      "local:snippets/pve-hwid\n",
                                      "nas:snippets/pve-hwid"};
    CLEANUP_FREE char *volid = NULL;
    struct err err = {""};

    (void)state;
    assert_int_equal(former_parse("nas:snippets/a.pl\n", 18, &volid, &err), 0);
    assert_string_equal(volid, "nas:snippets/a.pl");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *none = NULL;

        err.text[0] = '\0';
        assert_int_equal(former_parse(bad[i], strlen(bad[i]), &none, &err), -EINVAL);
        assert_string_not_equal(err.text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_storages),
        cmocka_unit_test(test_volumes_to_paths),
        cmocka_unit_test(test_local_is_what_pve_makes_of_it),
        cmocka_unit_test(test_only_snippets_are_volumes_of_hooks),
        cmocka_unit_test(test_odd_files),
        cmocka_unit_test(test_former),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
