/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vcenter.h: how far it is, and how it went. Progress is for stderr: a bar on a terminal, some
 * plain lines elsewhere; the end is the result: stdout. */
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/vcenter.h"
#include "io/clock.h"

enum { BAR_WIDTH = 30, PROGRESS_MS = 100, LINES = 10, LINES_FROM = 50, SHOWN_MAX = 64 };

void vcenter_tell_failure(struct vcenter_run *run, const struct vcenter_item *vm,
                          const char *message)
{
    struct vcenter_told told = {0};

    if (run->n_told == VCENTER_TOLD_MAX ||
        vec_reserve(&run->told, run->n_told, &run->cap_told, sizeof(run->told[0])) < 0) {
        return; /* it is counted in any case */
    }
    told.id = str_dup(vm->id);
    told.name = str_dup(vm->name);
    told.message = str_dup(message);
    run->told[run->n_told++] = told;
}

/* --- progress --------------------------------------------------------------------------------- */

static size_t done(const struct vcenter_run *run)
{
    return run->count.captured + run->count.skipped + run->count.failed;
}

static void show_bar(struct vcenter_run *run, bool last)
{
    char bar[BAR_WIDTH + 1];
    size_t full = run->vms.n == 0 ? 0 : done(run) * BAR_WIDTH / run->vms.n;
    uint64_t now = clock_monotonic_ms();

    if (!last && now < run->progress_ms + PROGRESS_MS) {
        return;
    }
    run->progress_ms = now;
    for (size_t i = 0; i < BAR_WIDTH; i++) {
        bar[i] = i < full ? '#' : '.';
    }
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "\r[%s] %zu of %zu VMs, %zu failed%s", bar, done(run), run->vms.n,
                  run->count.failed, last ? "\n" : ""); /* a show: errors do not matter */
    (void)fflush(stderr);
}

/* A line for every tenth of it. */
static void show_line(struct vcenter_run *run)
{
    size_t part = run->vms.n / LINES;

    if (run->vms.n >= LINES_FROM && done(run) % part == 0 && done(run) < run->vms.n) {
        (void)fprintf(stderr, "pve-hwid: %zu of %zu VMs, %zu failed\n", done(run), run->vms.n,
                      run->count.failed); /* as above */
    }
}

void vcenter_tell_progress(struct vcenter_run *run, bool last)
{
    if (isatty(STDERR_FILENO) != 0) {
        show_bar(run, last);
    } else if (!last) {
        show_line(run);
    }
}

/* --- the end ---------------------------------------------------------------------------------- */

struct lack {
    const char *what; /* of --json */
    size_t vms;
    const char *text, *how;
};

enum { LACKS = 3 };

static void list_lacks(const struct vcenter_run *run, struct lack lacks[LACKS])
{
    lacks[0] = (struct lack){
        "smbios.uuid", run->count.no_uuid, "UUID and serial number",
        "this vCenter does not tell them (vSphere 6.7.1 and later do): capture the .vmx file from "
        "the datastore, or a dump from inside the guest, and join them with `pve-hwid capture "
        "--merge`"};
    lacks[1] = (struct lack){
        "nics.mac", run->count.no_mac, "MAC address of a network card",
        "read it in the guest and add it as nics[].mac, or join a dump from inside the guest"};
    lacks[2] = (struct lack){
        "disks.serial", run->count.no_serial, "serial numbers of SCSI disks",
        "REST never tells them, and guests saw them only where disk.EnableUUID is TRUE: join the "
        ".vmx file with its .vmdk descriptors, or a dump from inside the guest"};
}

