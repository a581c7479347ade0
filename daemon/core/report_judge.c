/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See report.h: from rows to classes, from classes to the two rules (more than three of about ten;
 * 19 of 30), with what makes them doubtful and what would help. What is unknown is never counted as
 * equal: the score is a range.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/report_priv.h"

enum {
    SHORT_SERIAL_MAX = 20, /* every machine takes these */
    SCSI_SERIAL_MAX = 36,
    LONG_SERIALS_SINCE = 10, /* major version of the machine */
};

struct side {
    const struct report_builder *b;
    const struct guest *guest;
    bool after;
};

static enum report_verdict verdict_of(const struct side *side, const struct report_row *row)
{
    return side->after ? row->verdict : row->verdict_now;
}

static const struct report_row *find_row(const struct report *report, const char *attribute)
{
    for (size_t i = 0; i < report->n; i++) {
        if (str_equal(report->rows[i].attribute, attribute)) {
            return &report->rows[i];
        }
    }
    return NULL;
}

/* One row that differs makes a class differ: it is hashed as a whole. */
static enum report_verdict combine(const struct side *side, enum report_class which)
{
    enum report_verdict worst = REPORT_UNKNOWN;
    bool any = false, unknown = false;

    for (size_t i = 0; i < side->b->report->n; i++) {
        const struct report_row *row = &side->b->report->rows[i];

        if (row->part_of != which) {
            continue;
        }
        any = true;
        switch (verdict_of(side, row)) {
        case REPORT_EQUAL:
            break;
        case REPORT_SUBSTITUTE:
        case REPORT_DIFFERS:
            return REPORT_DIFFERS;
        case REPORT_UNKNOWN:
            unknown = true;
            break;
        }
    }
    worst = !any || unknown ? REPORT_UNKNOWN : REPORT_EQUAL;
    return worst;
}

/* Hashed are vendor, family, model and how many there are, not how they share sockets. */
static enum report_verdict judge_cpu(const struct side *side)
{
    const struct report_row *count = find_row(side->b->report, "cpu");
    const struct report_row *model = find_row(side->b->report, "cpu.model");

    if (count == NULL || model == NULL) {
        return REPORT_UNKNOWN;
    }
    return verdict_of(side, count) == REPORT_DIFFERS ? REPORT_DIFFERS : verdict_of(side, model);
}

static enum report_verdict judge_class(const struct side *side, enum report_class which)
{
    switch (which) {
    case REPORT_CPU:
        return judge_cpu(side);
    case REPORT_IDE: /* VMware's 8086:7111 and 15ad:07e0 are nowhere in QEMU */
        return side->b->vmware ? REPORT_DIFFERS : REPORT_UNKNOWN;
    case REPORT_AUDIO: /* servers have none, and no source tells */
        if (pveconf_get(side->guest->conf, "audio0") != NULL) {
            return REPORT_DIFFERS;
        }
        return side->b->vmware ? REPORT_EQUAL : REPORT_UNKNOWN;
    case REPORT_BIOS:
    case REPORT_NIC:
    case REPORT_DISK:
    case REPORT_CDROM:
    case REPORT_SCSI:
    case REPORT_DISPLAY:
    case REPORT_MEMORY:
    case REPORT_CLASSES:
        break;
    }
    return combine(side, which);
}

static void judge_side(const struct side *side, struct report_side *ret)
{
    for (int i = 0; i < REPORT_CLASSES; i++) {
        enum report_class which = (enum report_class)i;
        int weight = report_class_weight(which);

        ret->classes[i] = judge_class(side, which);
        switch (ret->classes[i]) {
        case REPORT_EQUAL:
            ret->score_min += weight;
            ret->score_max += weight;
            break;
        case REPORT_UNKNOWN:
            ret->unknown++;
            ret->score_max += weight;
            break;
        case REPORT_SUBSTITUTE:
        case REPORT_DIFFERS:
            ret->differ++;
            break;
        }
    }
}

/* --- doubts ----------------------------------------------------------------------------------- */

