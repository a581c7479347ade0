/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See report.h: the value and the whole. */
#include "core/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/report_priv.h"

const char *report_verdict_name(enum report_verdict verdict)
{
    static const char *const names[] = {"equal", "substitute", "differs", "unknown"};

    return names[verdict];
}

static const struct {
    const char *name;
    int weight;
} classes[REPORT_CLASSES] = {
    [REPORT_BIOS] = {"BIOS", 7},    [REPORT_NIC] = {"NIC MAC", 7},
    [REPORT_DISK] = {"disk", 5},    [REPORT_CPU] = {"CPU", 3},
    [REPORT_CDROM] = {"CD-ROM", 2}, [REPORT_SCSI] = {"SCSI adapter", 2},
    [REPORT_IDE] = {"IDE/AHCI", 1}, [REPORT_DISPLAY] = {"display", 1},
    [REPORT_AUDIO] = {"audio", 1},  [REPORT_MEMORY] = {"memory", 1},
};

const char *report_class_name(enum report_class which)
{
    return classes[which].name;
}

int report_class_weight(enum report_class which)
{
    return classes[which].weight;
}

void report_free(struct report *report)
{
    if (report == NULL) {
        return;
    }
    for (size_t i = 0; i < report->n; i++) {
        free(report->rows[i].attribute);
        free(report->rows[i].vmware);
        free(report->rows[i].now);
        free(report->rows[i].after);
    }
    free(report->rows);
    notes_fini(&report->doubts);
    notes_fini(&report->hints);
    notes_fini(&report->advice);
    free(report->license_said);
    free(report->license_status);
    free(report->license_product);
    free(report->license_partial_key);
    free(report);
}

/* --- building --------------------------------------------------------------------------------- */

void report_add(struct report_builder *b, enum report_class part_of, const char *attribute,
                struct report_cells *cells)
{
    struct report *report = b->report;
    CLEANUP_FREE char *name = str_dup(attribute);

    if (b->error == 0 && name == NULL) {
        b->error = -ENOMEM;
    }
    if (b->error == 0) {
        b->error = vec_reserve(&report->rows, report->n, &report->cap, sizeof(report->rows[0]));
    }
    if (b->error != 0) {
        free(cells->vmware);
        free(cells->now);
        free(cells->after);
        return;
    }
    report->rows[report->n++] = (struct report_row){.attribute = STEAL(name),
                                                    .vmware = cells->vmware,
                                                    .now = cells->now,
                                                    .after = cells->after,
                                                    .verdict_now = cells->verdict_now,
                                                    .verdict = cells->verdict,
                                                    .part_of = part_of};
}

char *report_keep(struct report_builder *b, char *text)
{
    if (text == NULL) {
        b->error = -ENOMEM;
    }
    return text;
}

void report_note(struct report_builder *b, struct notes *to, const char *format, ...)
{
    CLEANUP_FREE char *text = NULL;
    va_list args;
    int len;

    if (b->error != 0) {
        return;
    }
    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        text = NULL; /* undefined after a failure */
        b->error = -ENOMEM;
        return;
    }
    b->error = notes_add(to, "%s", text);
}

/* The configuration as the plan leaves it. */
static int apply_plan(const struct report_input *in, struct pveconf **ret)
{
    CLEANUP(pveconf_freep) struct pveconf *after = NULL;
    int rc = pveconf_apply_pending(in->conf, &after); /* a copy */

    for (size_t i = 0; rc == 0 && i < in->plan->n_changes; i++) {
        rc = pveconf_set(after, in->plan->changes[i].option, in->plan->changes[i].new);
    }
    if (rc == 0) {
        *ret = STEAL(after);
    }
    return rc;
}

/* A disk keeps its volume wherever it goes. */
static void follow_disks(struct report_builder *b)
{
    for (size_t i = 0; i < b->in->fp->n_disks && i < FINGERPRINT_DISKS_MAX; i++) {
        const struct drive *now = guest_drive(&b->now, b->pairs.disks[i]);

        for (size_t j = 0; now != NULL && j < b->after.drives.n; j++) {
            if (str_equal(b->after.drives.items[j].volume, now->volume)) {
                drive_slot_format(b->after.drives.items[j].slot, b->moved[i]);
                break;
            }
        }
    }
}

static bool is_of_vmware(const struct fingerprint_smbios *smbios)
{
    if (smbios->manufacturer != NULL) {
        return str_istarts(smbios->manufacturer, "VMware");
    }
    return smbios->serial != NULL && str_istarts(smbios->serial, "VMware-");
}

static void build(struct report_builder *b)
{
    const struct plan_input pair = {.vmid = b->in->vmid, .conf = b->in->conf, .fp = b->in->fp};

    b->vmware = is_of_vmware(&b->in->fp->smbios);
    b->error = plan_pair(&pair, &b->pairs);
    if (b->error != 0) {
        return;
    }
    follow_disks(b);
    report_rows(b);
    report_devices(b);
    report_judge(b);
    report_license(b);
}

int report_make(const struct report_input *input, struct report **ret, struct err *err)
{
    CLEANUP(report_freep) struct report *report = calloc(1, sizeof(*report));
    CLEANUP(pveconf_freep) struct pveconf *after = NULL;
    struct report_builder b = {.in = input, .report = report};

    if (report == NULL || apply_plan(input, &after) < 0 || guest_init(&b.now, input->conf) < 0) {
        return err_oom(err);
    }
    if (guest_init(&b.after, after) < 0) {
        guest_fini(&b.now);
        return err_oom(err);
    }
    report->vmid = input->vmid;
    report->changes = input->plan->n_changes;
    report->refused = input->plan->refusals.n > 0;
    build(&b);
    guest_fini(&b.now);
    guest_fini(&b.after);
    if (b.error != 0) {
        return err_oom(err);
    }
    *ret = STEAL(report);
    return 0;
}
