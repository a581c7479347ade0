/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * No daemon: the hook decides by itself, from files alone, whether this VM is what its fingerprint
 * says. It cannot change anything; it can say so loudly, and stop the start for those who asked for
 * it. Whatever cannot be read or understood ends in "it starts as it is" (law 9).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/fingerprint.h"
#include "core/guard.h"
#include "core/hold.h"
#include "core/plan.h"
#include "core/pveconf.h"
#include "hook.h"
#include "io/clock.h"
#include "io/file.h"

struct facts {
    struct fingerprint *fp;
    struct pveconf *conf; /* NULL: not on this node */
    char *on_hold;        /* in words; NULL: it is not */
    const struct settings *settings;
};

static void facts_fini(struct facts *facts)
{
    fingerprint_free(facts->fp);
    pveconf_free(facts->conf);
    free(facts->on_hold);
}

/* Reading /etc/pve asks another process (pmxcfs). Where it does not answer, this start hangs
 * anyway, but not because of us. */
static void give_up(int number)
{
    (void)number;
    _exit(0);
}

static void set_alarm(const struct hook *hook)
{
    uint64_t now = clock_monotonic_ms();
    uint64_t left = hook->deadline_ms > now ? hook->deadline_ms - now : 1;
    struct itimerval timer = {.it_value = {.tv_sec = (time_t)(left / 1000),
                                           .tv_usec = (suseconds_t)(left % 1000 * 1000)}};

    (void)signal(SIGALRM, give_up);
    (void)setitimer(ITIMER_REAL, &timer, NULL); /* without it we are slower, not wrong */
}

/* By the same rule as the daemon: nobody else's file decides whether a VM starts. */
static int read_trusted(const char *path, struct buf *text, struct err *err)
{
    CLEANUP_FD int fd = -1;
    int rc = file_open_trusted(path, &fd, err);

    return rc < 0 ? rc : file_read_fd(fd, path, text, err);
}

static int read_fingerprint(const struct hook *hook, struct facts *facts, struct err *err)
{
    char path[HOOK_PATH_SIZE];
    struct buf text = BUF_INIT(FINGERPRINT_MAX);
    int rc = -ENAMETOOLONG;

    if (hook_local_fingerprint(hook, path)) {
        rc = read_trusted(path, &text, err);
    }
    if (rc == -ENOENT && hook_cluster_fingerprint(hook, path)) {
        rc = read_trusted(path, &text, err);
    }
    if (rc == 0) {
        rc = fingerprint_parse(text.data, text.len, &facts->fp, err);
        rc = rc < 0 ? err_prefix(err, rc, "%s", path) : 0;
    }
    buf_fini(&text);
    return rc;
}

/* A missing file is a fact, too: during an incoming migration it is still another node's. */
static int read_config(const struct hook *hook, struct facts *facts, struct err *err)
{
    char path[HOOK_PATH_SIZE];
    struct buf text = BUF_INIT(PVECONF_MAX);
    int rc = -ENAMETOOLONG;

    if (hook_config(hook, path)) {
        rc = file_read(AT_FDCWD, path, FILE_FOLLOW, &text, err);
    }
    if (rc == 0) {
        rc = pveconf_parse(text.data, text.len, &facts->conf, err);
        rc = rc < 0 ? err_prefix(err, rc, "%s", path) : 0;
    }
    buf_fini(&text);
    return rc == -ENOENT ? 0 : rc;
}

