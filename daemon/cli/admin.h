/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the commands of root share (setup, attach, detach, doctor): the daemon's settings, the
 * cluster as pmxcfs tells it, PVE's own commands as children, and where the hook lies.
 */
#ifndef CLI_ADMIN_H
#define CLI_ADMIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "core/settings.h"
#include "core/setup.h"
#include "core/storagecfg.h"

enum {
    ADMIN_COMMAND_MS = 60 * 1000, /* PVE waits 10 s for a lock, and loads half a second of Perl */
    ADMIN_DAEMON_MS = 10 * 1000,
    ADMIN_NODE_MS = 20 * 1000, /* another node, by ssh */
    ADMIN_OUTPUT_MAX = 8 * 1024 * 1024,
    ADMIN_HOOK_MAX = 16 * 1024 * 1024, /* of the hook program */
};

struct admin {
    const char *config; /* --config; NULL: the usual place */
    const char *root;   /* --root: before the paths that PVE tells; "" in real life */
    struct settings *settings;
    char *node;     /* this one, by the settings or else by PVE */
    char *pve_node; /* this one by PVE; NULL: not known */
    struct setup_node *nodes;
    size_t n_nodes;
    bool in_cluster, quorate;
    char *members_problem; /* why the cluster is not known; NULL */
    struct storagecfg *storages;
    char *hook_source; /* NULL: not found */
    char *hook_target;
};

/* --config and --root, for the table of options. */
#define ADMIN_OPTIONS(admin)                                                                       \
    {"config", '\0', ARG_TEXT, &(admin)->config},                                                  \
    {                                                                                              \
        "root", '\0', ARG_TEXT, &(admin)->root                                                     \
    }

void admin_fini(struct admin *admin);
/* Fills in all of it; what is wrong with the cluster is a problem, not a failure. */
int admin_read(struct admin *admin, struct err *err);
/* CLI_OK, or told that it takes root, or why nothing could be read. */
enum cli_exit admin_open(const struct cli *cli, struct admin *admin);

/* One of PVE's commands. *ret (may be NULL: none is wanted) is its answer as JSON. A command that
 * fails is -EREMOTEIO with its own words in `err`. */
int admin_run(const char *const *argv, unsigned limit_ms, json_t **ret, struct err *err);
/* One call of io.pvehwid to the daemon, without a word to anybody: *ret_answer are the last reply's
 * parameters, *ret_error (may be NULL) whether they are those of an error. */
int admin_ask_daemon(const struct cli *cli, const char *method, uint32_t vmid, json_t **ret_answer,
                     bool *ret_error, struct err *err);
/* Is the property (`systemctl show`) of a unit that value? False also where systemd does not say.
 */
bool admin_unit_is(const char *unit, const char *property, const char *value);
/* What `argv` looks like in a shell; NULL: no memory. */
char *admin_command_line(char *const *argv);

/* root + path; NULL: no memory. */
char *admin_path(const struct admin *admin, const char *path);
/* The file of a snippet's volume id, below the root. */
int admin_snippet(const struct admin *admin, const char *volid, char **ret, struct err *err);
/* Does `a` hold the same bytes as `b`? False also where one cannot be read. */
bool admin_same_file(const char *a, const char *b);
bool admin_is_executable(const char *path);
/* The snippets of `local` on a node: an array of objects with `volid`. */
int admin_list_snippets(const char *node, json_t **ret, struct err *err);

#endif
