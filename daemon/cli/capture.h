/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid capture`, taken apart: a way of capturing (a file, vCenter, a merge) fills a set of
 * VMs; one end (capture_out.c) checks names, writes files and tells the notes. A file's kind is a
 * row of the table in capture_sources.c: how it is recognised, and what reads it.
 */
#ifndef CLI_CAPTURE_H
#define CLI_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/input.h"
#include "core/fingerprint.h"
#include "core/notes.h"
#include "io/clock.h"

struct capture_options {
    const char *source; /* the operand */
    const char *from;   /* --from KIND */
    const char *output; /* -o; NULL: stdout */
    const char *vm;     /* --vm NAME: of several, this one */
    bool merge;         /* --merge */
    const char *prefer; /* --prefer KIND, of a merge */
    bool force;         /* --force */
    const char *vcenter, *user, *password_file, *folder, *cluster, *cacert, *thumbprint, *timeout;
    bool all, insecure;             /* these are for --vcenter (capture_vcenter.c) */
    char captured[CLOCK_TEXT_SIZE]; /* now */
};

struct capture_vm {
    struct fingerprint *fp;
    struct notes notes;
    char *written; /* the file it went to; NULL: none */
};

struct capture_set {
    struct capture_vm *items;
    size_t n, cap;
};

void capture_set_fini(struct capture_set *set);
/* Takes the two over (also where it fails), leaves empty ones behind: 0 or -ENOMEM. */
int capture_set_add(struct capture_set *set, struct fingerprint **fp, struct notes *notes,
                    struct err *err);

/* --- sources (capture_sources.c) --- */

struct capture_source {
    const char *kind; /* of --from, and of the fingerprint's source.kind */
    const char *what; /* "a .vmx file of VMware" */
    /* By the first bytes of a file; the first row that says yes takes it. */
    bool (*recognises)(const char *head, size_t len);
    int (*capture)(struct input *input, const struct capture_options *options,
                   struct capture_set *set, struct err *err);
};

enum { CAPTURE_HEAD = 4096 }; /* bytes of a file that recognises() is shown */

/* Reads options->source, by --from or by what it looks like. Sentences name the file. */
int capture_file(const struct capture_options *options, struct capture_set *set, struct err *err);

/* --- several sources to one (capture_merge.c) --- */

/* Reads each of `files` as capture_file() does and merges them; notes and contradictions become the
 * notes of the one VM in `set`. -EINVAL: they contradict each other. */
int capture_merge(const struct capture_options *options, const char *const *files, size_t n,
                  struct capture_set *set, struct err *err);

/* --- the end of every capture (capture_out.c) --- */

/* One VM: stdout, or the file (or the folder) of -o. Several: --vm chooses one, a folder takes them
 * all, one file each. */
enum cli_exit capture_finish(const struct cli *cli, const struct capture_options *options,
                             struct capture_set *set);
/* Leaves only the VM that --vm names; -ENOENT. */
int capture_choose(const struct capture_options *options, struct capture_set *set, struct err *err);
/* "NAME.json" below `dir` for the VM `at` of the set, as a name that is safe and not that of
 * another VM of the set; NULL: no memory. */
char *capture_path(const char *dir, const struct capture_set *set, size_t at);
/* Whole or not at all; a file that exists only with `force`. */
int capture_write(const char *path, bool force, const char *text, struct err *err);

#endif
