/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid capture`: VMware's description of a VM to a fingerprint. Works anywhere, needs no
 * daemon and no PVE. Here are the options and which way of capturing they ask for; the ways are in
 * capture_*.c, the end of all of them in capture_out.c.
 */
#include <time.h>

#include "base/str.h"
#include "cli/args.h"
#include "core/merge.h"
#include "cli/capture.h"
#include "cli/capture_vcenter.h"

static bool wants_vcenter(const struct capture_options *o)
{
    return o->user != NULL || o->password_file != NULL || o->folder != NULL || o->cluster != NULL ||
           o->cacert != NULL || o->thumbprint != NULL || o->timeout != NULL || o->all ||
           o->insecure;
}

/* Options that do not go together. */
static enum cli_exit check_usage(const struct cli *cli, const struct capture_options *o,
                                 const struct args *args)
{
    if (args->n > 1 && !o->merge) {
        return cli_usage(cli,
                         "capture takes one operand at most: '%s' is one too many; several "
                         "sources of one VM go with --merge",
                         args->words[1]);
    }
    if (o->prefer != NULL && !o->merge) {
        return cli_usage(cli, "--prefer is for --merge");
    }
    if (o->vcenter == NULL && wants_vcenter(o)) {
        return cli_usage(cli, "--user, --password-file, --all, --folder, --cluster, --cacert, "
                              "--thumbprint, --insecure and --timeout are for --vcenter HOST");
    }
    if (o->vcenter == NULL && args->n == 0) {
        return cli_usage(cli, "capture needs the .vmx file of the VM (or another of its files), "
                              "or '-' for standard input");
    }
    return CLI_OK;
}

static enum cli_exit capture_files(const struct cli *cli, struct capture_options *options,
                                   const struct args *args)
{
    CLEANUP(capture_set_fini) struct capture_set set = {0};
    struct err err = {""};

    if (str_equal(options->output, "-")) {
        options->output = NULL;
    }
    clock_format(time(NULL), options->captured);
    if ((options->merge ? capture_merge(options, args->words, args->n, &set, &err)
                        : capture_file(options, &set, &err)) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    return capture_finish(cli, options, &set);
}

static enum cli_exit capture_run(struct cli *cli, int argc, char **argv)
{
    struct capture_options options = {0};
    const struct arg_option table[] = {
        {"output", 'o', ARG_TEXT, &options.output},
        {"force", 'f', ARG_FLAG, &options.force},
        {"from", '\0', ARG_TEXT, &options.from},
        {"vm", '\0', ARG_TEXT, &options.vm},
        {"vcenter", '\0', ARG_TEXT, &options.vcenter},
        {"user", '\0', ARG_TEXT, &options.user},
        {"password-file", '\0', ARG_TEXT, &options.password_file},
        {"all", '\0', ARG_FLAG, &options.all},
        {"folder", '\0', ARG_TEXT, &options.folder},
        {"cluster", '\0', ARG_TEXT, &options.cluster},
        {"cacert", '\0', ARG_TEXT, &options.cacert},
        {"thumbprint", '\0', ARG_TEXT, &options.thumbprint},
        {"insecure", '\0', ARG_FLAG, &options.insecure},
        {"timeout", '\0', ARG_TEXT, &options.timeout},
        {"merge", '\0', ARG_FLAG, &options.merge},
        {"prefer", '\0', ARG_TEXT, &options.prefer},
    };
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, table, ARRAY_SIZE(table), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = check_usage(cli, &options, &args);
    if (code != CLI_OK) {
        return code;
    }
    options.source = args.n > 0 ? args.words[0] : NULL;
    return options.vcenter != NULL ? capture_vcenter(cli, &options)
                                   : capture_files(cli, &options, &args);
}

const struct verb verb_capture = {
    .name = "capture",
    .summary = "Makes a fingerprint from .vmx, OVF, vCenter or the guest",
    .usage = "capture FILE [--from KIND] [--vm NAME] [-o FILE|DIR [--force]] [--json]\n"
             "       pve-hwid capture --merge FILE... [--prefer KIND] [--vm NAME] [-o FILE "
             "[--force]] [--json]\n"
             "       pve-hwid capture --vcenter HOST[:PORT] --user USER [--password-file FILE]\n"
             "                {--vm NAME | --all} [--folder NAME] [--cluster NAME] -o DIR\n"
             "                [--cacert FILE | --thumbprint SHA256 | --insecure] [--timeout S]\n"
             "                [--force] [--json]",
    .details =
        "FILE may be '-' for standard input. What could not be carried over or was guessed\n"
        "is told on standard error. What FILE is, is told from its content:\n\n"
        "  vmx        the VM's .vmx; serials of disks from the .vmdk beside it\n"
        "  ovf, ova   an export, of one VM or several\n"
        "  dmidecode  what dmidecode printed in the guest\n"
        "  windows    what capture-windows.ps1 wrote in the guest\n"
        "  slmgr      what `slmgr /dlv` printed: the licence alone\n"
        "  vcenter    a saved answer of vCenter's REST API about one VM\n"
        "  fingerprint  one of ours, to be completed with --merge\n\n"
        "  --from KIND        take FILE for this, whatever it looks like\n"
        "  --vm NAME          of several VMs in one file, this one\n"
        "  -o, --output FILE  write there, whole or not at all, instead of to stdout;\n"
        "                     a file that exists is not overwritten\n"
        "  -o, --output DIR   write DIR/NAME.json, one for each VM\n"
        "  -f, --force        overwrite it\n"
        "  --merge            the files are about one VM (its .vmx, a dump from inside the guest,\n"
        "                     a fingerprint, ...): they complete one another. The guest's own\n"
        "                     word wins; contradictions are named, and in the identity (uuid,\n"
        "                     serial, MAC) they are an error\n"
        "  --prefer KIND      settles contradictions: what files of this kind say is right\n\n"
        "From vCenter 6.5 and later, one file per VM into DIR; run again, it asks only for\n"
        "what is not there yet:\n\n"
        "  --vcenter HOST       its name or address, with :PORT where that is not 443\n"
        "  --user USER          e.g. administrator@vsphere.local; reading is enough\n"
        "  --password-file FILE one line, mode 0600; without it the terminal is asked\n"
        "  --vm NAME, --all     which VMs\n"
        "  --folder NAME        only those in this folder or below\n"
        "  --cluster NAME       only those in this cluster\n"
        "  --cacert FILE        whom to trust; without it the CAs of this system\n"
        "  --thumbprint SHA256  trust exactly this certificate, AA:BB:...\n"
        "  --insecure           trust anybody, the password included\n"
        "  --timeout S          seconds for one answer, 60\n"
        "  -f, --force          ask for all again\n\n"
        "Examples:\n"
        "  pve-hwid capture --vcenter vc1 --user reader@vsphere.local --all -o fingerprints/\n"
        "  pve-hwid capture web1.vmx\n"
        "  pve-hwid capture web1.vmx -o /etc/pve/pve-hwid/105.json\n"
        "  pve-hwid capture shop.ova -o fingerprints/\n"
        "  pve-hwid capture --merge web1.vmx web1-guest.json -o 105.json\n"
        "  ssh root@esxi cat /vmfs/volumes/ds1/web1/web1.vmx | pve-hwid capture - -o 105.json\n",
    .operands = MERGE_INPUTS_MAX,
    .run = capture_run,
};