static json_t *lacks_json(const struct vcenter_run *run)
{
    struct lack lacks[LACKS];
    json_t *list = json_array();

    list_lacks(run, lacks);
    for (size_t i = 0; i < LACKS && list != NULL; i++) {
        if (lacks[i].vms > 0 &&
            json_array_append_new(list, json_pack("{s:s,s:I,s:s}", "what", lacks[i].what, "vms",
                                                  (json_int_t)lacks[i].vms, "how", lacks[i].how)) <
                0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *failures_json(const struct vcenter_run *run)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->n_told && list != NULL; i++) {
        const struct vcenter_told *told = &run->told[i];

        if (json_array_append_new(list, json_pack("{s:o,s:o,s:o}", "vm", cli_json_text(told->id),
                                                  "name", cli_json_text(told->name), "message",
                                                  cli_json_text(told->message))) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static size_t left(const struct vcenter_run *run)
{
    return run->vms.n - done(run);
}

static json_t *end_json(const struct vcenter_run *run, const struct err *err)
{
    const struct vcenter_count *count = &run->count;
    json_t *lacks = lacks_json(run);
    json_t *failures = failures_json(run);
    json_t *object = json_pack(
        "{s:s,s:s,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:o*,s:o*,s:o}", "vcenter", run->url, "dialect",
        run->dialect == VCENTER_API ? "api" : "rest", "directory",
        cli_json_text(run->options->output), "found", (json_int_t)run->vms.n, "captured",
        (json_int_t)count->captured, "skipped", (json_int_t)count->skipped, "incomplete",
        (json_int_t)count->incomplete, "failed", (json_int_t)count->failed, "left",
        (json_int_t)left(run), "missing", lacks, "failures", failures, "message",
        cli_json_text(err->text[0] != '\0' ? err->text : NULL));

    if (object != NULL && (lacks == NULL || failures == NULL)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* First complete, then hand out: docs/TUTORIAL.md tells the same. */
static void print_next(const struct vcenter_run *run, const struct lack lacks[static LACKS])
{
    const struct out *out = &run->cli->out;
    bool lacking = false;

    for (size_t i = 0; i < LACKS; i++) {
        lacking = lacking || lacks[i].vms > 0;
    }
    if (lacking) {
        out_printf(out, OUT_PLAIN,
                   "Next, to fill in what is missing, VM by VM: pve-hwid capture --merge "
                   "%s/NAME.json NAME.vmx NAME-hwid.json -o NAME.json\n"
                   "Or, to give them to their VMs as they are: pve-hwid match %s\n",
                   run->options->output, run->options->output);
    } else {
        out_printf(out, OUT_PLAIN, "Next: pve-hwid match %s\n", run->options->output);
    }
}

static void print_end(const struct vcenter_run *run)
{
    const struct out *out = &run->cli->out;
    const struct vcenter_count *count = &run->count;
    struct lack lacks[LACKS];

    out_printf(out, OUT_PLAIN, "%zu of %zu VM%s captured from %s into %s", count->captured,
               run->vms.n, run->vms.n == 1 ? "" : "s", run->url, run->options->output);
    out_printf(out, OUT_PLAIN, "; %zu were there already", count->skipped);
    out_printf(out, count->failed > 0 ? OUT_BAD : OUT_PLAIN, "; %zu failed", count->failed);
    out_printf(out, OUT_PLAIN, left(run) > 0 ? "; %zu left\n" : "\n", left(run));
    for (size_t i = 0; i < run->n_told; i++) {
        const struct vcenter_told *told = &run->told[i];

        out_printf(out, OUT_PLAIN, "  failed: %.*s (%s): %s\n", SHOWN_MAX,
                   told->name != NULL ? told->name : "", told->id != NULL ? told->id : "",
                   told->message != NULL ? told->message : "");
    }
    if (count->failed > run->n_told) {
        out_printf(out, OUT_PLAIN, "  ... and %zu more\n", count->failed - run->n_told);
    }
    list_lacks(run, lacks);
    for (size_t i = 0; i < LACKS; i++) {
        if (lacks[i].vms > 0) {
            out_printf(out, OUT_PLAIN, "  missing in %zu: %s; %s\n", lacks[i].vms, lacks[i].text,
                       lacks[i].how);
        }
    }
    if (count->notes > 0 && run->vms.n > 1) {
        out_printf(out, OUT_PLAIN, "  %zu note%s: %s/notes.txt\n", count->notes,
                   count->notes == 1 ? "" : "s", run->options->output);
    }
    if (left(run) > 0 || count->failed > 0) {
        out_printf(out, OUT_PLAIN,
                   "Next: the same command again asks only for what is not there yet\n");
    } else {
        print_next(run, lacks);
    }
}

enum cli_exit vcenter_tell_end(struct vcenter_run *run, const struct err *err)
{
    bool failed = err->text[0] != '\0' || run->count.failed > 0;

    if (err->text[0] != '\0' && done(run) == 0) {
        return cli_fail(run->cli, CLI_ERROR, "%s", err->text);
    }
    if (run->cli->json) {
        return cli_print_json(run->cli, end_json(run, err), failed ? CLI_ERROR : CLI_OK);
    }
    print_end(run);
    if (err->text[0] != '\0') {
        return cli_fail(run->cli, CLI_ERROR, "%s", err->text);
    }
    return failed ? CLI_ERROR : CLI_OK;
}
