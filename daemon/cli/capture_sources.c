/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See capture.h: the kinds of files that are known, and how one is told from another. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "cli/capture.h"
#include "cli/capture_ova.h"
#include "cli/capture_vmdk.h"
#include "cli/nearest.h"
#include "core/dmidecode.h"
#include "core/ovf.h"
#include "core/slmgr.h"
#include "core/tar.h"
#include "core/vcenter.h"
#include "core/vmx.h"
#include "core/winguest.h"

/* The pure parsers of core that make one fingerprint of one text. */
typedef int (*parse_fn)(const char *text, size_t len, const char *captured,
                        struct fingerprint **ret_fp, struct notes *notes, struct err *err);

static int capture_text(struct input *input, const struct capture_options *options, size_t max,
                        parse_fn parse, struct capture_set *set, struct err *err)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    CLEANUP(buf_fini) struct buf text = BUF_INIT(max);
    int rc = input_rest(input, &text, err);

    if (rc < 0) {
        return rc;
    }
    rc = parse(text.data, text.len, options->captured, &fp, &notes, err);
    if (rc < 0) {
        return err_prefix(err, rc, "%s", input_name(input->path));
    }
    return capture_set_add(set, &fp, &notes, err);
}

/* Ours: the only JSON that states its format first of all, or nearly so. */
static bool is_fingerprint(const char *head, size_t len)
{
    static const char key[] = "\"format\"";
    const char *at;

    while (len > 0 && ascii_is_space(*head)) {
        head++;
        len--;
    }
    at = len > 0 && *head == '{' ? memmem(head, len, key, strlen(key)) : NULL;
    if (at == NULL) {
        return false;
    }
    at += strlen(key);
    at += strspn(at, " \t\r\n");
    if (*at != ':') {
        return false;
    }
    at++;
    return at[strspn(at, " \t\r\n")] == '1';
}

static int parse_fingerprint(const char *text, size_t len, const char *captured,
                             struct fingerprint **ret_fp, struct notes *notes, struct err *err)
{
    (void)captured; /* it says itself when */
    (void)notes;
    return fingerprint_parse(text, len, ret_fp, err);
}

static int capture_fingerprint(struct input *input, const struct capture_options *options,
                               struct capture_set *set, struct err *err)
{
    return capture_text(input, options, FINGERPRINT_MAX, parse_fingerprint, set, err);
}

static bool is_anything(const char *head, size_t len)
{
    (void)head;
    (void)len;
    return true;
}

static int capture_vmx(struct input *input, const struct capture_options *options,
                       struct capture_set *set, struct err *err)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    CLEANUP(vmx_disk_files_fini) struct vmx_disk_files files = {0};
    CLEANUP(buf_fini) struct buf text = BUF_INIT(VMX_MAX);
    int rc = input_rest(input, &text, err);

    if (rc < 0) {
        return rc;
    }
    if (input->own) {
        if (vmx_find_disk_files(text.data, text.len, &files) < 0) {
            return err_oom(err);
        }
        rc = vmdk_find_serials(input->path, &files, err);
    }
    if (rc == 0) {
        rc = vmx_capture_with(text.data, text.len, &files, options->captured, &fp, &notes, err);
        rc = rc < 0 ? err_prefix(err, rc, "%s", input_name(input->path)) : 0;
    }
    return rc < 0 ? rc : capture_set_add(set, &fp, &notes, err);
}

/* The first character behind a byte order mark and blanks; UTF-16 has a NUL in every other byte. */
static char first_character(const char *head, size_t len)
{
    size_t i = 0;

    for (; i < len && (ascii_is_space(head[i]) || head[i] == '\0' ||
                       strchr("\xef\xbb\xbf\xff\xfe", head[i]) != NULL);
         i++) {
    }
    return i < len ? head[i] : '\0';
}

static bool is_xml(const char *head, size_t len)
{
    return first_character(head, len) == '<';
}

/* The VMs of a parser's list become those of the set. */
static int take_vms(struct ovf_vms *vms, struct capture_set *set, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < vms->n && rc == 0; i++) {
        rc = capture_set_add(set, &vms->items[i].fp, &vms->items[i].notes, err);
    }
    return rc;
}

static int capture_ovf_text(const char *name, const struct buf *text,
                            const struct capture_options *options, struct capture_set *set,
                            struct err *err)
{
    CLEANUP(ovf_vms_fini) struct ovf_vms vms = {0};
    int rc = ovf_capture(text->data, text->len, options->captured, &vms, err);

    return rc < 0 ? err_prefix(err, rc, "%s", name) : take_vms(&vms, set, err);
}

static int capture_ovf(struct input *input, const struct capture_options *options,
                       struct capture_set *set, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(OVF_MAX);
    int rc = input_rest(input, &text, err);

    return rc < 0 ? rc : capture_ovf_text(input_name(input->path), &text, options, set, err);
}

