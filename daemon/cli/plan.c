/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid plan`: what would have to change, and why. With two files it is computed here, from
 * them alone, on any machine; with a VMID the daemon computes it from what it reads now.
 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "cli/calls.h"
#include "cli/input.h"
#include "cli/plan_view.h"
#include "cli/report_view.h"
#include "cli/several.h"

struct offline {
    const char *config;
    const char *fingerprint;
    const char *machines; /* "8.2,9.0"; NULL: not known */
    uint32_t vmid;        /* 0: not known */
    bool report;          /* the identity report instead of the plan */
    struct pveconf *conf; /* pending values applied */
    struct fingerprint *fp;
    struct machine_list list;
    json_t *pending; /* the options of [PENDING] */
};

static void offline_fini(struct offline *offline)
{
    pveconf_free(offline->conf);
    fingerprint_free(offline->fp);
    machine_list_fini(&offline->list);
    json_decref(offline->pending);
}

/* "105.conf" or "105.json" tells the VM. */
static uint32_t vmid_of_name(const char *path, const char *suffix)
{
    const char *name = input_base_name(path);
    CLEANUP_FREE char *stem = NULL;
    uint32_t vmid = 0;

    if (!str_ends(name, suffix)) {
        return 0;
    }
    stem = str_ndup(name, strlen(name) - strlen(suffix));
    return stem != NULL && args_vmid(stem, &vmid) ? vmid : 0;
}

static int read_fingerprint(struct offline *offline, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FINGERPRINT_MAX);
    int rc = input_read(offline->fingerprint, &text, err);

    if (rc < 0) {
        return rc;
    }
    rc = fingerprint_parse(text.data, text.len, &offline->fp, err);
    return rc < 0 ? err_prefix(err, rc, "%s", input_name(offline->fingerprint)) : 0;
}

/* Names of the options in [PENDING], "delete: x" for one that goes. */
static int list_pending(const struct pveconf *conf, json_t *names)
{
    const struct pveconf_section *section = pveconf_section(conf, PVECONF_PENDING);

    for (size_t i = 0; section != NULL && i < section->n; i++) {
        const struct pveconf_key *key = &section->keys[i];
        bool goes = str_equal(key->key, "delete");
        CLEANUP_FREE char *name = str_printf("%s%s%s", key->key, goes ? ": " : "",
                                             goes ? key->value : "");

        if (name == NULL || json_array_append_new(names, cli_json_text(name)) < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int read_config(struct offline *offline, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(PVECONF_MAX);
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    int rc = input_read(offline->config, &text, err);

    if (rc < 0) {
        return rc;
    }
    rc = pveconf_parse(text.data, text.len, &conf, err);
    if (rc < 0) {
        return err_prefix(err, rc, "%s", input_name(offline->config));
    }
    offline->pending = json_array();
    if (offline->pending == NULL || list_pending(conf, offline->pending) < 0 ||
        pveconf_apply_pending(conf, &offline->conf) < 0) {
        return err_oom(err);
    }
    return 0;
}

/* "8.2,9.0" to a list; -EINVAL where an item is no version. */
static int read_machines(struct offline *offline, struct err *err)
{
    const char *at = offline->machines;

    while (at != NULL) {
        size_t len = strcspn(at, ",");
        CLEANUP_FREE char *item = str_ndup(at, len);
        struct machine_version version;

        if (item == NULL) {
            return err_oom(err);
        }
        if (!machine_version_parse(item, &version)) {
            return err_set(err, -EINVAL, "--machines wants versions like 8.2,9.0,10.0, not '%s'",
                           item);
        }
        if (machine_list_add(&offline->list, version) < 0) {
            return err_oom(err);
        }
        at = at[len] == ',' ? at + len + 1 : NULL;
    }
    return 0;
}

/* The pending values, said beside the plan: they are not what runs now. */
static void tell_pending(const struct cli *cli, const struct offline *offline)
{
    CLEANUP(buf_fini) struct buf names = BUF_INIT(0);
    size_t i;
    json_t *name;

    json_array_foreach (offline->pending, i, name) {
        buf_addf(&names, "%s%s", i > 0 ? ", " : "", json_string_value(name));
    }
    if (names.len > 0 && names.error == 0) {
        cli_note(cli, "%s has pending changes (%s): they count as applied, as at the next start",
                 input_name(offline->config), names.data);
    }
}

static void warn_names(const struct cli *cli, const struct offline *offline)
{
    uint32_t named = vmid_of_name(offline->fingerprint, ".json");

    if (named != 0 && offline->vmid != 0 && named != offline->vmid) {
        cli_note(cli, "%s is named for VM %u, the configuration is that of VM %u",
                 offline->fingerprint, (unsigned)named, (unsigned)offline->vmid);
    }
}

static enum cli_exit plan_offline(struct cli *cli, struct offline *offline)
{
    CLEANUP(plan_freep) struct plan *plan = NULL;
    CLEANUP(claims_findings_fini) struct claims_findings others = {0};
    struct plan_input input = {.others = &others};
    struct err err = {""};

    if (read_machines(offline, &err) < 0) {
        return cli_usage(cli, "%s", err.text);
    }
    if (read_fingerprint(offline, &err) < 0 || read_config(offline, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    if (offline->vmid == 0) {
        offline->vmid = vmid_of_name(offline->config, ".conf");
    }
    input.vmid = offline->vmid;
    input.conf = offline->conf;
    input.fp = offline->fp;
    input.machines = &offline->list;
    /* Of other VMs nothing is known here; but that the number was used again can be seen. */
    if (claims_judge(NULL, offline->vmid, offline->fp, offline->conf, &others) < 0) {
        return cli_oom(cli);
    }
    if (plan_make(&input, &plan, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s: %s", input_name(offline->config), err.text);
    }
    warn_names(cli, offline);
    tell_pending(cli, offline);
    if (offline->report) {
        return report_view_offline(cli, &input, plan);
    }
    if (cli->json) {
        return cli_print_json(cli, plan_view_json(plan, offline->pending), plan_view_exit(plan));
    }
    return plan_view_print(cli, plan, &err) < 0 ? cli_fail(cli, CLI_ERROR, "%s", err.text)
                                                : plan_view_exit(plan);
}

/* For the summary: the first reason, or what would change. */
static void note_result(const struct cli *cli, const struct plan *plan)
{
    CLEANUP(buf_fini) struct buf options = BUF_INIT(0);

    for (size_t i = 0; i < plan->n_changes; i++) {
        buf_addf(&options, "%s%s", i > 0 ? ", " : "", plan->changes[i].option);
    }
    cli_result(cli, plan_view_result(plan),
               plan->refusals.n > 0 ? plan->refusals.items[0]
                                    : (options.error == 0 ? options.data : NULL));
}

static enum cli_exit plan_online(const struct cli *cli, uint32_t vmid, void *userdata)
{
    const struct offline *order = userdata;
    json_auto_t *answer = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;
    struct err err = {""};
    enum cli_exit code;

    if (order->report) {
        return report_view_online(cli, vmid);
    }
    code = calls_vm(cli, "Plan", vmid, NULL, &answer);
    if (code != CLI_OK) {
        return code;
    }
    if (plan_view_parse(json_object_get(answer, "plan"), &plan, &err) < 0) {
        return calls_bad_answer(cli, vmid, err.text);
    }
    note_result(cli, plan);
    if (cli->json) {
        return cli_print_json(cli, plan_view_json(plan, NULL), plan_view_exit(plan));
    }
    return plan_view_print(cli, plan, &err) < 0 ? cli_fail(cli, CLI_ERROR, "%s", err.text)
                                                : plan_view_exit(plan);
}

static enum cli_exit plan_vms(const struct cli *cli, const struct args *args,
                              struct offline *offline)
{
    CLEANUP(several_fini) struct several several = {0};
    enum cli_exit code;

    if (offline->config != NULL || offline->fingerprint != NULL || offline->machines != NULL ||
        offline->vmid != 0) {
        return cli_usage(cli,
                         "plan takes either VMIDs or files; with --config and --fingerprint the "
                         "VMID goes into --vmid");
    }
    code = several_operands(cli, args, &several);
    return code != CLI_OK ? code : several_run(cli, &several, plan_online, offline);
}

static enum cli_exit plan_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(offline_fini) struct offline offline = {0};
    const struct arg_option options[] = {
        {"config", 'c', ARG_TEXT, &offline.config},
        {"fingerprint", 'f', ARG_TEXT, &offline.fingerprint},
        {"machines", '\0', ARG_TEXT, &offline.machines},
        {"vmid", '\0', ARG_VMID, &offline.vmid},
        {"report", '\0', ARG_FLAG, &offline.report},
    };
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    if (args.n > 0) {
        return plan_vms(cli, &args, &offline);
    }
    if (offline.config == NULL || offline.fingerprint == NULL) {
        return cli_usage(cli, "plan needs a VMID, or both --config and --fingerprint");
    }
    if (str_equal(offline.config, "-") && str_equal(offline.fingerprint, "-")) {
        return cli_usage(cli, "only one of --config and --fingerprint can be standard input");
    }
    return plan_offline(cli, &offline);
}

const struct verb verb_plan = {
    .name = "plan",
    .summary = "Shows what would have to change, and why; changes nothing",
    .usage = "plan VMID... [--report] [--json]\n"
             "       pve-hwid plan --config FILE --fingerprint FILE [--vmid N] [--machines LIST]\n"
             "                [--report] [--json]",
    .details =
        "With a VMID the daemon reads the VM's files afresh and answers. With two files no\n"
        "daemon and no PVE is needed; pending changes in the configuration count as\n"
        "applied. One of the files may be '-' for standard input.\n\n"
        "  -c, --config FILE       the VM's configuration, e.g. 105.conf\n"
        "  -f, --fingerprint FILE  its fingerprint\n"
        "  --vmid N                the VM's number where the file's name does not tell it\n"
        "  --machines LIST         the q35 versions the node's QEMU has, e.g. 8.2,9.0,10.0\n"
        "  --report                instead of the plan: what the guest saw on VMware, sees now\n"
        "                          and would see after it, and what that means for its\n"
        "                          activation\n"
        "\n"
        "Exit: 0 nothing to change, 3 something, 5 refused, 1 error; of several VMs that of the\n"
        "worst.\n\n"
        "Examples:\n"
        "  pve-hwid plan 105\n"
        "  pve-hwid plan --config /etc/pve/qemu-server/105.conf --fingerprint 105.json\n"
        "  pve-hwid capture web1.vmx | pve-hwid plan -c 105.conf -f -\n"
        "  pve-hwid plan -c 105.conf -f 105.json --report\n",
    .operands = ARGS_WORDS_MAX,
    .online = true,
    .other_config = true,
    .run = plan_run,
};
