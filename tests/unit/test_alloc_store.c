/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every allocation of store, journal and API client fails in turn. (Those inside curl and
 * libsystemd do not.) Each run makes everything anew and asks each once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc_fail.h"
#include "base/str.h"
#include "https_server.h"
#include "io/file.h"
#include "journal.h"
#include "store.h"

static char dir[] = "/tmp/pve-hwid-alloc-XXXXXX";
static struct settings *settings;

static void never(void *userdata, uint32_t vmid)
{
    (void)userdata;
    (void)vmid;
    fail();
}

static int run_store(void *data)
{
    CLEANUP(store_freep) struct store *store = NULL;
    CLEANUP(store_file_fini) struct store_file fingerprint = {0};
    CLEANUP(store_file_fini) struct store_file config = {0};
    CLEANUP(store_file_fini) struct store_file hold = {0};
    CLEANUP_FREE uint32_t *vmids = NULL;
    size_t n = 0;
    int rc = store_new(data, settings, never, NULL, &store, NULL);

    rc = rc < 0 ? rc : store_list(store, &vmids, &n);
    rc = rc < 0 ? rc : store_read_fingerprint(store, 105, &fingerprint, NULL);
    rc = rc < 0 ? rc : store_read_config(store, 105, &config, NULL);
    rc = rc < 0 ? rc : store_read_hold(store, 105, &hold, NULL);
    return rc;
}

static int run_journal(void *data)
{
    CLEANUP(journal_closep) struct journal *journal = NULL;
    CLEANUP_FREE uint32_t *vmids = NULL;
    json_auto_t *records = NULL;
    size_t n = 0;
    int rc = journal_open(dir, &journal, NULL);

    (void)!truncate(data, 0); /* not there at first */
    rc = rc < 0 ? rc : journal_list(journal, &vmids, &n, NULL);
    if (rc == 0) {
        json_auto_t *record = json_pack("{s:i}", "n", 1);

        rc = record == NULL ? -ENOMEM : journal_append(journal, 105, record, NULL);
    }
    return rc < 0 ? rc : journal_read(journal, 105, &records, &n, NULL);
}

static void the_store_survives(void **state)
{
    assert_true(alloc_fail_each(run_store, *state, ALLOC_FAIL_OWN) > 5);
}

static void the_journal_survives(void **state)
{
    CLEANUP_FREE char *file = str_printf("%s/journal/105.jsonl", dir);

    (void)state;
    assert_true(alloc_fail_each(run_journal, file, ALLOC_FAIL_OWN) > 5);
    (void)alloc_fail_each(run_journal, file,
                          ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON | ALLOC_FAIL_ANY_RESULT);
}

static int put(const char *name, const char *text)
{
    CLEANUP_FREE char *path = str_printf("%s/%s", dir, name);

    return file_replace(AT_FDCWD, path, 0600, text, NULL);
}

static int set_up(void **state)
{
    static const char *const dirs[] = {"fingerprints", "qemu-server", "pve-hwid"};

    settings = settings_new();
    if (mkdtemp(dir) == NULL || settings == NULL || sd_event_new((sd_event **)state) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        CLEANUP_FREE char *path = str_printf("%s/%s", dir, dirs[i]);

        if (mkdir(path, 0700) < 0) {
            return -1;
        }
    }
    free(settings->fingerprint_dir);
    settings->fingerprint_dir = str_printf("%s/fingerprints", dir);
    return str_replace(&settings->pve_dir, dir) < 0 || put("pve-hwid/105.json", "{}") < 0 ||
                   put("pve-hwid/105.hold", "{}") < 0 ||
                   put("qemu-server/105.conf", "name: x\n") < 0
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    sd_event_unref(*state);
    settings_free(settings);
    remove_tree(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_survives),
        cmocka_unit_test(the_journal_survives),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
