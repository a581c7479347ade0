/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See ovf.h. The XML is in ovf_xml.c; here its items become devices. */
#include "core/ovf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/ovf_priv.h"
#include "core/vmware.h"

enum { SHOWN_MAX = 64, VERSION_SIZE = 24 };

void ovf_vms_fini(struct ovf_vms *vms)
{
    for (size_t i = 0; i < vms->n; i++) {
        fingerprint_free(vms->items[i].fp);
        notes_fini(&vms->items[i].notes);
    }
    free(vms->items);
    *vms = (struct ovf_vms){0};
}

/* --- identity --------------------------------------------------------------------------------- */

static const char *config(const struct ovf *o, const char *key)
{
    return ovf_config_get(o->system, false, key);
}

static const char *extra(const struct ovf *o, const char *key)
{
    return ovf_config_get(o->system, true, key);
}

static bool is_true(const char *value)
{
    return value != NULL && (str_iequal(value, "true") || str_equal(value, "1") ||
                             str_iequal(value, "yes") || str_iequal(value, "on"));
}

/* `uuid` is RFC(b), `uuid.bios` among the extra configuration is b in the .vmx's own spelling. */
static void capture_uuid(struct ovf *o)
{
    const char *told = config(o, "uuid"), *line = extra(o, "uuid.bios");
    struct smbios_uuid raw = {{0}}, other;
    bool has_told = told != NULL && smbios_uuid_parse(told, &raw, NULL) == 0;
    bool has_line = line != NULL && smbios_uuid_parse_vmware(line, &other, NULL) == 0;

    if (told != NULL && !has_told) {
        builder_note(&o->b, "uuid = \"%.*s\" is no UUID and was left out", SHOWN_MAX, told);
    }
    if (has_told && has_line && !smbios_uuid_equal(&raw, &other)) {
        builder_note(&o->b,
                     "uuid (\"%s\") and uuid.bios (\"%s\") of this OVF contradict each other; uuid "
                     "counts: compare it with what the guest shows",
                     told, line);
    }
    raw = has_told || !has_line ? raw : other;
    if ((has_told || has_line) && builder_uuid(&o->b, &raw)) {
        return;
    }
    builder_note(&o->b, "this OVF holds no BIOS UUID, so UUID and serial number are not known. "
                        "Export it again with BIOS UUID and MAC addresses (ovftool "
                        "--exportFlags=uuid,mac,extraconfig), capture the .vmx, from vCenter or "
                        "inside the guest, or add smbios.uuid and smbios.serial by hand");
}

static void forget(char **text)
{
    free(*text);
    *text = NULL;
}

/* Lines of the .vmx that change what the guest saw; the OVF does not tell to what. */
static void apply_extra(struct ovf *o)
{
    static const char *const overrides[] = {"hw.model", "hw.model.reflectHost", "serialNumber",
                                            "serialNumber.reflectHost",
                                            "smbios.useShortSerialNumber"};
    struct fingerprint_smbios *smbios = &o->b.fp->smbios;

    if (is_true(extra(o, "smbios.reflectHost"))) {
        forget(&smbios->manufacturer);
        forget(&smbios->product);
        forget(&smbios->version);
        builder_note(&o->b, "smbios.reflectHost: manufacturer and product came from the ESXi host: "
                            "read them in the guest and add them to smbios");
    }
    for (size_t i = 0; i < ARRAY_SIZE(overrides); i++) {
        if (extra(o, overrides[i]) != NULL) {
            builder_note(&o->b,
                         "%s is among the extra configuration: compare smbios with what the guest "
                         "shows",
                         overrides[i]);
        }
    }
    if (is_true(extra(o, "disk.EnableUUID"))) {
        builder_note(&o->b,
                     "disk.EnableUUID: the guest saw serial numbers of its SCSI disks, which "
                     "an OVF does not hold: capture the .vmx with its .vmdk files, or inside "
                     "the guest");
    }
}

