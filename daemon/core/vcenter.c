/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vcenter.h: one VM's answer to a fingerprint. What the whole machine has in common is read
 * here; vcenter_nics.c and vcenter_drives.c do the rest. Reading is lenient, as with a .vmx file:
 * vCenter adds keys at will, so unknown ones are passed over, and a value that a fingerprint cannot
 * hold is left out with a note. REST tells nothing of extraConfig (smbios.reflectHost,
 * acpi.smbiosVersion2.7, vm.genid) and nothing of disk serials: the .vmx file does.
 */
#include "core/vcenter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/vcenter_priv.h"
#include "core/vmx_text.h"

enum {
    NOTES_MAX = 100,         /* a hostile answer could have one per device */
    DEVICES_MAX = 1024,      /* of one map */
    HARDWARE_20 = 20,        /* EFI calls itself VMware20,1 from here on (inferred) */
    HARDWARE_SMBIOS_27 = 13, /* SMBIOS 2.7 from here on */
    SHOWN_MAX = 64,
};

void vcenter_note(struct vcenter *v, const char *format, ...)
{
    CLEANUP_FREE char *text = NULL;
    va_list args;
    int rc;

    if (v->error != 0 || v->n_notes > NOTES_MAX) {
        return;
    }
    va_start(args, format);
    rc = vasprintf(&text, format, args);
    va_end(args);
    if (rc < 0) {
        text = NULL; /* its value is undefined after a failure */
        v->error = -ENOMEM;
        return;
    }
    str_tame(text);
    v->error = notes_add(v->notes, "%s",
                         v->n_notes++ < NOTES_MAX ? text : "there is more to tell than fits here");
}

void vcenter_set(struct vcenter *v, char **at, const char *text)
{
    if (v->error == 0) {
        v->error = str_replace(at, text);
    }
}

long vcenter_number(const json_t *object, const char *key, long max)
{
    const json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);

    return json_is_integer(value) && number >= 0 && number <= max ? (long)number : -1;
}

/* --- maps of devices -------------------------------------------------------------------------- */

void vcenter_devices_fini(struct vcenter_devices *devices)
{
    free(devices->items);
}

static int compare(const void *left, const void *right)
{
    const struct vcenter_device *a = left, *b = right;

    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    return a->order < b->order ? -1 : 1;
}

/* A key that is no number comes last: it still names a device. */
static void add_device(struct vcenter *v, struct vcenter_devices *devices, const char *key,
                       const json_t *value)
{
    uint64_t number;

    if (v->error != 0 || devices->n == DEVICES_MAX || !json_is_object(value)) {
        return;
    }
    if (vec_reserve(&devices->items, devices->n, &devices->cap, sizeof(devices->items[0])) < 0) {
        v->error = -ENOMEM;
        return;
    }
    if (!str_to_u64(key, INT32_MAX, &number)) {
        number = (uint64_t)INT32_MAX + 1;
    }
    devices->items[devices->n] = (struct vcenter_device){number, devices->n, value};
    devices->n++;
}

void vcenter_devices_read(struct vcenter *v, const char *map, struct vcenter_devices *devices)
{
    json_t *entries = json_object_get(v->vm, map);
    const json_t *entry;
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach (entries, key, value) {
        add_device(v, devices, key, value);
    }
    json_array_foreach (entries, i, entry) {
        add_device(v, devices, vcenter_text(entry, "key"), json_object_get(entry, "value"));
    }
    if (devices->n > 1) {
        qsort(devices->items, devices->n, sizeof(devices->items[0]), compare);
    }
}

/* --- the machine ------------------------------------------------------------------------------ */

/* "VMX_19": 19; 0: not said. */
static int hardware_version(struct vcenter *v)
{
    static const char prefix[] = "VMX_";
    const char *text = vcenter_text(json_object_get(v->vm, "hardware"), "version");
    const char *digits = str_starts(text, prefix) ? text + strlen(prefix) : "";
    uint64_t number = 0;

    digits += *digits == '0' && digits[1] != '\0' ? 1 : 0; /* VMX_03 */
    if (*text != '\0' && (!str_to_u64(digits, FINGERPRINT_HARDWARE_MAX, &number) || number == 0)) {
        vcenter_note(v, "hardware.version \"%.*s\" is not known here; left out", SHOWN_MAX, text);
        return 0;
    }
    return (int)number;
}

