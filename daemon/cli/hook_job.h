/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What `attach` and `detach` have in common: for each VM first a deed that can be shown, then the
 * deed. A VM has its hookscript at every instant: the note about a former one is written before
 * ours takes its place, and removed after it is back, so a crash in between leaves a note that
 * nobody reads, and never a hookscript that is lost.
 */
#ifndef CLI_HOOK_JOB_H
#define CLI_HOOK_JOB_H

#include "cli/several.h"
#include "cli/vm_hooks.h"

struct hook_deed {
    enum cli_exit code;     /* other than CLI_OK: nothing is done, `why` tells */
    bool changes;           /* false: it is so already */
    const char *script;     /* hookscript to set; NULL: delete it */
    bool sets;              /* qm set is called at all */
    const char *note;       /* to write before, as its former hookscript */
    bool removes_note;      /* after; or before, where ours takes the place of none */
    bool tells;             /* the daemon is to look at the VM now */
    char why[ERR_TEXT_MAX]; /* a remark or the reason; "" */
};

struct hook_job {
    struct admin admin;
    struct vm_hooks vms;
    struct several several;
    bool all, dry_run, drop_former;
    const char *doing; /* "attach": in sentences */
    /* Of those on this node: is --all about this one? */
    bool (*wants)(const struct vm_hook *vm);
    void (*decide)(const struct hook_job *job, const struct vm_hook *vm, struct hook_deed *ret);
};

void hook_job_fini(struct hook_job *job);
/* Either operands or --all; then what has to be read. */
enum cli_exit hook_job_open(const struct cli *cli, struct hook_job *job, const struct args *args);
/* As several_run(); --json is a list also of one. */
enum cli_exit hook_job_run(const struct cli *cli, struct hook_job *job);
/* Can PVE run this volume as a hookscript here? Else `why` has the reason. */
bool hook_job_runs(const struct hook_job *job, const char *volid, struct err *why);

/* For decide(): `why`; with a code other than CLI_OK the deed is none. */
void hook_deed_say(struct hook_deed *deed, enum cli_exit code, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
