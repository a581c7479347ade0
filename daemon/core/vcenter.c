/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vcenter.h: one VM's answer to a fingerprint. Reading is lenient, as with a .vmx file: vCenter
 * adds keys at will, so unknown ones are passed over, and a value that a fingerprint cannot hold is
 * left out with a note. REST tells nothing of extraConfig (smbios.reflectHost,
 * acpi.smbiosVersion2.7, vm.genid) and nothing of disk serials: the .vmx file and the guest do.
 */
#include "core/vcenter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/vcenter_priv.h"
#include "core/vmware.h"

enum { SHOWN_MAX = 64 };

/* "VMX_19": 19; 0: not said. */
static int capture_hardware(struct builder *b, const json_t *vm)
{
    const char *text = vcenter_text(json_object_get(vm, "hardware"), "version");

    if (str_starts(text, "VMX_")) {
        text += strlen("VMX_");
        text += *text == '0' && text[1] != '\0' ? 1 : 0; /* VMX_03 */
    }
    return builder_hardware(b, text);
}

static void capture_name(struct builder *b, const json_t *vm, const char *list_name)
{
    const char *name = vcenter_text(vm, "name");

    if (*name == '\0') {
        name = vcenter_text(json_object_get(vm, "identity"), "name");
    }
    builder_text(b, &b->fp->source.name, *name != '\0' ? name : list_name, FINGERPRINT_STRING_MAX,
                 "the VM's name");
}

static bool capture_firmware(struct builder *b, const json_t *vm)
{
    const char *type = vcenter_text(json_object_get(vm, "boot"), "type");
    bool efi = str_equal(type, "EFI");

    if (!efi && !str_equal(type, "BIOS")) {
        builder_note(b, "boot.type \"%.*s\" is not known here; taken as BIOS", SHOWN_MAX, type);
    }
    builder_set(b, &b->fp->firmware, efi ? "efi" : "bios");
    return efi;
}

/* bios_uuid is RFC(b): the serial number shows the same bytes, QEMU is told them swapped (law 6).
 * instance_uuid is vCenter's own and never seen by a guest. */
static void capture_uuid(struct builder *b, const json_t *vm)
{
    const char *text = vcenter_text(json_object_get(vm, "identity"), "bios_uuid");
    struct smbios_uuid raw;

    if (*text == '\0') {
        builder_note(b, "this vCenter does not tell identity.bios_uuid (vSphere 6.7.1 and later "
                        "do), so UUID and serial number are missing: capture the VM's .vmx file "
                        "from the datastore, or a dump from inside the guest, and join it with "
                        "`pve-hwid capture --merge`");
    } else if (smbios_uuid_parse(text, &raw, NULL) < 0 || smbios_uuid_is_none(&raw)) {
        builder_note(b,
                     "identity.bios_uuid \"%.*s\" is no UUID: left out, and the serial number with "
                     "it; the VM's .vmx file or the guest tells it",
                     SHOWN_MAX, text);
    } else {
        (void)builder_uuid(b, &raw); /* it is one; an error sticks */
    }
}

static void note_old_smbios(struct builder *b, const json_t *vm, int hardware)
{
    const char *guest = vcenter_text(vm, "guest_OS");

    if (hardware > 0 && hardware < VMWARE_HARDWARE_SMBIOS_27 && *guest != '\0' &&
        !vmware_guest_is_windows(guest) && b->fp->smbios.uuid != NULL) {
        builder_note(b, "SMBIOS 2.4: a guest such as Linux printed the UUID in the other byte "
                        "order on VMware than it will on PVE (product_uuid, dmidecode). The bytes "
                        "are the same; what is bound to the printed text (e.g. RHSM) must be told");
    }
}

static void capture_size(struct builder *b, const json_t *vm)
{
    const json_t *cpu = json_object_get(vm, "cpu");
    const json_t *memory = json_object_get(vm, "memory");
    long count = vcenter_number(cpu, "count", INT32_MAX);
    long cores = vcenter_number(cpu, "cores_per_socket", INT32_MAX);
    long mib = vcenter_number(memory, "size_MiB", INT32_MAX);

    if (cpu != NULL) {
        builder_cpu(b, count > 0 ? (uint64_t)count : 0, cores > 0 ? (uint64_t)cores : 0);
    }
    if (memory != NULL) {
        builder_memory(b, mib > 0 ? (uint64_t)mib : 0);
    }
}

static int refuse_nothing(const struct fingerprint *fp, struct err *err)
{
    return fingerprint_is_distinct(fp)
               ? 0
               : err_set(err, -EINVAL,
                         "nothing in the answer tells this machine from another: no bios_uuid, "
                         "no MAC address, no disk. Capture its .vmx file, or inside the guest");
}

static int capture(struct builder *b, const json_t *vm, const char *list_name, struct err *err)
{
    bool efi;
    int hardware;

    capture_name(b, vm, list_name);
    hardware = capture_hardware(b, vm);
    efi = capture_firmware(b, vm);
    capture_uuid(b, vm);
    builder_type1(b, efi, hardware);
    note_old_smbios(b, vm, hardware);
    builder_machine(b);
    vcenter_capture_devices(b, vm);
    capture_size(b, vm);
    return b->error != 0 ? err_oom(err) : refuse_nothing(b->fp, err);
}

int vcenter_capture(const char *text, size_t len, const char *name, const char *captured,
                    struct fingerprint **ret_fp, struct notes *notes, struct err *err)
{
    CLEANUP(builder_fini) struct builder b = {0};
    json_auto_t *vm = NULL;
    int rc = vcenter_load(text, len, VCENTER_VM_MAX, &vm, err);

    if (rc < 0) {
        return rc;
    }
    if (!json_is_object(vm)) {
        return err_set(err, -EINVAL, "the answer describes no VM");
    }
    if (builder_init(&b, "vcenter", captured, notes) < 0) {
        return err_oom(err);
    }
    rc = capture(&b, vm, name, err);
    return rc < 0 ? rc : builder_finish(&b, ret_fp, err);
}

unsigned vcenter_missing(const struct fingerprint *fp)
{
    unsigned missing = fp->smbios.uuid == NULL ? VCENTER_MISSING_UUID : 0;

    for (size_t i = 0; i < fp->n_nics; i++) {
        missing |= fp->nics[i].mac[0] == '\0' ? VCENTER_MISSING_MAC : 0U;
    }
    for (size_t i = 0; i < fp->n_disks; i++) {
        bool scsi = vmware_is_scsi(fp->disks[i].controller);

        missing |= scsi && fp->disks[i].serial == NULL ? VCENTER_MISSING_SERIAL : 0U;
    }
    return missing;
}
