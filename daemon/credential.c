/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See credential.h. The buffer the file is read into is the secret itself and has its full size
 * from the start: a buffer that grows would leave copies behind in freed memory.
 */
#include "credential.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "io/file.h"

enum { TOKEN_MAX = 512 }; /* PVE's own limits allow about 250 */

struct secret {
    char text[TOKEN_MAX];
};

const char *secret_text(const struct secret *secret)
{
    return secret->text;
}

void secret_free(struct secret *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, sizeof(*secret));
        free(secret);
    }
}

char *credential_path(const char *name, const char *otherwise)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    CLEANUP_FREE char *path = NULL;

    if (dir == NULL || dir[0] != '/') {
        return str_dup(otherwise);
    }
    path = str_printf("%s/%s", dir, name);
    if (path != NULL && !file_exists(AT_FDCWD, path)) {
        return str_dup(otherwise);
    }
    return STEAL(path);
}

int secret_check_token(const char *text, struct err *err)
{
    const char *at = strchr(text, '@');
    const char *bang = at == NULL ? NULL : strchr(at, '!');
    const char *equals = bang == NULL ? NULL : strchr(bang, '=');

    for (const char *c = text; *c != '\0'; c++) {
        if (!ascii_is_print(*c) || *c == ' ') {
            return err_set(err, -EINVAL,
                           "the token holds a character that no token has "
                           "(a blank, a second line?)");
        }
    }
    if (equals == NULL || at == text || bang == at + 1 || equals == bang + 1 || equals[1] == '\0') {
        return err_set(err, -EINVAL, "the token does not have the form user@realm!name=secret");
    }
    return 0;
}

/* systemd's copies of credentials are nobody else's by construction, whatever mode they show. */
static int check_access(int fd, const char *path, bool by_systemd, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    }
    if (by_systemd) {
        return 0;
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        return err_set(err, -EPERM, "%s belongs to another user; chown root %s", path, path);
    }
    if ((st.st_mode & 077) != 0) {
        return err_set(err, -EPERM, "%s can be read by others than its owner; chmod 0600 %s", path,
                       path);
    }
    return 0;
}

static int read_line(int fd, const char *path, struct secret *secret, struct err *err)
{
    size_t len = 0;
    ssize_t n;

    do {
        n = read(fd, secret->text + len, TOKEN_MAX - len);
        len += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && len < TOKEN_MAX) || (n < 0 && errno == EINTR));
    if (n < 0) {
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    }
    while (len > 0 && ascii_is_space(secret->text[len - 1])) {
        len--;
    }
    if (len == TOKEN_MAX) {
        return err_set(err, -EFBIG, "%s is longer than any API token", path);
    }
    secret->text[len] = '\0';
    if (strlen(secret->text) != len || secret_check_token(secret->text, err) < 0) {
        return err_set(err, -EINVAL,
                       "%s does not hold an API token: one line user@realm!name=secret; "
                       "pve-hwid setup makes one",
                       path);
    }
    return 0;
}

int secret_read_token(const char *token_file, struct secret **ret, struct err *err)
{
    CLEANUP_FREE char *path = credential_path("token", token_file);
    CLEANUP(secret_freep) struct secret *secret = calloc(1, sizeof(*secret));
    CLEANUP_FD int fd = -1;
    int rc;

    if (path == NULL || secret == NULL) {
        return err_oom(err);
    }
    rc = file_open(AT_FDCWD, path, FILE_NOFOLLOW, &fd, err);
    if (rc < 0) {
        return err_prefix(err, rc, "no API token (pve-hwid setup makes one)");
    }
    rc = check_access(fd, path, !str_equal(path, token_file), err);
    if (rc == 0) {
        rc = read_line(fd, path, secret, err);
    }
    if (rc < 0) {
        return rc;
    }
    *ret = STEAL(secret);
    return 0;
}
