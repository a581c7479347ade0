/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pve-hwidd: the daemon's frame. Settings, socket (from systemd or its own), signals, sd_notify;
 * all the work is the engine's. One thread, one event loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "engine.h"
#include "io/file.h"
#include "io/process.h"
#include "io/sock.h"
#include "journal.h"
#include "main.h"
#include "message_ids.h"
#include "methods.h"

#define CONFIG_FILE "/etc/pve-hwid/pve-hwid.conf"
#define SOCKET_PATH "/run/pve-hwid/socket"

enum {
    STATUS_EVERY_US = 5 * 1000 * 1000,
    READY_GRACE_US = 30 * 1000 * 1000, /* over ready_patience_s, before systemd gives us up */
};

struct program {
    const char *config_path;
    const char *socket_path;
    sd_event *event;
    struct engine *engine;
    struct server *server;
    struct methods methods;
    sd_event_source *settling; /* NULL: systemd was told that we are ready */
    sd_event_source *patience;
};

static void say(int priority, const char *message_id, const char *text)
{
    struct journal_message message = {.priority = priority, .message_id = message_id};

    journal_tell(&message, "%s", text);
}

/* --- settings
 * --------------------------------------------------------------------------------------- */

/* A missing file means the defaults, for all of them are meant for a PVE node. */
static int read_settings(const char *path, struct settings **ret, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(SETTINGS_MAX);
    int rc = file_read(AT_FDCWD, path, FILE_FOLLOW, &text, err);

    if (rc == -ENOENT && str_equal(path, CONFIG_FILE)) {
        *ret = settings_new();
        return *ret == NULL ? err_oom(err) : 0;
    }
    if (rc < 0) {
        return rc;
    }
    rc = settings_parse(text.data == NULL ? "" : text.data, text.len, ret, err);
    return rc < 0 ? err_prefix(err, rc, "%s", path) : 0;
}

/* --- signals
 * ------------------------------------------------------------------------------------------ */

static void reload(struct program *program)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    struct err err = {""};
    CLEANUP_FREE char *text = NULL;
    int rc = read_settings(program->config_path, &settings, &err);

    if (rc >= 0) {
        rc = engine_reload(program->engine, settings, &err);
    }
    if (rc < 0) {
        text = str_printf("%s; the old settings stay in force", err.text);
        say(LOG_ERR, MESSAGE_SETTINGS_RELOADED, text == NULL ? err.text : text);
        return;
    }
    (void)STEAL(settings); /* the engine's */
    say(LOG_INFO, MESSAGE_SETTINGS_RELOADED, "settings and token read again");
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct program *program = userdata;
    struct timespec now = {0};

    (void)source, (void)info;
    if (program->settling != NULL) {
        reload(program); /* nothing to notify of: we are not ready for the first time yet */
        return 0;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* this clock is always there */
    /* To the microsecond: systemd compares it with the time it sent the signal. */
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", /* nobody may be listening */
                     (unsigned long long)now.tv_sec * 1000000 +
                         (unsigned long long)now.tv_nsec / 1000);
    reload(program);
    (void)sd_notify(0, "READY=1"); /* likewise */
    return 0;
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info,
                        void *userdata)
{
    struct program *program = userdata;

    (void)source, (void)info;
    (void)sd_notify(0, "STOPPING=1"); /* nobody may be listening */
    return sd_event_exit(program->event, 0);
}

static int add_signals(struct program *program)
{
    sigset_t set;
    int rc;

    (void)sigemptyset(&set); /* cannot fail with a valid set */
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -errno;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a client may go at any time; cannot fail */
    rc = sd_event_add_signal(program->event, NULL, SIGTERM, on_terminate, program);
    if (rc >= 0) {
        rc = sd_event_add_signal(program->event, NULL, SIGINT, on_terminate, program);
    }
    if (rc >= 0) {
        rc = sd_event_add_signal(program->event, NULL, SIGHUP, on_hangup, program);
    }
    return rc;
}

/* --- sockets
 * ----------------------------------------------------------------------------------------- */

static int get_socket(const struct program *program, int *ret_fd, struct err *err)
{
    int n = sd_listen_fds(1);

    if (n > 1 || n < 0) {
        return err_set(err, -EINVAL, "systemd passed %d sockets instead of one", n);
    }
    if (n == 1) {
        *ret_fd = SD_LISTEN_FDS_START;
        return fcntl(SD_LISTEN_FDS_START, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    }
    /* By hand or in tests. Anybody may connect: what may be asked is decided per method. */
    return sock_listen(program->socket_path, 0666, ret_fd, err);
}

static int start_server(struct program *program, struct err *err)
{
    const struct server_settings settings = {
        .vendor = "pve-hwid",
        .product = "pve-hwidd",
        .version = PVE_HWID_VERSION,
        .url = "https://varlink.org",
        .methods = methods_table,
        .n_methods = methods_count,
        .userdata = &program->methods,
    };
    CLEANUP_FD int fd = -1;
    int rc = get_socket(program, &fd, err);

    if (rc >= 0) {
        rc = server_new(program->event, fd, &settings, &program->server, err);
    }
    if (rc >= 0) {
        (void)fd_steal(&fd); /* the server's */
    }
    return rc;
}

/* --- status line
 * ---------------------------------------------------------------------------------------- */

static void notify_status(struct program *program)
{
    json_t *status = NULL;
    const json_t *by_state;
    json_int_t differs;

    if (engine_status(program->engine, &status) < 0) {
        return;
    }
    by_state = json_object_get(status, "by_state");
    differs = json_integer_value(json_object_get(by_state, "differs"));
    (void)sd_notifyf(
        0, /* nobody may be listening */
        "STATUS=%lld fingerprints: %lld in sync, %lld differ, %lld failed; API %s",
        (long long)json_integer_value(json_object_get(status, "fingerprints")),
        (long long)json_integer_value(json_object_get(by_state, "in-sync")), (long long)differs,
        (long long)json_integer_value(json_object_get(by_state, "failed")),
        json_is_true(json_object_get(json_object_get(status, "api"), "ok")) ? "ok"
                                                                            : "does not answer");
    json_decref(status);
}

static int on_status_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)usec;
    notify_status(userdata);
    (void)sd_event_source_set_time_relative(source, STATUS_EVERY_US); /* a line less, if it fails */
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- ready: pve-guests.service starts the node's VMs once we are, so early rewriting comes first
 * -- */

