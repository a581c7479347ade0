/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See several.h. */
#include "cli/several.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/calls.h"
#include "cli/vm_state.h"

void several_fini(struct several *several)
{
    for (size_t i = 0; i < several->n; i++) {
        free(several->vms[i].word);
        free(several->vms[i].why);
    }
    free(several->vms);
    *several = (struct several){0};
}

static struct several_vm *find(const struct several *several, uint32_t vmid)
{
    for (size_t i = 0; i < several->n; i++) {
        if (several->vms[i].vmid == vmid) {
            return &several->vms[i];
        }
    }
    return NULL;
}

int several_add(struct several *several, uint32_t vmid)
{
    if (find(several, vmid) != NULL) {
        return 0;
    }
    if (vec_reserve(&several->vms, several->n, &several->cap, sizeof(several->vms[0])) < 0) {
        return -ENOMEM;
    }
    several->vms[several->n++] = (struct several_vm){.vmid = vmid};
    return 0;
}

static int set_result(struct several_vm *vm, enum cli_exit code, const char *word, const char *why)
{
    vm->code = code;
    return str_replace(&vm->word, word) < 0 || str_replace(&vm->why, why) < 0 ? -ENOMEM : 0;
}

int several_add_told(struct several *several, uint32_t vmid, enum cli_exit code, const char *word,
                     const char *why)
{
    int rc = several_add(several, vmid);

    return rc < 0 ? rc : set_result(find(several, vmid), code, word, why);
}

/* --- which ------------------------------------------------------------------------------------ */

enum cli_exit several_operands(const struct cli *cli, const struct args *args, struct several *ret)
{
    if (args->n == 0) {
        return cli_usage(cli, "%s needs the number of a VM, e.g. 105", cli->verb->name);
    }
    for (size_t i = 0; i < args->n; i++) {
        uint32_t vmid = 0;
        enum cli_exit code = args_take_vmid(cli, args->words[i], &vmid);

        if (code != CLI_OK) {
            return code;
        }
        if (several_add(ret, vmid) < 0) {
            return cli_oom(cli);
        }
    }
    ret->many = ret->many || args->n > 1;
    return CLI_OK;
}

/* VMs of other nodes have their fingerprints here as well; they are those nodes' to change. */
static enum cli_exit take_all(const struct cli *cli, bool on_hold, struct several *ret)
{
    CLEANUP(vm_state_list_fini) struct vm_state_list list = {0};
    json_auto_t *answer = NULL;
    struct err err = {""};
    enum cli_exit code = calls_vm(cli, "Check", 0, "vms", &answer);

    if (code != CLI_OK) {
        return code;
    }
    if (vm_state_list_read(answer, &list, &err) < 0) {
        return calls_bad_answer(cli, 0, err.text);
    }
    for (size_t i = 0; i < list.n; i++) {
        const struct vm_state *vm = &list.items[i];
        int rc = 0;

        if (str_equal(vm->state, "on-hold") && !on_hold) {
            rc = several_add_told(ret, vm->vmid, vm_state_exit(vm), vm->state, vm->detail);
        } else if (!str_equal(vm->state, "no-config")) {
            rc = several_add(ret, vm->vmid);
        }
        if (rc < 0) {
            return cli_oom(cli);
        }
    }
    ret->many = true;
    return CLI_OK;
}

enum cli_exit several_take(const struct cli *cli, const struct args *args, bool all, bool on_hold,
                           struct several *ret)
{
    if (all && args->n > 0) {
        return cli_usage(cli, "%s wants the numbers of VMs, or --all", cli->verb->name);
    }
    if (!all && args->n == 0) {
        return cli_usage(cli, "%s needs the number of a VM, e.g. 105, or --all", cli->verb->name);
    }
    return all ? take_all(cli, on_hold, ret) : several_operands(cli, args, ret);
}

/* --- interrupts ------------------------------------------------------------------------------- */

/* A signal has nothing but this to leave a word in. */
static volatile sig_atomic_t interrupted;

/* Which of them end this program: a signal that was ignored stays so, as for a job in the
 * background. */
static const int interrupts[] = {SIGINT, SIGTERM};
static volatile sig_atomic_t interrupts_caught[ARRAY_SIZE(interrupts)];

