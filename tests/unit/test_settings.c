/* SPDX-License-Identifier: GPL-3.0-or-later */
/* core/settings, and conf/pve-hwid.conf, which documents every key with its default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "core/settings.h"

static const char *const keys[] = {
    "api_url",
    "ca_file",
    "token_file",
    "node",
    "pve_dir",
    "fingerprint_dir",
    "state_dir",
    "lock_dir",
    "on_drift",
    "on_error",
    "early",
    "rescan_s",
    "connect_timeout_ms",
    "api_timeout_ms",
    "lock_patience_s",
    "start_patience_s",
    "max_reads",
    "ready_patience_s",
};

static int parse(const char *text, struct settings **settings, struct err *err)
{
    return settings_parse(text, strlen(text), settings, err);
}

static void assert_settings_equal(const struct settings *a, const struct settings *b)
{
    assert_string_equal(a->api_url, b->api_url);
    assert_string_equal(a->ca_file, b->ca_file);
    assert_string_equal(a->token_file, b->token_file);
    assert_string_equal(a->pve_dir, b->pve_dir);
    assert_string_equal(a->fingerprint_dir, b->fingerprint_dir);
    assert_string_equal(a->state_dir, b->state_dir);
    assert_int_equal(a->on_drift, b->on_drift);
    assert_int_equal(a->on_error, b->on_error);
    assert_int_equal(a->early, b->early);
    assert_int_equal(a->rescan_s, b->rescan_s);
    assert_int_equal(a->connect_timeout_ms, b->connect_timeout_ms);
    assert_int_equal(a->api_timeout_ms, b->api_timeout_ms);
    assert_int_equal(a->lock_patience_s, b->lock_patience_s);
    assert_int_equal(a->start_patience_s, b->start_patience_s);
    assert_int_equal(a->max_reads, b->max_reads);
    assert_int_equal(a->ready_patience_s, b->ready_patience_s);
}

static void an_empty_file_means_the_defaults(void **state)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP(settings_freep) struct settings *defaults = settings_new();

    (void)state;
    assert_int_equal(parse("", &settings, NULL), 0);
    assert_settings_equal(settings, defaults);
    assert_null(settings->node);
}

static void every_key_can_be_set(void **state)
{
    CLEANUP(settings_freep) struct settings *s = NULL;

    (void)state;
    assert_int_equal(parse("# all of them\r\n"
                           "api_url: https://pve1:8006\r\n"
                           "  ca_file :/x/ca\n"
                           "token_file: /x/token  \n"
                           "node: pve-1\n"
                           "pve_dir: /x/pve\n\n"
                           "fingerprint_dir: /x/fp\n"
                           "state_dir: /x/state\n"
                           "on_drift: refuse\n"
                           "on_error: refuse\n"
                           "early: no\n"
                           "rescan_s: 3600\n"
                           "connect_timeout_ms: 100\n"
                           "api_timeout_ms: 120000\n"
                           "lock_patience_s: 1\n"
                           "start_patience_s: 5\n"
                           "max_reads: 32\n"
                           "ready_patience_s: 0",
                           &s, NULL),
                     0);
    assert_string_equal(s->api_url, "https://pve1:8006");
    assert_string_equal(s->ca_file, "/x/ca");
    assert_string_equal(s->token_file, "/x/token");
    assert_string_equal(s->node, "pve-1");
    assert_string_equal(s->pve_dir, "/x/pve");
    assert_string_equal(s->fingerprint_dir, "/x/fp");
    assert_string_equal(s->state_dir, "/x/state");
    assert_int_equal(s->on_drift, FINGERPRINT_DRIFT_REFUSE);
    assert_int_equal(s->on_error, FINGERPRINT_ERROR_REFUSE);
    assert_false(s->early);
    assert_int_equal(s->rescan_s, 3600);
    assert_int_equal(s->connect_timeout_ms, 100);
    assert_int_equal(s->api_timeout_ms, 120000);
    assert_int_equal(s->lock_patience_s, 1);
    assert_int_equal(s->start_patience_s, 5);
    assert_int_equal(s->max_reads, 32);
    assert_int_equal(s->ready_patience_s, 0);
}

static void errors_name_the_line_and_the_cure(void **state)
{
    static const struct {
        const char *text;
        const char *sentence;
    } cases[] = {
        {"\n\nnosuch: 1\n", "line 3: there is no key 'nosuch'; the keys are: api_url ca_file"},
        {"early: 1\n#\nearly: 1\n", "line 3: early is there twice: keep one"},
        {"early 1\n", "line 1: neither"},
        {"early: 2\n", "line 1: early is to be 0 or 1, not '2'"},
        {"early:\n", "line 1: early is to be"},
        {"api_url: http://127.0.0.1:8006\n", "an https:// address"},
        {"api_url: https://\n", "an https:// address"},
        {"api_url: https://a b\n", "an https:// address"},
        {"state_dir: x\n", "an absolute path"},
        {"node: a.b\n", "the name of this node"},
        {"node: -a\n", "the name of this node"},
        {"node:\n", "the name of this node"},
        {"on_drift: stop\n", "restart, refuse or start"},
        {"on_error: restart\n", "start or refuse"},
        {"rescan_s: 0\n", "a number from 1 to 3600"},
        {"rescan_s: 3601\n", "a number from 1 to 3600"},
        {"rescan_s: -1\n", "a number from 1 to 3600"},
        {"max_reads: 4x\n", "a number from 1 to 32"},
        {"api_timeout_ms: 999\n", "a number from 1000 to 120000"},
        {"connect_timeout_ms: 99999999999999999999\n", "a number from 100 to 60000"},
        {"lock_patience_s: 601\n", "a number from 1 to 600"},
        {"start_patience_s: 4\n", "a number from 5 to 3600"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct settings *settings = NULL;
        struct err err = {""};

        assert_int_equal(parse(cases[i].text, &settings, &err), -EINVAL);
        if (strstr(err.text, cases[i].sentence) == NULL) {
            fail_msg("%s: %s", cases[i].text, err.text);
        }
        assert_null(settings);
    }
}

static void what_is_no_text_is_refused(void **state)
{
    static char big[SETTINGS_MAX + 1];
    struct settings *settings = NULL;

    (void)state;
    assert_int_equal(settings_parse("early: 1\0", 9, &settings, NULL), -EINVAL);
    memset(big, '\n', sizeof(big));
    assert_int_equal(settings_parse(big, sizeof(big), &settings, NULL), -EINVAL);
    assert_int_equal(settings_parse(big, sizeof(big) - 1, &settings, NULL), 0);
    settings_free(settings);
}

/* The file with each "#key: value" made a setting; comments have a blank behind the '#'. */
static void read_documented(char *text, size_t size)
{
    char line[256];
    FILE *file = fopen("conf/pve-hwid.conf", "re");

    assert_non_null(file);
    *text = '\0';
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *setting = line[0] == '#' && ascii_is_alnum(line[1]) ? line + 1 : line;

        assert_true(strlen(text) + strlen(setting) < size);
        memcpy(text + strlen(text), setting, strlen(setting) + 1);
    }
    (void)fclose(file); /* it was only read */
}