static void capture_source(struct vcenter *v, const char *list_name, const char *captured)
{
    struct fingerprint_source *source = &v->fp->source;
    const char *name = vcenter_text(v->vm, "name");
    CLEANUP_FREE char *text = NULL;
    bool lossy;

    if (*name == '\0') {
        name = vcenter_text(json_object_get(v->vm, "identity"), "name");
    }
    if (*name == '\0' && list_name != NULL) {
        name = list_name;
    }
    vcenter_set(v, &source->kind, "vcenter");
    vcenter_set(v, &source->captured, captured);
    v->hardware = hardware_version(v);
    source->hardware_version = v->hardware;
    if (v->error == 0) {
        v->error = vmx_text_decode(name, NULL, FINGERPRINT_STRING_MAX, &text, &lossy);
    }
    if (v->error == 0 && *text != '\0') {
        source->name = STEAL(text);
    }
}

static void capture_firmware(struct vcenter *v)
{
    const char *type = vcenter_text(json_object_get(v->vm, "boot"), "type");

    v->efi = str_equal(type, "EFI");
    if (!v->efi && !str_equal(type, "BIOS")) {
        vcenter_note(v, "boot.type \"%.*s\" is not known here; taken as BIOS", SHOWN_MAX, type);
    }
    vcenter_set(v, &v->fp->firmware, v->efi ? "efi" : "bios");
}

/* All bits 0 or 1: SMBIOS for "none". */
static bool is_none(const struct smbios_uuid *uuid)
{
    for (size_t i = 1; i < sizeof(uuid->bytes); i++) {
        if (uuid->bytes[i] != uuid->bytes[0]) {
            return false;
        }
    }
    return uuid->bytes[0] == 0x00 || uuid->bytes[0] == 0xff;
}

/* bios_uuid is RFC(b): the serial number shows the same bytes, QEMU is told them swapped (law 6).
 * instance_uuid is vCenter's own and never seen by a guest. */
static void capture_uuid(struct vcenter *v)
{
    const char *text = vcenter_text(json_object_get(v->vm, "identity"), "bios_uuid");
    struct fingerprint_smbios *smbios = &v->fp->smbios;
    char serial[sizeof("VMware-") + SMBIOS_UUID_VMWARE_SIZE] = "VMware-";
    char told[SMBIOS_UUID_SIZE];
    struct smbios_uuid bytes;

    if (*text == '\0') {
        vcenter_note(v, "this vCenter does not tell identity.bios_uuid (vSphere 6.7.1 and later "
                        "do), so UUID and serial number are missing: capture the VM's .vmx file "
                        "from the datastore, or a dump from inside the guest, and join it with "
                        "`pve-hwid capture --merge`");
        return;
    }
    if (smbios_uuid_parse(text, &bytes, NULL) < 0 || is_none(&bytes)) {
        vcenter_note(v,
                     "identity.bios_uuid \"%.*s\" is no UUID: left out, and the serial number "
                     "with it; the VM's .vmx file or the guest tells it",
                     SHOWN_MAX, text);
        return;
    }
    smbios_uuid_format_vmware(&bytes, serial + strlen(serial));
    vcenter_set(v, &smbios->serial, serial);
    bytes = smbios_uuid_swap(bytes);
    smbios_uuid_format(&bytes, told);
    vcenter_set(v, &smbios->uuid, told);
}

