/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See capture.h: where captured fingerprints go. The fingerprint is the result (stdout, or files);
 * what could not be carried over or was guessed is told beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "cli/args.h"
#include "cli/capture.h"
#include "io/file.h"

enum {
    FILE_MODE = 0644, /* a fingerprint holds no secret; the daemon is nobody and must read it */
    STEM_MAX = 120,   /* bytes of a VM's name in the name of its file */
    NAMES_MAX = 8,    /* names that a sentence lists */
    SHOWN_MAX = 40,   /* bytes of each of them */
};

void capture_set_fini(struct capture_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        fingerprint_free(set->items[i].fp);
        notes_fini(&set->items[i].notes);
        free(set->items[i].written);
    }
    free(set->items);
    *set = (struct capture_set){0};
}

int capture_set_add(struct capture_set *set, struct fingerprint **fp, struct notes *notes,
                    struct err *err)
{
    if (vec_reserve(&set->items, set->n, &set->cap, sizeof(set->items[0])) < 0) {
        fingerprint_free(STEAL(*fp));
        notes_fini(notes);
        return err_oom(err);
    }
    set->items[set->n++] = (struct capture_vm){.fp = STEAL(*fp), .notes = *notes};
    *notes = (struct notes){0};
    return 0;
}

static const char *vm_name(const struct capture_vm *vm)
{
    return vm->fp->source.name != NULL ? vm->fp->source.name : "";
}

/* --- files ------------------------------------------------------------------------------------ */

/* A fingerprint may be the last trace of a VM that is gone: none is overwritten by accident. Two
 * captures to one file at the same instant are not kept apart; rename cannot, everywhere. */
int capture_write(const char *path, bool force, const char *text, struct err *err)
{
    struct stat st;
    int rc;

    /* The rename would put a file in place of /dev/null. */
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return err_set(err, -EINVAL, "%s is not a regular file, and no file is put in its place",
                       path);
    }
    if (!force && file_exists(AT_FDCWD, path)) {
        return err_set(err, -EEXIST,
                       "%s exists and was left as it is; --force overwrites it, or choose another "
                       "name",
                       path);
    }
    rc = file_replace(AT_FDCWD, path, FILE_MODE, text, err);
    if (rc == -ENOENT) {
        return err_set(err, rc, "%s: its directory does not exist; create it first", path);
    }
    return rc == -EACCES ? err_set(err, rc, "%s: no permission to write there; run as root", path)
                         : rc;
}

/* A name of VMware's as the name of a file: no slash, no control character, not hidden. */
static char *stem_of(const struct capture_vm *vm)
{
    const char *name = vm_name(vm);
    size_t len = strlen(name);
    char *stem;

    for (len = len > STEM_MAX ? STEM_MAX : len;
         len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80; len--) {
    }
    stem = len > 0 ? str_ndup(name, len) : str_dup("unnamed");
    for (char *at = stem; at != NULL && *at != '\0'; at++) {
        bool bad = *at == '/' || (unsigned char)*at < 0x20 || *at == 0x7f || *at == '\\';

        *at = bad || (*at == '.' && at == stem) ? '_' : *at;
    }
    return stem;
}

/* A second VM of the same name gets "-2" behind it, in the order of the set. */
char *capture_path(const char *dir, const struct capture_set *set, size_t at)
{
    CLEANUP_FREE char *stem = stem_of(&set->items[at]);
    size_t same = 1;

    for (size_t i = 0; stem != NULL && i < at; i++) {
        CLEANUP_FREE char *other = stem_of(&set->items[i]);

        if (other == NULL) {
            return NULL;
        }
        same += str_iequal(other, stem);
    }
    if (stem == NULL) {
        return NULL;
    }
    return same == 1 ? str_printf("%s/%s.json", dir, stem)
                     : str_printf("%s/%s-%zu.json", dir, stem, same);
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int write_vm(const struct capture_options *options, struct capture_set *set, size_t at,
                    struct err *err)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *path = is_folder(options->output) ? capture_path(options->output, set, at)
                                                         : str_dup(options->output);
    int rc = path == NULL ? err_oom(err) : fingerprint_format(set->items[at].fp, &text, err);

    rc = rc < 0 ? rc : capture_write(path, options->force, text, err);
    if (rc == 0) {
        set->items[at].written = STEAL(path);
    }
    return rc;
}

/* --- which of them ---------------------------------------------------------------------------- */

static int list_names(const struct capture_set *set, struct buf *text)
{
    for (size_t i = 0; i < set->n && i < NAMES_MAX; i++) {
        buf_addf(text, "%s\"%.*s\"", i > 0 ? ", " : "", SHOWN_MAX, vm_name(&set->items[i]));
    }
    if (set->n > NAMES_MAX) {
        buf_adds(text, ", ...");
    }
    return text->error;
}

