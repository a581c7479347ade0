/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * core/pveconf. tests/data/pveconf/NAME.conf are files of recordings 02b, 12 and 12b, NAME.json is
 * what PVE's GET config answered for them (`current`: without [PENDING]), the keys PVE dropped
 * because of their value, and the lines it could not read. Where the recordings themselves are at
 * hand, every file in them is compared as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/pveconf.h"

#define DATA "tests/data/pveconf"

static struct pveconf *parse(const char *text)
{
    struct pveconf *conf = NULL;
    struct err err = {""};

    if (pveconf_parse(text, strlen(text), &conf, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return conf;
}

static char *read_file(const char *path)
{
    struct buf buf = BUF_INIT(0);
    char part[4096];
    size_t len;
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    while ((len = fread(part, 1, sizeof(part), file)) > 0) {
        buf_add(&buf, part, len);
    }
    (void)fclose(file); /* it was only read */
    return buf_steal(&buf);
}

/* Integers are numbers in PVE's answers. */
static bool value_equals(const char *value, json_t *json)
{
    CLEANUP_FREE char *text = json_is_integer(json)
                                  ? str_printf("%lld", (long long)json_integer_value(json))
                                  : str_dup(json_string_value(json));

    return str_equal(value, text);
}

static bool has_string(json_t *array, const char *text)
{
    size_t i;
    json_t *item;

    json_array_foreach (array, i, item) {
        if (str_equal(json_string_value(item), text)) {
            return true;
        }
    }
    return false;
}

/* Both ways: PVE's keys are ours, and ours are PVE's but for `dropped`. */
static void assert_like_pve(const char *name, const struct pveconf *conf, json_t *answer,
                            json_t *dropped)
{
    const char *key;
    json_t *value;

    json_object_foreach (answer, key, value) {
        const char *ours = str_equal(key, "description") ? conf->description
                                                         : pveconf_get(conf, key);

        if (!str_equal(key, "digest") && !value_equals(ours, value)) {
            fail_msg("%s: %s is '%s'", name, key, ours);
        }
    }
    for (size_t i = 0; i < conf->sections[0].n; i++) {
        const char *ours = conf->sections[0].keys[i].key;

        if (json_object_get(answer, ours) == NULL && !has_string(dropped, ours)) {
            fail_msg("%s: PVE has no %s", name, ours);
        }
    }
}

static void assert_bad_lines(const char *name, const struct pveconf *conf, json_t *lines)
{
    size_t i;
    json_t *line;

    if (conf->n_bad != json_array_size(lines)) {
        fail_msg("%s: %zu bad lines", name, conf->n_bad);
    }
    json_array_foreach (lines, i, line) {
        assert_int_equal(conf->bad[i].line, json_integer_value(line));
    }
}

static void check_recorded_file(const char *name)
{
    CLEANUP_FREE char *conf_path = str_printf("%s/%s.conf", DATA, name);
    CLEANUP_FREE char *json_path = str_printf("%s/%s.json", DATA, name);
    CLEANUP_FREE char *text = read_file(conf_path);
    CLEANUP(pveconf_freep) struct pveconf *conf = parse(text);
    CLEANUP(pveconf_freep) struct pveconf *applied = NULL;
    json_t *expected = json_load_file(json_path, 0, NULL);
    json_t *current = json_object_get(expected, "current");
    json_t *dropped = json_object_get(expected, "dropped_for_their_value");

    assert_non_null(expected);
    if (current != NULL) {
        assert_like_pve(name, conf, current, dropped);
    }
    assert_int_equal(pveconf_apply_pending(conf, &applied), 0);
    assert_false(pveconf_has_pending(applied));
    assert_like_pve(name, applied, json_object_get(expected, "config"), dropped);
    assert_bad_lines(name, conf, json_object_get(expected, "bad_lines"));
    json_decref(expected);
}

static void recorded_files_read_as_pve_reads_them(void **state)
{
    DIR *dir = opendir(DATA);
    const struct dirent *entry;
    size_t n = 0;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (str_ends(entry->d_name, ".conf")) {
            CLEANUP_FREE char *name = str_ndup(entry->d_name, strlen(entry->d_name) - 5);

            check_recorded_file(name);
            n++;
        }
    }
    (void)closedir(dir); /* it was only read */
    assert_in_range(n, 15, 100);
}

/* The exchange's GET config against the file it was about. */
static bool check_exchange(const char *name, json_t *exchange, const char *text)
{
    json_t *answer = json_object_get(json_object_get(exchange, "body"), "data");
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(pveconf_freep) struct pveconf *applied = NULL;
    json_t *dropped;

    if (strstr(text, "uuid=zzz") != NULL || strstr(text, "nosuch") != NULL ||
        strstr(text, "größe") != NULL || strstr(text, "u0000") != NULL) {
        return false; /* those have their files in tests/data/pveconf */
    }
    conf = parse(text);
    dropped = json_pack("[s]", "parent");
    assert_int_equal(pveconf_apply_pending(conf, &applied), 0);
    assert_like_pve(name, applied, answer, dropped);
    json_decref(dropped);
    return true;
}

static bool is_get_config(json_t *exchange)
{
    const char *path = json_string_value(json_object_get(exchange, "path"));

    return str_equal(json_string_value(json_object_get(exchange, "method")), "GET") &&
           json_integer_value(json_object_get(exchange, "status")) == 200 && path != NULL &&
           strstr(path, "/qemu/") != NULL && strstr(path, "/snapshot/") == NULL &&
           str_ends(path, "/config");
}

/* How many answers could be compared: those before the file changed in a way the recording does
 * not show. */
static size_t check_recording(const char *dir, const char *name)
{
    CLEANUP_FREE char *path = str_printf("%s/%s", dir, name);
    json_t *recording = json_load_file(path, JSON_ALLOW_NUL, NULL);
    const char *text = json_string_value(json_object_get(recording, "config_before"));
    size_t i;
    size_t n = 0;
    json_t *exchange;

    assert_non_null(recording);
    json_array_foreach (json_object_get(recording, "exchanges"), i, exchange) {
        json_t *config = json_object_get(exchange, "config");
        json_t *after = json_object_get(exchange, "config_file_after");

        if (json_is_string(config) &&
            strlen(json_string_value(config)) != json_string_length(config)) {
            text = NULL; /* with a NUL byte */
        } else if (json_is_string(config)) {
            text = json_string_value(config);
        } else if (text != NULL && is_get_config(exchange)) {
            n += check_exchange(name, exchange, text) ? 1 : 0;
        } else if (!str_equal(json_string_value(json_object_get(exchange, "method")), "GET")) {
            text = json_string_value(after);
        }
    }
    json_decref(recording);
    return n;
}

static void the_recordings_themselves_agree(void **state)
{
    static const char *const dirs[] = {"tests/data/pve-transcripts", "../shared/pve-transcripts",
                                       "../../shared/pve-transcripts"};
    const char *found = NULL;
    const struct dirent *entry;
    size_t n = 0;
    DIR *dir = NULL;

    (void)state;
    for (size_t i = 0; dir == NULL && i < ARRAY_SIZE(dirs); i++) {
        found = dirs[i];
        dir = opendir(found);
    }
    if (dir == NULL) {
        skip();
    }
    while ((entry = readdir(dir)) != NULL) {
        if (str_ends(entry->d_name, ".json")) {
            n += check_recording(found, entry->d_name);
        }
    }
    (void)closedir(dir); /* it was only read */
    assert_in_range(n, 50, 1000);
}

static void a_line_pve_would_drop_is_told_with_its_cure(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *shown, *why;
    } cases[] = {
        {"cores: 1\nmachine : q35\n", 2, "machine : q35", "blank before the colon"},
        {"\n machine: q35\n", 2, " machine: q35", "blanks before the key"},
        {"this is not a setting\n", 1, "this is not a setting", "remove the line"},
        {"machine:\n", 1, "machine:", "without a value"},
        {"Machine: q35\n", 1, "Machine: q35", "small letters"},
        {"net0a: x\n", 1, "net0a: x", "digits last"},
        {"delete: cores\n", 1, "delete: cores", "[PENDING] only"},
        {"a\x01\xc3\xa4 b\r\n", 1, "a??? b", "remove the line"},
        {"[x]\ncores: 1\n", 1, "[x]", "skips all its lines"},
        {"[a b]\n", 1, "[a b]", "skips all its lines"},
        {"[snap1]\n[snap1]\n", 2, "[snap1]", "twice"},
        {"[]\n", 1, "[]", "skips all its lines"},
        {" [snap1]\n", 1, " [snap1]", "blanks before"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(pveconf_freep) struct pveconf *conf = parse(cases[i].text);

        assert_int_equal(conf->n_bad, 1);
        assert_int_equal(conf->bad[0].line, cases[i].line);
        assert_string_equal(conf->bad[0].text, cases[i].shown);
        if (strstr(conf->bad[0].why, cases[i].why) == NULL) {
            fail_msg("%s: %s", cases[i].text, conf->bad[0].why);
        }
    }
}

static void long_and_many_bad_lines_are_cut(void **state)
{
    static char text[PVECONF_BAD_MAX * 4 + 1000];
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;

    (void)state;
    memset(text, 'x', 500);
    for (size_t i = 500; i + 2 < sizeof(text); i += 2) {
        memcpy(text + i, "\nx", 2);
    }
    conf = parse(text);
    assert_int_equal(conf->n_bad, PVECONF_BAD_MAX);
    assert_int_equal(strlen(conf->bad[0].text), 120);
}

static void sections_are_told_apart(void **state)
{
    CLEANUP(pveconf_freep)
    struct pveconf *conf = parse("cores: 1\n[pending]\ncores: 2\n[special:cloudinit]\nname: ci\n"
                                 "[snap-1]  \n#about\n#it\ncores: 3\n[Snap-1]\ncores: 4\n");
    const struct pveconf_section *snapshot = pveconf_section(conf, PVECONF_SNAPSHOT);

    (void)state;
    assert_int_equal(conf->n_sections, 5);
    assert_int_equal(conf->n_bad, 0);
    assert_string_equal(pveconf_get(conf, "cores"), "1");
    assert_string_equal(pveconf_get_pending(conf, "cores"), "2");
    assert_string_equal(pveconf_section(conf, PVECONF_SPECIAL)->name, "cloudinit");
    assert_string_equal(snapshot->name, "snap-1");
    assert_string_equal(snapshot->keys[0].key, "cores");
    assert_string_equal(snapshot->keys[0].value, "3");
    assert_string_equal(snapshot->keys[1].key, "description");
    assert_string_equal(snapshot->keys[1].value, "about\nit");
    assert_string_equal(conf->sections[4].name, "Snap-1");
    assert_null(conf->description);
}

static void of_two_sections_alike_the_last_one_counts(void **state)
{
    CLEANUP(pveconf_freep)
    struct pveconf *conf = parse("[PENDING]\nmachine: q35\n[s1]\n[PENDING]\ncores: 2\n");

    (void)state;
    assert_null(pveconf_get_pending(conf, "machine"));
    assert_string_equal(pveconf_get_pending(conf, "cores"), "2");
    assert_int_equal(conf->n_bad, 1);
}

static void lines_below_an_unknown_section_are_nobodys(void **state)
{
    CLEANUP(pveconf_freep)
    struct pveconf *conf = parse("cores: 1\n[1x]\ncores: 2\n#no\nrubbish\n[s1]\ncores: 3\n");

    (void)state;
    assert_string_equal(pveconf_get(conf, "cores"), "1");
    assert_null(conf->description);
    assert_int_equal(conf->n_bad, 1);
    assert_int_equal(conf->bad[0].line, 2);
    assert_int_equal(pveconf_section(conf, PVECONF_SNAPSHOT)->n, 1);
}

static void pending_deletions_come_before_pending_values(void **state)
{
    CLEANUP(pveconf_freep)
    struct pveconf *conf = parse(
        "cores: 1\nscsi0: a:1\nscsi1: a:2\nfreeze: 1\nboot: order=scsi0\n"
        "[PENDING]\ndelete: !scsi0,scsi1; freeze ,!,cores\ncores: 2\nboot: order=net0\n");
    CLEANUP(pveconf_freep) struct pveconf *applied = NULL;

    (void)state;
    assert_true(pveconf_has_pending(conf));
    assert_true(pveconf_pending_deletes(conf, "scsi0"));
    assert_true(pveconf_pending_deletes(conf, "freeze"));
    assert_false(pveconf_pending_deletes(conf, "scsi"));
    assert_false(pveconf_pending_deletes(conf, "scsi10"));
    assert_null(pveconf_get_pending(conf, "scsi0"));
    assert_string_equal(pveconf_get_pending(conf, "cores"), "2");
    assert_null(pveconf_get_pending(conf, "delete"));
    assert_string_equal(pveconf_get(conf, "scsi0"), "a:1");
    assert_int_equal(pveconf_apply_pending(conf, &applied), 0);
    assert_int_equal(applied->sections[0].n, 2);
    assert_string_equal(pveconf_get(applied, "cores"), "2");
    assert_string_equal(pveconf_get(applied, "boot"), "order=net0");
    assert_int_equal(applied->n_sections, 1);
}

static void descriptions_can_be_pending(void **state)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = parse("#old\n[PENDING]\n#n%65w\n");
    CLEANUP(pveconf_freep) struct pveconf *gone = parse("#old\n[PENDING]\ndelete: description\n");
    CLEANUP(pveconf_freep) struct pveconf *applied = NULL;
    CLEANUP(pveconf_freep) struct pveconf *without = NULL;

