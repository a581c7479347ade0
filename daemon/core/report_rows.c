/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See report.h: rows of what a VM has one of. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/report_priv.h"

static enum report_verdict compare(const char *vmware, const char *here)
{
    if (vmware == NULL) {
        return REPORT_UNKNOWN;
    }
    return str_iequal(vmware, here) ? REPORT_EQUAL : REPORT_DIFFERS;
}

/* A text of the fingerprint against what the guest sees. */
static void add_text(struct report_builder *b, enum report_class part_of, const char *attribute,
                     const char *vmware, enum guest_what what)
{
    struct report_cells cells = {
        .vmware = vmware == NULL ? NULL : report_keep(b, str_dup(vmware)),
        .now = report_keep(b, guest_text(&b->now, what)),
        .after = report_keep(b, guest_text(&b->after, what)),
    };

    cells.verdict_now = compare(vmware, cells.now);
    cells.verdict = compare(vmware, cells.after);
    report_add(b, part_of, attribute, &cells);
}

/* --- SMBIOS ----------------------------------------------------------------------------------- */

/* What all of VMware's firmware says (facts/vmware.md 1), where nobody looked. */
static const char *bios_vendor(struct report_builder *b)
{
    const struct fingerprint *fp = b->in->fp;

    if (fp->bios.vendor != NULL) {
        return fp->bios.vendor;
    }
    if (!b->vmware || fp->firmware == NULL) {
        return NULL;
    }
    b->assumed_vendor = true;
    return str_equal(fp->firmware, "efi") ? "VMware, Inc." : "Phoenix Technologies LTD";
}

static void add_smbios(struct report_builder *b)
{
    const struct fingerprint_smbios *smbios = &b->in->fp->smbios;

    add_text(b, REPORT_BIOS, "smbios.uuid", smbios->uuid, GUEST_UUID);
    add_text(b, REPORT_BIOS, "smbios.serial", smbios->serial, GUEST_SERIAL);
    add_text(b, REPORT_BIOS, "smbios.manufacturer", smbios->manufacturer, GUEST_MANUFACTURER);
    add_text(b, REPORT_BIOS, "smbios.product", smbios->product, GUEST_PRODUCT);
    add_text(b, REPORT_BIOS, "bios.vendor", bios_vendor(b), GUEST_BIOS_VENDOR);
    add_text(b, REPORT_CLASSES, "firmware", b->in->fp->firmware, GUEST_FIRMWARE);
}

/* --- machine ---------------------------------------------------------------------------------- */

/* No QEMU has VMware's chipset: the best there is, is the substitute that was asked for. What a
 * bare q35 stands for, the plan knows: if it changes that, it was too old. */
static enum report_verdict judge_machine(const struct report_builder *b, const struct guest *guest)
{
    const struct fingerprint *fp = b->in->fp;
    const struct machine *m = &guest->machine;
    struct machine_version min = {fp->machine_major, fp->machine_minor};
    bool changes = !str_equal(pveconf_get(b->now.conf, "machine"),
                              pveconf_get(b->after.conf, "machine"));

    if (!fp->has_machine) {
        return REPORT_SUBSTITUTE;
    }
    if (m->kind != MACHINE_Q35 ||
        (m->pinned && machine_version_compare(m->version, machine_least(min, guest->ovmf)) < 0)) {
        return REPORT_DIFFERS;
    }
    return changes && guest == &b->now ? REPORT_DIFFERS : REPORT_SUBSTITUTE;
}

static void add_machine(struct report_builder *b)
{
    int version = b->in->fp->source.hardware_version;
    struct report_cells cells = {
        .now = report_keep(b, guest_text(&b->now, GUEST_MACHINE)),
        .after = report_keep(b, guest_text(&b->after, GUEST_MACHINE)),
    };

    if (version > 0) {
        cells.vmware = report_keep(b, str_printf("440BX, hardware version %d", version));
    } else if (b->vmware) {
        cells.vmware = report_keep(b, str_dup("440BX"));
    }
    cells.verdict_now = judge_machine(b, &b->now);
    cells.verdict = judge_machine(b, &b->after);
    report_add(b, REPORT_CLASSES, "machine", &cells);
}

/* --- CPU, memory, display --------------------------------------------------------------------- */

static enum report_verdict judge_cpu(const struct fingerprint *fp, const struct guest *guest)
{
    int sockets, cores, were_sockets = fp->sockets > 0 ? fp->sockets : 1;
    int were_cores = fp->cores > 0 ? fp->cores : 1;

    guest_cpu(guest, &sockets, &cores);
    if (fp->sockets == 0 && fp->cores == 0) {
        return REPORT_UNKNOWN;
    }
    if (sockets == were_sockets && cores == were_cores) {
        return REPORT_EQUAL;
    }
    return sockets * cores == were_sockets * were_cores ? REPORT_SUBSTITUTE : REPORT_DIFFERS;
}

/* Only `host` can be what the ESXi host was; whether it is, only who knows both can tell. */
static enum report_verdict judge_model(const char *model)
{
    return str_equal(model, "host") ? REPORT_UNKNOWN : REPORT_DIFFERS;
}

static void add_cpu(struct report_builder *b)
{
    const struct fingerprint *fp = b->in->fp;
    struct report_cells cells = {
        .now = report_keep(b, guest_text(&b->now, GUEST_CPU)),
        .after = report_keep(b, guest_text(&b->after, GUEST_CPU)),
        .verdict_now = judge_cpu(fp, &b->now),
        .verdict = judge_cpu(fp, &b->after),
    };
    struct report_cells model = {
        .vmware = b->vmware ? report_keep(b, str_dup("that of the ESXi host")) : NULL,
        .now = report_keep(b, guest_text(&b->now, GUEST_CPU_MODEL)),
        .after = report_keep(b, guest_text(&b->after, GUEST_CPU_MODEL)),
    };

    if (cells.verdict != REPORT_UNKNOWN) {
        cells.vmware = report_keep(b, str_printf("%d x %d cores", fp->sockets > 0 ? fp->sockets : 1,
                                                 fp->cores > 0 ? fp->cores : 1));
    }
    report_add(b, REPORT_CLASSES, "cpu", &cells);
    model.verdict_now = b->vmware ? judge_model(model.now) : REPORT_UNKNOWN;
    model.verdict = b->vmware ? judge_model(model.after) : REPORT_UNKNOWN;
    report_add(b, REPORT_CLASSES, "cpu.model", &model);
}

static void add_memory(struct report_builder *b)
{
    CLEANUP_FREE char *vmware = NULL;

    if (b->in->fp->memory_mib > 0) {
        vmware = report_keep(b, str_printf("%ld MiB", b->in->fp->memory_mib));
    }
    add_text(b, REPORT_MEMORY, "memory", vmware, GUEST_MEMORY);
}

static void add_display(struct report_builder *b)
{
    const char *display = b->in->fp->display;
    const char *vmware = NULL;

    if (display == NULL && b->vmware) {
        b->assumed_display = true;
        display = fingerprint_display_names[0];
    }
    if (display != NULL) {
        vmware = str_equal(display, "none") ? "none" : "VMware SVGA (15ad:0405)";
    }
    add_text(b, REPORT_DISPLAY, "display", vmware, GUEST_DISPLAY);
}

void report_rows(struct report_builder *b)
{
    add_smbios(b);
    add_machine(b);
    add_cpu(b);
    add_memory(b);
    add_display(b);
}
