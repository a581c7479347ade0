/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid detach`: VMs get the hookscript back that they had before ours, or none. */
#include "cli/hook_job.h"

static bool wants(const struct vm_hook *vm)
{
    return vm->conf != NULL && vm_hook_is_ours(vm);
}

static void decide_former(const struct hook_job *job, const struct vm_hook *vm,
                          struct hook_deed *ret)
{
    struct err why = {""};

    if (vm->former_problem != NULL) {
        hook_deed_say(ret, CLI_REFUSED,
                      "which hookscript it had before cannot be read: %s; do without it: pve-hwid "
                      "detach --drop-former %u",
                      vm->former_problem, (unsigned)vm->vmid);
        return;
    }
    if (!hook_job_runs(job, vm->former, &why)) {
        hook_deed_say(ret, CLI_REFUSED,
                      "the hookscript '%s' that it had before cannot be run, and with it the VM "
                      "would not start: %s; put it back, or do without it: pve-hwid detach "
                      "--drop-former %u",
                      vm->former, why.text, (unsigned)vm->vmid);
        return;
    }
    ret->script = vm->former;
    hook_deed_say(ret, CLI_OK, "it has its hookscript '%s' again", vm->former);
}

static void decide(const struct hook_job *job, const struct vm_hook *vm, struct hook_deed *ret)
{
    const char *lock = pveconf_get(vm->conf, "lock");
    bool noted = vm->former != NULL || vm->former_problem != NULL;

    ret->removes_note = noted;
    if (!vm_hook_is_ours(vm)) {
        ret->changes = noted;
        if (noted) {
            hook_deed_say(ret, CLI_OK,
                          "its hookscript was not ours any more; an old note of ours "
                          "about a former one is gone");
        }
        return;
    }
    if (lock != NULL) {
        hook_deed_say(ret, CLI_BUSY, "VM is locked (%s), nothing was done; try again later", lock);
        return;
    }
    ret->changes = ret->sets = true;
    if (noted && !job->drop_former) {
        decide_former(job, vm, ret);
    }
}

static enum cli_exit detach_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(hook_job_fini)
    struct hook_job job = {.doing = "detach", .wants = wants, .decide = decide};
    const struct arg_option options[] = {{"all", '\0', ARG_FLAG, &job.all},
                                         {"dry-run", 'n', ARG_FLAG, &job.dry_run},
                                         {"drop-former", '\0', ARG_FLAG, &job.drop_former},
                                         ADMIN_OPTIONS(&job.admin)};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = hook_job_open(cli, &job, &args);
    return code == CLI_OK ? hook_job_run(cli, &job) : code;
}

const struct verb verb_detach = {
    .name = "detach",
    .summary = "Gives VMs back the hookscript that they had before, or none",
    .usage = "detach VMID... | --all [--dry-run] [--drop-former] [--json]",
    .details = "For root on the node that has the VM. The VM may run. Its fingerprint stays, and\n"
               "without our hook nothing is changed on its own any more.\n\n"
               "  --all          all VMs of this node that have our hook\n"
               "  -n, --dry-run  tells what would be done\n"
               "  --drop-former  does not give a former hookscript back\n"
               "  --root DIR     before paths that PVE tells (a simulated node)\n\n"
               "Exit: 0 done, 3 with --dry-run where there is something to do, 4 a VM is locked,\n"
               "5 refused: its former hookscript cannot be run, 1 error.\n\n"
               "Examples:\n"
               "  pve-hwid detach 105\n"
               "  pve-hwid detach --all\n",
    .operands = ARGS_WORDS_MAX,
    .run = detach_run,
};
