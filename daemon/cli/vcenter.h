/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid capture --vcenter`, taken apart: a session (vcenter_session.c), what there is
 * (vcenter_list.c), a folder of files (vcenter_folder.c), getting one into the other, several at a
 * time (vcenter_fetch.c), and telling how it went (vcenter_tell.c). One event loop; whoever needs
 * a single answer runs it until that has come.
 */
#ifndef CLI_VCENTER_H
#define CLI_VCENTER_H

#include <systemd/sd-event.h>

#include "cli/capture_vcenter.h"
#include "cli/cli.h"
#include "cli/secrets.h"
#include "core/vcenter.h"
#include "http.h"

enum {
    VCENTER_PARALLEL = 8, /* VMs asked for at a time: vCenter serves few sessions well */
    VCENTER_TRIES = 5,    /* of one request that vCenter is too busy for */
    VCENTER_PAUSE_MS = 250,
    VCENTER_PAUSE_MAX_MS = 8000,
    VCENTER_TOLD_MAX = 100, /* failures that are told one by one */
};

struct vcenter_told {
    char *id, *name, *message;
};

/* Where the files are, and which are there already. */
struct vcenter_folder {
    int dir_fd, lock_fd;
    json_t *present; /* id: name of the file */
};

/* How it went; every VM counts once in captured, skipped, failed or left. */
struct vcenter_count {
    size_t captured, skipped, failed;
    size_t incomplete; /* of captured and skipped: no UUID, or a card without its MAC */
    size_t no_uuid, no_mac, no_serial;
    size_t notes; /* lines in the file of notes */
};

struct vcenter_run {
    const struct cli *cli;
    const struct capture_options *options;
    sd_event *event;
    struct http *http;
    struct secrets *secrets;
    char *url; /* "https://host" */
    char *pin; /* with --thumbprint: of the key in that certificate */
    enum vcenter_dialect dialect;
    unsigned timeout_ms;
    unsigned logins;
    int interrupted; /* the signal */
    bool hurry;      /* it came a second time */
    struct vcenter_items vms;
    struct vcenter_folder folder;
    struct vcenter_count count;
    struct vcenter_told *told;
    size_t n_told, cap_told;
    uint64_t progress_ms; /* when it was shown last */
};

/* --- vcenter_session.c --- */

struct vcenter_reply {
    bool done;
    enum api_result result;
    int status;
    struct buf body;
    enum http_failure_kind failure;
    struct err err; /* why there is no whole answer */
};

int vcenter_connect(struct vcenter_run *run, struct err *err);
int vcenter_log_in(struct vcenter_run *run, struct err *err);
/* Never fails: a session that cannot be ended ends by itself, and that is said. */
void vcenter_log_out(struct vcenter_run *run);
/* Reads, with patience and a fresh session where the old one has ended: 0 and the body of a 200, or
 * 1: more than vCenter gives at once. `request` is freed. */
int vcenter_ask(struct vcenter_run *run, struct api_request *request, struct buf *body,
                struct err *err);
/* Is it worth asking again? */
bool vcenter_is_busy(enum api_result result, int status);
/* Runs the loop for so long, or until a signal comes. */
int vcenter_pause(struct vcenter_run *run, unsigned ms, struct err *err);

/* --- vcenter_words.c --- */
void vcenter_explain(const struct http_failure *failure, struct err *err);
/* The sentence for a status that is not 200; returns -errno. */
int vcenter_refuse(const struct vcenter_run *run, int status, const char *body, size_t len,
                   struct err *err);
int vcenter_check_interrupted(const struct vcenter_run *run, struct err *err);

/* --- vcenter_list.c --- */
int vcenter_find(struct vcenter_run *run, struct err *err); /* fills run->vms */

/* --- vcenter_folder.c --- */
int vcenter_folder_open(struct vcenter_run *run, struct err *err);
void vcenter_folder_close(struct vcenter_folder *folder);
/* Is there a file that can be read as a fingerprint? It is counted then. */
bool vcenter_folder_has(struct vcenter_run *run, const struct vcenter_item *vm);
int vcenter_folder_put(struct vcenter_run *run, const struct vcenter_item *vm,
                       const struct fingerprint *fp, const struct notes *notes, struct err *err);

/* --- vcenter_fetch.c --- */
int vcenter_fetch(struct vcenter_run *run, struct err *err);

/* --- vcenter_tell.c --- */
void vcenter_tell_failure(struct vcenter_run *run, const struct vcenter_item *vm,
                          const char *message);
void vcenter_tell_progress(struct vcenter_run *run, bool last);
enum cli_exit vcenter_tell_end(struct vcenter_run *run, const struct err *err);

#endif
