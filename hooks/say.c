/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines for PVE's task log: stdout and stderr are merged there in no order and non-ASCII becomes
 * mojibake (facts/pve.md 1), so: ASCII, whole lines, one write on stdout. A reader that does not
 * read must not hold up a start: we wait for room no longer than the deadline, and what fits into
 * PIPE_BUF is then written whole without blocking. O_NONBLOCK would be simpler, but it is a flag of
 * the pipe's end, which PVE's worker may share with us.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "hook.h"
#include "io/clock.h"

static const char prefix[] = "pve-hwid: ";
static const char more[] = "pve-hwid: (more was said: see pve-hwid log)\n";

static void add_line(struct buf *out, const char *line)
{
    size_t len = strnlen(line, HOOK_LINE_MAX);

    if (out->len + strlen(prefix) + len + strlen("...\n") + strlen(more) > HOOK_OUT_MAX) {
        buf_adds(out, more);
        out->error = -EFBIG; /* ours, not the buffer's: it has no limit of its own */
        return;
    }
    buf_adds(out, prefix);
    for (size_t i = 0; i < len; i++) {
        buf_addc(out, (char)(ascii_is_print(line[i]) ? line[i] : '?'));
    }
    buf_adds(out, line[len] != '\0' ? "...\n" : "\n");
}

static void write_in_time(const struct hook *hook, const char *text, size_t len)
{
    struct pollfd pollfd = {.fd = STDOUT_FILENO, .events = POLLOUT};
    uint64_t now = clock_monotonic_ms();
    int left = hook->deadline_ms > now ? (int)(hook->deadline_ms - now) : 0;

    if (poll(&pollfd, 1, left) == 1 && (pollfd.revents & POLLOUT) != 0) {
        (void)!write(STDOUT_FILENO, text, len); /* nobody is left to be told of a failure */
    }
}

void hook_say(const struct hook *hook, const struct notes *lines)
{
    struct buf out = BUF_INIT(0);

    for (size_t i = 0; i < lines->n && out.error == 0; i++) {
        add_line(&out, lines->items[i]);
    }
    if (out.len > 0) {
        write_in_time(hook, out.data, out.len);
    }
    buf_fini(&out);
}

void hook_sayf(const struct hook *hook, const char *format, ...)
{
    char text[2 * HOOK_LINE_MAX];
    char *items[] = {text};
    const struct notes lines = {.items = items, .n = 1};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* a cut line is still one */
    va_end(args);
    hook_say(hook, &lines);
}
