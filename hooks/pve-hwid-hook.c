/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pve-hwid-hook [--root DIR] VMID PHASE: what `hookscript:` of a VM points to.
 *
 * Exit codes of pre-start: 0 go, 75 stopped on purpose and started again by the daemon, 78 refused
 * by policy. The other phases always end with 0. Where the VM had another hookscript before, that
 * one is run in the end and the exit code is its own. No VM without a fingerprint, and without a
 * change of ours that was not ended, is held up by more than a few system calls; no VM at all by
 * more than two seconds, the former hook's time excepted.
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

/* What is wrong with the arguments, or that they are those PVE gives. A phase that we do not know
 * is none of ours, but perhaps one of the former hook's. */
enum arguments { ARGUMENTS_BAD, ARGUMENTS_OTHER_PHASE, ARGUMENTS_GOOD };

static enum arguments parse_arguments(struct hook *hook, int argc, char **argv)
{
    uint64_t vmid = 0;

    if (argc >= 3 && str_equal(argv[1], "--root")) {
        hook->root = argv[2];
        argc -= 2;
        argv += 2;
    }
    if (argc != 3) {
        hook_sayf(hook, "usage: pve-hwid-hook VMID PHASE; nothing done");
        return ARGUMENTS_BAD;
    }
    if (!str_to_u64(argv[1], WIRE_VMID_MAX, &vmid) || vmid < WIRE_VMID_MIN) {
        hook_sayf(hook, "'%.40s' is not a VMID; nothing done", argv[1]);
        return ARGUMENTS_BAD;
    }
    hook->call.vmid = (uint32_t)vmid;
    hook->argv = argv + 1;
    if (!wire_phase_parse(argv[2], &hook->call.phase)) {
        hook_sayf(hook, "phase '%.40s' is not known; nothing done", argv[2]);
        return ARGUMENTS_OTHER_PHASE;
    }
    return ARGUMENTS_GOOD;
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

/*
 * Our own answer first: a start that we stop (75) is made again by the daemon, and the former
 * hook's pre-start must not run for both. Only a start that goes on is its business; the other
 * phases always are.
 */
int main(int argc, char **argv)
{
    struct hook hook = {.root = "", .deadline_ms = clock_monotonic_ms() + HOOK_LIMIT_MS};
    enum arguments arguments;
    sighandler_t on_pipe;
    int exit_code = 0;

    fill_standard_fds();
    on_pipe = signal(SIGPIPE, SIG_IGN); /* nobody reads the log: no reason to fail a start */
    arguments = parse_arguments(&hook, argc, argv);
    if (arguments == ARGUMENTS_BAD || hook_read_settings(&hook) < 0) {
        return 0;
    }
    if (arguments == ARGUMENTS_GOOD && (has_fingerprint(&hook) || hook_has_open_changes(&hook))) {
        exit_code = run(&hook);
    }
    if (exit_code == 0) {
        (void)signal(SIGPIPE, on_pipe); /* an ignored one would be inherited */
        exit_code = hook_run_former(&hook);
    }
    settings_free(hook.settings);
    return exit_code;
}
