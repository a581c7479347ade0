/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid attach`: makes ours the hookscript of VMs. One they had before goes on being run. */
#include "cli/hook_job.h"

static bool wants(const struct vm_hook *vm)
{
    return vm->has_fingerprint && vm->conf != NULL && !vm_hook_is_ours(vm);
}

static void decide(const struct hook_job *job, const struct vm_hook *vm, struct hook_deed *ret)
{
    const char *script = vm_hook_script(vm);
    const char *lock = pveconf_get(vm->conf, "lock");
    struct err why = {""};

    if (vm_hook_is_ours(vm)) {
        return;
    }
    if (lock != NULL) {
        hook_deed_say(ret, CLI_BUSY, "VM is locked (%s), nothing was done; try again later", lock);
        return;
    }
    if (script != NULL && !hook_job_runs(job, script, &why)) {
        hook_deed_say(ret, CLI_REFUSED,
                      "its hookscript '%s' cannot be run, so it does not start as it is: %s; put "
                      "that right, or take it off: qm set %u --delete hookscript",
                      script, why.text, (unsigned)vm->vmid);
        return;
    }
    ret->changes = ret->sets = true;
    ret->tells = vm->has_fingerprint;
    ret->script = SETUP_HOOK_VOLID;
    ret->note = script;
    ret->removes_note = script == NULL;
    if (script != NULL) {
        hook_deed_say(ret, CLI_OK, "its hookscript '%s' goes on being run, by ours", script);
    } else if (!vm->has_fingerprint) {
        hook_deed_say(
            ret, CLI_OK,
            "it has no fingerprint: until there is one, nothing happens; to make it: pve-hwid "
            "capture FILE -o /etc/pve/pve-hwid/%u.json",
            (unsigned)vm->vmid);
    }
}

/* A VM whose hookscript is missing does not start: so not before it is there. */
static enum cli_exit check_hook(const struct cli *cli, const struct admin *admin)
{
    if (!admin_is_executable(admin->hook_target)) {
        return cli_fail(cli, CLI_ERROR,
                        "the hook is not at %s, and no VM that names it would start; nothing was "
                        "done: pve-hwid setup",
                        admin->hook_target);
    }
    if (admin->hook_source != NULL && !admin_same_file(admin->hook_source, admin->hook_target)) {
        cli_note(cli, "the hook at %s is of another version; do: pve-hwid setup",
                 admin->hook_target);
    }
    return CLI_OK;
}

static bool lists_hook(const json_t *snippets)
{
    return setup_find(snippets, "volid", SETUP_HOOK_VOLID) != NULL;
}

/* Migration goes there sooner or later. */
static void warn_of_others(const struct cli *cli, const struct admin *admin)
{
    for (size_t i = 0; i < admin->n_nodes; i++) {
        const struct setup_node *node = &admin->nodes[i];
        json_auto_t *snippets = NULL;
        struct err why = {"it is offline"};

        if (node->is_local) {
            continue;
        }
        if (!node->online || admin_list_snippets(node->name, &snippets, &why) < 0) {
            cli_note(cli, "whether node %s has the hook is not known (%s)", node->name, why.text);
        } else if (!lists_hook(snippets)) {
            cli_note(cli,
                     "node %s does not have the hook: a VM with it does not start there; run on "
                     "%s: pve-hwid setup",
                     node->name, node->name);
        }
    }
}

static enum cli_exit attach_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(hook_job_fini)
    struct hook_job job = {.doing = "attach", .wants = wants, .decide = decide};
    const struct arg_option options[] = {{"all", '\0', ARG_FLAG, &job.all},
                                         {"dry-run", 'n', ARG_FLAG, &job.dry_run},
                                         ADMIN_OPTIONS(&job.admin)};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = hook_job_open(cli, &job, &args);
    code = code == CLI_OK ? check_hook(cli, &job.admin) : code;
    if (code != CLI_OK) {
        return code;
    }
    warn_of_others(cli, &job.admin);
    return hook_job_run(cli, &job);
}

const struct verb verb_attach = {
    .name = "attach",
    .summary = "Makes pve-hwid the hookscript of VMs, so that their starts are checked",
    .usage = "attach VMID... | --all [--dry-run] [--json]",
    .details =
        "For root on the node that has the VM. A hookscript that the VM has already goes on\n"
        "being run, by ours, in all phases; `detach` gives it back. The VM may run.\n\n"
        "  --all          all VMs of this node that have a fingerprint\n"
        "  -n, --dry-run  tells what would be done\n"
        "  --root DIR     before paths that PVE tells (a simulated node)\n\n"
        "Exit: 0 done, 3 with --dry-run where there is something to do, 4 a VM is locked,\n"
        "5 refused: its present hookscript cannot be run, 1 error.\n\n"
        "Examples:\n"
        "  pve-hwid attach 105 106\n"
        "  pve-hwid attach --all\n",
    .operands = ARGS_WORDS_MAX,
    .online = true,
    .run = attach_run,
};
