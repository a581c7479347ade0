/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid match`: which of the captured fingerprints belongs to which VM of the cluster, and,
 * with
 * --write, each into its place. Needs no daemon. A proposal first, always: what is written is what
 * was shown, and where one identity would be given out twice nothing is written at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "cli/args.h"
#include "cli/match_files.h"
#include "core/identity.h"
#include "io/file.h"

enum {
    FILE_MODE = 0644, /* the daemon is nobody and must read it; a fingerprint holds no secret */
    DIR_MODE = 0755,
};

struct matching {
    const char *dir;     /* the operand */
    const char *pve_dir; /* --pve-dir */
    bool write, likely, force;
    struct match_files files;
    struct match *match;
    struct placing {
        const char *state; /* "written", "in place", "other in place", "failed"; NULL: not tried */
        char *problem;
    } * placings; /* one for each fingerprint */
};

static void matching_fini(struct matching *m)
{
    for (size_t i = 0; m->placings != NULL && i < m->files.n_fingerprints; i++) {
        free(m->placings[i].problem);
    }
    free(m->placings);
    match_free(m->match);
    match_files_fini(&m->files);
}

/* --- writing ---------------------------------------------------------------------------------- */

static const struct match_vm *vm_of(const struct matching *m, size_t i)
{
    const struct match_pair *pair = &m->match->pairs[i];

    return pair->sure == MATCH_CERTAIN || pair->sure == MATCH_LIKELY ? &m->files.vms[pair->vm]
                                                                     : NULL;
}

static bool is_wanted(const struct matching *m, size_t i)
{
    enum match_sure sure = m->match->pairs[i].sure;

    return sure == MATCH_CERTAIN || (sure == MATCH_LIKELY && m->likely);
}

/* Is there a file that says something else (or nothing that can be read)? 0 none, or the same that
 * is not bound to its VM yet; 1 the same; 2 another; -errno. What the file says of its VM is no
 * difference: whether that is still this one is for `adopt` to say. */
static int look(const char *path, const struct fingerprint *wanted, const char *text,
                struct err *err)
{
    CLEANUP(buf_fini) struct buf now = BUF_INIT(FINGERPRINT_MAX);
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP_FREE char *canonical = NULL;
    bool bound;
    int rc = file_read(AT_FDCWD, path, FILE_FOLLOW, &now, err);

    if (rc == -ENOENT) {
        return 0;
    }
    if (rc < 0) {
        return rc == -ENOMEM || rc == -EACCES ? rc : 2;
    }
    if (fingerprint_parse(now.len > 0 ? now.data : "", now.len, &fp, NULL) < 0) {
        return 2;
    }
    bound = fp->vm.ctime != 0 || wanted->vm.ctime == 0;
    fp->vm = wanted->vm;
    rc = fingerprint_format(fp, &canonical, err);
    return rc < 0 ? rc : !str_equal(canonical, text) ? 2 : bound;
}

/* The fingerprint is bound to the VM of that number that is there now. */
static int bind(struct fingerprint *fp, const struct match_vm *vm)
{
    CLEANUP(identity_fini) struct identity id = {0};
    int rc = identity_of_config(vm->conf, &id);

    fp->vm = (struct fingerprint_vm){.ctime = (long)id.ctime};
    return rc;
}

/* What is in its place is told in any case; with --write it gets there. */
static int place(struct matching *m, size_t i, const char *dir, struct err *err)
{
    const struct match_vm *vm = vm_of(m, i);
    struct fingerprint *fp = (struct fingerprint *)m->files.fingerprints[i].fp; /* ours */
    CLEANUP_FREE char *path = str_printf("%s/%u.json", dir, (unsigned)vm->vmid);
    CLEANUP_FREE char *text = NULL;
    int rc = path == NULL || bind(fp, vm) < 0 ? err_oom(err) : fingerprint_format(fp, &text, err);

    rc = rc < 0 ? rc : look(path, fp, text, err);
    if (rc < 0) {
        return rc;
    }
    if (rc == 1) {
        m->placings[i].state = "in place";
        return 0;
    }
    if (rc == 2 && !m->force) {
        m->placings[i].state = "other in place";
        m->placings[i].problem = str_printf("%s is there and says something else; --force "
                                            "overwrites it",
                                            path);
        return m->placings[i].problem == NULL ? err_oom(err) : 0;
    }
    if (!m->write) {
        return 0;
    }
    rc = file_replace(AT_FDCWD, path, FILE_MODE, text, err);
    if (rc == 0) {
        m->placings[i].state = "written";
    }
    return rc;
}

/* One that fails does not keep the others from their places. */
static int place_all(struct matching *m, struct err *err)
{
    CLEANUP_FREE char *dir = str_printf("%s/pve-hwid", m->pve_dir);

    if (dir == NULL) {
        return err_oom(err);
    }
    if (m->write && mkdir(dir, DIR_MODE) < 0 && errno != EEXIST) {
        return err_set(err, -errno, "%s: %s%s", dir, strerror(errno),
                       errno == EACCES ? "; run as root" : "");
    }
    for (size_t i = 0; i < m->match->n; i++) {
        struct err why = {""};

        if (is_wanted(m, i) && place(m, i, dir, &why) < 0) {
            m->placings[i].state = "failed";
            m->placings[i].problem = str_dup(why.text);
            if (m->placings[i].problem == NULL) {
                return err_oom(err);
            }
        }
    }
    return 0;
}

/* --- showing ---------------------------------------------------------------------------------- */

static enum out_style style_of(enum match_sure sure)
{
    switch (sure) {
    case MATCH_CERTAIN:
        return OUT_GOOD;
    case MATCH_LIKELY:
        return OUT_WARN;
    case MATCH_AMBIGUOUS:
        return OUT_BAD;
    case MATCH_NONE:
        break;
    }
    return OUT_DIM;
}

static const char *detail_of(const struct matching *m, size_t i)
{
    const struct placing *placing = &m->placings[i];

    if (placing->problem != NULL) {
        return placing->problem;
    }
    return placing->state != NULL ? placing->state : m->match->pairs[i].why;
}

static int print_table(const struct cli *cli, const struct matching *m)
{
    static const char *const heads[] = {"FINGERPRINT", "VMID",  "NODE",  "NAME",
                                        "BY",          "MATCH", "DETAIL"};
    CLEANUP(out_table_fini) struct out_table table;

    out_table_init(&table, heads, ARRAY_SIZE(heads));
    for (size_t i = 0; i < m->match->n; i++) {
        const struct match_pair *pair = &m->match->pairs[i];
        const struct match_vm *vm = vm_of(m, i);
        CLEANUP_FREE char *by = match_by_text(vm != NULL ? pair->by : 0);

        if (by == NULL) {
            return -ENOMEM;
        }
        out_table_add(&table, OUT_PLAIN, m->files.fingerprints[i].file);
        if (vm != NULL) {
            out_table_addf(&table, OUT_PLAIN, "%u", (unsigned)vm->vmid);
        } else {
            out_table_add(&table, OUT_PLAIN, NULL);
        }
        out_table_add(&table, OUT_PLAIN, vm != NULL ? vm->node : NULL);
        out_table_add(&table, OUT_PLAIN, vm != NULL ? pveconf_get(vm->conf, "name") : NULL);
        out_table_add(&table, OUT_PLAIN, by);
        out_table_add(&table, style_of(pair->sure), match_sure_name(pair->sure));
        out_table_add(&table, OUT_PLAIN, detail_of(m, i));
    }
    return out_table_print(&table, &cli->out);
}

static size_t count(const struct matching *m, enum match_sure sure)
{
    size_t n = 0;

    for (size_t i = 0; i < m->match->n; i++) {
        n += m->match->pairs[i].sure == sure;
    }
    return n;
}

static size_t count_state(const struct matching *m, const char *state)
{
    size_t n = 0;

    for (size_t i = 0; i < m->match->n; i++) {
        n += str_equal(m->placings[i].state, state);
    }
    return n;
}

static void print_summary(const struct cli *cli, const struct matching *m)
{
    size_t to_write = 0;

    for (size_t i = 0; i < m->match->n; i++) {
        to_write += !m->write && is_wanted(m, i) && m->placings[i].state == NULL;
    }
    out_printf(&cli->out, OUT_PLAIN,
               "Fingerprints: %zu certain, %zu likely, %zu ambiguous, %zu without a VM. VMs in the "
               "cluster: %zu.\n",
               count(m, MATCH_CERTAIN), count(m, MATCH_LIKELY), count(m, MATCH_AMBIGUOUS),
               count(m, MATCH_NONE), m->files.n_vms);
    if (m->match->conflicts.n > 0 || count(m, MATCH_CERTAIN) == 0) {
        return;
    }
    if (to_write > 0) {
        out_printf(&cli->out, OUT_PLAIN, "Next, to put %zu in place: the same with --write\n",
                   to_write);
    } else if (!m->write) {
        out_printf(&cli->out, OUT_PLAIN, "In place: %zu. Next: pve-hwid check\n",
                   count_state(m, "in place"));
    }
}

static json_t *pair_json(const struct matching *m, size_t i)
{
    const struct match_pair *pair = &m->match->pairs[i];
    const struct match_vm *vm = vm_of(m, i);
    CLEANUP_FREE char *by = match_by_text(vm != NULL ? pair->by : 0);

    if (by == NULL) {
        return NULL;
    }
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o}", "fingerprint",
        cli_json_text(m->files.fingerprints[i].file), "source_name",
        cli_json_text(m->files.fingerprints[i].fp->source.name), "vmid",
        vm != NULL ? json_integer((json_int_t)vm->vmid) : json_null(), "node",
        cli_json_text(vm != NULL ? vm->node : NULL), "name",
        cli_json_text(vm != NULL ? pveconf_get(vm->conf, "name") : NULL), "by", by, "match",
        match_sure_name(pair->sure), "state", cli_json_text(m->placings[i].state), "detail",
        cli_json_text(m->placings[i].problem != NULL ? m->placings[i].problem : pair->why));
}

static json_t *notes_json(const struct notes *notes)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < notes->n; i++) {
        if (json_array_append_new(array, cli_json_text(notes->items[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *to_json(const struct matching *m)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < m->match->n; i++) {
        if (json_array_append_new(array, pair_json(m, i)) < 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return json_pack("{s:o, s:I, s:o, s:o}", "matches", array, "vms", (json_int_t)m->files.n_vms,
                     "conflicts", notes_json(&m->match->conflicts), "problems",
                     notes_json(&m->files.problems));
}

/* --- the verb --------------------------------------------------------------------------------- */

static enum cli_exit exit_of(const struct matching *m)
{
    size_t settled = count(m, MATCH_CERTAIN) + (m->likely ? count(m, MATCH_LIKELY) : 0);
    enum cli_exit code = settled == m->match->n ? CLI_OK : CLI_DIFFERS;

    if (m->match->conflicts.n > 0) {
        code = CLI_REFUSED;
    }
    for (size_t i = 0; i < m->match->n; i++) {
        if (str_equal(m->placings[i].state, "other in place")) {
            code = cli_worst(code, CLI_REFUSED);
        } else if (str_equal(m->placings[i].state, "failed")) {
            code = cli_worst(code, CLI_ERROR);
        }
    }
    return m->files.problems.n > 0 ? cli_worst(code, CLI_ERROR) : code;
}

static enum cli_exit show(const struct cli *cli, const struct matching *m)
{
    enum cli_exit code = exit_of(m);

    if (cli->json) {
        return cli_print_json(cli, to_json(m), code);
    }
    for (size_t i = 0; i < m->files.problems.n; i++) {
        cli_note(cli, "left out: %s", m->files.problems.items[i]);
    }
    if (print_table(cli, m) < 0) {
        return cli_oom(cli);
    }
    print_summary(cli, m);
    for (size_t i = 0; i < m->match->conflicts.n; i++) {
        cli_note(cli, "%s%s", m->write ? "nothing was written: " : "",
                 m->match->conflicts.items[i]);
    }
    return code;
}

static enum cli_exit run(const struct cli *cli, struct matching *m)
{
    struct match_input input;
    struct err err = {""};

    if (match_files_read_fingerprints(&m->files, m->dir, &err) < 0 ||
        match_files_read_cluster(&m->files, m->pve_dir, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    if (m->files.n_fingerprints == 0 && m->files.problems.n == 0) {
        return cli_fail(cli, CLI_ERROR,
                        "%s: there is no NAME.json in it; pve-hwid capture -o DIR makes them",
                        m->dir);
    }
    input = (struct match_input){m->files.fingerprints, m->files.n_fingerprints, m->files.vms,
                                 m->files.n_vms,        m->files.placed,         m->files.n_placed};
    m->placings = calloc(m->files.n_fingerprints + 1, sizeof(*m->placings));
    if (m->placings == NULL || match_make(&input, &m->match, &err) < 0) {
        return cli_oom(cli);
    }
    if (m->match->conflicts.n == 0 && place_all(m, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    return show(cli, m);
}

static enum cli_exit match_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(matching_fini) struct matching m = {.pve_dir = "/etc/pve"};
    const struct arg_option options[] = {
        {"write", 'w', ARG_FLAG, &m.write},
        {"likely", '\0', ARG_FLAG, &m.likely},
        {"force", 'f', ARG_FLAG, &m.force},
        {"pve-dir", '\0', ARG_TEXT, &m.pve_dir},
    };
    struct args args;
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    if (args.n == 0) {
        return cli_usage(cli, "match needs the folder with the fingerprints");
    }
    if ((m.likely || m.force) && !m.write) {
        return cli_usage(cli, "--likely and --force are for --write");
    }
    m.dir = args.words[0];
    return run(cli, &m);
}

const struct verb verb_match = {
    .name = "match",
    .summary = "Finds out which fingerprint belongs to which VM of the cluster",
    .usage = "match DIR [--write [--likely] [--force]] [--pve-dir DIR] [--json]",
    .details =
        "Compares each DIR/NAME.json with all VMs of all nodes: by the SMBIOS uuid in either byte\n"
        "order, the serial number, MAC addresses, the name. certain: by uuid, serial or all MACs.\n"
        "likely: by some MACs or by name. ambiguous: several fit. Without --write it only "
        "shows.\n\n"
        "  -w, --write    put what is certain to /etc/pve/pve-hwid/VMID.json; nothing at all "
        "where\n"
        "                 one identity would be given out twice\n"
        "  --likely       what is likely, too\n"
        "  -f, --force    overwrite a fingerprint that is there and says something else\n"
        "  --pve-dir DIR  in the place of /etc/pve\n\n"
        "Exit: 0 all are certain (with --likely: or likely), 3 some are not, 5 refused (one\n"
        "identity twice, or another fingerprint is in place), 1 error.\n\n"
        "Examples:\n"
        "  pve-hwid match /root/fingerprints\n"
        "  pve-hwid match /root/fingerprints --write\n",
    .run = match_run,
};
