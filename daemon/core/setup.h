/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What has to be done on a node before pve-hwidd can work there, as a value: steps that are
 * printed, carried out, or found to be done already (law 7). Pure: the facts are what PVE's own
 * commands answered, and what the files looked like.
 *
 * Each node has a token of its own: none has to be copied, and to lose one is to renew one.
 */
#ifndef CORE_SETUP_H
#define CORE_SETUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define SETUP_ROLE         "HwidDaemon" /* names that begin with PVE are PVE's own */
#define SETUP_BRIDGE_ROLE  "HwidBridge"
#define SETUP_USER         "pve-hwid@pve"
#define SETUP_TOKEN_PREFIX "daemon-" /* and the node */
#define SETUP_VMS_PATH     "/vms"
#define SETUP_BRIDGE_PATH  "/sdn/zones/localnetwork"
#define SETUP_STORAGE      "local"
#define SETUP_HOOK_VOLID   "local:snippets/pve-hwid"
#define SETUP_SOCKET_UNIT  "pve-hwidd.socket"
#define SETUP_SERVICE      "pve-hwidd.service"

enum { SETUP_ARGS_MAX = 16 };

/* Who carries a step out. */
enum setup_deed {
    SETUP_NOTHING,
    SETUP_COMMAND,     /* argv */
    SETUP_TOKEN,       /* argv makes one and prints it; into the token file */
    SETUP_DIRECTORY,   /* make `path` */
    SETUP_HOOK,        /* copy the hook to `path` */
    SETUP_REMEMBER,    /* argv, and before it a note in `path` that it was us */
    SETUP_REMOVE_FILE, /* `path`; not there is fine */
    SETUP_REMOVE_DIR,  /* `path`; not there, or not empty any more, is fine */
};

enum setup_state {
    SETUP_ALREADY, /* nothing to do */
    SETUP_NEEDED,  /* to be done */
    SETUP_BLOCKED, /* cannot be done: `remark` tells why and the cure */
    SETUP_YOURS,   /* not by this command: `remark` tells what to run and where */
};

struct setup_step {
    const char *id; /* stable: for programs */
    char *what;
    enum setup_state state;
    enum setup_deed deed;
    char *argv[SETUP_ARGS_MAX]; /* NULL-terminated */
    char *path;
    char *remark; /* NULL: none */
};

struct setup_plan {
    struct setup_step *steps;
    size_t n, cap;
    bool failed; /* no memory for something: setup_finish() tells */
};

struct setup_node {
    const char *name;
    bool online, is_local;
    bool knows_hook; /* asked for, and has_hook is the answer */
    bool has_hook;
};

enum setup_token {
    SETUP_TOKEN_MISSING,    /* no file, or none that can be used: `token_problem` */
    SETUP_TOKEN_REFUSED,    /* PVE does not accept it */
    SETUP_TOKEN_UNVERIFIED, /* the API did not answer: `token_problem` */
    SETUP_TOKEN_WORKS,
};

struct setup_facts {
    const char *node; /* this one */
    const struct setup_node *nodes;
    size_t n_nodes;
    const json_t *roles, *users, *tokens, *acl; /* of pveum ... list; tokens: of our user */
    const json_t *storage;                      /* of pvesh get /storage/local */
    enum setup_token token;
    const char *token_name;    /* user@realm!name of the file, or NULL */
    const char *token_problem; /* a sentence, or NULL */
    const char *token_file, *ca_file, *memory_file;
    const char *cluster_dir, *fingerprint_dir; /* to be there */
    bool has_cluster_dir, has_fingerprint_dir, has_ca;
    const char *hook_source; /* NULL: not found */
    const char *hook_target;
    bool hook_same; /* the target is the source, byte for byte, and executable */
    bool handle_units, units_enabled, units_active; /* both of them */
    bool units_masked, units_failed;                /* one of them; failed: or given up */
    bool daemon_cut_off; /* it runs, and says that PVE's API does not answer it */
    /* For the removal: */
    bool has_token_file, has_hook, has_memory_file, added_snippets;
    bool cluster_dir_used;      /* something of the administrator's is in it */
    const char *hook_needed_by; /* snapshots that name the hook; NULL: none */
    const char *other_snippet;  /* a snippet of somebody else on any node; NULL: none */
};

void setup_plan_free(struct setup_plan *plan);
DEFINE_CLEANUP(struct setup_plan, setup_plan_free)

/* What makes the node ready. -EPROTO: an answer is not understood. */
int setup_plan_make(const struct setup_facts *facts, struct setup_plan **ret, struct err *err);
/* What takes it away again. The caller made sure that no VM names our hook. */
int setup_plan_remove(const struct setup_facts *facts, struct setup_plan **ret, struct err *err);

/* What the two plans are made with. A step without `what` is for want of memory; told at the end.
 */
struct setup_step *setup_add(struct setup_plan *plan, const char *id, enum setup_state state,
                             const char *format, ...) PRINTF_LIKE(4, 5);
/* The words, up to NULL, are copied. */
void setup_command(struct setup_step *step, enum setup_deed deed, const char *const *words);
void setup_file(struct setup_step *step, enum setup_deed deed, const char *path);
void setup_remark(struct setup_step *step, const char *format, ...) PRINTF_LIKE(2, 3);
int setup_finish(struct setup_plan *plan, struct err *err);

/* The object of the array `list` whose `key` is `value`; NULL. */
const json_t *setup_find(const json_t *list, const char *key, const char *value);
/* "daemon-pve1": the name of a node's token. NULL: no memory. */
char *setup_token_id(const char *node);
/* Does the list, separated by commas or blanks, have the word? */
bool setup_has_word(const char *list, const char *word);

const char *setup_state_name(enum setup_state state);

#endif
