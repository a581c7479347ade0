/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid undo`: takes a change set of the journal back. The VM is put on hold first, or the
 * daemon would make everything as the fingerprint says again at once. Asked in two turns: what
 * would be done, and only if that can be done, hold and do it; so nothing is left of an undo that
 * is refused, no hold and no record of one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/calls.h"
#include "cli/carry_out.h"
#include "cli/hold_file.h"
#include "cli/several.h"

struct undo_order {
    const struct cli *cli;
    const struct settings *settings;
    struct where where;
    uint32_t vmid;
    const char *txn; /* NULL: the last */
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

/* Does it surely run? The daemon finds that out too, but only of a VM that is on hold already, and
 * nothing shall be left of an undo that changes nothing. Where PVE does not say, the daemon asks
 * again, with more patience. */
static bool runs(const struct undo_order *order)
{
    json_auto_t *answer = NULL;
    const struct call call = {.method = "Running",
                              .vmid = order->vmid,
                              .parameters = json_pack("{s:I,s:s?}", "vmid", (json_int_t)order->vmid,
                                                      "node", order->where.node)};

    if (order->where.node == NULL) {
        json_decref(call.parameters);
        return false;
    }
    return calls_try(order->cli, &call, &answer, NULL) == 0 &&
           json_is_true(json_object_get(answer, "running"));
}

/* As the daemon says it of one that is on hold. */
static int make_busy(const struct undo_order *order, struct carried_out *done)
{
    plan_free(done->plan);
    done->plan = NULL;
    free(done->detail);
    done->detail = str_dup("it is running: its hardware is changed when it is stopped");
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        done->outcome = str_equal(outcomes[i].name, "busy") ? &outcomes[i] : done->outcome;
    }
    cli_result(order->cli, done->outcome->name, done->detail);
    return done->detail == NULL ? -ENOMEM : 0;
}

/* That of a dry run says no more than that it was one. */
static void take_refusal(const struct undo_order *order, struct carried_out *done)
{
    free(done->detail);
    done->detail = refusal_of(done);
    if (done->detail != NULL && !order->cli->json && done->plan->refusals.n == 1) {
        plan_free(done->plan); /* that is all it says */
        done->plan = NULL;
    }
}

/* What was asked about is what is done, whatever ends in between. */
static void choose(struct undo_order *order, const struct carried_out *done)
{
    const char *undoes = json_string_value(json_object_get(done->answer, "undoes"));

    (void)snprintf(order->why, sizeof(order->why), "undo of %s", /* cut, it still tells */
                   undoes == NULL ? "a change set" : undoes);
    if (order->txn == NULL && undoes != NULL && strlen(undoes) < sizeof(order->chosen)) {
        memcpy(order->chosen, undoes, strlen(undoes) + 1);
        order->txn = order->chosen;
    }
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
    if (!order->dry_run && done.outcome->code == CLI_DIFFERS && !runs(order)) {
        choose(order, &done);
        return 1;
    }
    if (!order->dry_run && done.outcome->code == CLI_DIFFERS) {
        if (make_busy(order, &done) < 0) {
            *ret_code = cli_oom(order->cli);
            return 0;
        }
    } else if (!order->dry_run) {
        take_refusal(order, &done);
    }
    call.dry_run = order->dry_run;
    *ret_code = print(&call, &done, NULL);
    return 0;
}

/* Nothing was begun: a hold that was made for it goes again. */
static void take_hold_back(const struct undo_order *order)
{
    struct err err = {""};

    if (hold_file_remove(order->settings, order->vmid, &err) < 0) {
        cli_note(order->cli, "VM %u stays on hold: %s; to end the hold: pve-hwid resume %u",
                 (unsigned)order->vmid, err.text, (unsigned)order->vmid);
        return;
    }
    (void)hold_file_tell(order->cli, "Resume", order->vmid, &order->where, /* it was told */
                         "the hold is over, but the daemon was not told");
}

static enum cli_exit undo_on_hold(const struct undo_order *order, const struct hold_file *hold)
{
    CLEANUP(carried_out_fini) struct carried_out done = {0};
    struct carry_out call;
    enum cli_exit code;
    bool idle;

    (void)hold_file_tell(order->cli, "Hold", order->vmid,
                         &order->where, /* it was told; undo itself needs it */
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
        take_hold_back(order);
        return print(&call, &done, NULL);
    }
    return print(&call, &done, hold->what);
}

static enum cli_exit hold_and_undo(struct undo_order *order)
{
    const struct settings *settings = order->settings;
    CLEANUP(hold_file_fini) struct hold_file hold = {0};
    struct err err = {""};
    const char *why = hold_file_exists(settings, order->vmid) ? NULL : order->why;

    cli_result(order->cli, "", ""); /* that it differs is no result: what follows may fail */
    if (hold_file_write(settings, order->vmid, why, &hold, &err) < 0) {
        return cli_fail(order->cli, CLI_ERROR, "VM %u: nothing was undone, it cannot be held: %s",
                        (unsigned)order->vmid, err.text);
    }
    return undo_on_hold(order, &hold);
}

static enum cli_exit undo(const struct cli *cli, uint32_t vmid, void *userdata)
{
    /* A copy: the change set that is chosen for one VM is none of the next one's. */
    struct undo_order order = *(const struct undo_order *)userdata;
    CLEANUP(settings_freep) struct settings *settings = NULL;
    struct err err = {""};
    enum cli_exit code;

    order.cli = cli;
    order.vmid = vmid;
    if (hold_file_settings(cli->config, &settings, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "VM %u: nothing was undone: %s", (unsigned)vmid, err.text);
    }
    order.settings = settings;
    where_find(settings, vmid, &order.where);
    code = CLI_OK;
    if (ask_first(&order, &code) != 0) {
        code = hold_and_undo(&order);
    }
    where_fini(&order.where);
    return code;
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
    struct undo_order order = {.cli = cli};
    const struct arg_option options[] = {{"dry-run", 'n', ARG_FLAG, &order.dry_run}};
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
        "Refused where one of these options was changed since, or where another VM has the uuid "
        "or\n"
        "MAC by now; then nothing is left of it. A VM that runs or is locked is left alone. The "
        "VM\n"
        "is put on hold, so that nothing is changed again by itself: see hold, and resume for the\n"
        "end of it.\n\n"
        "  -n, --dry-run   only tell what would happen; nothing is held\n"
        "\n"
        "Exit: 0 undone, or nothing to do, 3 would change something (dry run), or undone in\n"
        "part, 4 runs or is locked, 5 refused, 1 error; of several VMs that of the worst.\n\n"
        "Examples:\n"
        "  pve-hwid undo 105 --dry-run\n"
        "  pve-hwid undo 105\n",
    .operands = ARGS_WORDS_MAX,
    .online = true,
    .run = undo_run,
};
