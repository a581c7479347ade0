/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid capture`: VMware's description of a VM to a fingerprint. Works anywhere, needs no
 * daemon and no PVE. The fingerprint is the result (stdout, or the file of -o); what could not be
 * carried over or was guessed is told beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "cli/args.h"
#include "cli/input.h"
#include "core/fingerprint.h"
#include "core/vmx.h"
#include "io/clock.h"
#include "io/file.h"

enum {
    FILE_MODE = 0644
}; /* a fingerprint holds no secret; the daemon is nobody and must read it */

struct capture {
    const char *source;
    const char *output; /* NULL: stdout */
    bool force;
    struct notes notes;
    char *text; /* the fingerprint */
};

static void capture_fini(struct capture *capture)
{
    notes_fini(&capture->notes);
    free(capture->text);
}

static int read_source(struct capture *capture, struct err *err)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(buf_fini) struct buf text = BUF_INIT(VMX_MAX);
    char captured[CLOCK_TEXT_SIZE];
    int rc;

    rc = input_read(capture->source, &text, err);
    if (rc < 0) {
        return rc;
    }
    clock_format(time(NULL), captured);
    rc = vmx_capture(text.data, text.len, captured, &fp, &capture->notes, err);
    if (rc == 0) {
        rc = fingerprint_format(fp, &capture->text, err);
    }
    return rc < 0 ? err_prefix(err, rc, "%s", input_name(capture->source)) : 0;
}

/* A fingerprint may be the last trace of a VM that is gone: none is overwritten by accident. Two
 * captures to one file at the same instant are not kept apart; rename cannot, everywhere. */
static int write_output(const struct capture *capture, struct err *err)
{
    int rc;

    if (!capture->force && file_exists(AT_FDCWD, capture->output)) {
        return err_set(err, -EEXIST,
                       "%s exists and was left as it is; --force overwrites it, or choose another "
                       "name",
                       capture->output);
    }
    rc = file_replace(AT_FDCWD, capture->output, FILE_MODE, capture->text, err);
    if (rc == -ENOENT) {
        return err_set(err, rc, "%s: its directory does not exist; create it first",
                       capture->output);
    }
    return rc == -EACCES
               ? err_set(err, rc, "%s: no permission to write there; run as root", capture->output)
               : rc;
}

static json_t *to_json(const struct capture *capture)
{
    json_t *fp = json_loads(capture->text, 0, NULL);
    json_t *notes = json_array();
    json_t *object;

    for (size_t i = 0; i < capture->notes.n && notes != NULL; i++) {
        if (json_array_append_new(notes, cli_json_text(capture->notes.items[i])) < 0) {
            json_decref(notes);
            notes = NULL;
        }
    }
    object = json_pack("{s:o?,s:o?,s:o}", "fingerprint", fp, "notes", notes, "written",
                       cli_json_text(capture->output));
    if (object != NULL && (fp == NULL || notes == NULL)) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* What to do next, where the name tells the VM. */
static void tell_written(const struct cli *cli, const char *path)
{
    const char *name = input_base_name(path);
    CLEANUP_FREE char *stem = str_ndup(name, strcspn(name, "."));
    uint32_t vmid;

    out_printf(&cli->out, OUT_PLAIN, "Wrote %s.\n", path);
    if (stem != NULL && args_vmid(stem, &vmid)) {
        out_printf(&cli->out, OUT_PLAIN, "Next: pve-hwid plan %u\n", (unsigned)vmid);
    } else {
        out_printf(&cli->out, OUT_PLAIN,
                   "Next: put it on the Proxmox VE node as /etc/pve/pve-hwid/VMID.json\n");
    }
}

static enum cli_exit capture_run(struct cli *cli, int argc, char **argv)
{
    CLEANUP(capture_fini) struct capture capture = {0};
    const struct arg_option options[] = {
        {"output", 'o', ARG_TEXT, &capture.output},
        {"force", 'f', ARG_FLAG, &capture.force},
    };
    struct args args;
    struct err err = {""};
    enum cli_exit code;

    if (args_parse(cli, options, ARRAY_SIZE(options), argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    if (args.n == 0) {
        return cli_usage(cli, "capture needs the .vmx file of the VM, or '-' for standard input");
    }
    capture.source = args.words[0];
    if (str_equal(capture.output, "-")) {
        capture.output = NULL;
    }
    if (read_source(&capture, &err) < 0 ||
        (capture.output != NULL && write_output(&capture, &err) < 0)) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    if (cli->json) {
        return cli_print_json(cli, to_json(&capture), CLI_OK);
    }
    for (size_t i = 0; i < capture.notes.n; i++) {
        cli_note(cli, "%s", capture.notes.items[i]);
    }
    if (capture.output != NULL) {
        tell_written(cli, capture.output);
    } else {
        out_text(&cli->out, capture.text);
    }
    return CLI_OK;
}

const struct verb verb_capture = {
    .name = "capture",
    .summary = "Makes a fingerprint from VMware's .vmx file",
    .usage = "capture FILE.vmx [-o FILE [--force]] [--json]",
    .details =
        "FILE.vmx may be '-' for standard input. What could not be carried over or was\n"
        "guessed is told on standard error.\n\n"
        "  -o, --output FILE  write there, whole or not at all, instead of to stdout;\n"
        "                     a file that exists is not overwritten\n"
        "  -f, --force        overwrite it\n\n"
        "Examples:\n"
        "  pve-hwid capture web1.vmx\n"
        "  pve-hwid capture web1.vmx -o /etc/pve/pve-hwid/105.json\n"
        "  ssh root@esxi cat /vmfs/volumes/ds1/web1/web1.vmx | pve-hwid capture - -o 105.json\n",
    .run = capture_run,
};
