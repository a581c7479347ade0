/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid undo`: takes a change set of the journal back. The VM is put on hold first, or the
 * daemon would make everything as the fingerprint says again at once. Asked in two turns: what
 * would be done, and only if that can be done, hold and do it; so a question that has no answer
 * leaves no hold behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/carry_out.h"
#include "cli/hold_file.h"
#include "cli/several.h"

struct undo_order {
    const struct cli *cli;
    uint32_t vmid;
    const char *txn; /* NULL: the last */
    const char *config;
    bool dry_run;
    char chosen[64];                   /* by the daemon, where `txn` was not given; "": none */
    char why[sizeof("undo of ") + 64]; /* of the hold */
};

static const struct carry_out_outcome outcomes[] = {
    {"unchanged", CLI_OK, "nothing to do", NULL},
    {"done", CLI_OK, "undone", "to look back: pve-hwid log"},
    {"partial", CLI_DIFFERS, "undone in part", "to look back: pve-hwid log"},
    {"differs", CLI_DIFFERS, "dry run, nothing was changed", "to do it: pve-hwid undo"},
    {"busy", CLI_BUSY, "nothing was done", "when it is stopped and unlocked: pve-hwid undo"},
    {"refused", CLI_REFUSED, "refused, nothing was done", "to see what was changed: pve-hwid log"},
    {"failed", CLI_ERROR, "failed", "to see how far it came: pve-hwid log"},
};

static struct carry_out call_of(const struct undo_order *order, bool dry_run)
{
    return (struct carry_out){
        .cli = order->cli,
        .method = "Undo",
        .vmid = order->vmid,
        .dry_run = dry_run,
        .parameters = json_pack("{s:I,s:b,s:s*}", "vmid", (json_int_t)order->vmid, "dry_run",
                                (int)dry_run, "txn", order->txn),
        .outcomes = outcomes,
        .n_outcomes = ARRAY_SIZE(outcomes),
    };
}

static enum cli_exit print_json(const struct carry_out *call, const struct carried_out *done,
                                const char *hold)
{
    json_t *object = carry_out_json(call, done);
    json_t *undoes = json_object_get(done->answer, "undoes");

    if (object != NULL && (json_object_set(object, "undoes", undoes) < 0 ||
                           json_object_set_new(object, "hold", cli_json_text(hold)) < 0)) {
        json_decref(object);
        object = NULL;
    }
    return cli_print_json(call->cli, object, done->outcome->code);
}

static enum cli_exit print(const struct carry_out *call, const struct carried_out *done,
                           const char *hold)
{
    const char *undoes = json_string_value(json_object_get(done->answer, "undoes"));
    enum cli_exit code;

    if (call->cli->json) {
        return print_json(call, done, hold);
    }
    if (undoes != NULL && call->dry_run) {
        out_printf(&call->cli->out, OUT_PLAIN, "VM %u: to undo the change set %s:\n",
                   (unsigned)call->vmid, undoes);
    } else if (undoes != NULL && str_equal(done->outcome->name, "unchanged")) {
        out_printf(&call->cli->out, OUT_PLAIN,
                   "VM %u: all that the change set %s changed is as it was before:\n",
                   (unsigned)call->vmid, undoes);
    }
    code = carry_out_print(call, done);
    if (hold != NULL) {
        CLEANUP_FREE char *local = out_local_times(hold);

        out_printf(&call->cli->out, OUT_PLAIN,
                   "VM %u is %s.\nTo have it as its fingerprint says again: pve-hwid resume %u\n",
                   (unsigned)call->vmid, local != NULL ? local : hold, (unsigned)call->vmid);
    }
    return code;
}

/* NULL: none, or no memory; then the plan tells it. */
static char *refusal_of(const struct carried_out *done)
{
    return done->plan != NULL && done->plan->refusals.n > 0 ? str_dup(done->plan->refusals.items[0])
                                                            : NULL;
}

/* Would it be done? 1: yes; 0: *ret_code is the end of it, and told. */
static int ask_first(struct undo_order *order, enum cli_exit *ret_code)
{
    CLEANUP(carried_out_fini) struct carried_out done = {0};
    struct carry_out call = call_of(order, true);

    *ret_code = carry_out_run(&call, &done);
    if (*ret_code != CLI_OK) {
        return 0;
    }
    if (!order->dry_run && done.outcome->code == CLI_DIFFERS) {
        const char *undoes = json_string_value(json_object_get(done.answer, "undoes"));

        (void)snprintf(order->why, sizeof(order->why), "undo of %s", /* cut, it still tells */
                       undoes == NULL ? "a change set" : undoes);
        if (order->txn == NULL && undoes != NULL && strlen(undoes) < sizeof(order->chosen)) {
            /* What was asked about is what is done, whatever ends in between. */
            memcpy(order->chosen, undoes, strlen(undoes) + 1);
            order->txn = order->chosen;
        }
        return 1;
    }
    if (!order->dry_run) {
        free(done.detail); /* that it was a dry run */
        done.detail = refusal_of(&done);
        if (done.detail != NULL && !order->cli->json && done.plan->refusals.n == 1) {
            plan_free(done.plan); /* that is all it says */
            done.plan = NULL;
        }
    }
    call.dry_run = order->dry_run;
    *ret_code = print(&call, &done, NULL);
    return 0;
}

/* Nothing was begun: a hold that was made for it goes again. */
static void take_hold_back(const struct undo_order *order, const struct settings *settings)
{
    struct err err = {""};

    if (hold_file_remove(settings, order->vmid, &err) < 0) {
        cli_note(order->cli, "VM %u stays on hold: %s; to end the hold: pve-hwid resume %u",
                 (unsigned)order->vmid, err.text, (unsigned)order->vmid);
        return;
    }
    (void)hold_file_tell(order->cli, "Resume", order->vmid, /* it was told */
                         "the hold is over, but the daemon was not told");
}

static enum cli_exit undo_on_hold(const struct undo_order *order, const struct settings *settings,
                                  const struct hold_file *hold)
{
    CLEANUP(carried_out_fini) struct carried_out done = {0};
    struct carry_out call;
    enum cli_exit code;
    bool idle;

    (void)hold_file_tell(order->cli, "Hold", order->vmid, /* it was told; undo itself needs it */
                         "the VM is on hold, but the daemon was not told");
    call = call_of(order, false);
    if (order->txn != NULL && !order->cli->json) {
        out_printf(&order->cli->out, OUT_PLAIN, "VM %u: undoing the change set %s\n",
                   (unsigned)order->vmid, order->txn);
    }
    code = carry_out_run(&call, &done);
    if (code != CLI_OK) {
        cli_note(order->cli, "VM %u is %s; to end the hold: pve-hwid resume %u",
                 (unsigned)order->vmid, hold->what, (unsigned)order->vmid);
        return code;
    }
    idle = str_equal(done.outcome->name, "busy") || str_equal(done.outcome->name, "refused") ||
           str_equal(done.outcome->name, "unchanged");
    if (idle && !hold->was_there) {
        take_hold_back(order, settings);
        return print(&call, &done, NULL);
    }
    return print(&call, &done, hold->what);
}

static enum cli_exit undo(const struct cli *cli, uint32_t vmid, void *userdata)
{
    /* A copy: the change set that is chosen for one VM is none of the next one's. */
    struct undo_order order = *(const struct undo_order *)userdata;
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP(hold_file_fini) struct hold_file hold = {0};
    struct err err = {""};
    enum cli_exit code;

    order.cli = cli;
    order.vmid = vmid;
    if (ask_first(&order, &code) == 0) {
        return code;
    }
    cli_result(cli, "", ""); /* that it differs is no result: what follows may fail */
    if (hold_file_settings(order.config, &settings, &err) < 0 ||
        hold_file_write(settings, vmid, hold_file_exists(settings, vmid) ? NULL : order.why, &hold,
                        &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "VM %u: nothing was undone, it cannot be held: %s",
                        (unsigned)vmid, err.text);
    }
    return undo_on_hold(&order, settings, &hold);
}

/* A change set's name is no VMID: it is behind the one VM that it is of. */
static void take_txn(struct args *args, struct undo_order *order)
{
    uint32_t vmid;

    if (args->n == 2 && args_vmid(args->words[0], &vmid) && !args_vmid(args->words[1], &vmid)) {
        order->txn = args->words[--args->n];
    }
}

static enum cli_exit undo_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(several_fini) struct several several = {0};
    struct undo_order order = {.cli = cli, .config = HOLD_FILE_CONFIG};
    const struct arg_option options[] = {{"dry-run", 'n', ARG_FLAG, &order.dry_run},
                                         {"config", '\0', ARG_TEXT, &order.config}};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    take_txn(&args, &order);
    code = several_operands(cli, &args, &several);
    return code != CLI_OK ? code : several_run(cli, &several, undo, &order);
}

const struct verb verb_undo = {
    .name = "undo",
    .summary = "Takes back what was changed in a stopped VM, and holds it",
    .usage = "undo VMID [TXN] | VMID... [--dry-run] [--json]",
    .details =
        "Brings back the values from before a change set: the last one of which anything is left,\n"
        "so that one undo after the other walks back, or TXN, as `pve-hwid log VMID` names them.\n"
        "Refused where one of these options was\n"
        "changed since, or where another VM has the uuid or MAC by now. A VM that runs or is "
        "locked\n"
        "is left alone. The VM is put on hold, so that nothing is changed again by itself: see\n"
        "hold, and resume for the end of it.\n\n"
        "  -n, --dry-run   only tell what would happen; nothing is held\n"
        "  --config FILE   settings that say where fingerprints lie (default\n"
        "                  " HOLD_FILE_CONFIG ")\n\n"
        "Exit: 0 undone, or nothing to do, 3 would change something (dry run), or undone in\n"
        "part, 4 runs or is locked, 5 refused, 1 error; of several VMs that of the worst.\n\n"
        "Examples:\n"
        "  pve-hwid undo 105 --dry-run\n"
        "  pve-hwid undo 105\n",
    .operands = ARGS_WORDS_MAX,
    .online = true,
    .run = undo_run,
};
