/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vmx_priv.h: SMBIOS type 1 as the guest saw it (facts/vmware.md 1 and 2). The .vmx holds only
 * the UUID; the strings follow from firmware and hardware version, unless a key says that VMware
 * showed others.
 */
#include <string.h>

#include "base/str.h"
#include "core/vmware.h"
#include "core/vmx_priv.h"

enum { SHOWN_MAX = 64 };

/* Law 6: uuid.bios are the raw bytes at every hardware version; never uuid.location. */
static void capture_uuid(struct vmx *v)
{
    struct fingerprint_smbios *smbios = &v->fp->smbios;
    const char *text = vmx_get(v, "uuid.bios");
    char serial[sizeof(VMWARE_SERIAL_PREFIX) + SMBIOS_UUID_VMWARE_SIZE] = VMWARE_SERIAL_PREFIX;
    char told[SMBIOS_UUID_SIZE];
    struct smbios_uuid bytes;

    if (text == NULL || *text == '\0') {
        vmx_note(v, "uuid.bios is missing, so UUID and serial number are not known: read them in "
                    "the guest and add them as smbios.uuid and smbios.serial");
        return;
    }
    if (smbios_uuid_parse_vmware(text, &bytes, NULL) < 0 || smbios_uuid_is_none(&bytes)) {
        vmx_note(v, "uuid.bios = \"%.*s\" is no UUID: left out, and the serial number with it",
                 SHOWN_MAX, text);
        return;
    }
    smbios_uuid_format_vmware(&bytes, serial + strlen(serial));
    vmx_set(v, &smbios->serial, serial);
    bytes = smbios_uuid_swap(bytes);
    smbios_uuid_format(&bytes, told);
    vmx_set(v, &smbios->uuid, told);
}

static void capture_product(struct vmx *v)
{
    struct fingerprint_smbios *smbios = &v->fp->smbios;

    vmx_set(v, &smbios->manufacturer, VMWARE_MANUFACTURER);
    vmx_set(v, &smbios->version, VMWARE_SYSTEM_VERSION);
    vmx_set(v, &smbios->product, vmware_product(v->efi, v->hardware));
    if (v->efi && (v->hardware >= VMWARE_HARDWARE_20 || v->hardware == 0)) {
        vmx_note(v,
                 "smbios.product \"%s\" follows from EFI and %s, which VMware does not promise: "
                 "compare it with what the guest shows (Win32_ComputerSystemProduct.Name)",
                 smbios->product != NULL ? smbios->product : "",
                 v->hardware == 0 ? "an unknown hardware version" : "hardware version 20 or later");
    }
}

static void forget(char **text)
{
    free(*text);
    *text = NULL;
}

/* Strings that VMware took from the host: the .vmx no longer tells them. */
static void apply_reflect_host(struct vmx *v)
{
    struct fingerprint_smbios *smbios = &v->fp->smbios;

    if (vmx_true(vmx_get(v, "smbios.reflecthost"), false)) {
        forget(&smbios->manufacturer);
        forget(&smbios->product);
        forget(&smbios->version);
        vmx_note(v, "smbios.reflectHost: manufacturer and product came from the ESXi host, and the "
                    ".vmx does not tell them: read them in the guest and add them to smbios");
    }
    if (vmx_true(vmx_get(v, "hw.model.reflecthost"), false)) {
        forget(&smbios->product);
        vmx_note(v, "hw.model.reflectHost: the product name came from the host, and the .vmx does "
                    "not tell it: read it in the guest and add it as smbios.product");
    }
    if (vmx_true(vmx_get(v, "serialnumber.reflecthost"), false)) {
        forget(&smbios->serial);
        vmx_note(v, "serialNumber.reflectHost: the serial number came from the host, and the .vmx "
                    "does not tell it: read it in the guest and add it as smbios.serial");
    }
}

/* Strings that the .vmx itself replaces. With a model of its own the rest of type 1 is not
 * VMware's either, and only the guest knows it. */
static void apply_overrides(struct vmx *v)
{
    struct fingerprint_smbios *smbios = &v->fp->smbios;
    const char *model = vmx_get(v, "hw.model");
    const char *serial = vmx_get(v, "serialnumber");
    const char *board = vmx_get(v, "board-id");

    if (model != NULL && *model != '\0' && !vmx_true(vmx_get(v, "hw.model.reflecthost"), false)) {
        forget(&smbios->manufacturer);
        forget(&smbios->product);
        forget(&smbios->version);
        vmx_set_text(v, &smbios->product, model, FINGERPRINT_STRING_MAX, "hw.model");
        vmx_note(v, "hw.model replaced the product name; which manufacturer the guest saw with it "
                    "is not known here: read it there and add it to smbios");
    }
    if (serial != NULL && *serial != '\0' &&
        !vmx_true(vmx_get(v, "serialnumber.reflecthost"), false)) {
        forget(&smbios->serial);
        vmx_set_text(v, &smbios->serial, serial, FINGERPRINT_STRING_MAX, "serialNumber");
    }
    if ((board != NULL && *board != '\0') || vmx_true(vmx_get(v, "board-id.reflecthost"), false)) {
        vmx_note(v, "board-id (SMBIOS type 2) has no place in a configuration of PVE");
    }
    if (vmx_true(vmx_get(v, "smbios.useshortserialnumber"), false)) {
        forget(&smbios->serial);
        vmx_note(v, "smbios.useShortSerialNumber: the serial number had a short form that the .vmx "
                    "does not tell: read it in the guest and add it as smbios.serial");
    }
}

static void note_the_rest(struct vmx *v)
{
    const char *version_27 = vmx_get(v, "acpi.smbiosversion2.7");
    const char *tag = vmx_get(v, "smbios.assettag");
    bool old = v->hardware > 0 && !vmx_true(version_27, v->hardware >= VMWARE_HARDWARE_SMBIOS_27);

    if (old && *v->guest != '\0' && !vmware_guest_is_windows(v->guest) &&
        v->fp->smbios.uuid != NULL) {
        vmx_note(v, "SMBIOS 2.4: a guest such as Linux printed the UUID in the other byte order "
                    "on VMware than it will on PVE (product_uuid, dmidecode). The bytes are the "
                    "same; what is bound to the printed text (e.g. RHSM) must be told");
    }
    if (tag != NULL && *tag != '\0') {
        vmx_note(v, "smbios.assetTag (SMBIOS type 3) has no place in a configuration of PVE");
    }
    if (vmx_true(vmx_get(v, "smbios.nooemstrings"), false)) {
        vmx_note(v, "smbios.noOEMStrings: VMware's OEM strings (SMBIOS type 11) were switched off");
    }
    if (!vmx_true(vmx_get(v, "hypervisor.cpuid.v0"), true)) {
        vmx_note(v, "hypervisor.cpuid.v0 = FALSE: the guest did not see a hypervisor; consider "
                    "`cpu: ...,hidden=1` in PVE");
    }
}

void vmx_capture_smbios(struct vmx *v)
{
    v->fp->has_smbios = true;
    capture_uuid(v);
    capture_product(v);
    apply_reflect_host(v);
    apply_overrides(v);
    note_the_rest(v);
}
