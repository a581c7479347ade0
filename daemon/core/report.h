/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The identity report: attribute by attribute what the guest saw on VMware, what it would see now,
 * and what it will see once the plan is carried out; and what Windows may make of the difference.
 * A value like the plan: made of texts alone, shown as JSON by whoever asks.
 *
 * The ten classes, their weights and the threshold are published third-party analyses of Windows'
 * hardware id (facts/vmware.md 6), not Microsoft's word: an estimate, and each report says so.
 */
#ifndef CORE_REPORT_H
#define CORE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/notes.h"
#include "core/plan.h"
#include "core/pveconf.h"

enum report_verdict {
    REPORT_EQUAL,
    REPORT_SUBSTITUTE, /* another thing that does the same: the guest boots, and can tell */
    REPORT_DIFFERS,
    REPORT_UNKNOWN, /* the fingerprint does not say, or nobody can */
};

/* What Windows hashes one by one. */
enum report_class {
    REPORT_BIOS,
    REPORT_NIC,
    REPORT_DISK,
    REPORT_CPU,
    REPORT_CDROM,
    REPORT_SCSI,
    REPORT_IDE,
    REPORT_DISPLAY,
    REPORT_AUDIO,
    REPORT_MEMORY,
    REPORT_CLASSES,
};

enum {
    REPORT_THRESHOLD = 19, /* of REPORT_TOTAL: the published figures */
    REPORT_TOTAL = 30,
    REPORT_MANY = 3, /* more attributes than this differ: Windows will ask */
};

struct report_row {
    char *attribute; /* "smbios.uuid", "nics[0].mac", ...: stable, for machines */
    char *vmware;    /* NULL: not known */
    char *now;       /* NULL: the VM has no such thing */
    char *after;
    enum report_verdict verdict_now, verdict;
    enum report_class part_of; /* REPORT_CLASSES: of none */
};

struct report_side {                             /* now, or after the plan */
    enum report_verdict classes[REPORT_CLASSES]; /* never REPORT_SUBSTITUTE */
    int differ, unknown;                         /* of the ten */
    int score_min, score_max; /* weights of what is equal; max: and of what is unknown */
};

enum report_channel {
    REPORT_CHANNEL_UNKNOWN,
    REPORT_MAK,
    REPORT_KMS,
    REPORT_OEM,
    REPORT_RETAIL,
};

struct report {
    uint32_t vmid;
    size_t changes; /* of the plan */
    bool refused;   /* by the plan: `after` is `now` */
    struct report_row *rows;
    size_t n, cap;
    struct report_side now, after;
    struct notes doubts; /* about the estimate */
    struct notes hints;  /* what would bring it nearer, by hand */
    enum report_channel channel;
    char *license_said; /* the words of the fingerprint; NULL */
    char *license_status, *license_product, *license_partial_key;
    struct notes advice; /* about the licence */
};

struct report_input {
    uint32_t vmid;
    const struct pveconf *conf; /* without [PENDING] */
    const struct fingerprint *fp;
    const struct plan *plan; /* between these two */
};

/* 0 or -ENOMEM. */
int report_make(const struct report_input *input, struct report **ret, struct err *err);
void report_free(struct report *report);
DEFINE_CLEANUP(struct report, report_free)

/* The VmReport of conf/io.pvehwid.varlink. New reference; NULL: no memory. */
json_t *report_to_json(const struct report *report);

const char *report_verdict_name(enum report_verdict verdict);
const char *report_class_name(enum report_class which);
int report_class_weight(enum report_class which);
const char *report_channel_name(enum report_channel channel);
/* "Volume:MAK", "VOLUME_KMSCLIENT channel", "OEM:DM", "Retail", ... */
enum report_channel report_channel_of(const char *said);

#endif