static void doubt(struct report_builder *b)
{
    const struct fingerprint *fp = b->in->fp;
    struct notes *doubts = &b->report->doubts;
    const struct report_side *after = &b->report->after;

    report_note(b, doubts,
                "the weights and the threshold are published third-party analyses; "
                "Microsoft has not confirmed them and pve-hwid has not verified them");
    report_note(b, doubts,
                "\"more than three of about ten\" is a rule of thumb; versions of Windows "
                "and licence channels weigh differently (KMS clients: the hard disk most)");
    if (after->score_min <= REPORT_THRESHOLD && after->score_max >= REPORT_THRESHOLD) {
        report_note(b, doubts,
                    "BIOS, NIC and disk together make 19, exactly the threshold: there is "
                    "no slack in it");
    }
    if (b->assumed_vendor) {
        report_note(b, doubts,
                    "the BIOS vendor on VMware follows from its firmware; no source of "
                    "this fingerprint read it");
    }
    if (b->assumed_display) {
        report_note(b, doubts,
                    "the display on VMware is taken for its SVGA card; no source of this "
                    "fingerprint names it");
    }
    if (fp->has_disks && after->classes[REPORT_DISK] == REPORT_UNKNOWN) {
        report_note(b, doubts,
                    "a disk without a serial number on VMware (disk.EnableUUID off) is "
                    "left out of the hash; whether there was one, the fingerprint does "
                    "not say");
    }
    if (after->classes[REPORT_CPU] == REPORT_UNKNOWN) {
        report_note(b, doubts,
                    "the CPU counts as equal only if this host's is of the ESXi host's "
                    "family and model");
    }
    if (b->after.ovmf && fp->has_smbios) {
        report_note(b, doubts,
                    "\"EDK II\" stands for whatever this node's OVMF writes as BIOS "
                    "vendor");
    }
}

/* --- hints ------------------------------------------------------------------------------------ */

static bool is_off(const struct report_builder *b, const char *attribute)
{
    const struct report_row *row = find_row(b->report, attribute);

    return row != NULL && row->vmware != NULL && row->verdict == REPORT_DIFFERS;
}

/* What a captured file says may be anybody's, and what we print here is for root to paste into a
 * shell and into QEMU's command line: no quote, no equals sign, nothing that either of them reads.
 */
static bool can_be_pasted(const char *text)
{
    for (; *text != '\0'; text++) {
        if (!ascii_is_alnum(*text) && strchr(" .,-_()", *text) == NULL) {
            return false;
        }
    }
    return true;
}

/* The options that `args` would take; QEMU wants a comma in a value twice. */
static void hint_vendor(struct report_builder *b)
{
    const struct report_row *row = find_row(b->report, "bios.vendor");
    CLEANUP(buf_fini) struct buf value = BUF_INIT(0);

    if (!is_off(b, "bios.vendor")) {
        return;
    }
    if (!can_be_pasted(row->vmware)) {
        report_note(b, &b->report->hints,
                    "BIOS vendor: it has characters that none of VMware's has; where is this "
                    "fingerprint from?");
        return;
    }
    for (const char *at = row->vmware; *at != '\0'; at++) {
        buf_addc(&value, *at);
        if (*at == ',') {
            buf_addc(&value, ',');
        }
    }
    if (value.error != 0) {
        b->error = -ENOMEM;
        return;
    }
    report_note(b, &b->report->hints,
                "BIOS vendor: only root can give it, in the VM's `args` (keep what is there): "
                "-smbios 'type=0,vendor=%s'%s",
                value.data, b->after.ovmf ? "; with OVMF this is not proven to work" : "");
}

/* A slot for a drive that is to be added: where PVE's own wizard puts it, or the next one. */
static bool find_free_slot(const struct report_builder *b, char slot[static DRIVE_SLOT_SIZE])
{
    static const char *const wanted[] = {"ide2",  "ide0",  "ide1",  "ide3",  "sata0",
                                         "sata1", "sata2", "sata3", "sata4", "sata5"};

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (pveconf_get(b->in->conf, wanted[i]) == NULL &&
            guest_drive(&b->after, wanted[i]) == NULL) {
            memcpy(slot, wanted[i], strlen(wanted[i]) + 1);
            return true;
        }
    }
    return false;
}

