/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store.c on real directories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "core/pveconf.h"
#include "https_server.h"
#include "io/file.h"
#include "loop.h"
#include "store.h"

enum {
    SETTLED_MS = 400,    /* the settle time, and a loaded machine */
    RESCANNED_MS = 1600, /* a rescan_s of 1, and settled */
    PATIENCE_MS = 15000,
    SETTLE_MS = 150, /* SETTLE_MS of store_watch.c */
    MANY = 10000,
    SOME = 200,
    SLOW_MS = 2,
    SLOW_PER_TURN = 20, /* a turn has 5 ms for them */
};

struct fixture {
    char dir[64];
    sd_event *event;
    struct settings *settings;
    struct store *store;
    size_t told; /* how often */
    uint32_t last;
    size_t of_105;
    unsigned slow_ms; /* so long takes each of them */
};

static void note(void *userdata, uint32_t vmid)
{
    struct fixture *f = userdata;

    f->told++;
    f->last = vmid;
    f->of_105 += vmid == 105 ? 1 : 0;
    if (f->slow_ms > 0) {
        uint64_t end = clock_monotonic_ms() + f->slow_ms;

        while (clock_monotonic_ms() < end) {
        }
    }
}

/* A path below the test's directory; in one of two static buffers. */
static const char *at(const struct fixture *f, const char *name)
{
    static char paths[2][128];
    static int turn;

    turn = !turn;
    (void)snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", f->dir, name);
    return paths[turn];
}