static bool is_gzip(const char *head, size_t len)
{
    return len > 2 && memcmp(head, "\x1f\x8b", 2) == 0;
}

static bool is_ova(const char *head, size_t len)
{
    return tar_recognises(head, len) || is_gzip(head, len);
}

static int capture_ova(struct input *input, const struct capture_options *options,
                       struct capture_set *set, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(OVF_MAX);
    const char *name = input_name(input->path);
    int rc;

    if (is_gzip(input->ahead.len > 0 ? input->ahead.data : "", input->ahead.len)) {
        return err_set(err, -EINVAL,
                       "%s is compressed; unpack it on the way: zcat %s | pve-hwid "
                       "capture -",
                       name, name);
    }
    rc = ova_find_descriptor(input, &text, err);
    return rc < 0 ? err_prefix(err, rc, "%s", name)
                  : capture_ovf_text(name, &text, options, set, err);
}

static int capture_dmidecode(struct input *input, const struct capture_options *options,
                             struct capture_set *set, struct err *err)
{
    return capture_text(input, options, DMIDECODE_MAX, dmidecode_capture, set, err);
}

static bool is_json(const char *head, size_t len)
{
    return first_character(head, len) == '{';
}

static int capture_windows(struct input *input, const struct capture_options *options,
                           struct capture_set *set, struct err *err)
{
    return capture_text(input, options, WINGUEST_MAX, winguest_capture, set, err);
}

/* A saved answer of vCenter: no other JSON of ours has these. */
static bool is_vcenter(const char *head, size_t len)
{
    static const char *const keys[] = {"\"guest_OS\"", "\"boot_devices\"", "\"bios_uuid\""};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (memmem(head, len, keys[i], strlen(keys[i])) != NULL) {
            return is_json(head, len);
        }
    }
    return false;
}

static int parse_vcenter(const char *text, size_t len, const char *captured,
                         struct fingerprint **ret_fp, struct notes *notes, struct err *err)
{
    return vcenter_capture(text, len, NULL, captured, ret_fp, notes, err);
}

static int capture_vcenter_answer(struct input *input, const struct capture_options *options,
                                  struct capture_set *set, struct err *err)
{
    return capture_text(input, options, VCENTER_VM_MAX, parse_vcenter, set, err);
}

static int capture_slmgr(struct input *input, const struct capture_options *options,
                         struct capture_set *set, struct err *err)
{
    return capture_text(input, options, SLMGR_MAX, slmgr_capture, set, err);
}

/* The first that recognises a file takes it: what says little about itself comes last. */
static const struct capture_source sources[] = {
    {"fingerprint", "a fingerprint of pve-hwid", is_fingerprint, capture_fingerprint},
    {"ova", "an OVA archive", is_ova, capture_ova},
    {"ovf", "an OVF descriptor", is_xml, capture_ovf},
    {"dmidecode", "what dmidecode printed in the guest", dmidecode_recognises, capture_dmidecode},
    {"vcenter", "vCenter's REST answer about one VM", is_vcenter, capture_vcenter_answer},
    {"windows", "what capture-windows.ps1 wrote in the guest", is_json, capture_windows},
    {"slmgr", "what slmgr /dlv printed in the guest", slmgr_recognises, capture_slmgr},
    {"vmx", "a .vmx file of VMware", is_anything, capture_vmx},
};

static const struct capture_source *find_source(const char *kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        if (str_equal(sources[i].kind, kind)) {
            return &sources[i];
        }
    }
    return NULL;
}

static int unknown_kind(const char *kind, struct err *err)
{
    CLEANUP(buf_fini) struct buf known = BUF_INIT(0);
    struct nearest nearest = nearest_begin(kind);

    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        nearest_offer(&nearest, sources[i].kind);
        buf_addf(&known, "%s%s (%s)", i > 0 ? ", " : "", sources[i].kind, sources[i].what);
    }
    if (nearest.best != NULL) {
        return err_set(err, -EINVAL, "--from does not know '%s'; did you mean %s?", kind,
                       nearest.best);
    }
    return known.error != 0
               ? err_oom(err)
               : err_set(err, -EINVAL, "--from does not know '%s'; it knows %s", kind, known.data);
}

int capture_file(const struct capture_options *options, struct capture_set *set, struct err *err)
{
    CLEANUP(input_fini) struct input input = {0};
    const struct capture_source *source = NULL;
    int rc;

    if (options->from != NULL) {
        source = find_source(options->from);
        if (source == NULL) {
            return unknown_kind(options->from, err);
        }
    }
    rc = input_open(options->source, &input, err);
    rc = rc < 0 ? rc : input_peek(&input, CAPTURE_HEAD, err);
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; source == NULL && i < ARRAY_SIZE(sources); i++) {
        const char *head = input.ahead.len > 0 ? input.ahead.data : "";

        source = sources[i].recognises(head, input.ahead.len) ? &sources[i] : NULL;
    }
    return source->capture(&input, options, set, err);
}
