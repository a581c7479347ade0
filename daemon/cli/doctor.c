/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid doctor`: everything that can be wrong with a node, each with the command that mends it.
 */
#include "cli/doctor.h"

#include <unistd.h>

#include "base/str.h"

static void doctor_fini(struct doctor *d)
{
    findings_fini(&d->found);
    api_ask_close(d->ask);
    free(d->token_name);
    vm_hooks_fini(&d->vms);
    admin_fini(&d->admin);
}

/* Without settings nothing else makes sense; without the cluster's VMs much does. */
static bool read_all(struct doctor *d)
{
    struct err err = {""};

    if (admin_read(&d->admin, &err) < 0) {
        findings_cure(&d->found, findings_add(&d->found, "settings", FINDING_FAIL, "%s", err.text),
                      "mend the file, then: " DOCTOR_FORGET_FAILURES
                      " && systemctl reload-or-restart pve-hwidd");
        return false;
    }
    (void)findings_add(&d->found, "settings", FINDING_OK, "node %s, API %s", d->admin.node,
                       d->admin.settings->api_url);
    if (vm_hooks_read(&d->admin, &d->vms, &err) < 0) {
        findings_cure(&d->found, findings_add(&d->found, "vms", FINDING_FAIL, "%s", err.text),
                      "systemctl status pve-cluster");
    } else {
        d->knows_vms = true;
    }
    return true;
}

static enum cli_exit doctor_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(doctor_fini) struct doctor d = {.cli = cli};
    const struct arg_option options[] = {ADMIN_OPTIONS(&d.admin)};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = args_none(cli, &args, true);
    if (code != CLI_OK) {
        return code;
    }
    if (geteuid() != 0) {
        return cli_fail(cli, CLI_ERROR, "doctor is for root: run it as root");
    }
    if (read_all(&d)) {
        doctor_cluster(&d);
        doctor_clock(&d);
        doctor_hook(&d);
        doctor_others(&d);
        doctor_api(&d);
        doctor_units(&d);
        doctor_daemon(&d);
        doctor_privileges(&d);
        doctor_vms(&d);
    }
    return findings_print(cli, &d.found);
}

const struct verb verb_doctor = {
    .name = "doctor",
    .summary = "Finds what is wrong with this node, and tells how to mend it",
    .usage = "doctor [--json]",
    .details =
        "For root. Looks at settings, cluster and quorum, clock, token, API and its\n"
        "certificate, the token's privileges on each VM and bridge, the daemon, the hook on\n"
        "all nodes, and at VMs, fingerprints and hookscripts that do not belong together.\n"
        "Changes nothing. Each finding comes with the command that mends it.\n\n"
        "  --root DIR     before paths that PVE tells (a simulated node)\n\n"
        "Exit, for monitoring: 0 all is well, 3 warnings only, 1 something fails.\n\n"
        "Examples:\n"
        "  pve-hwid doctor\n"
        "  pve-hwid doctor --json | jq '.findings[] | select(.severity != \"ok\")'\n",
    .online = true,
    .run = doctor_run,
};
