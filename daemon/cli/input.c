/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See input.h. */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "io/file.h"

enum { QUIET_MAX_MS = 10 * 60 * 1000, CHUNK = 4096 };

const char *input_name(const char *path)
{
    return str_equal(path, "-") ? "standard input" : path;
}

const char *input_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* One read: 1 with something appended, 0 at the end, -errno. */
static int read_some(struct buf *text)
{
    char chunk[CHUNK];
    struct pollfd pollfd = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = poll(&pollfd, 1, QUIET_MAX_MS);
    ssize_t n;

    if (ready == 0) {
        return -ETIMEDOUT;
    }
    n = ready < 0 ? -1 : read(STDIN_FILENO, chunk, sizeof(chunk));
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN ? 1 : -errno;
    }
    buf_add(text, chunk, (size_t)n);
    if (text->error != 0) {
        return text->error;
    }
    return n > 0 ? 1 : 0;
}

static int read_stdin(struct buf *text, struct err *err)
{
    int rc;

    buf_add(text, "", 0); /* an empty input is an empty text, not NULL */
    do {
        rc = read_some(text);
    } while (rc > 0);
    if (rc == -EFBIG) {
        return err_set(err, rc, "standard input is larger than the %zu bytes allowed", text->max);
    }
    return rc < 0 ? err_set(err, rc, "standard input: %s", strerror(-rc)) : 0;
}

int input_read(const char *path, struct buf *text, struct err *err)
{
    struct err why = {""};
    int rc;

    if (str_equal(path, "-")) {
        return read_stdin(text, err);
    }
    rc = file_read(AT_FDCWD, path, FILE_FOLLOW, text, &why);
    switch (-rc) {
    case 0:
        return 0;
    case ENOENT:
        return err_set(err, rc, "%s: there is no such file; check the path", path);
    case EACCES:
        return err_set(err, rc, "%s: no permission to read it; run as root, or copy it", path);
    case EINVAL:
        return err_set(err, rc, "%s; to read from a pipe, give '-' as the file", why.text);
    case EFBIG:
        return err_set(err, rc, "%s; is it the right file?", why.text);
    default:
        return err_set(err, rc, "%s", why.text);
    }
}