    (void)state;
    assert_string_equal(conf->description, "old");
    assert_int_equal(pveconf_apply_pending(conf, &applied), 0);
    assert_string_equal(applied->description, "new");
    assert_int_equal(pveconf_apply_pending(gone, &without), 0);
    assert_null(without->description);
}

static void descriptions_are_decoded(void **state)
{
    static const struct {
        const char *text, *description;
    } cases[] = {
        {"#a%3Ab%\n#%4\n#%zz%00\n", "a:b%\n%4\n%zz%00"},
        {"#\n", ""},
        {"cores: 1\n", NULL},
        {"description: one%20two\n#three\n", "one twothree"},
        {"# indented\n#\n#end  \n#\n\n", " indented\n\nend"},
        {"#crlf\r\n#two\r\n", "crlf\r\ntwo"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(pveconf_freep) struct pveconf *conf = parse(cases[i].text);

        assert_true(str_equal(conf->description, cases[i].description));
    }
}

static void values_of_blanks_alone_are_one_blank(void **state)
{
    CLEANUP(pveconf_freep)
    struct pveconf *conf = parse(
        "tags: \nname:   \nargs:\tx y \t\ncdrom: none\nboot: order=scsi0\r\n");

    (void)state;
    assert_string_equal(pveconf_get(conf, "tags"), " ");
    assert_string_equal(pveconf_get(conf, "name"), " ");
    assert_string_equal(pveconf_get(conf, "args"), "x y");
    assert_string_equal(pveconf_get(conf, "ide2"), "none");
    assert_string_equal(pveconf_get(conf, "boot"), "order=scsi0");
    assert_null(pveconf_get(conf, "cdrom"));
}

static void the_last_of_two_alike_counts_with_its_line(void **state)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = parse("cores: 1\ncores: 2\nsockets: 1\n");

    (void)state;
    assert_int_equal(conf->sections[0].n, 2);
    assert_string_equal(pveconf_get(conf, "cores"), "2");
    assert_int_equal(conf->sections[0].keys[0].line, 2);
}