static void put(const struct fixture *f, const char *name, const char *text)
{
    int fd = open(at(f, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    assert_int_equal(close(fd), 0);
}

static void make_dir(const struct fixture *f, const char *name)
{
    assert_int_equal(mkdir(at(f, name), 0750), 0);
}

static void open_store(struct fixture *f)
{
    struct err err = {""};

    assert_int_equal(store_new(f->event, f->settings, note, f, &f->store, &err), 0);
}

/* True: exactly one report, of this VM, after which there is silence. */
static bool told_once(struct fixture *f, uint32_t vmid)
{
    bool once;

    (void)loop_until(f->event, &f->told, 1, PATIENCE_MS);
    loop_for(f->event, SETTLED_MS);
    once = f->told == 1 && f->last == vmid;
    f->told = 0;
    return once;
}

static bool told_nothing(struct fixture *f)
{
    loop_for(f->event, SETTLED_MS);
    return f->told == 0;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/pve-hwid-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_true(sd_event_new(&f->event) >= 0);
    f->settings = settings_new();
    assert_non_null(f->settings);
    assert_int_equal(str_replace(&f->settings->fingerprint_dir, at(f, "etc/fingerprints")), 0);
    assert_int_equal(str_replace(&f->settings->pve_dir, at(f, "pve")), 0);
    f->settings->rescan_s = 3600; /* what is seen, is seen by inotify */
    make_dir(f, "etc");
    make_dir(f, "etc/fingerprints");
    make_dir(f, "pve");
    make_dir(f, "pve/nodes");
    assert_int_equal(symlink("nodes", at(f, "pve/qemu-server")), 0); /* as on a node */
    make_dir(f, "pve/pve-hwid");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    store_free(f->store);
    sd_event_unref(f->event);
    settings_free(f->settings);
    remove_tree(f->dir);
    free(f);
    return 0;
}

static void what_is_there_is_listed_and_not_reported(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE uint32_t *vmids = NULL;
    size_t n = 0;

    put(f, "etc/fingerprints/105.json", "{}");
    put(f, "pve/pve-hwid/9.json", "{}");
    put(f, "pve/pve-hwid/105.json", "{}");
    put(f, "pve/pve-hwid/1000.json", "{}");
    put(f, "pve/pve-hwid/README", "");
    put(f, "pve/pve-hwid/0106.json", "");
    put(f, "pve/pve-hwid/.107.json", "");
    put(f, "pve/pve-hwid/108.json.123.tmp", "");
    put(f, "pve/pve-hwid/4294967401.json", ""); /* 105 and 2^32 */
    open_store(f);
    assert_true(told_nothing(f));
    assert_int_equal(store_list(f->store, &vmids, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(vmids[0], 9);
    assert_int_equal(vmids[1], 105);
    assert_int_equal(vmids[2], 1000);
    assert_true(store_has(f->store, 1000));
    assert_false(store_has(f->store, 107));
}

static void a_new_fingerprint_is_told_once(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    put(f, "etc/fingerprints/105.json", "{}");
    assert_true(told_once(f, 105));
    assert_true(store_has(f->store, 105));
    put(f, "pve/pve-hwid/106.json", "{}");
    assert_true(told_once(f, 106));
}

static void a_file_written_in_pieces_is_told_once_when_whole(void **state)
{
    struct fixture *f = *state;
    int fd;

    open_store(f);
    fd = open(at(f, "etc/fingerprints/105.json"), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    for (int i = 0; i < 12; i++) { /* longer than the settle time in all */
        uint64_t begin = clock_monotonic_ms();

        assert_int_equal(write(fd, "  ", 2), 2);
        loop_for(f->event, 30);
        /* Where the machine stood still for so long, the file was still for so long. */
        assert_true(f->told == 0 || clock_monotonic_ms() - begin >= SETTLE_MS);
        f->told = 0;
    }
    assert_int_equal(close(fd), 0);
    assert_true(told_once(f, 105));
}

static void a_replaced_file_is_told_once(void **state)
{
    struct fixture *f = *state;

    put(f, "etc/fingerprints/105.json", "{}");
    open_store(f);
    put(f, "etc/fingerprints/105.json.1.tmp", "{  }");
    assert_true(told_nothing(f));
    assert_int_equal(
        rename(at(f, "etc/fingerprints/105.json.1.tmp"), at(f, "etc/fingerprints/105.json")), 0);
    assert_true(told_once(f, 105));
    assert_int_equal(unlink(at(f, "etc/fingerprints/105.json")), 0); /* as some editors do */
    put(f, "etc/fingerprints/105.json", "{   }");
    assert_true(told_once(f, 105));
}

static void a_fingerprint_that_goes_is_told_once(void **state)
{
    struct fixture *f = *state;

    put(f, "etc/fingerprints/105.json", "{}");
    open_store(f);
    assert_int_equal(unlink(at(f, "etc/fingerprints/105.json")), 0);
    assert_true(told_once(f, 105));
    assert_false(store_has(f->store, 105));
}

static void a_hold_is_told_of_but_is_no_fingerprint(void **state)
{
    static const char *const places[] = {"etc/fingerprints/105.hold", "pve/pve-hwid/105.hold"};
    struct fixture *f = *state;
    CLEANUP_FREE uint32_t *vmids = NULL;
    size_t n = 1;

    open_store(f);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        CLEANUP(store_file_fini) struct store_file file = {0};

        put(f, places[i], "x");
        assert_true(told_once(f, 105));
        assert_false(store_has(f->store, 105));
        assert_int_equal(store_read_hold(f->store, 105, &file, NULL), 0);
        assert_string_equal(file.text, "x");
        assert_true(str_ends(file.path, places[i]));
        assert_int_equal(unlink(at(f, places[i])), 0);
        assert_true(told_once(f, 105));
        assert_int_equal(store_read_hold(f->store, 105, &file, NULL), -ENOENT);
    }
    assert_int_equal(store_list(f->store, &vmids, &n), 0);
    assert_int_equal(n, 0);
}

static void a_hold_that_must_not_be_trusted_is_no_missing_one(void **state)
{
    struct fixture *f = *state;
    CLEANUP(store_file_fini) struct store_file file = {0};

    put(f, "etc/fingerprints/105.hold", "x");
    open_store(f);
    assert_int_equal(chmod(at(f, "etc/fingerprints/105.hold"), 0666), 0);
    assert_int_equal(store_read_hold(f->store, 105, &file, NULL), -EPERM);
    assert_int_equal(unlink(at(f, "etc/fingerprints/105.hold")), 0);
    assert_int_equal(symlink("/dev/zero", at(f, "etc/fingerprints/105.hold")), 0);
    assert_int_equal(store_read_hold(f->store, 105, &file, NULL), -ELOOP);
    assert_int_equal(unlink(at(f, "etc/fingerprints/105.hold")), 0);
    assert_int_equal(mkfifo(at(f, "etc/fingerprints/105.hold"), 0600), 0);
    assert_int_equal(store_read_hold(f->store, 105, &file, NULL), -EINVAL);
}

/* The other names of that directory, ours and foreign ones. */
static void other_names_are_nobodys_business(void **state)
{
    static const char *const names[] = {"105.hook",  "105.hold.77.tmp", "105.json~", "0105.hold",
                                        "105.holdx", ".hold",           "x.hold"};
    struct fixture *f = *state;

    open_store(f);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *name = str_printf("pve/pve-hwid/%s", names[i]);

        put(f, name, "x");
    }
    assert_true(told_nothing(f));
}

static void what_comes_and_goes_at_once_is_not_told(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    put(f, "etc/fingerprints/105.json", "{}");
    assert_int_equal(unlink(at(f, "etc/fingerprints/105.json")), 0);
    assert_true(told_nothing(f));
}

static void a_change_of_mode_is_news(void **state)
{
    struct fixture *f = *state;

    put(f, "etc/fingerprints/105.json", "{}");
    open_store(f);
    assert_int_equal(chmod(at(f, "etc/fingerprints/105.json"), 0600), 0);
    assert_true(told_once(f, 105));
}

static void a_directory_may_come_later_and_go_and_come(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(rmdir(at(f, "pve/pve-hwid")), 0);
    open_store(f);
    for (int i = 0; i < 2; i++) {
        make_dir(f, "pve/pve-hwid");
        loop_for(f->event, 50);
        put(f, "pve/pve-hwid/105.json", "{}");
        assert_true(told_once(f, 105));
        remove_tree(at(f, "pve/pve-hwid"));
        assert_true(told_once(f, 105));
        assert_false(store_has(f->store, 105));
    }
}

static void a_directory_that_is_moved_into_place_is_seen(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(rmdir(at(f, "etc/fingerprints")), 0);
    make_dir(f, "etc/new");
    put(f, "etc/new/105.json", "{}");
    open_store(f);
    assert_int_equal(rename(at(f, "etc/new"), at(f, "etc/fingerprints")), 0);
    assert_true(told_once(f, 105));
}

static void a_lost_pmxcfs_is_not_a_wave_of_deletions(void **state)
{
    struct fixture *f = *state;

    f->settings->rescan_s = 1;
    put(f, "pve/pve-hwid/105.json", "{}");
    open_store(f);
    assert_int_equal(rename(at(f, "pve"), at(f, "pve.away")), 0);
    make_dir(f, "pve"); /* the empty mount point */
    loop_for(f->event, RESCANNED_MS);
    assert_int_equal(f->told, 0);
    assert_true(store_has(f->store, 105));
    assert_int_equal(rmdir(at(f, "pve")), 0);
    assert_int_equal(rename(at(f, "pve.away"), at(f, "pve")), 0);
    loop_for(f->event, RESCANNED_MS);
    assert_int_equal(f->told, 0);
}

/* No inotify event tells of it: pmxcfs and the changes of other nodes. */
static void the_rescan_sees_what_inotify_does_not(void **state)
{
    struct fixture *f = *state;

    f->settings->rescan_s = 1;
    put(f, "pve/pve-hwid/105.json", "{}");
    open_store(f);
    assert_int_equal(rename(at(f, "pve"), at(f, "old")), 0); /* the watch stays with the old one */
    make_dir(f, "pve");
    make_dir(f, "pve/qemu-server");
    make_dir(f, "pve/pve-hwid");
    put(f, "pve/pve-hwid/106.json", "{}");
    (void)loop_until(f->event, &f->told, 2, PATIENCE_MS);
    loop_for(f->event, SETTLED_MS);
    assert_int_equal(f->told, 2); /* 105 went, 106 came */
    assert_true(store_has(f->store, 106));
    assert_false(store_has(f->store, 105));
    f->told = 0;
    put(f, "pve/pve-hwid/107.json", "{}"); /* and the new one is watched */
    (void)loop_until(f->event, &f->told, 1, SETTLED_MS);
    assert_int_equal(f->last, 107);
}

static void reading_prefers_the_local_one(void **state)
{
    struct fixture *f = *state;
    CLEANUP(store_file_fini) struct store_file file = {0};

    open_store(f);
    put(f, "pve/pve-hwid/105.json", "cluster");
    assert_int_equal(store_read_fingerprint(f->store, 105, &file, NULL), 0);
    assert_int_equal(file.origin, STORE_CLUSTER);
    assert_string_equal(file.text, "cluster");
    store_file_fini(&file);
    put(f, "etc/fingerprints/105.json", "local");
    assert_int_equal(store_read_fingerprint(f->store, 105, &file, NULL), 0);
    assert_int_equal(file.origin, STORE_BOTH);
    assert_string_equal(file.text, "local");
    assert_string_equal(file.path, at(f, "etc/fingerprints/105.json"));
    store_file_fini(&file);
    assert_int_equal(unlink(at(f, "pve/pve-hwid/105.json")), 0);
    assert_int_equal(store_read_fingerprint(f->store, 105, &file, NULL), 0);
    assert_int_equal(file.origin, STORE_LOCAL);
}

static int refused(struct fixture *f, struct err *err)
{
    CLEANUP(store_file_fini) struct store_file file = {0};
    int rc = store_read_fingerprint(f->store, 105, &file, err);

    assert_null(file.text);
    (void)unlink(at(f, "etc/fingerprints/105.json"));
    return rc;
}

static void odd_files_are_refused_with_a_sentence(void **state)
{
    static char huge[FINGERPRINT_MAX + 2];
    struct fixture *f = *state;
    struct err err = {""};
    char name[128];

    open_store(f);
    (void)snprintf(name, sizeof(name), "%s", at(f, "etc/fingerprints/105.json"));
    assert_int_equal(refused(f, &err), -ENOENT);
    put(f, "pve/pve-hwid/105.json", "not taken in its stead");
    assert_int_equal(symlink("/etc/hostname", name), 0);
    assert_int_equal(refused(f, &err), -ELOOP);
    assert_non_null(strstr(err.text, name));
    assert_int_equal(mkfifo(name, 0600), 0);
    assert_int_equal(refused(f, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not a regular file"));
    memset(huge, ' ', sizeof(huge) - 1);
    put(f, "etc/fingerprints/105.json", huge);
    assert_int_equal(refused(f, &err), -EFBIG);
    assert_non_null(strstr(err.text, "65536"));
    put(f, "etc/fingerprints/105.json", "{}");
    assert_int_equal(chmod(name, 0666), 0);
    assert_int_equal(refused(f, &err), -EPERM);
    assert_non_null(strstr(err.text, "chmod go-w"));
    if (geteuid() == 0) {
        put(f, "etc/fingerprints/105.json", "{}");
        assert_int_equal(chown(name, 12345, 0), 0);
        assert_int_equal(refused(f, &err), -EPERM);
        assert_non_null(strstr(err.text, "chown root"));
    }
}

static void odd_files_are_told_of_all_the_same(void **state)
{
    struct fixture *f = *state;

    open_store(f);
    assert_int_equal(symlink("/etc/hostname", at(f, "etc/fingerprints/105.json")), 0);
    assert_true(told_once(f, 105));
}

static void configurations_are_read_through_the_nodes_link(void **state)
{
    struct fixture *f = *state;
    CLEANUP(store_file_fini) struct store_file file = {0};
    struct err err = {""};

    open_store(f);
    assert_int_equal(store_read_config(f->store, 105, &file, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no configuration on this node"));
    put(f, "pve/nodes/105.conf", "name: x\n");
    assert_int_equal(store_read_config(f->store, 105, &file, &err), 0);
    assert_string_equal(file.text, "name: x\n");
    assert_int_equal(file.len, 8);
    assert_int_equal(unlink(at(f, "pve/qemu-server")), 0);
    assert_int_equal(store_read_config(f->store, 106, &file, &err), -ENOTCONN);
    assert_non_null(strstr(err.text, "pve-cluster"));
}

static size_t heap_used(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void ten_thousand_fingerprints_cost_little(void **state)
{
    struct fixture *f = *state;
    char name[64];
    size_t before;
    uint64_t begin;

    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "pve/pve-hwid/%d.json", 100 + i);
        put(f, name, "{}");
    }
    before = heap_used();
    begin = clock_monotonic_ms();
    open_store(f);
    print_message("%d fingerprints: %zu KiB, first scan %u ms\n", MANY,
                  (heap_used() - before) / 1024, (unsigned)(clock_monotonic_ms() - begin));
    assert_true(heap_used() - before < 512 * 1024);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "pve/pve-hwid/%d.json", 100 + i);
        put(f, name, "{ }");
    }
    begin = clock_monotonic_ms();
    assert_true(loop_until(f->event, &f->told, MANY, 10 * PATIENCE_MS));
    loop_for(f->event, SETTLED_MS);
    assert_int_equal(f->of_105, 1);
    print_message("all of them changed: %zu reports, %u ms\n", f->told,
                  (unsigned)(clock_monotonic_ms() - begin - SETTLED_MS));
    assert_int_equal(f->told, MANY);
}

/* Who is told reads each file: a hook must not wait for all of them. */
static void many_at_once_are_told_of_over_many_turns(void **state)
{
    struct fixture *f = *state;
    size_t most = 0;
    uint64_t deadline;
    char name[64];

    open_store(f);
    f->slow_ms = SLOW_MS;
    for (int i = 0; i < SOME; i++) {
        (void)snprintf(name, sizeof(name), "pve/pve-hwid/%d.json", 100 + i);
        put(f, name, "{}");
    }
    deadline = clock_monotonic_ms() + 10 * PATIENCE_MS;
    while (f->told < SOME && clock_monotonic_ms() < deadline) {
        size_t before = f->told;

        assert_true(sd_event_run(f->event, 20 * 1000) >= 0);
        most = f->told - before > most ? f->told - before : most;
    }
    f->slow_ms = 0;
    assert_int_equal(f->told, SOME);
    assert_true(most <= SLOW_PER_TURN);
    assert_int_equal(f->of_105, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_there_is_listed_and_not_reported),
        CASE(a_new_fingerprint_is_told_once),
        CASE(a_file_written_in_pieces_is_told_once_when_whole),
        CASE(a_replaced_file_is_told_once),
        CASE(a_fingerprint_that_goes_is_told_once),
        CASE(a_hold_is_told_of_but_is_no_fingerprint),
        CASE(a_hold_that_must_not_be_trusted_is_no_missing_one),
        CASE(other_names_are_nobodys_business),
        CASE(what_comes_and_goes_at_once_is_not_told),
        CASE(a_change_of_mode_is_news),
        CASE(a_directory_may_come_later_and_go_and_come),
        CASE(a_directory_that_is_moved_into_place_is_seen),
        CASE(a_lost_pmxcfs_is_not_a_wave_of_deletions),
        CASE(the_rescan_sees_what_inotify_does_not),
        CASE(reading_prefers_the_local_one),
        CASE(odd_files_are_refused_with_a_sentence),
        CASE(odd_files_are_told_of_all_the_same),
        CASE(configurations_are_read_through_the_nodes_link),
        CASE(ten_thousand_fingerprints_cost_little),
        CASE(many_at_once_are_told_of_over_many_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
