/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See hook_job.h. `hookscript` may be set by root@pam alone, so this is qm, run by root. */
#include "cli/hook_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/where.h"
#include "io/file.h"

enum { WORD_SIZE = 24 }; /* of struct cli_batch, too */

void hook_job_fini(struct hook_job *job)
{
    several_fini(&job->several);
    vm_hooks_fini(&job->vms);
    admin_fini(&job->admin);
}

void hook_deed_say(struct hook_deed *deed, enum cli_exit code, const char *format, ...)
{
    va_list args;

    deed->code = code;
    va_start(args, format);
    (void)vsnprintf(deed->why, sizeof(deed->why), format, args); /* a cut sentence is still one */
    va_end(args);
}

bool hook_job_runs(const struct hook_job *job, const char *volid, struct err *why)
{
    CLEANUP_FREE char *path = NULL;

    if (admin_snippet(&job->admin, volid, &path, why) < 0) {
        return false;
    }
    if (!file_exists(AT_FDCWD, path)) {
        (void)err_set(why, -ENOENT, "%s does not exist", path);
        return false;
    }
    if (!admin_is_executable(path)) {
        (void)err_set(why, -EACCES, "%s is not executable", path);
        return false;
    }
    return true;
}

/* --- doing ------------------------------------------------------------------------------------ */

static int write_note(const char *path, const char *volid, struct err *err)
{
    CLEANUP_FREE char *text = str_printf("%s\n", volid);

    return text == NULL ? err_oom(err) : file_replace(AT_FDCWD, path, 0644, text, err);
}

static int remove_note(const char *path, struct err *err)
{
    return unlink(path) < 0 && errno != ENOENT
               ? err_set(err, -errno, "%s: %s", path, strerror(errno))
               : 0;
}

static int qm_set(uint32_t vmid, const char *script, struct err *err)
{
    char number[16];
    const char *const set[] = {"qm", "set", number, "--hookscript", script, NULL};
    const char *const drop[] = {"qm", "set", number, "--delete", "hookscript", NULL};

    (void)snprintf(number, sizeof(number), "%u", (unsigned)vmid); /* fits */
    return admin_run(script != NULL ? set : drop, ADMIN_COMMAND_MS, NULL, err);
}

static enum cli_exit exit_of_failure(const struct err *err)
{
    return strstr(err->text, "VM is locked") != NULL || strstr(err->text, "got timeout") != NULL
               ? CLI_BUSY
               : CLI_ERROR;
}

static enum cli_exit carry_out(const struct hook_job *job, const struct vm_hook *vm,
                               const struct hook_deed *deed, struct err *err)
{
    CLEANUP_FREE char *path = vm_hook_former_path(&job->admin, vm->vmid);
    bool to_ours = deed->sets && deed->script != NULL && str_ends(deed->script, "/pve-hwid");
    int rc = path == NULL ? err_oom(err) : 0;

    if (rc == 0 && deed->note != NULL) {
        rc = write_note(path, deed->note, err);
    } else if (rc == 0 && to_ours && deed->removes_note) {
        rc = remove_note(path, err); /* an old one would be run from now on */
    }
    if (rc < 0) {
        return CLI_ERROR;
    }
    if (deed->sets && qm_set(vm->vmid, deed->script, err) < 0) {
        return exit_of_failure(err); /* a note that was written does nothing without our hook */
    }
    if (!to_ours && deed->removes_note && remove_note(path, err) < 0) {
        return CLI_ERROR;
    }
    return CLI_OK;
}

/* From now on the VM may be rewritten early. Resume is the daemon's word for "look again", whether
 * there was a hold or not; one that there is counts all the same. */
static void tell_daemon(const struct cli *cli, uint32_t vmid)
{
    json_auto_t *answer = NULL;
    struct err err = {""};
    bool failed = false;

    if (admin_ask_daemon(cli, "Resume", vmid, &answer, &failed, &err) < 0) {
        cli_note(cli, "VM %u: the daemon was not told and looks at it at its next start: %s",
                 (unsigned)vmid, err.text);
    }
}

/* What follows for its starts, as it is now: asked before the daemon is told, which may change it
 * at once. */
static void foretell(const struct cli *cli, uint32_t vmid, struct hook_deed *deed)
{
    json_auto_t *answer = NULL;
    const char *state, *detail;
    const json_t *vm;
    bool failed = false;

    if (admin_ask_daemon(cli, "Check", vmid, &answer, &failed, NULL) < 0 || failed) {
        return;
    }
    vm = json_array_get(json_object_get(answer, "vms"), 0);
    state = json_string_value(json_object_get(vm, "state"));
    detail = json_string_value(json_object_get(vm, "detail"));
    detail = detail != NULL ? detail : "";
    if (str_equal(state, "in-sync")) {
        hook_deed_say(deed, CLI_OK, "it is as its fingerprint says, so its next start goes on");
    } else if (str_equal(state, "differs")) {
        hook_deed_say(deed, CLI_OK,
                      "it differs from its fingerprint (%s): it is changed while it is stopped; a "
                      "start that comes first is stopped on purpose (exit code 75), it is changed, "
                      "and started again, unless on_drift says otherwise",
                      detail);
    } else if (state != NULL) {
        hook_deed_say(deed, CLI_OK, "%s%s%s", state, *detail != '\0' ? ": " : "", detail);
    }
}

/* --- telling ---------------------------------------------------------------------------------- */