static void what_is_no_configuration_is_refused(void **state)
{
    static char big[PVECONF_MAX + 1];
    struct pveconf *conf = NULL;
    struct err err = {""};

    (void)state;
    assert_int_equal(pveconf_parse("cores: 1\n\0", 10, &conf, &err), -EINVAL);
    assert_non_null(strstr(err.text, "NUL"));
    memset(big, '\n', sizeof(big));
    assert_int_equal(pveconf_parse(big, sizeof(big), &conf, &err), -EINVAL);
    assert_int_equal(pveconf_parse(big, sizeof(big) - 1, &conf, &err), 0);
    pveconf_free(conf);
}

static void more_keys_or_sections_than_any_vm_has_are_refused(void **state)
{
    struct buf keys = BUF_INIT(0);
    struct buf sections = BUF_INIT(0);
    struct pveconf *conf = NULL;

    (void)state;
    for (int i = 0; i < PVECONF_KEYS_MAX; i++) {
        buf_addf(&keys, "net%d: x\n", i);
    }
    assert_int_equal(pveconf_parse(keys.data, keys.len, &conf, NULL), 0);
    pveconf_free(conf);
    conf = NULL;
    buf_adds(&keys, "one: more\n");
    assert_int_equal(pveconf_parse(keys.data, keys.len, &conf, NULL), -EINVAL);
    for (int i = 0; i < PVECONF_SECTIONS_MAX; i++) {
        buf_addf(&sections, "[s%d]\n", i);
    }
    assert_int_equal(pveconf_parse(sections.data, sections.len, &conf, NULL), -EINVAL);
    buf_fini(&keys);
    buf_fini(&sections);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_files_read_as_pve_reads_them),
        cmocka_unit_test(the_recordings_themselves_agree),
        cmocka_unit_test(a_line_pve_would_drop_is_told_with_its_cure),
        cmocka_unit_test(long_and_many_bad_lines_are_cut),
        cmocka_unit_test(sections_are_told_apart),
        cmocka_unit_test(of_two_sections_alike_the_last_one_counts),
        cmocka_unit_test(lines_below_an_unknown_section_are_nobodys),
        cmocka_unit_test(pending_deletions_come_before_pending_values),
        cmocka_unit_test(descriptions_can_be_pending),
        cmocka_unit_test(descriptions_are_decoded),
        cmocka_unit_test(values_of_blanks_alone_are_one_blank),
        cmocka_unit_test(the_last_of_two_alike_counts_with_its_line),
        cmocka_unit_test(what_is_no_configuration_is_refused),
        cmocka_unit_test(more_keys_or_sections_than_any_vm_has_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