/* Whatever is there holds, also what cannot be read. */
static int read_hold(const struct hook *hook, struct facts *facts)
{
    for (int local = 0; local < 2 && facts->on_hold == NULL; local++) {
        CLEANUP(buf_fini) struct buf text = BUF_INIT(HOLD_MAX);
        char path[HOOK_PATH_SIZE];
        struct err why = {""};
        int rc = hook_hold_file(hook, local == 1, path)
                     ? file_read(AT_FDCWD, path, FILE_NOFOLLOW, &text, &why)
                     : -ENOENT;

        if (rc != -ENOENT) {
            facts->on_hold = hold_describe(rc < 0 ? NULL : text.data, text.len, path, why.text);
            if (facts->on_hold == NULL) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

/*
 * Does a start with hardware that is known to differ have to be refused? The administrator may have
 * asked so in two ways: by on_drift, which needs no daemon to be obeyed; or by on_error, which an
 * absent daemon is, unless on_drift says that the difference does not matter.
 */
static bool must_refuse(const struct facts *facts)
{
    const struct fingerprint_policy *policy = &facts->fp->policy;
    enum fingerprint_drift on_drift = policy->has_on_drift ? policy->on_drift
                                                           : facts->settings->on_drift;
    enum fingerprint_on_error on_error = policy->has_on_error ? policy->on_error
                                                              : facts->settings->on_error;

    switch (on_drift) {
    case FINGERPRINT_DRIFT_RESTART:
        return on_error == FINGERPRINT_ERROR_REFUSE;
    case FINGERPRINT_DRIFT_REFUSE:
        return true;
    case FINGERPRINT_DRIFT_START:
        return false;
    }
    return false;
}

static int say_difference(const struct hook *hook, const char *why, const struct facts *facts,
                          const struct plan *plan)
{
    static const char cure[] = "run: systemctl start pve-hwidd";
    CLEANUP_FREE char *summary = plan_summary(plan);
    const char *what = summary != NULL ? summary : "several options";
    unsigned vmid = hook->call.vmid;

    if (plan->refusals.n > 0) {
        hook_sayf(hook, "WARNING: no answer from pve-hwidd (%s): VM %u starts as it is, since %s",
                  why, vmid, plan->refusals.items[0]);
        return WIRE_HOOK_GO;
    }
    if (must_refuse(facts)) {
        hook_sayf(hook,
                  "REFUSED: no answer from pve-hwidd (%s): VM %u is not started with hardware that "
                  "differs, as its policy asks: %s; %s, then start the VM again",
                  why, vmid, what, cure);
        return WIRE_HOOK_REFUSE;
    }
    hook_sayf(
        hook,
        "WARNING: no answer from pve-hwidd (%s): VM %u starts with hardware that differs: %s; "
        "%s",
        why, vmid, what, cure);
    return WIRE_HOOK_GO;
}

static int say_hold(const struct hook *hook, const char *why, const struct facts *facts,
                    const struct plan *plan)
{
    CLEANUP_FREE char *summary = plan_summary(plan);
    bool same = plan_is_empty(plan);

    hook_sayf(
        hook,
        "VM %u is %s: it starts as it is; %s%s; to end the hold: pve-hwid resume %u (no answer "
        "from pve-hwidd: %s)",
        hook->call.vmid, facts->on_hold,
        same                   ? "its hardware is as its fingerprint says"
        : plan->refusals.n > 0 ? ""
                               : "differs in ",
        same || summary == NULL ? "" : summary, hook->call.vmid, why);
    return WIRE_HOOK_GO;
}

/* It was asked about for its journal alone, or the file has gone this instant. */
static int say_unfinished(const struct hook *hook, const char *why)
{
    hook_sayf(hook,
              "VM %u has no fingerprint any more: it starts as it is; what was begun to be changed "
              "in it is ended when pve-hwidd runs: systemctl start pve-hwidd (no answer from "
              "pve-hwidd: %s)",
              hook->call.vmid, why);
    return WIRE_HOOK_GO;
}

static int compare(const struct hook *hook, const char *why, struct facts *facts, struct err *err)
{
    CLEANUP(pveconf_freep) struct pveconf *next = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;
    int rc;

    /* PVE has applied [PENDING] before it called us; what it could not apply counts all the same.
     */
    if (pveconf_apply_pending(facts->conf, &next) < 0) {
        return err_oom(err);
    }
    if (hook_refuse_lost_disk(hook, why, facts->conf, next)) {
        return WIRE_HOOK_REFUSE;
    }
    rc = read_fingerprint(hook, facts, err);
    if (rc < 0) {
        return rc == -ENOENT ? say_unfinished(hook, why) : rc;
    }
    rc = plan_make(&(struct plan_input){.vmid = hook->call.vmid, .conf = next, .fp = facts->fp},
                   &plan, err);
    if (rc < 0) {
        return rc;
    }
    if (facts->on_hold != NULL) {
        return say_hold(hook, why, facts, plan);
    }
    if (plan_is_empty(plan)) {
        hook_sayf(hook, "VM %u: hardware as its fingerprint says (checked by the hook alone: %s)",
                  hook->call.vmid, why);
        return WIRE_HOOK_GO;
    }
    return say_difference(hook, why, facts, plan);
}

static int decide(const struct hook *hook, const char *why, struct facts *facts, struct err *err)
{
    struct guard_signs signs = {.migrated_from = hook->call.migrated_from,
                                .worker_type = hook->call.worker_type};
    enum guard_verdict verdict;
    int rc;

    facts->settings = hook->settings;
    if (read_hold(hook, facts) < 0) {
        return err_oom(err);
    }
    rc = read_config(hook, facts, err);
    if (rc < 0) {
        return rc;
    }
    signs.conf = facts->conf;
    verdict = guard_decide(&signs);
    if (verdict != GUARD_ORDINARY) {
        hook_sayf(hook, "VM %u: %s (no answer from pve-hwidd: %s)", hook->call.vmid,
                  guard_reason(verdict), why);
        return WIRE_HOOK_GO;
    }
    return compare(hook, why, facts, err);
}

int hook_decide_alone(const struct hook *hook, const char *why)
{
    struct facts facts = {0};
    struct err err = {""};
    int rc;

    set_alarm(hook);
    rc = decide(hook, why, &facts, &err);
    if (rc < 0) {
        hook_sayf(hook,
                  "WARNING: no answer from pve-hwidd (%s), and VM %u cannot be checked: %s; it "
                  "starts as it is; run: systemctl start pve-hwidd",
                  why, hook->call.vmid, err.text);
        rc = WIRE_HOOK_GO;
    }
    facts_fini(&facts);
    return rc;
}
