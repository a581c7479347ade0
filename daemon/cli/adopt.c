/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid adopt`: this VM, made anew under an old number, is the one that its fingerprint is
 * about. */
#include "cli/args.h"
#include "cli/hold_file.h"
#include "cli/place.h"
#include "cli/where.h"

static enum cli_exit tell(const struct cli *cli, const struct place *place, bool changed)
{
    if (cli->json) {
        return cli_print_json(cli,
                              json_pack("{s:I,s:I,s:b,s:o}", "vmid", (json_int_t)place->vmid,
                                        "ctime", (json_int_t)place->ctime, "changed", (int)changed,
                                        "file", cli_json_text(place_path(place))),
                              CLI_OK);
    }
    out_printf(&cli->out, OUT_PLAIN,
               "The fingerprint of VM %u is bound to the VM that is there %s.\n",
               (unsigned)place->vmid, changed ? "now" : "already");
    return CLI_OK;
}

static enum cli_exit adopt(const struct cli *cli, uint32_t vmid)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP(place_fini) struct place place = {0};
    struct err err = {""};
    bool changed;

    if (hold_file_settings(cli->config, &settings, &err) < 0 ||
        place_find(settings, vmid, &place, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    if (place.node == NULL) {
        return where_fail(cli, vmid);
    }
    if (place.fp == NULL) {
        return cli_fail(cli, CLI_ERROR, "VM %u has no fingerprint", (unsigned)vmid);
    }
    if (place.ctime == 0) {
        return cli_fail(cli, CLI_ERROR,
                        "the configuration of VM %u does not say when it was created (meta: "
                        "ctime=...): it needs no adopting, and cannot be told from another one",
                        (unsigned)vmid);
    }
    changed = place.fp->vm.ctime != place.ctime;
    place.fp->vm.ctime = place.ctime;
    if (changed && place_write(settings, place_path(&place), place.fp, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    return tell(cli, &place, changed);
}

static enum cli_exit adopt_run(struct cli *cli, int argc, char **argv)
{
    struct args args;
    enum cli_exit code;
    uint32_t vmid;

    if (args_parse(cli, NULL, 0, argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = args_need_vmid(cli, &args, &vmid);
    if (code != CLI_OK) {
        return code;
    }
    return adopt(cli, vmid);
}

const struct verb verb_adopt = {
    .name = "adopt",
    .summary = "Says that a VM made anew under its number is that of the fingerprint",
    .usage = "adopt VMID [--json]",
    .details =
        "A fingerprint is bound to the VM that it was given to or that was changed by it, by the\n"
        "time of its creation. Was that VM destroyed and another one made under its number, then\n"
        "nothing is changed before this command binds the fingerprint to the VM that is there "
        "now.\n"
        "Works without a daemon.\n\n"
        "Exit: 0 it is bound, 1 error.\n\n"
        "Example:\n"
        "  pve-hwid adopt 105\n",
    .online = true,
    .run = adopt_run,
};
