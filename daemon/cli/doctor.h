/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of `doctor`: each looks at one thing and adds what it finds, good or bad. Nothing is
 * changed, and no part stops the others. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/api_ask.h"
#include "cli/findings.h"
#include "cli/vm_hooks.h"

struct doctor {
    const struct cli *cli;
    struct admin admin;
    struct vm_hooks vms;
    bool knows_vms;
    struct api_ask *ask; /* NULL: the API cannot be asked */
    char *token_name;    /* user@realm!name; NULL */
    bool token_works;
    struct findings found;
};

/* After many failures systemd starts the units no more, until it is told to forget them. */
#define DOCTOR_FORGET_FAILURES "systemctl reset-failed 'pve-hwidd.*'"

/* doctor_node.c: the node, the cluster and what lies there. */
void doctor_cluster(struct doctor *d);
void doctor_hook(struct doctor *d);
void doctor_others(struct doctor *d);
void doctor_clock(struct doctor *d);
void doctor_units(struct doctor *d);
/* doctor_api.c: the API as the daemon would meet it, and the daemon itself. */
void doctor_api(struct doctor *d);
void doctor_daemon(struct doctor *d);
void doctor_privileges(struct doctor *d);
/* doctor_vms.c: fingerprints, hookscripts, notes. */
void doctor_vms(struct doctor *d);

#endif