static void capture_firmware(struct ovf *o)
{
    const char *firmware = config(o, "firmware");

    o->efi = str_iequal(firmware, "efi");
    if (firmware != NULL && !o->efi && !str_iequal(firmware, "bios")) {
        builder_note(&o->b, "firmware = \"%.*s\" is not known here; taken as bios", SHOWN_MAX,
                     firmware);
    }
    builder_set(&o->b, &o->b.fp->firmware, o->efi ? "efi" : "bios");
    if (is_true(config(o, "bootOptions.efiSecureBootEnabled"))) {
        builder_note(&o->b, "secure boot was on: give the VM an EFI disk with pre-enrolled-keys=1");
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static const char *name_of(const struct ovf_system *system)
{
    if (system->name != NULL && *system->name != '\0') {
        return system->name;
    }
    return system->id != NULL ? system->id : "";
}

/* The first "vmx-N" of a list that names what the VM may run on, or ""; one that is too long to be
 * one is cut, and refused as a number then. */
static void find_version(const char *types, char version[VERSION_SIZE])
{
    version[0] = '\0';
    for (const char *at = types; *at != '\0'; at++) {
        if (str_istarts(at, "vmx-") && (at == types || ascii_is_space(at[-1]) || at[-1] == ',')) {
            size_t len = strcspn(at, " ,\t\r\n");

            len = len < VERSION_SIZE ? len : VERSION_SIZE - 1;
            memcpy(version, at, len);
            version[len] = '\0';
            return;
        }
    }
}

static int refuse(const struct ovf *o, const char *version, struct err *err)
{
    if (!o->system->has_hardware) {
        return err_set(err, -EINVAL, "it describes no hardware (no VirtualHardwareSection)");
    }
    if (o->system->hardware != NULL && *version == '\0') {
        return err_set(err, -EINVAL,
                       "it was made for \"%.64s\" and not for VMware (vmx-N), so what the guest "
                       "saw cannot be told from it",
                       o->system->hardware);
    }
    return 0;
}

static int refuse_nothing(const struct fingerprint *fp, struct err *err)
{
    return fingerprint_is_distinct(fp)
               ? 0
               : err_set(err, -EINVAL,
                         "nothing in it tells this machine from another: no UUID, no MAC "
                         "address, no disk");
}

static int capture_system(struct ovf *o, struct fingerprint **ret_fp, struct err *err)
{
    char version[VERSION_SIZE];
    int rc;

    find_version(o->system->hardware != NULL ? o->system->hardware : "", version);
    rc = refuse(o, version, err);
    if (rc < 0) {
        return rc;
    }
    ovf_choose_items(o);
    o->guest = o->system->os_type != NULL ? o->system->os_type : "";
    builder_text(&o->b, &o->b.fp->source.name, name_of(o->system), FINGERPRINT_STRING_MAX,
                 "the name");
    o->hardware = builder_hardware(&o->b, version);
    capture_firmware(o);
    capture_uuid(o);
    builder_type1(&o->b, o->efi, o->hardware);
    apply_extra(o);
    builder_machine(&o->b);
    ovf_capture_nics(o);
    ovf_capture_drives(o);
    ovf_capture_cpu(o);
    ovf_capture_memory(o);
    if (ovf_nth(o, OVF_GRAPHICS, 0) != NULL) {
        builder_set(&o->b, &o->b.fp->display, VMWARE_DISPLAY);
    }
    rc = o->b.error != 0 ? err_oom(err) : refuse_nothing(o->b.fp, err);
    return rc < 0 ? rc : builder_finish(&o->b, ret_fp, err);
}

static int add_system(struct ovf_doc *doc, size_t at, const char *captured, struct ovf_vms *vms,
                      struct err *err)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct ovf o = {.doc = doc, .system = &doc->systems[at]};
    int rc = builder_init(&o.b, "ovf", captured, &notes);

    rc = rc < 0 ? err_oom(err) : capture_system(&o, &fp, err);
    builder_fini(&o.b);
    if (rc < 0) {
        return rc;
    }
    if (vec_reserve(&vms->items, vms->n, &vms->cap, sizeof(vms->items[0])) < 0) {
        return err_oom(err);
    }
    vms->items[vms->n++] = (struct ovf_vm){.fp = STEAL(fp), .notes = notes};
    notes = (struct notes){0};
    return 0;
}

/* Of several VMs, those that can be captured are; the others are named in a note. */
static int add_all(struct ovf_doc *doc, const char *captured, struct ovf_vms *vms, struct err *err)
{
    CLEANUP(notes_fini) struct notes left_out = {0};
    int rc = 0;

    for (size_t i = 0; i < doc->n; i++) {
        struct err why = {""};

        rc = add_system(doc, i, captured, vms, &why);
        if (rc == -ENOMEM) {
            return err_oom(err);
        }
        if (rc < 0) {
            str_tame(why.text);
            err_set(err, rc, "the VM \"%.*s\": %s", SHOWN_MAX, name_of(&doc->systems[i]), why.text);
        }
        if (rc < 0 && notes_add(&left_out, "left out: %s", err->text) < 0) {
            return err_oom(err);
        }
    }
    if (vms->n == 0) {
        return doc->n > 0 ? -EINVAL : err_set(err, -EINVAL, "this OVF describes no VM");
    }
    for (size_t i = 0; i < left_out.n; i++) {
        if (notes_add(&vms->items[0].notes, "%s", left_out.items[i]) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

int ovf_capture(const char *text, size_t len, const char *captured, struct ovf_vms *ret_vms,
                struct err *err)
{
    CLEANUP(ovf_doc_fini) struct ovf_doc doc = {0};
    struct ovf_vms vms = {0};
    int rc = ovf_xml_parse(text, len, &doc, err);

    rc = rc < 0 ? rc : add_all(&doc, captured, &vms, err);
    if (rc < 0) {
        ovf_vms_fini(&vms);
        return rc;
    }
    *ret_vms = vms;
    return 0;
}
