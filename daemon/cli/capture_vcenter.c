/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See capture_vcenter.h: the options are looked at, then one step after the other is done; whatever
 * happens, the session is ended and what was achieved is told. */
#include "cli/capture_vcenter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/str.h"
#include "cli/vcenter.h"
#include "core/certificate.h"
#include "io/process.h"

enum { HOST_MAX = 255, PORT_MAX = 65535, TIMEOUT_S = 60, TIMEOUT_MAX_S = 3600 };

static bool is_host(const char *host, size_t len)
{
    bool v6 = len > 2 && host[0] == '[' && host[len - 1] == ']';

    for (size_t i = 0; i < len; i++) {
        bool inside = v6 && i > 0 && i + 1 < len;

        if (inside ? ascii_hex(host[i]) < 0 && host[i] != ':' && host[i] != '.'
                   : !ascii_is_alnum(host[i]) && host[i] != '.' && host[i] != '-' && !v6) {
            return false;
        }
    }
    return len > 0 && len <= HOST_MAX && host[0] != '-';
}

/* "vc1", "vc1:8443", "https://vc1/": "https://vc1:8443"; NULL with a sentence. */
static int make_url(const char *word, char **ret_url, struct err *err)
{
    const char *host = str_starts(word, "https://") ? word + strlen("https://") : word;
    size_t len = strlen(host) > 0 && str_ends(host, "/") ? strlen(host) - 1 : strlen(host);
    CLEANUP_FREE char *text = str_ndup(host, len);
    const char *bracket = text == NULL ? NULL : strchr(text, ']');
    char *colon = text == NULL ? NULL : strchr(bracket != NULL ? bracket : text, ':');
    uint64_t port = 0;

    if (text == NULL) {
        return err_oom(err);
    }
    if (!is_host(text, colon != NULL ? (size_t)(colon - text) : len) ||
        (colon != NULL && (!str_to_u64(colon + 1, PORT_MAX, &port) || port == 0))) {
        return err_set(err, -EINVAL,
                       "--vcenter wants the name or address of a vCenter, with a port where it "
                       "is not 443 (vc1.example.org:8443), not '%.200s'",
                       word);
    }
    *ret_url = str_printf("https://%s", text);
    return *ret_url == NULL ? err_oom(err) : 0;
}

static int check_trust(const struct capture_options *o, struct err *err)
{
    struct certificate_thumbprint thumbprint;
    int ways = (o->cacert != NULL) + (o->thumbprint != NULL) + o->insecure;

    if (ways > 1) {
        return err_set(err, -EINVAL,
                       "--cacert, --thumbprint and --insecure exclude one another: one says whom "
                       "to trust");
    }
    if (o->thumbprint != NULL && certificate_parse(o->thumbprint, &thumbprint, err) < 0) {
        return err_prefix(err, -EINVAL, "--thumbprint");
    }
    return 0;
}

static int check_options(struct vcenter_run *run, struct err *err)
{
    const struct capture_options *o = run->options;
    uint64_t timeout = TIMEOUT_S;

    if (o->source != NULL || o->from != NULL) {
        return err_set(err, -EINVAL, "with --vcenter there is no FILE and no --from");
    }
    if (o->user == NULL || strlen(o->user) > SECRETS_USER_MAX || strchr(o->user, ':') != NULL) {
        return err_set(err, -EINVAL,
                       "--vcenter wants --user, e.g. administrator@vsphere.local (without ':')");
    }
    if ((o->vm != NULL) == o->all) {
        return err_set(err, -EINVAL, "which VMs? Either --vm NAME or --all");
    }
    if (o->output == NULL) {
        return err_set(err, -EINVAL, "--vcenter wants -o DIR, a folder that takes one file per VM");
    }
    if (o->timeout != NULL && (!str_to_u64(o->timeout, TIMEOUT_MAX_S, &timeout) || timeout == 0)) {
        return err_set(err, -EINVAL, "--timeout wants seconds from 1 to %d", TIMEOUT_MAX_S);
    }
    run->timeout_ms = (unsigned)timeout * 1000;
    return check_trust(o, err);
}

/* --- signals ---------------------------------------------------------------------------------- */

/* The first one ends the work in an orderly way, the second one also the waiting for that. */
static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct vcenter_run *run = userdata;

    (void)source;
    run->hurry = run->interrupted != 0;
    run->interrupted = (int)info->ssi_signo;
    return 0;
}

static int open_loop(struct vcenter_run *run, struct err *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t set;
    int rc = sd_event_new(&run->event);

    (void)sigemptyset(&set); /* these three cannot fail for signals that exist */
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        (void)sigaddset(&set, signals[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; rc >= 0 && i < ARRAY_SIZE(signals); i++) {
        rc = sd_event_add_signal(run->event, NULL, signals[i], on_signal, run);
    }
    return rc < 0 ? err_set(err, rc, "cannot make an event loop: %s", strerror(-rc)) : 0;
}

/* --- one after the other ---------------------------------------------------------------------- */

static int get_password(struct vcenter_run *run, struct err *err)
{
    const struct capture_options *o = run->options;
    int rc;

    run->secrets = secrets_new();
    if (run->secrets == NULL) {
        return err_oom(err);
    }
    rc = o->password_file != NULL ? secrets_read_password(run->secrets, o->password_file, err)
                                  : secrets_ask_password(run->secrets, o->user, run->url, err);
    if (rc == 0) {
        secrets_make_login(run->secrets, o->user);
    }
    return rc;
}

static int work(struct vcenter_run *run, struct err *err)
{
    int rc;

    if (run->options->insecure) {
        cli_note(run->cli,
                 "WARNING: --insecure: nobody vouches that this is %s. Whoever sits in between "
                 "reads the password and can change what is captured; --thumbprint is as easy",
                 run->url);
    }
    rc = open_loop(run, err);
    rc = rc < 0 ? rc : vcenter_folder_open(run, err);
    rc = rc < 0 ? rc : get_password(run, err);
    rc = rc < 0 ? rc : vcenter_connect(run, err);
    rc = rc < 0 ? rc : vcenter_log_in(run, err);
    rc = rc < 0 ? rc : vcenter_find(run, err);
    return rc < 0 ? rc : vcenter_fetch(run, err);
}

static void run_fini(struct vcenter_run *run)
{
    http_free(run->http);
    secrets_free(run->secrets);
    sd_event_unref(run->event);
    vcenter_items_fini(&run->vms);
    vcenter_folder_close(&run->folder);
    for (size_t i = 0; i < run->n_told; i++) {
        free(run->told[i].id);
        free(run->told[i].name);
        free(run->told[i].message);
    }
    free(run->told);
    free(run->pin);
    free(run->url);
}

enum cli_exit capture_vcenter(const struct cli *cli, const struct capture_options *options)
{
    CLEANUP(run_fini)
    struct vcenter_run run = {
        .cli = cli, .options = options, .folder = {.dir_fd = -1, .lock_fd = -1}};
    struct err err = {""};

    process_forbid_dumps();
    if (check_options(&run, &err) < 0 || make_url(options->vcenter, &run.url, &err) < 0) {
        return cli_usage(cli, "%s", err.text);
    }
    (void)work(&run, &err); /* the sentence tells */
    vcenter_log_out(&run);
    return vcenter_tell_end(&run, &err);
}