/* The next one, whichever it is, ends this program at once: so this text comes once. */
static void on_interrupt(int number)
{
    static const char text[] = "\npve-hwid: interrupted: the VM under way is ended, no other is "
                               "begun; once more ends this "
                               "program at once, not what the daemon has begun\n";
    int saved = errno;

    (void)number;
    interrupted = 1;
    for (size_t i = 0; i < ARRAY_SIZE(interrupts); i++) {
        if (interrupts_caught[i] != 0) {
            (void)signal(interrupts[i], SIG_DFL); /* cannot fail: they were caught */
        }
    }
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1); /* nobody there to read it: as well */
    errno = saved;
}

static void watch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    struct sigaction present;

    /* While one of them is being handled the other one waits, or it would be told twice. */
    (void)sigemptyset(&action.sa_mask); /* none of these can fail */
    for (size_t i = 0; i < ARRAY_SIZE(interrupts); i++) {
        (void)sigaddset(&action.sa_mask, interrupts[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(interrupts); i++) {
        (void)sigaction(interrupts[i], NULL, &present);
        interrupts_caught[i] = present.sa_handler != SIG_IGN;
        if (interrupts_caught[i] != 0) {
            (void)sigaction(interrupts[i], &action, NULL);
        }
    }
}

/* --- the summary ------------------------------------------------------------------------------ */

static enum out_style style_of(enum cli_exit code)
{
    return code == CLI_OK ? OUT_GOOD : code == CLI_ERROR ? OUT_BAD : OUT_WARN;
}

/* {"done": 9, "failed": 1}, in the order in which they came up first; NULL: no memory. */
static json_t *count(const struct several *several)
{
    json_t *counts = json_object();

    for (size_t i = 0; i < several->n; i++) {
        const char *word = several->vms[i].word;

        if (word != NULL &&
            json_object_set_new(
                counts, word, json_integer(json_integer_value(json_object_get(counts, word)) + 1)) <
                0) {
            json_decref(counts);
            return NULL;
        }
    }
    return counts;
}

/* What needs a look: a summary of hundreds is read for that. */
static int print_table(const struct cli *cli, const struct several *several)
{
    static const char *const heads[] = {"VMID", "RESULT", "DETAIL"};
    CLEANUP(out_table_fini) struct out_table table;
    char prefix[CALLS_PREFIX_SIZE];

    out_table_init(&table, heads, ARRAY_SIZE(heads));
    for (size_t i = 0; i < several->n; i++) {
        const struct several_vm *vm = &several->vms[i];
        const char *why = vm->why != NULL ? vm->why : "";

        if (vm->word == NULL || (vm->code == CLI_OK && !str_equal(vm->word, "on-hold"))) {
            continue;
        }
        out_table_addf(&table, OUT_PLAIN, "%u", (unsigned)vm->vmid);
        out_table_add(&table, style_of(vm->code), vm->word);
        calls_prefix(vm->vmid, prefix);
        out_table_add_said(&table, why + (str_starts(why, prefix) ? strlen(prefix) : 0));
    }
    if (table.n > 0) {
        out_text(&cli->out, "\n");
    }
    return out_table_print(&table, &cli->out);
}

static enum cli_exit print_summary(const struct cli *cli, const struct several *several,
                                   const json_t *not_done, enum cli_exit worst)
{
    CLEANUP(buf_fini) struct buf line = BUF_INIT(0);
    json_auto_t *counts = count(several);
    const char *word;
    json_t *number;
    size_t i;

    if (counts == NULL || print_table(cli, several) < 0) {
        return cli_oom(cli);
    }
    json_object_foreach (counts, word, number) {
        buf_addf(&line, "%s%lld %s", line.len > 0 ? ", " : "",
                 (long long)json_integer_value(number), word);
    }
    out_printf(&cli->out, OUT_BOLD, "\n%zu VM%s: ", several->n, several->n == 1 ? "" : "s");
    out_printf(&cli->out, OUT_PLAIN, "%s%s%s\n", line.len > 0 ? line.data : "",
               line.len > 0 && json_array_size(not_done) > 0 ? ", " : "",
               json_array_size(not_done) > 0 ? "the rest was not begun:" : "");
    json_array_foreach (not_done, i, number) {
        out_printf(&cli->out, OUT_PLAIN, "%s%lld", i > 0 ? " " : "",
                   (long long)json_integer_value(number));
    }
    out_text(&cli->out, json_array_size(not_done) > 0 ? "\n" : "");
    return worst;
}

static enum cli_exit tell_end(const struct cli *cli, const struct several *several, json_t *items,
                              enum cli_exit worst)
{
    json_auto_t *not_done = json_array();
    json_t *object;

    for (size_t i = 0; i < several->n; i++) {
        if (several->vms[i].word == NULL &&
            json_array_append_new(not_done, json_integer(several->vms[i].vmid)) < 0) {
            return cli_oom(cli);
        }
    }
    if (!cli->json) {
        return print_summary(cli, several, not_done, worst);
    }
    object = json_pack("{s:O,s:o,s:O}", "vms", items, "counts", count(several), "not_done",
                       not_done);
    if (object != NULL && several->result != NULL &&
        json_object_set_new(object, "result", json_string(several->result(worst))) < 0) {
        json_decref(object);
        object = NULL;
    }
    return cli_print_json(cli, object, worst);
}

/* --- doing ------------------------------------------------------------------------------------ */

static void tell_place(const struct cli *cli, const struct several *several, size_t i)
{
    if (cli->out.width > 0 && !cli->json && several->n > 1) {
        out_printf(&cli->out, OUT_DIM, "[%zu/%zu] ", i + 1, several->n);
        (void)fflush(cli->out.file); /* main() finds a failed write at the end */
    }
}

/* On hold: told in the list, and nothing is done. */
static int tell_beforehand(const struct cli *cli, const struct several_vm *vm, json_t *items)
{
    CLEANUP_FREE char *why = out_local_times(vm->why);

    if (cli->json) {
        return json_array_append_new(items, json_pack("{s:I,s:s,s:s}", "vmid", (json_int_t)vm->vmid,
                                                      "outcome", vm->word, "detail", vm->why));
    }
    out_printf(&cli->out, OUT_PLAIN, "VM %u: nothing was done: %s\n", (unsigned)vm->vmid,
               why != NULL && *why != '\0' ? why : vm->word);
    return 0;
}

static int do_one(const struct cli *cli, struct several_vm *vm, several_one *one, void *userdata,
                  json_t *items, bool *ret_no_daemon)
{
    struct cli_batch batch = {.items = items, .vmid = vm->vmid};
    struct cli mine = *cli;
    enum cli_exit code;

    mine.batch = &batch;
    code = one(&mine, vm->vmid, userdata);
    (void)fflush(cli->out.file); /* as it happens; main() looks for failures at the end */
    *ret_no_daemon = batch.no_daemon;
    return set_result(vm, code, *batch.word != '\0' ? batch.word : cli_word(code, "done", "failed"),
                      batch.sentence);
}

enum cli_exit several_run(const struct cli *cli, struct several *several, several_one *one,
                          void *userdata)
{
    json_auto_t *items = json_array();
    enum cli_exit worst = CLI_OK;
    bool no_daemon = false;
    size_t i;

    if (!several->many && several->n == 1) {
        return one(cli, several->vms[0].vmid, userdata);
    }
    if (items == NULL) {
        return cli_oom(cli);
    }
    if (several->n == 0 && !cli->json) {
        out_text(&cli->out, "No VM on this node has a fingerprint.\n");
        return CLI_OK;
    }
    watch_interrupts();
    for (i = 0; i < several->n && interrupted == 0 && !no_daemon; i++) {
        struct several_vm *vm = &several->vms[i];

        tell_place(cli, several, i);
        if ((vm->word != NULL ? tell_beforehand(cli, vm, items)
                              : do_one(cli, vm, one, userdata, items, &no_daemon)) < 0) {
            return cli_oom(cli);
        }
        worst = cli_worst(worst, vm->code);
    }
    /* Not all was done: that is no success, whatever the others say. */
    return tell_end(cli, several, items, i < several->n ? cli_worst(worst, CLI_ERROR) : worst);
}
