/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See input.h. */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
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

int input_open(const char *path, struct input *ret, struct err *err)
{
    struct err why = {""};
    int rc;

    *ret = (struct input){.path = path, .fd = STDIN_FILENO};
    if (str_equal(path, "-")) {
        return 0;
    }
    rc = file_open(AT_FDCWD, path, FILE_FOLLOW, &ret->fd, &why);
    switch (-rc) {
    case 0:
        ret->own = true;
        return 0;
    case ENOENT:
        return err_set(err, rc, "%s: there is no such file; check the path", path);
    case EACCES:
        return err_set(err, rc, "%s: no permission to read it; run as root, or copy it", path);
    case EINVAL:
        return err_set(err, rc, "%s; to read from a pipe, give '-' as the file", why.text);
    default:
        return err_set(err, rc, "%s", why.text);
    }
}

void input_fini(struct input *input)
{
    if (input->own) {
        (void)close(input->fd); /* only read from */
    }
    buf_fini(&input->ahead);
    *input = (struct input){0};
}

/* One read to the end of `text`: 1 with something appended, 0 at the end, -errno. */
static int read_some(struct input *input, struct buf *text)
{
    char chunk[CHUNK];
    struct pollfd pollfd = {.fd = input->fd, .events = POLLIN};
    int ready = poll(&pollfd, 1, QUIET_MAX_MS);
    ssize_t n;

    if (ready == 0) {
        return -ETIMEDOUT;
    }
    n = ready < 0 ? -1 : read(input->fd, chunk, sizeof(chunk));
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN ? 1 : -errno;
    }
    buf_add(text, chunk, (size_t)n);
    if (text->error != 0) {
        return text->error;
    }
    input->at_end = n == 0;
    return n > 0 ? 1 : 0;
}

static int tell(const struct input *input, int rc, size_t max, struct err *err)
{
    const char *name = input_name(input->path);

    if (rc == -EFBIG) {
        return err_set(err, rc, "%s is larger than the %zu bytes allowed%s", name, max,
                       input->own ? "; is it the right file?" : "");
    }
    return rc < 0 ? err_set(err, rc, "%s: %s", name, strerror(-rc)) : 0;
}

int input_peek(struct input *input, size_t len, struct err *err)
{
    int rc = 1;

    while (input->ahead.len < len && !input->at_end && rc >= 0) {
        rc = read_some(input, &input->ahead);
    }
    return tell(input, rc < 0 ? rc : 0, 0, err);
}

int input_rest(struct input *input, struct buf *text, struct err *err)
{
    int rc;

    buf_add(text, input->ahead.len > 0 ? input->ahead.data : "", input->ahead.len);
    buf_consume(&input->ahead, input->ahead.len);
    rc = text->error != 0 ? text->error : 1;
    while (rc > 0 && !input->at_end) {
        rc = read_some(input, text);
    }
    return tell(input, rc < 0 ? rc : 0, text->max, err);
}

int input_take(struct input *input, void *bytes, size_t len, struct err *err)
{
    int rc = input_peek(input, len, err);

    if (rc < 0) {
        return rc;
    }
    if (input->ahead.len < len) {
        return 1;
    }
    if (len > 0) {
        memcpy(bytes, input->ahead.data, len);
        buf_consume(&input->ahead, len);
    }
    return 0;
}

/* By seeking, behind what is `ahead`: 0, 1 beyond the end, -errno; -ESPIPE: cannot. */
static int seek_over(struct input *input, uint64_t len)
{
    struct stat st;
    off_t at;

    if (fstat(input->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return -ESPIPE;
    }
    at = lseek(input->fd, 0, SEEK_CUR);
    if (at < 0) {
        return -errno;
    }
    if (at > st.st_size || len > (uint64_t)(st.st_size - at)) {
        return 1;
    }
    return lseek(input->fd, (off_t)len, SEEK_CUR) < 0 ? -errno : 0;
}

int input_skip(struct input *input, uint64_t len, struct err *err)
{
    size_t ready = len < input->ahead.len ? (size_t)len : input->ahead.len;
    int rc;

    buf_consume(&input->ahead, ready);
    len -= ready;
    rc = len == 0 ? 0 : seek_over(input, len);
    if (rc != -ESPIPE) {
        return rc > 0 ? rc : tell(input, rc, 0, err);
    }
    while (len > 0) {
        size_t want = len < CHUNK ? (size_t)len : CHUNK;

        rc = input_peek(input, want, err);
        if (rc < 0) {
            return rc;
        }
        if (input->ahead.len < want) {
            return 1;
        }
        buf_consume(&input->ahead, want);
        len -= want;
    }
    return 0;
}

int input_read(const char *path, struct buf *text, struct err *err)
{
    CLEANUP(input_fini) struct input input = {0};
    int rc = input_open(path, &input, err);

    return rc < 0 ? rc : input_rest(&input, text, err);
}