static void hint_cdrom(struct report_builder *b, const char *name)
{
    const struct report_row *row = find_row(b->report, "cdroms[0]");
    char slot[DRIVE_SLOT_SIZE] = "";

    if (!is_off(b, "cdroms[0]") || str_equal(row->vmware, "none")) {
        return;
    }
    for (size_t i = 0; i < b->after.drives.n && slot[0] == '\0'; i++) {
        const struct drive *drive = &b->after.drives.items[i];

        if (drive->cdrom && (drive->slot.bus == DRIVE_IDE || drive->slot.bus == DRIVE_SATA)) {
            drive_slot_format(drive->slot, slot);
        }
    }
    if (slot[0] != '\0' && can_be_pasted(row->vmware)) {
        report_note(b, &b->report->hints,
                    "CD-ROM: only root can give it VMware's name, in `args`: -set "
                    "'device.%s.model=%s'",
                    slot, row->vmware);
    } else if (slot[0] == '\0' && find_free_slot(b, slot)) {
        report_note(b, &b->report->hints,
                    "CD-ROM: qm set %s --%s none,media=cdrom adds an empty drive, as the VM had "
                    "one on VMware",
                    name, slot);
    }
}

/* A serial that only a newer machine takes; the plan's notes say so, too, disk by disk. */
static void hint_serial(struct report_builder *b)
{
    for (size_t i = 0; i < b->in->fp->n_disks && i < FINGERPRINT_DISKS_MAX; i++) {
        const struct drive *drive = guest_drive(&b->after, b->moved[i]);
        const char *serial = b->in->fp->disks[i].serial;

        if (drive == NULL || drive->slot.bus != DRIVE_SCSI || serial == NULL ||
            strlen(serial) <= SHORT_SERIAL_MAX || strlen(serial) > SCSI_SERIAL_MAX ||
            propstr_get(&drive->options, "serial") != NULL ||
            b->after.machine.version.major >= LONG_SERIALS_SINCE) {
            continue;
        }
        report_note(
            b, &b->report->hints,
            "disk serial: it is longer than 20 bytes, which takes a machine of version 10.0: "
            "machine.min_version \"10.0\" in the fingerprint, where this node's QEMU has "
            "that");
        return;
    }
}

static void hint(struct report_builder *b)
{
    struct notes *hints = &b->report->hints;
    unsigned vmid = (unsigned)b->in->vmid;
    CLEANUP_FREE char *name = vmid > 0 ? str_printf("%u", vmid) : str_dup("VMID");

    if (name == NULL) {
        b->error = -ENOMEM;
        return;
    }
    hint_vendor(b);
    hint_serial(b);
    if (is_off(b, "display") && !str_equal(find_row(b->report, "display")->vmware, "none")) {
        report_note(b, hints, "display: qm set %s --vga vmware gives the very card VMware had",
                    name);
    }
    if (is_off(b, "cpu.model")) {
        report_note(b, hints,
                    "CPU: qm set %s --cpu host, if this host's CPU is of the family of the ESXi "
                    "host's (a VM with it moves only between like hosts)",
                    name);
    }
    if (is_off(b, "memory")) {
        report_note(b, hints, "memory: qm set %s --memory %ld", name, b->in->fp->memory_mib);
    }
    if (is_off(b, "cpu")) {
        report_note(b, hints, "CPU topology: qm set %s --sockets %d --cores %d", name,
                    b->in->fp->sockets > 0 ? b->in->fp->sockets : 1,
                    b->in->fp->cores > 0 ? b->in->fp->cores : 1);
    }
    hint_cdrom(b, name);
}

void report_judge(struct report_builder *b)
{
    if (b->error != 0) {
        return;
    }
    judge_side(&(struct side){b, &b->now, false}, &b->report->now);
    judge_side(&(struct side){b, &b->after, true}, &b->report->after);
    doubt(b);
    hint(b);
}
