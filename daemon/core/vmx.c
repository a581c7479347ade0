/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vmx.h. What the whole machine has in common is read here; vmx_smbios.c, vmx_nics.c and
 * vmx_disks.c do the rest. Whatever is captured is a fingerprint that fingerprint_parse() accepts:
 * a value it would refuse is left out here, with a note.
 */
#include "core/vmx.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/vmx_priv.h"
#include "core/vmx_text.h"

enum {
    NAME_SIZE = 64, /* of the names we look up */
    SHOWN_MAX = 64,
};

void vmx_note(struct vmx *v, const char *format, ...)
{
    va_list args;

    if (v->error != 0) {
        return;
    }
    va_start(args, format);
    v->error = notes_add_bounded(v->notes, &v->n_notes, format, args);
    va_end(args);
}

const char *vmx_get(const struct vmx *v, const char *format, ...)
{
    char name[NAME_SIZE];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(name, sizeof(name), format, args);
    va_end(args);
    return len < 0 || (size_t)len >= sizeof(name) ? NULL : vmx_dict_get(&v->dict, name);
}

bool vmx_true(const char *value, bool fallback)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};

    for (size_t i = 0; value != NULL && i < ARRAY_SIZE(yes); i++) {
        if (str_iequal(value, yes[i]) || str_iequal(value, no[i])) {
            return str_iequal(value, yes[i]);
        }
    }
    return fallback;
}

void vmx_set_text(struct vmx *v, char **at, const char *value, size_t max, const char *what)
{
    CLEANUP_FREE char *text = NULL;
    bool lossy = false;

    if (v->error != 0 || value == NULL) {
        return;
    }
    v->error = vmx_text_decode(value, v->encoding, max, &text, &lossy);
    if (v->error != 0) {
        return;
    }
    if (lossy) {
        vmx_note(v, "%s could not be kept character by character: it reads \"%s\" now", what, text);
    }
    if (*text != '\0') {
        free(*at);
        *at = STEAL(text);
    }
}

void vmx_set(struct vmx *v, char **at, const char *text)
{
    if (v->error == 0) {
        v->error = str_replace(at, text);
    }
}

bool vmx_take_number(const char **at, int max, int *ret_number)
{
    const char *digit = *at;
    int number = 0;

    for (; ascii_is_digit(*digit) && number <= max; digit++) {
        number = number * 10 + (*digit - '0');
    }
    if (digit == *at || number > max || ascii_is_digit(*digit) ||
        (**at == '0' && digit > *at + 1)) {
        return false;
    }
    *at = digit;
    *ret_number = number;
    return true;
}

/* A whole number from 1 to `max`, or 0 with a note; absent: `fallback`. */
static uint64_t number_of(struct vmx *v, const char *name, uint64_t max, uint64_t fallback)
{
    const char *value = vmx_get(v, "%s", name);
    uint64_t number = 0;

    if (value == NULL || *value == '\0') {
        return fallback;
    }
    if (!str_to_u64(value, max, &number) || number == 0) {
        vmx_note(v, "%s = \"%.*s\" is no number from 1 to %llu and was left out", name, SHOWN_MAX,
                 value, (unsigned long long)max);
        return 0;
    }
    return number;
}

static void capture_source(struct vmx *v, const char *captured)
{
    struct fingerprint_source *source = &v->fp->source;

    vmx_set(v, &source->kind, "vmx");
    vmx_set(v, &source->captured, captured);
    v->encoding = vmx_get(v, ".encoding");
    v->encoding = v->encoding != NULL && *v->encoding != '\0' ? v->encoding : NULL;
    if (v->encoding != NULL && !vmx_text_knows(v->encoding)) {
        vmx_note(v, ".encoding \"%.*s\" is not known here; read as UTF-8", SHOWN_MAX, v->encoding);
    }
    vmx_set_text(v, &source->name, vmx_get(v, "displayname"), FINGERPRINT_STRING_MAX,
                 "displayName");
    v->hardware = (int)number_of(v, "virtualhw.version", FINGERPRINT_HARDWARE_MAX, 0);
    source->hardware_version = v->hardware;
}

static void capture_firmware(struct vmx *v)
{
    const char *firmware = vmx_get(v, "firmware");

    v->efi = str_iequal(firmware, "efi");
    if (firmware != NULL && *firmware != '\0' && !v->efi && !str_iequal(firmware, "bios")) {
        vmx_note(v, "firmware = \"%.*s\" is not known here; taken as bios", SHOWN_MAX, firmware);
    }
    vmx_set(v, &v->fp->firmware, v->efi ? "efi" : "bios");
    if (vmx_true(vmx_get(v, "uefi.secureboot.enabled"), false)) {
        vmx_note(v, "secure boot was on: give the VM an EFI disk with pre-enrolled-keys=1");
    }
    if (vmx_true(vmx_get(v, "vtpm.present"), false)) {
        vmx_note(v, "the VM had a virtual TPM; what it holds does not come along: have BitLocker's "
                    "recovery key at hand");
    }
}

static void capture_cpu(struct vmx *v)
{
    const char *per_socket = vmx_get(v, "cpuid.corespersocket");
    uint64_t cpus = number_of(v, "numvcpus", FINGERPRINT_CPU_MAX, 1);
    uint64_t cores;

    if (str_equal(per_socket, "0")) {
        vmx_note(v, "cpuid.coresPerSocket = 0: vSphere chose sockets and cores by itself; read "
                    "them in the guest");
        return;
    }
    cores = number_of(v, "cpuid.corespersocket", FINGERPRINT_CPU_MAX, 1);
    if (cpus == 0 || cores == 0) {
        return;
    }
    if (cpus % cores != 0) {
        vmx_note(v,
                 "numvcpus = %llu is no multiple of cpuid.coresPerSocket = %llu: sockets and "
                 "cores were left out",
                 (unsigned long long)cpus, (unsigned long long)cores);
        return;
    }
    v->fp->sockets = (int)(cpus / cores);
    v->fp->cores = (int)cores;
}