static void be_ready(struct program *program)
{
    program->settling = sd_event_source_disable_unref(program->settling);
    program->patience = sd_event_source_disable_unref(program->patience);
    (void)sd_notify(0, "READY=1"); /* nobody may be listening */
    notify_status(program);
}

/* After each event: was it the last one that was waited for? */
static int on_event(sd_event_source *source, void *userdata)
{
    struct program *program = userdata;

    (void)source;
    if (!engine_is_settling(program->engine)) {
        be_ready(program);
    }
    return 0;
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct program *program = userdata;

    (void)source, (void)usec;
    say(LOG_WARNING, MESSAGE_NOT_SETTLED,
        "not all VMs could be looked at and rewritten within ready_patience_s; the node's VMs may "
        "start now, and each start checks its VM. 'pve-hwid status' tells what is the matter");
    be_ready(program);
    return 0;
}

static void await_settling(struct program *program)
{
    const uint64_t patience = (uint64_t)engine_ready_patience_s(program->engine) * 1000000;

    if (patience == 0 || !engine_is_settling(program->engine) ||
        sd_event_add_time_relative(program->event, &program->patience, CLOCK_MONOTONIC, patience, 0,
                                   on_patience, program) < 0 ||
        sd_event_add_post(program->event, &program->settling, on_event, program) < 0) {
        be_ready(program);
        return;
    }
    (void)sd_notifyf(0, /* nobody may be listening */
                     "STATUS=looking at all VMs before the node starts them\n"
                     "EXTEND_TIMEOUT_USEC=%llu",
                     (unsigned long long)patience + READY_GRACE_US);
}

/* --- program
 * -------------------------------------------------------------------------------------------- */

static int set_up(struct program *program, struct err *err)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    int rc = read_settings(program->config_path, &settings, err);

    if (rc < 0) {
        return rc;
    }
    rc = sd_event_default(&program->event);
    if (rc >= 0) {
        rc = add_signals(program);
    }
    if (rc >= 0) {
        rc = sd_event_set_watchdog(program->event, true); /* only if systemd asks for it */
    }
    if (rc < 0) {
        return err_set(err, rc, "event loop: %s", strerror(-rc));
    }
    rc = engine_new(program->event, settings, &program->engine, err);
    if (rc < 0) {
        return rc;
    }
    (void)STEAL(settings); /* the engine's */
    program->methods = (struct methods){.event = program->event, .engine = program->engine};
    rc = start_server(program, err);
    if (rc < 0) {
        return rc;
    }
    /* Without the timer the status line stays what it is. */
    (void)sd_event_add_time_relative(program->event, NULL, CLOCK_MONOTONIC, STATUS_EVERY_US, 0,
                                     on_status_timer, program);
    return 0;
}

static int run(struct program *program)
{
    struct err err = {""};
    int rc = set_up(program, &err);

    if (rc < 0) {
        say(LOG_ERR, MESSAGE_STARTED, err.text);
        (void)sd_notifyf(0, "STATUS=%s\nERRNO=%d", err.text, -rc); /* nobody may be listening */
    } else {
        say(LOG_INFO, MESSAGE_STARTED, "pve-hwidd " PVE_HWID_VERSION " is ready");
        await_settling(program);
        rc = sd_event_loop(program->event);
    }
    engine_free(program->engine); /* first: it answers the calls that still wait */
    server_free(program->server);
    sd_event_source_disable_unref(program->settling);
    sd_event_source_disable_unref(program->patience);
    sd_event_unref(program->event);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char usage[] = "Usage: pve-hwidd [--config FILE] [--socket PATH]\n"
                            "\n"
                            "  --config FILE  settings (default " CONFIG_FILE ")\n"
                            "  --socket PATH  socket to make when systemd passes none\n"
                            "                 (default " SOCKET_PATH ")\n"
                            "  --version      version and exit\n"
                            "\n"
                            "SIGHUP reads settings and token again. See pve-hwidd(8).\n";

int daemon_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"socket", required_argument, NULL, 's'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct program program = {.config_path = CONFIG_FILE, .socket_path = SOCKET_PATH};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            program.config_path = optarg;
            break;
        case 's':
            program.socket_path = optarg;
            break;
        case 'v':
            (void)puts("pve-hwidd " PVE_HWID_VERSION); /* nothing to do about a closed stdout */
            return EXIT_SUCCESS;
        case 'h':
            (void)fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            (void)fputs(usage, stderr);
            return 2;
        }
    }
    if (optind != argc) {
        (void)fputs(usage, stderr);
        return 2;
    }
    process_forbid_dumps(); /* the API token */
    return run(&program);
}