/* facts/vmware.md 1. */
static void capture_smbios(struct vcenter *v)
{
    struct fingerprint_smbios *smbios = &v->fp->smbios;
    const char *guest = vcenter_text(v->vm, "guest_OS");
    const char *product = v->hardware >= HARDWARE_20 ? "VMware20,1" : "VMware7,1";

    v->fp->has_smbios = true;
    capture_uuid(v);
    vcenter_set(v, &smbios->manufacturer, "VMware, Inc.");
    vcenter_set(v, &smbios->version, "None");
    vcenter_set(v, &smbios->product, v->efi ? product : "VMware Virtual Platform");
    if (v->efi && (v->hardware >= HARDWARE_20 || v->hardware == 0)) {
        vcenter_note(v,
                     "smbios.product \"%s\" follows from EFI and %s, which VMware does not "
                     "promise: compare it with what the guest shows "
                     "(Win32_ComputerSystemProduct.Name)",
                     product,
                     v->hardware == 0 ? "an unknown hardware version"
                                      : "hardware version 20 or later");
    }
    if (v->hardware > 0 && v->hardware < HARDWARE_SMBIOS_27 && *guest != '\0' &&
        !str_istarts(guest, "win") && smbios->uuid != NULL) {
        vcenter_note(v, "SMBIOS 2.4: a guest such as Linux printed the UUID in the other byte "
                        "order on VMware than it will on PVE (product_uuid, dmidecode). The bytes "
                        "are the same; what is bound to the printed text (e.g. RHSM) must be told");
    }
}

static void capture_cpu(struct vcenter *v)
{
    const json_t *cpu = json_object_get(v->vm, "cpu");
    long count = vcenter_number(cpu, "count", FINGERPRINT_CPU_MAX);
    long cores = vcenter_number(cpu, "cores_per_socket", FINGERPRINT_CPU_MAX);
    long memory = vcenter_number(json_object_get(v->vm, "memory"), "size_MiB",
                                 FINGERPRINT_MEMORY_MIB_MAX);

    if (count > 0 && cores > 0 && count % cores == 0) {
        v->fp->sockets = (int)(count / cores);
        v->fp->cores = (int)cores;
    } else if (cpu != NULL) {
        vcenter_note(v, "cpu.count is no multiple of cpu.cores_per_socket: sockets and cores were "
                        "left out; read them in the guest");
    }
    v->fp->memory_mib = memory > 0 ? memory : 0;
}

static int refuse_nothing(const struct vcenter *v, struct err *err)
{
    bool found = v->fp->smbios.uuid != NULL || v->fp->n_disks > 0;

    for (size_t i = 0; i < v->fp->n_nics; i++) {
        found = found || v->fp->nics[i].mac[0] != '\0';
    }
    return found ? 0
                 : err_set(err, -EINVAL,
                           "nothing in the answer tells this machine from another: no bios_uuid, "
                           "no MAC address, no disk. Capture its .vmx file, or inside the guest");
}

static int capture(struct vcenter *v, const char *name, const char *captured, struct err *err)
{
    int rc;

    capture_source(v, name, captured);
    capture_firmware(v);
    capture_smbios(v);
    v->fp->has_machine = true;
    vcenter_set(v, &v->fp->machine_type, "q35");
    vcenter_capture_nics(v);
    vcenter_capture_drives(v);
    capture_cpu(v);
    if (v->error != 0) {
        return err_oom(err);
    }
    rc = refuse_nothing(v, err);
    return rc < 0 ? rc : fingerprint_check(v->fp, err);
}

int vcenter_capture(const char *text, size_t len, const char *name, const char *captured,
                    struct fingerprint **ret_fp, struct notes *notes, struct err *err)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = fingerprint_new();
    json_auto_t *vm = NULL;
    struct vcenter v = {.fp = fp, .notes = notes};
    int rc;

    if (fp == NULL) {
        return err_oom(err);
    }
    rc = vcenter_load(text, len, VCENTER_VM_MAX, &vm, err);
    if (rc < 0) {
        return rc;
    }
    if (!json_is_object(vm)) {
        return err_set(err, -EINVAL, "the answer describes no VM");
    }
    v.vm = vm;
    rc = capture(&v, name, captured, err);
    if (rc < 0) {
        return rc;
    }
    *ret_fp = STEAL(fp);
    return 0;
}

unsigned vcenter_missing(const struct fingerprint *fp)
{
    unsigned missing = fp->smbios.uuid == NULL ? VCENTER_MISSING_UUID : 0;

    for (size_t i = 0; i < fp->n_nics; i++) {
        missing |= fp->nics[i].mac[0] == '\0' ? VCENTER_MISSING_MAC : 0U;
    }
    for (size_t i = 0; i < fp->n_disks; i++) {
        bool scsi = fp->disks[i].controller < FINGERPRINT_SATA;

        missing |= scsi && fp->disks[i].serial == NULL ? VCENTER_MISSING_SERIAL : 0U;
    }
    return missing;
}
