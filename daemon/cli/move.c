/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid move`: the identity of one VM becomes that of another, in one command. What makes it
 * safe is the order: the new fingerprint is there before the old one goes, and while both are there
 * the identity guard gives neither VM anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/args.h"
#include "cli/calls.h"
#include "cli/hold_file.h"
#include "cli/place.h"
#include "core/identity.h"

struct move {
    const struct cli *cli;
    struct settings *settings;
    struct place from, to;
    const char *path; /* of the new fingerprint */
    bool dry_run, stopped;
    size_t n_volumes; /* names of volumes that were dropped */
};

static void move_fini(struct move *move)
{
    settings_free(move->settings);
    place_fini(&move->from);
    place_fini(&move->to);
}

/* --- may it be? ------------------------------------------------------------------------------- */

static bool is_same_machine(const struct fingerprint *a, const struct fingerprint *b)
{
    CLEANUP(identity_fini) struct identity one = {0}, other = {0};
    char name[SMBIOS_UUID_SIZE], other_name[SMBIOS_UUID_SIZE];

    return identity_of_fingerprint(a, &one) == 0 && identity_of_fingerprint(b, &other) == 0 &&
           identity_name(&one, name) == 0 && identity_name(&other, other_name) == 0 &&
           *name != '\0' && str_equal(name, other_name);
}

/* A move that was interrupted between its two steps. */
static bool is_half_done(const struct move *move)
{
    return move->from.fp != NULL && move->to.fp != NULL &&
           move->to.fp->vm.moved_from == (int)move->from.vmid &&
           is_same_machine(move->from.fp, move->to.fp);
}

static enum cli_exit find_both(struct move *move, uint32_t from, uint32_t to)
{
    struct err err = {""};

    if (place_find(move->settings, from, &move->from, &err) < 0 ||
        place_find(move->settings, to, &move->to, &err) < 0) {
        return cli_fail(move->cli, CLI_ERROR, "%s", err.text);
    }
    if (move->to.node == NULL) {
        return cli_fail(move->cli, CLI_ERROR,
                        "VM %u is nowhere in the cluster: create it first, then move the identity",
                        (unsigned)to);
    }
    if (move->from.fp == NULL && move->to.fp == NULL) {
        return cli_fail(move->cli, CLI_ERROR,
                        "neither VM %u nor VM %u has a fingerprint: there is no identity to move",
                        (unsigned)from, (unsigned)to);
    }
    /* A file that was renamed by hand is bound here; of a VM that never was there is none. */
    if (move->from.fp == NULL && move->from.node == NULL &&
        move->to.fp->vm.moved_from != (int)from) {
        return cli_fail(move->cli, CLI_ERROR,
                        "VM %u is nowhere in the cluster and has no fingerprint: nothing was "
                        "moved; if VM %u is the machine of its own fingerprint: pve-hwid adopt %u",
                        (unsigned)from, (unsigned)to, (unsigned)to);
    }
    if (move->from.fp != NULL && move->to.fp != NULL && !is_half_done(move)) {
        return cli_fail(move->cli, CLI_REFUSED,
                        "VM %u has a fingerprint already: %s; take it away if it shall get that of "
                        "VM %u",
                        (unsigned)to, place_path(&move->to), (unsigned)from);
    }
    return CLI_OK;
}

/* PVE knows, and the daemon may ask it about all nodes. */
static enum cli_exit ask_whether_it_runs(const struct move *move)
{
    const struct place *from = &move->from;
    json_auto_t *answer = NULL;
    const struct call call = {
        .method = "Running",
        .vmid = from->vmid,
        .parameters = json_pack("{s:I,s:s}", "vmid", (json_int_t)from->vmid, "node", from->node)};
    enum cli_exit code = calls_run(move->cli, &call, &answer);

    if (code != CLI_OK) {
        cli_note(move->cli,
                 "nothing was moved, because it is not known whether VM %u runs; if it surely does "
                 "not: --stopped",
                 (unsigned)from->vmid);
        return code;
    }
    if (!json_is_false(json_object_get(answer, "running"))) {
        return cli_fail(move->cli, CLI_BUSY,
                        "VM %u runs on %s with this identity: stop it first, nothing was moved",
                        (unsigned)from->vmid, from->node);
    }
    return CLI_OK;
}

/* --- doing it ----------------------------------------------------------------------------------
 */

/* Where the old one is of this node only, so is the new one, as long as it is about this node. */
static void choose_path(struct move *move)
{
    bool local = move->from.has_local && !move->from.has_cluster && move->to.here;

    if (move->to.fp != NULL) {
        move->path = place_path(&move->to);
    } else {
        move->path = local ? move->to.local : move->to.cluster;
    }
}

/* The other VM's disks have names of their own. */
static size_t drop_volumes(struct fingerprint *fp)
{
    size_t n = 0;

    for (size_t i = 0; i < fp->n_disks; i++) {
        n += fp->disks[i].volume != NULL;
        free(fp->disks[i].volume);
        fp->disks[i].volume = NULL;
    }
    return n;
}

static int remove_old(const struct place *from, struct err *err)
{
    const char *paths[] = {from->cluster, from->local};

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        if (unlink(paths[i]) < 0 && errno != ENOENT) {
            return err_set(err, -errno,
                           "%s: %s; as long as it is there neither VM is given the identity: take "
                           "it away",
                           paths[i], strerror(errno));
        }
    }
    return 0;
}

static int carry_out(struct move *move, struct err *err)
{
    struct fingerprint *fp = move->to.fp != NULL ? move->to.fp : move->from.fp;
    int rc;

    if (move->to.fp == NULL) {
        move->n_volumes = drop_volumes(fp);
    }
    fp->vm.ctime = move->to.ctime;
    fp->vm.moved_from = (int)move->from.vmid;
    if (move->dry_run) {
        return 0;
    }
    rc = place_write(move->settings, move->path, fp, err);
    return rc < 0 ? rc : remove_old(&move->from, err);
}

static enum cli_exit tell(const struct move *move)
{
    enum cli_exit code = move->dry_run ? CLI_DIFFERS : CLI_OK;
    unsigned from = (unsigned)move->from.vmid, to = (unsigned)move->to.vmid;

    if (move->cli->json) {
        return cli_print_json(move->cli,
                              json_pack("{s:I,s:I,s:b,s:o,s:o}", "from", (json_int_t)from, "to",
                                        (json_int_t)to, "dry_run", (int)move->dry_run, "file",
                                        cli_json_text(move->path), "still_there",
                                        move->from.node != NULL ? json_true() : json_false()),
                              code);
    }
    out_printf(&move->cli->out, OUT_PLAIN, "The identity of VM %u %s that of VM %u: %s\n", from,
               move->dry_run ? "would become" : "now is", to, move->path);
    if (move->n_volumes > 0) {
        cli_note(move->cli,
                 "the fingerprint named volumes of VM %u; those names are left out, and the disks "
                 "of VM %u are matched by serial number and order: look at 'pve-hwid plan %u'",
                 from, to, to);
    }
    if (move->from.node != NULL) {
        out_printf(&move->cli->out, OUT_PLAIN,
                   "VM %u keeps what it carries now. Never run both: destroy VM %u when you do not "
                   "need it any more.\n",
                   from, from);
    }
    if (move->dry_run) {
        out_printf(&move->cli->out, OUT_PLAIN, "Next: the same without --dry-run\n");
    } else {
        out_printf(&move->cli->out, OUT_PLAIN, "Next: pve-hwid plan %u\n", to);
    }
    return code;
}

static enum cli_exit move_identity(struct move *move, uint32_t from, uint32_t to)
{
    enum cli_exit code = find_both(move, from, to);
    struct err err = {""};

    if (code != CLI_OK) {
        return code;
    }
    if (move->from.node != NULL && !move->stopped) {
        code = ask_whether_it_runs(move);
    }
    if (code != CLI_OK) {
        return code;
    }
    choose_path(move);
    if (carry_out(move, &err) < 0) {
        return cli_fail(move->cli, CLI_ERROR, "%s", err.text);
    }
    return tell(move);
}

static enum cli_exit move_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(move_fini) struct move move = {.cli = cli};
    const struct arg_option options[] = {{"dry-run", 'n', ARG_FLAG, &move.dry_run},
                                         {"stopped", '\0', ARG_FLAG, &move.stopped}};
    uint32_t vmids[2];
    struct err err = {""};
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    if (args.n != 2) {
        return cli_usage(cli, "move needs the numbers of two VMs: from which, to which");
    }
    for (size_t i = 0; i < 2; i++) {
        code = args_take_vmid(cli, args.words[i], &vmids[i]);
        if (code != CLI_OK) {
            return code;
        }
    }
    if (vmids[0] == vmids[1]) {
        return cli_usage(cli, "both are the same VM");
    }
    if (hold_file_settings(cli->config, &move.settings, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    return move_identity(&move, vmids[0], vmids[1]);
}

const struct verb verb_move = {
    .name = "move",
    .summary = "Makes the identity of one VM that of another",
    .usage = "move FROM TO [--dry-run] [--stopped] [--json]",
    .details =
        "The fingerprint of VM FROM becomes that of VM TO, which must be there and have none; or,\n"
        "where TO has it already, it is said that TO has it in the place of FROM, which then is "
        "no\n"
        "obstacle any more. VM FROM must not run, and keeps what it carries: never run both.\n"
        "A hold does not go along. If it was interrupted, do it again.\n\n"
        "  -n, --dry-run   only tell what would happen\n"
        "  --stopped       do not ask PVE whether FROM runs\n"
        "\n"
        "Exit: 0 moved, 3 would be moved (dry run), 4 FROM runs, 5 TO has a fingerprint of its\n"
        "own, 1 error.\n\n"
        "Example:\n"
        "  pve-hwid move 105 110\n",
    .operands = 2,
    .online = true,
    .run = move_run,
};
