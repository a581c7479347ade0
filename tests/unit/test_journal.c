/* SPDX-License-Identifier: GPL-3.0-or-later */
/* journal.c: what was acknowledged is there, whatever happens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "https_server.h"
#include "io/file.h"
#include "journal.h"
#include "message_ids.h"

enum { KILLS = 40, VMID = 105 };

struct fixture {
    char dir[64];
    struct journal *journal;
};

static const char *at(const struct fixture *f, const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return path;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/pve-hwid-journal-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(journal_open(f->dir, &f->journal, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    journal_close(f->journal);
    remove_tree(f->dir);
    free(f);
    return 0;
}

static int append(struct fixture *f, uint32_t vmid, int n, struct err *err)
{
    json_auto_t *record = json_pack("{s:i, s:s}", "n", n, "text", "a\nb \xc3\xa4 \"=\"");

    assert_non_null(record);
    return journal_append(f->journal, vmid, record, err);
}

/* The records' numbers must be 0, 1, 2 ...; returns how many there are. */
static size_t read_in_order(struct fixture *f, size_t *ret_bad)
{
    json_auto_t *records = NULL;
    size_t n;

    assert_int_equal(journal_read(f->journal, VMID, &records, ret_bad, NULL), 0);
    n = json_array_size(records);
    for (size_t i = 0; i < n; i++) {
        json_t *record = json_array_get(records, i);

        assert_int_equal(json_integer_value(json_object_get(record, "n")), i);
        assert_string_equal(json_string_value(json_object_get(record, "text")),
                            "a\nb \xc3\xa4 \"=\"");
    }
    return n;
}

