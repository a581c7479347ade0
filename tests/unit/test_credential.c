/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API token: from where, from whom, and never in an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "credential.h"
#include "https_server.h"
#include "io/file.h"

static const char good[] = "pve-hwid@pve!daemon=SECRET";

static char dir[] = "/tmp/pve-hwid-token-XXXXXX";
static char path[64];

static void put(const char *name, const char *text, mode_t mode)
{
    CLEANUP_FREE char *at = str_printf("%s/%s", dir, name);

    (void)unlink(at);
    assert_int_equal(file_replace(AT_FDCWD, at, 0600, text, NULL), 0);
    assert_int_equal(chmod(at, mode), 0);
}

static int read_token(struct secret **ret, struct err *err)
{
    int rc = secret_read_token(path, ret, err);

    assert_null(strstr(err->text, "SECRET"));
    return rc;
}

static int refused(struct err *err)
{
    struct secret *secret = NULL;
    int rc = read_token(&secret, err);

    assert_null(secret);
    return rc;
}

static void a_token_is_one_line(void **state)
{
    CLEANUP(secret_freep) struct secret *secret = NULL;
    struct err err = {""};

    (void)state;
    put("token", "pve-hwid@pve!daemon=SECRET\n", 0600);
    assert_int_equal(read_token(&secret, &err), 0);
    assert_string_equal(secret_text(secret), good);
}

static void what_is_no_token_is_refused_by_file_name(void **state)
{
    static const char *const bad[] = {"", "\n", "SECRET", "a@b!c=SECRET\na@b!c=SECRET\n"};
    struct err err = {""};
    char longer[1000];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        put("token", bad[i], 0600);
        assert_int_equal(refused(&err), -EINVAL);
        assert_non_null(strstr(err.text, path));
        assert_non_null(strstr(err.text, "user@realm!name=secret"));
    }
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    put("token", longer, 0600);
    assert_int_equal(refused(&err), -EFBIG);
}

static void a_token_that_others_read_is_refused_with_the_cure(void **state)
{
    struct err err = {""};

    (void)state;
    put("token", good, 0640);
    assert_int_equal(refused(&err), -EPERM);
    assert_non_null(strstr(err.text, "chmod 0600"));
    put("token", good, 0604);
    assert_int_equal(refused(&err), -EPERM);
}

static void a_token_of_another_user_is_refused(void **state)
{
    struct err err = {""};

    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    put("token", good, 0600);
    assert_int_equal(chown(path, 12345, 0), 0);
    assert_int_equal(refused(&err), -EPERM);
    assert_non_null(strstr(err.text, "chown"));
}

static void only_a_regular_file_counts(void **state)
{
    struct err err = {""};

    (void)state;
    (void)unlink(path);
    assert_int_equal(refused(&err), -ENOENT);
    assert_non_null(strstr(err.text, "pve-hwid setup"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(refused(&err), -EINVAL);
    (void)unlink(path);
    put("real", good, 0600);
    assert_int_equal(symlink("real", path), 0);
    assert_int_equal(refused(&err), -ELOOP);
}

static void the_credential_of_systemd_wins(void **state)
{
    CLEANUP(secret_freep) struct secret *secret = NULL;
    CLEANUP_FREE char *credentials = str_printf("%s/credentials", dir);
    CLEANUP_FREE char *ca = NULL;
    struct err err = {""};

    (void)state;
    (void)unlink(path);
    assert_int_equal(mkdir(credentials, 0700), 0);
    put("credentials/token", good, 0440); /* systemd's own mode */
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", credentials, 1), 0);
    assert_int_equal(read_token(&secret, &err), 0);
    assert_string_equal(secret_text(secret), good);
    ca = credential_path("ca", "/otherwise");
    assert_string_equal(ca, "/otherwise");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static int set_up(void **state)
{
    (void)state;
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/token", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_tree(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_one_line),
        cmocka_unit_test(what_is_no_token_is_refused_by_file_name),
        cmocka_unit_test(a_token_that_others_read_is_refused_with_the_cure),
        cmocka_unit_test(a_token_of_another_user_is_refused),
        cmocka_unit_test(only_a_regular_file_counts),
        cmocka_unit_test(the_credential_of_systemd_wins),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