static const char *word_of(enum cli_exit code, bool changes, bool dry_run)
{
    return code == CLI_DIFFERS ? "would-do"
                               : cli_word(code,
                                          !changes  ? "already"
                                          : dry_run ? "would-do"
                                                    : "done",
                                          "failed");
}

/* "done" for people: what was. */
static const char *past_of(const struct hook_job *job, const char *word,
                           char text[static WORD_SIZE])
{
    const char *before = str_equal(word, "would-do") ? "would be " : "";
    const char *after = str_equal(word, "already") ? " already" : "";

    if (*before == '\0' && *after == '\0' && !str_equal(word, "done")) {
        return word;
    }
    (void)snprintf(text, WORD_SIZE, "%s%sed%s", before, job->doing, after); /* all fit */
    return text;
}

static enum out_style style_of(enum cli_exit code, bool changes)
{
    return code != CLI_OK ? OUT_BAD : changes ? OUT_GOOD : OUT_DIM;
}

static enum cli_exit tell(const struct cli *cli, const struct hook_job *job, uint32_t vmid,
                          const struct hook_deed *deed)
{
    const char *word = word_of(deed->code, deed->changes, job->dry_run);
    bool would = deed->code == CLI_OK && deed->changes && job->dry_run;
    char text[WORD_SIZE];
    enum cli_exit code = would ? CLI_DIFFERS : deed->code;

    cli_result(cli, cli->json ? word : past_of(job, word, text), deed->why);
    if (cli->json) {
        return cli_print_json(cli,
                              json_pack("{s:I,s:s,s:o}", "vmid", (json_int_t)vmid, "state", word,
                                        "detail", cli_json_text(deed->why)),
                              code);
    }
    out_printf(&cli->out, OUT_PLAIN, "VM %u: ", (unsigned)vmid);
    out_printf(&cli->out, style_of(deed->code, deed->changes), "%s", past_of(job, word, text));
    out_printf(&cli->out, OUT_PLAIN, "%s%s\n", *deed->why != '\0' ? ": " : "", deed->why);
    return code;
}

static void decide(const struct hook_job *job, uint32_t vmid, struct hook_deed *ret)
{
    const struct vm_hook *vm = vm_hooks_find(&job->vms, vmid);

    if (vm == NULL || !vm->is_here) {
        struct where where = {.is = vm == NULL ? WHERE_NOWHERE : WHERE_ELSEWHERE,
                              .node = vm == NULL ? NULL : vm->node};
        CLEANUP_FREE char *why = where_why_not(&where, vmid, job->doing);

        hook_deed_say(ret, CLI_ERROR, "%s", why != NULL ? why : "out of memory");
    } else if (vm->conf == NULL) {
        hook_deed_say(ret, CLI_ERROR, "%s", vm->problem);
    } else {
        job->decide(job, vm, ret);
    }
}

static enum cli_exit do_one(const struct cli *cli, uint32_t vmid, void *userdata)
{
    const struct hook_job *job = userdata;
    struct hook_deed deed = {.code = CLI_OK};
    struct err err = {""};

    decide(job, vmid, &deed);
    if (deed.code == CLI_OK && deed.changes && !job->dry_run) {
        enum cli_exit code = carry_out(job, vm_hooks_find(&job->vms, vmid), &deed, &err);

        if (code != CLI_OK) {
            hook_deed_say(&deed, code, "%s", err.text);
        } else if (deed.tells) {
            if (*deed.why == '\0') {
                foretell(cli, vmid, &deed);
            }
            tell_daemon(cli, vmid);
        }
    }
    return tell(cli, job, vmid, &deed);
}

/* --all means this node: root of one node has no say on the others. */
static int take_all(const struct cli *cli, struct hook_job *job)
{
    for (size_t i = 0; i < job->vms.n; i++) {
        const struct vm_hook *vm = &job->vms.items[i];

        if (vm->is_here && job->wants(vm) && several_add(&job->several, vm->vmid) < 0) {
            return -ENOMEM;
        }
        if (!vm->is_here && job->wants(vm)) {
            cli_note(cli, "VM %u is on node %s; run there: pve-hwid %s --all", (unsigned)vm->vmid,
                     vm->node, job->doing);
        }
    }
    job->several.many = true;
    return 0;
}

enum cli_exit hook_job_open(const struct cli *cli, struct hook_job *job, const struct args *args)
{
    struct err err = {""};
    enum cli_exit code = CLI_OK;

    if (job->all == (args->n > 0)) {
        return cli_usage(cli, "%s wants the numbers of VMs, or --all", job->doing);
    }
    code = job->all ? CLI_OK : several_operands(cli, args, &job->several);
    code = code == CLI_OK ? admin_open(cli, &job->admin) : code;
    if (code == CLI_OK && vm_hooks_read(&job->admin, &job->vms, &err) < 0) {
        return cli_fail(cli, CLI_ERROR, "nothing was done: %s", err.text);
    }
    return code;
}

enum cli_exit hook_job_run(const struct cli *cli, struct hook_job *job)
{
    if (job->all && take_all(cli, job) < 0) {
        return cli_oom(cli);
    }
    if (job->all && job->several.n == 0 && !cli->json) {
        out_printf(&cli->out, OUT_PLAIN, "There is no VM on this node to %s.\n", job->doing);
        return CLI_OK;
    }
    job->several.many = job->several.many || cli->json; /* a list, as it always was */
    return several_run(cli, &job->several, do_one, job);
}