static void append_raw(struct fixture *f, const char *text)
{
    int fd = open(at(f, "journal/105.jsonl"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    assert_int_equal(close(fd), 0);
}

static void what_was_appended_is_read_in_order(void **state)
{
    struct fixture *f = *state;
    size_t bad = 7;

    assert_int_equal(read_in_order(f, &bad), 0); /* no file yet */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(append(f, VMID, i, NULL), 0);
    }
    journal_close(f->journal);
    assert_int_equal(journal_open(f->dir, &f->journal, NULL), 0);
    assert_int_equal(read_in_order(f, &bad), 20);
    assert_int_equal(bad, 0);
}

static void nobody_else_may_read_it(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(append(f, VMID, 0, NULL), 0);
    assert_int_equal(stat(at(f, "journal/105.jsonl"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(at(f, "journal"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
}

static void a_torn_line_never_counts(void **state)
{
    /* the last one lacks nothing but its newline: it was not acknowledged either */
    static const char *const torn[] = {"{\"n\":1,\"te", "{", "{\"n\":9}"};
    struct fixture *f = *state;
    size_t bad = 7;

    assert_int_equal(append(f, VMID, 0, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(torn); i++) {
        append_raw(f, torn[i]);
        assert_int_equal(read_in_order(f, &bad), i + 1);
        assert_int_equal(bad, 0);
        assert_int_equal(append(f, VMID, (int)i + 1, NULL), 0);
        assert_int_equal(read_in_order(f, &bad), i + 2);
        assert_int_equal(bad, 0);
    }
}

static void unreadable_lines_are_skipped_and_counted(void **state)
{
    struct fixture *f = *state;
    size_t bad = 0;

    assert_int_equal(append(f, VMID, 0, NULL), 0);
    append_raw(f, "not json\n\n[1]\n{\"a\":1,\"a\":2}\n");
    assert_int_equal(append(f, VMID, 1, NULL), 0);
    assert_int_equal(read_in_order(f, &bad), 2);
    assert_int_equal(bad, 4);
}

static void a_long_journal_is_read_from_its_newest_end(void **state)
{
    struct fixture *f = *state;
    json_auto_t *records = NULL;
    CLEANUP_FREE char *filler = malloc(1024 * 1024 + 1);
    size_t bad = 0;

    assert_non_null(filler);
    memset(filler, ' ', 1024 * 1024);
    memcpy(filler, "{\"n\":", 5);
    memcpy(filler + 1024 * 1024 - 4, "77}\n", 5);
    for (int i = 0; i < 6; i++) {
        append_raw(f, filler);
    }
    assert_int_equal(append(f, VMID, 0, NULL), 0);
    assert_int_equal(journal_read(f->journal, VMID, &records, &bad, NULL), 0);
    assert_int_equal(json_array_size(records), 4); /* three whole MiB and the new one */
    assert_int_equal(bad, 0);
}

static void too_long_records_are_refused_whole(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *text = calloc(1, JOURNAL_LINE_MAX + 1);
    json_auto_t *record = NULL;
    struct err err = {""};
    size_t bad = 0;

    assert_non_null(text);
    memset(text, 'x', JOURNAL_LINE_MAX);
    record = json_pack("{s:s}", "text", text);
    assert_int_equal(journal_append(f->journal, VMID, record, &err), -EFBIG);
    assert_non_null(strstr(err.text, "105.jsonl"));
    assert_int_equal(read_in_order(f, &bad), 0);
}

static void errors_name_the_file(void **state)
{
    struct fixture *f = *state;
    struct journal *none = NULL;
    struct err err = {""};
    CLEANUP_FREE char *nowhere = str_printf("%s/no/where", f->dir);

    assert_int_equal(journal_open(nowhere, &none, &err), -ENOENT);
    assert_non_null(strstr(err.text, nowhere));
    assert_int_equal(symlink("/dev/null", at(f, "journal/105.jsonl")), 0);
    assert_int_equal(append(f, VMID, 0, &err), -ELOOP);
    assert_non_null(strstr(err.text, at(f, "journal/105.jsonl")));
}

/* A limit on file size is the full disk that needs no set-up. */
static void a_full_disk_is_not_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct rlimit old;
    struct err err = {""};
    size_t bad = 0;
    int n = 0;
    int rc;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 1000, .rlim_max = old.rlim_max}), 0);
    while ((rc = append(f, VMID, n, &err)) == 0) {
        n++;
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, -EFBIG);
    assert_non_null(strstr(err.text, "105.jsonl"));
    assert_int_equal(read_in_order(f, &bad), n);
    assert_int_equal(append(f, VMID, n, &err), 0);
    assert_int_equal(read_in_order(f, &bad), n + 1);
    assert_int_equal(bad, 0);
}

static void vms_are_listed_in_order(void **state)
{
    static const uint32_t vmids[] = {1000, 105, 9};
    struct fixture *f = *state;
    CLEANUP_FREE uint32_t *listed = NULL;
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(vmids); i++) {
        assert_int_equal(append(f, vmids[i], 0, NULL), 0);
    }
    assert_int_equal(mknod(at(f, "journal/README"), S_IFREG | 0600, 0), 0);
    assert_int_equal(mknod(at(f, "journal/0106.jsonl"), S_IFREG | 0600, 0), 0);
    assert_int_equal(journal_list(f->journal, &listed, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_int_equal(listed[0], 9);
    assert_int_equal(listed[1], 105);
    assert_int_equal(listed[2], 1000);
}

/* Appends and says so on `fd`, from record `n` on, until it is killed. */
static void write_for_ever(struct fixture *f, int fd, int n)
{
    for (;; n++) {
        if (append(f, VMID, n, NULL) < 0 || write(fd, &n, sizeof(n)) != sizeof(n)) {
            _exit(1);
        }
    }
}

static void what_a_killed_writer_acknowledged_is_there(void **state)
{
    struct fixture *f = *state;
    unsigned seed = (unsigned)getpid();
    size_t bad = 0;
    size_t have = 0;

    for (int i = 0; i < KILLS; i++) {
        int acknowledged = (int)have - 1;
        int ends[2];
        pid_t pid;
        int n;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
            write_for_ever(f, ends[1], (int)have);
        }
        (void)close(ends[1]);
        (void)nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 10000000}, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (read(ends[0], &n, sizeof(n)) == sizeof(n)) {
            acknowledged = n;
        }
        (void)close(ends[0]);
        have = read_in_order(f, &bad);
        assert_int_equal(bad, 0);
        assert_in_range(have, acknowledged + 1, acknowledged + 2);
    }
    print_message("%d writers killed, %zu records, none lost\n", KILLS, have);
}

static void telling_prints_in_the_foreground(void **state)
{
    struct fixture *f = *state;
    struct buf text = BUF_INIT(4096);
    int saved = dup(STDERR_FILENO);
    int fd = open(at(f, "stderr"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(saved >= 0 && fd >= 0);
    (void)unsetenv("JOURNAL_STREAM");
    (void)fflush(stderr);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    journal_tell(
        &(struct journal_message){
            .priority = LOG_NOTICE, .message_id = MESSAGE_HELD, .vmid = VMID, .option = "net0"},
        "VM %d: %s", VMID, "held");
    assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0);
    journal_tell(&(struct journal_message){.priority = LOG_NOTICE}, "not here");
    (void)unsetenv("JOURNAL_STREAM");
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
    (void)close(fd);
    assert_int_equal(file_read(AT_FDCWD, at(f, "stderr"), FILE_FOLLOW, &text, NULL), 0);
    assert_string_equal(text.data, "notice: VM 105: held\n");
    buf_fini(&text);
}

/* The header itself is read, so that no new id is forgotten here. */
static void message_ids_are_all_different(void **state)
{
    CLEANUP(buf_fini) struct buf header = BUF_INIT(64 * 1024);
    char *rest;
    char *word;
    size_t n = 0;

    (void)state;
    assert_int_equal(file_read(AT_FDCWD, "daemon/message_ids.h", FILE_NOFOLLOW, &header, NULL), 0);
    rest = header.data;
    while ((word = strsep(&rest, "\"")) != NULL && rest != NULL) {
        if (strspn(word, "0123456789abcdef") == 32) {
            assert_int_equal(strlen(word), 32);
            assert_null(strstr(rest, word));
            n++;
        }
    }
    assert_true(n >= 20);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_appended_is_read_in_order),
        CASE(nobody_else_may_read_it),
        CASE(a_torn_line_never_counts),
        CASE(unreadable_lines_are_skipped_and_counted),
        CASE(a_long_journal_is_read_from_its_newest_end),
        CASE(too_long_records_are_refused_whole),
        CASE(errors_name_the_file),
        CASE(a_full_disk_is_not_acknowledged),
        CASE(vms_are_listed_in_order),
        CASE(what_a_killed_writer_acknowledged_is_there),
        CASE(telling_prints_in_the_foreground),
        CASE(message_ids_are_all_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
