/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pve-hwid-hook [--root DIR] VMID PHASE: what `hookscript:` of a VM points to.
 *
 * Exit codes of pre-start: 0 go, 75 stopped on purpose and started again by the daemon, 78 refused
 * by policy. The other phases always end with 0. No VM without a fingerprint is held up by more
 * than two system calls; no VM at all by more than two seconds.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "hook.h"
#include "io/clock.h"
#include "io/file.h"

/* A closed stdin, stdout or stderr would lend its number to our socket, and lines for the task log
 * would go to the daemon. */
static void fill_standard_fds(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)!open("/dev/null", O_RDWR); /* takes the lowest free number: this one */
        }
    }
}

/* False with something said where these are not the arguments PVE gives. */
static bool parse_arguments(struct hook *hook, int argc, char **argv)
{
    uint64_t vmid = 0;

    if (argc >= 3 && str_equal(argv[1], "--root")) {
        hook->root = argv[2];
        argc -= 2;
        argv += 2;
    }
    if (argc != 3) {
        hook_sayf(hook, "usage: pve-hwid-hook VMID PHASE; nothing done");
        return false;
    }
    if (!str_to_u64(argv[1], WIRE_VMID_MAX, &vmid) || vmid < WIRE_VMID_MIN) {
        hook_sayf(hook, "'%.40s' is not a VMID; nothing done", argv[1]);
        return false;
    }
    if (!wire_phase_parse(argv[2], &hook->call.phase)) {
        hook_sayf(hook, "phase '%.40s' is not known; nothing done", argv[2]);
        return false;
    }
    hook->call.vmid = (uint32_t)vmid;
    return true;
}

/* The local place first: it is no network file system, and it wins anyway. */
static bool has_fingerprint(const struct hook *hook)
{
    char path[HOOK_PATH_SIZE];

    return (hook_local_fingerprint(hook, path) && file_exists(AT_FDCWD, path)) ||
           (hook_cluster_fingerprint(hook, path) && file_exists(AT_FDCWD, path));
}

static int run(struct hook *hook)
{
    struct wire_hook_reply reply = {0};
    struct err err = {""};
    int exit_code;

    hook_read_context(hook);
    if (hook_ask(hook, &reply, &err) < 0) {
        return hook->call.phase == WIRE_PRE_START ? hook_decide_alone(hook, err.text) : 0;
    }
    hook_say(hook, &reply.lines);
    exit_code = hook->call.phase == WIRE_PRE_START ? (int)reply.exit_code : 0;
    wire_hook_reply_fini(&reply);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct hook hook = {.root = "", .deadline_ms = clock_monotonic_ms() + HOOK_LIMIT_MS};
    int exit_code;

    fill_standard_fds();
    (void)signal(SIGPIPE, SIG_IGN); /* nobody reads the task log: no reason to fail a start */
    if (!parse_arguments(&hook, argc, argv) || hook_read_settings(&hook) < 0) {
        return 0;
    }
    exit_code = has_fingerprint(&hook) ? run(&hook) : 0;
    settings_free(hook.settings);
    return exit_code;
}