/* "-5704120239402535687": 64 bits as a signed decimal number; a positive one may use all 64. */
static bool parse_half(const char *text, uint64_t *ret_half)
{
    bool negative = text != NULL && *text == '-';
    uint64_t max = negative ? (uint64_t)1 << 63 : UINT64_MAX;

    if (!str_to_u64(negative ? text + 1 : text, max, ret_half)) {
        return false;
    }
    *ret_half = negative ? 0 - *ret_half : *ret_half;
    return true;
}

/*
 * VMware puts vm.genid and vm.genidX into guest memory as two little-endian numbers. QEMU takes the
 * 16 bytes as a UUID text and turns its first three fields round on the way into memory: so the
 * text is the swapped form of the bytes, as for the SMBIOS UUID.
 */
static void capture_genid(struct vmx *v)
{
    const char *low_text = vmx_get(v, "vm.genid"), *high_text = vmx_get(v, "vm.genidx");
    struct smbios_uuid bytes;
    char text[SMBIOS_UUID_SIZE];
    uint64_t low, high;

    if (low_text == NULL && high_text == NULL) {
        return;
    }
    if (!parse_half(low_text, &low) || !parse_half(high_text, &high)) {
        vmx_note(v, "vm.genid and vm.genidX are no two 64-bit numbers; left out");
        return;
    }
    if (low == 0 && high == 0) {
        return;
    }
    for (unsigned i = 0; i < 8; i++) {
        bytes.bytes[i] = (uint8_t)(low >> (8 * i));
        bytes.bytes[8 + i] = (uint8_t)(high >> (8 * i));
    }
    bytes = smbios_uuid_swap(bytes);
    smbios_uuid_format(&bytes, text);
    vmx_set(v, &v->fp->vmgenid, text);
}

static int refuse_encrypted(const struct vmx *v, struct err *err)
{
    if (vmx_get(v, "encryption.keysafe") == NULL && vmx_get(v, "encryption.data") == NULL) {
        return 0;
    }
    return err_set(err, -EINVAL,
                   "this .vmx is encrypted, so its hardware cannot be read from it. Capture inside "
                   "the guest (dmidecode, PowerShell) or from vCenter instead, or take the "
                   "encryption off in VMware first");
}

static int refuse_nothing(const struct vmx *v, struct err *err)
{
    return fingerprint_is_distinct(v->fp)
               ? 0
               : err_set(err, -EINVAL,
                         "nothing in this .vmx tells this machine from another: no uuid.bios, "
                         "no MAC address, no disk. Was it ever started? Capture inside the "
                         "guest or from vCenter instead");
}

static int capture(struct vmx *v, const char *captured, struct err *err)
{
    struct fingerprint *fp = v->fp;
    int rc = refuse_encrypted(v, err);

    if (rc < 0) {
        return rc;
    }
    v->guest = vmx_get(v, "guestos");
    v->guest = v->guest != NULL ? v->guest : "";
    capture_source(v, captured);
    capture_firmware(v);
    vmx_capture_smbios(v);
    fp->has_machine = true;
    vmx_set(v, &fp->machine_type, "q35");
    fp->machine_major = FINGERPRINT_MACHINE_MAJOR;
    fp->machine_minor = FINGERPRINT_MACHINE_MINOR;
    vmx_capture_nics(v);
    vmx_capture_disks(v);
    capture_cpu(v);
    fp->memory_mib = (long)number_of(v, "memsize", FINGERPRINT_MEMORY_MIB_MAX, 0);
    capture_genid(v);
    if (v->error != 0) {
        return err_oom(err);
    }
    rc = refuse_nothing(v, err);
    return rc < 0 ? rc : fingerprint_check(fp, err);
}

int vmx_capture_with(const char *text, size_t len, const struct vmx_disk_files *files,
                     const char *captured, struct fingerprint **ret_fp, struct notes *notes,
                     struct err *err)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = fingerprint_new();
    struct vmx v = {.fp = fp, .files = files, .notes = notes};
    int rc;

    if (fp == NULL) {
        return err_oom(err);
    }
    rc = vmx_dict_parse(text, len, &v.dict, notes, err);
    if (rc < 0) {
        return rc;
    }
    rc = capture(&v, captured, err);
    vmx_dict_fini(&v.dict);
    if (rc < 0) {
        return rc;
    }
    *ret_fp = STEAL(fp);
    return 0;
}

int vmx_capture(const char *text, size_t len, const char *captured, struct fingerprint **ret_fp,
                struct notes *notes, struct err *err)
{
    return vmx_capture_with(text, len, NULL, captured, ret_fp, notes, err);
}

void vmx_disk_files_fini(struct vmx_disk_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        free(files->items[i].file);
        free(files->items[i].serial);
        free(files->items[i].why);
    }
    free(files->items);
    *files = (struct vmx_disk_files){0};
}

int vmx_find_disk_files(const char *text, size_t len, struct vmx_disk_files *ret_files)
{
    struct vmx v = {0};
    struct vmx_disk_files files = {0};
    int rc = vmx_dict_parse(text, len, &v.dict, NULL, NULL);

    if (rc < 0) {
        return rc == -ENOMEM ? rc : 0; /* vmx_capture() will say what is wrong */
    }
    vmx_list_disk_files(&v, &files);
    vmx_dict_fini(&v.dict);
    if (v.error != 0) {
        vmx_disk_files_fini(&files);
        return v.error;
    }
    *ret_files = files;
    return 0;
}
