/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See secrets.h. */
#include "cli/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>

#include "base/base64.h"
#include "base/str.h"
#include "io/file.h"

struct secrets *secrets_new(void)
{
    void *page = mmap(NULL, sizeof(struct secrets), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED) {
        return NULL;
    }
    (void)mlock(page, sizeof(struct secrets)); /* RLIMIT_MEMLOCK may be 0: then without */
    (void)madvise(page, sizeof(struct secrets), MADV_DONTDUMP); /* likewise */
    return page;
}

void secrets_free(struct secrets *secrets)
{
    if (secrets != NULL) {
        explicit_bzero(secrets, sizeof(*secrets));
        (void)munmap(secrets, sizeof(*secrets)); /* it is ours */
    }
}

/* --- a file ----------------------------------------------------------------------------------- */

static int check_access(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        return err_set(err, -EPERM, "%s belongs to another user, so its password is not taken",
                       path);
    }
    if ((st.st_mode & 077) != 0) {
        return err_set(err, -EPERM,
                       "%s can be read by others than its owner; do chmod 0600 %s, and consider "
                       "the password known",
                       path, path);
    }
    return 0;
}

/* Reads until the end, a newline or the size: the length, or -errno. */
static ssize_t read_line(int fd, char *text, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, text + len, size - len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
        if (memchr(text, '\n', len) != NULL) {
            break;
        }
    }
    return (ssize_t)len;
}

/* Cuts the line's end off; what is left must be one line of text. */
static int accept_password(struct secrets *secrets, size_t len, const char *where, struct err *err)
{
    char *text = secrets->password;

    if (len >= SECRETS_PASSWORD_SIZE) {
        return err_set(err, -EFBIG, "what is in %s is longer than any password of vCenter", where);
    }
    text[len] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    return *text == '\0' ? err_set(err, -EINVAL, "there is no password in %s", where) : 0;
}

int secrets_read_password(struct secrets *secrets, const char *path, struct err *err)
{
    CLEANUP_FD int fd = -1;
    ssize_t len;
    int rc = file_open(AT_FDCWD, path, FILE_NOFOLLOW, &fd, err);

    rc = rc < 0 ? rc : check_access(fd, path, err);
    if (rc < 0) {
        return err_prefix(err, rc, "--password-file");
    }
    len = read_line(fd, secrets->password, sizeof(secrets->password));
    if (len < 0) {
        return err_set(err, (int)len, "%s: %s", path, strerror((int)-len));
    }
    return accept_password(secrets, (size_t)len, path, err);
}

/* --- the terminal ----------------------------------------------------------------------------- */

/* A line, or a signal that is blocked and would end us: with echo off it must not be left so. */
static ssize_t wait_for_line(int tty, struct secrets *secrets)
{
    CLEANUP_FD int signals = -1;
    struct pollfd fds[2] = {{.fd = tty, .events = POLLIN}, {.events = POLLIN}};
    sigset_t blocked;

    (void)sigprocmask(SIG_BLOCK, NULL, &blocked); /* cannot fail: asks only */
    signals = signalfd(-1, &blocked, SFD_CLOEXEC);
    fds[1].fd = signals;
    if (signals < 0 || poll(fds, ARRAY_SIZE(fds), -1) < 0) {
        return -errno;
    }
    if (fds[1].revents != 0) {
        return -EINTR;
    }
    return read_line(tty, secrets->password, sizeof(secrets->password));
}

int secrets_ask_password(struct secrets *secrets, const char *user, const char *host,
                         struct err *err)
{
    CLEANUP_FD int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    CLEANUP_FREE char *prompt = str_printf("Password of %s at %s: ", user, host);
    struct termios before, quiet;
    ssize_t len;

    if (prompt == NULL) {
        return err_oom(err);
    }
    if (tty < 0 || tcgetattr(tty, &before) < 0) {
        return err_set(err, -ENOTTY,
                       "there is no terminal to ask for the password; put it into a file of mode "
                       "0600 and name that with --password-file");
    }
    str_tame(prompt);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
    (void)tcsetattr(tty, TCSAFLUSH, &quiet);           /* it just told us its state */
    (void)file_write_all(tty, prompt, strlen(prompt)); /* else asked without a word */
    len = wait_for_line(tty, secrets);
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    (void)file_write_all(tty, "\n", 1);
    if (len < 0) {
        return err_set(err, (int)len, "no password was given: %s", strerror((int)-len));
    }
    return accept_password(secrets, (size_t)len, "the answer", err);
}

void secrets_make_login(struct secrets *secrets, const char *user)
{
    static const char head[] = "Authorization: Basic ";
    char plain[SECRETS_USER_MAX + SECRETS_PASSWORD_SIZE + 2];
    int len = snprintf(plain, sizeof(plain), "%.*s:%s", SECRETS_USER_MAX, user, secrets->password);

    _Static_assert(sizeof(head) + BASE64_SIZE(sizeof(plain)) <= SECRETS_HEADER_SIZE, "fits");
    memcpy(secrets->login, head, sizeof(head));
    base64_encode_text(plain, len > 0 ? (size_t)len : 0, secrets->login + strlen(head));
    explicit_bzero(plain, sizeof(plain));
    explicit_bzero(secrets->password, sizeof(secrets->password));
}