int capture_choose(const struct capture_options *options, struct capture_set *set, struct err *err)
{
    CLEANUP(buf_fini) struct buf names = BUF_INIT(0);
    struct capture_set chosen = {0};
    size_t n = 0, at = 0;

    for (size_t i = 0; i < set->n; i++) {
        if (str_equal(vm_name(&set->items[i]), options->vm)) {
            at = i;
            n++;
        }
    }
    if (list_names(set, &names) < 0) {
        return err_oom(err);
    }
    if (n != 1) {
        return err_set(err, -ENOENT, "%s VM in it is named \"%s\"; there %s %s",
                       n == 0 ? "no" : "more than one", options->vm, set->n == 1 ? "is" : "are",
                       names.data);
    }
    if (capture_set_add(&chosen, &set->items[at].fp, &set->items[at].notes, err) < 0) {
        return -ENOMEM;
    }
    capture_set_fini(set);
    *set = chosen;
    return 0;
}

static int refuse_several(const struct capture_options *options, const struct capture_set *set,
                          struct err *err)
{
    CLEANUP(buf_fini) struct buf names = BUF_INIT(0);

    if (set->n <= 1 || (options->output != NULL && is_folder(options->output))) {
        return 0;
    }
    if (list_names(set, &names) < 0) {
        return err_oom(err);
    }
    return err_set(err, -EINVAL,
                   "there are %zu VMs in it: %s. Choose one with --vm NAME, or write one file for "
                   "each with -o DIR (a folder that exists)",
                   set->n, names.data);
}

/* --- telling ---------------------------------------------------------------------------------- */

static json_t *vm_json(const struct capture_vm *vm)
{
    CLEANUP_FREE char *text = NULL;
    json_t *fp = fingerprint_format(vm->fp, &text, NULL) == 0 ? json_loads(text, 0, NULL) : NULL;
    json_t *notes = json_array();
    json_t *object;

    for (size_t i = 0; i < vm->notes.n && notes != NULL; i++) {
        if (json_array_append_new(notes, cli_json_text(vm->notes.items[i])) < 0) {
            json_decref(notes);
            notes = NULL;
        }
    }
    object = json_pack("{s:o?,s:o?,s:o}", "fingerprint", fp, "notes", notes, "written",
                       cli_json_text(vm->written));
    if (object != NULL && (fp == NULL || notes == NULL)) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* One VM is one object, several are {"vms": [...]}. */
static json_t *set_json(const struct capture_set *set)
{
    json_t *list = json_array();

    if (set->n == 1) {
        json_decref(list);
        return vm_json(&set->items[0]);
    }
    for (size_t i = 0; i < set->n && list != NULL; i++) {
        if (json_array_append_new(list, vm_json(&set->items[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list == NULL ? NULL : json_pack("{s:o}", "vms", list);
}

/* What to do next, where the name tells the VM. */
static void tell_next(const struct cli *cli, const struct capture_set *set)
{
    const char *name = input_base_name(set->items[0].written);
    CLEANUP_FREE char *stem = str_ndup(name, strcspn(name, "."));
    uint32_t vmid;

    if (set->n == 1 && stem != NULL && args_vmid(stem, &vmid)) {
        out_printf(&cli->out, OUT_PLAIN, "Next: pve-hwid plan %u\n", (unsigned)vmid);
    } else {
        out_printf(&cli->out, OUT_PLAIN,
                   "Next: put %s on the Proxmox VE node as "
                   "/etc/pve/pve-hwid/VMID.json\n",
                   set->n == 1 ? "it" : "each");
    }
}

static void tell_notes(const struct cli *cli, const struct capture_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct capture_vm *vm = &set->items[i];

        for (size_t k = 0; k < vm->notes.n; k++) {
            if (set->n > 1) {
                cli_note(cli, "%.*s: %s", SHOWN_MAX, vm_name(vm), vm->notes.items[k]);
            } else {
                cli_note(cli, "%s", vm->notes.items[k]);
            }
        }
    }
}

static enum cli_exit print_text(const struct cli *cli, const struct capture_set *set)
{
    CLEANUP_FREE char *text = NULL;

    if (fingerprint_format(set->items[0].fp, &text, NULL) < 0) {
        return cli_oom(cli);
    }
    out_text(&cli->out, text);
    return CLI_OK;
}

enum cli_exit capture_finish(const struct cli *cli, const struct capture_options *options,
                             struct capture_set *set)
{
    struct err err = {""};
    int rc = options->vm != NULL ? capture_choose(options, set, &err) : 0;

    rc = rc < 0 ? rc : refuse_several(options, set, &err);
    if (rc < 0) {
        err_prefix(&err, rc, "%s", input_name(options->source));
    }
    for (size_t i = 0; rc == 0 && options->output != NULL && i < set->n; i++) {
        rc = write_vm(options, set, i, &err);
    }
    if (rc < 0) {
        return cli_fail(cli, CLI_ERROR, "%s", err.text);
    }
    if (cli->json) {
        return cli_print_json(cli, set_json(set), CLI_OK);
    }
    tell_notes(cli, set);
    if (options->output == NULL) {
        return print_text(cli, set);
    }
    for (size_t i = 0; i < set->n; i++) {
        out_printf(&cli->out, OUT_PLAIN, "Wrote %s.\n", set->items[i].written);
    }
    tell_next(cli, set);
    return CLI_OK;
}