static void the_documented_file_holds_every_key_with_its_default(void **state)
{
    static char text[SETTINGS_MAX];
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP(settings_freep) struct settings *defaults = settings_new();
    struct err err = {""};

    (void)state;
    read_documented(text, sizeof(text));
    if (parse(text, &settings, &err) != 0) {
        fail_msg("conf/pve-hwid.conf: %s", err.text);
    }
    assert_settings_equal(settings, defaults);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        CLEANUP_FREE char *wanted = str_printf("\n%s: ", keys[i]);

        if (strstr(text, wanted) == NULL) {
            fail_msg("conf/pve-hwid.conf does not document %s", keys[i]);
        }
    }
}

/* What the parser itself says it knows is what this test looks for in the file. */
static void the_parser_knows_the_keys_of_this_test_only(void **state)
{
    struct settings *settings = NULL;
    struct err err = {""};
    const char *known;
    size_t n = 0;

    (void)state;
    assert_int_equal(parse("nosuch: 1\n", &settings, &err), -EINVAL);
    known = strstr(err.text, "are: ");
    assert_non_null(known);
    for (const char *c = known + strlen("are:"); *c != '\0'; c++) {
        n += *c == ' ' ? 1 : 0;
    }
    assert_int_equal(n, ARRAY_SIZE(keys));
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        assert_non_null(strstr(known, keys[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_means_the_defaults),
        cmocka_unit_test(every_key_can_be_set),
        cmocka_unit_test(errors_name_the_line_and_the_cure),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(the_documented_file_holds_every_key_with_its_default),
        cmocka_unit_test(the_parser_knows_the_keys_of_this_test_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
