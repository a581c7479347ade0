/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the report*.c share. The first failure (no memory) sticks in `error`. */
#ifndef CORE_REPORT_PRIV_H
#define CORE_REPORT_PRIV_H

#include "core/guest.h"
#include "core/report.h"

struct report_builder {
    const struct report_input *in;
    struct report *report;
    struct guest now, after;
    struct plan_pairs pairs;                            /* in the configuration as it is */
    char moved[FINGERPRINT_DISKS_MAX][DRIVE_SLOT_SIZE]; /* where the paired disks are after */
    bool vmware; /* the fingerprint is VMware's: what all of them have, it had */
    bool assumed_vendor, assumed_display;
    int error;
};

/* A row under construction; the texts are taken over, also on failure. */
struct report_cells {
    char *vmware, *now, *after;
    enum report_verdict verdict_now, verdict;
};

void report_add(struct report_builder *b, enum report_class part_of, const char *attribute,
                struct report_cells *cells);
/* NULL where out of memory, which sticks. */
char *report_keep(struct report_builder *b, char *text);
void report_note(struct report_builder *b, struct notes *to, const char *format, ...)
    PRINTF_LIKE(3, 4);

void report_rows(struct report_builder *b);    /* report_rows.c */
void report_devices(struct report_builder *b); /* report_devices.c: NICs and drives */
void report_judge(struct report_builder *b);   /* report_judge.c: classes, doubts, hints */
void report_license(struct report_builder *b); /* report_license.c */

#endif
