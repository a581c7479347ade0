/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `doctor` finds: values that are printed for people, programs and monitoring. */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include <stdarg.h>
#include <stdint.h>

#include "cli/cli.h"

enum severity { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct finding {
    const char *id; /* stable: for programs; man pve-hwid lists them */
    enum severity severity;
    uint32_t vmid; /* 0: none */
    char *node;    /* NULL: none */
    char *what;
    char *cure; /* a command, or what to do; NULL: none */
};

struct findings {
    struct finding *items;
    size_t n, cap;
    bool failed; /* no memory for one */
};

/* Where a finding is about one thing of many. */
struct finding_about {
    uint32_t vmid;
    const char *node;
};

void findings_fini(struct findings *list);
/* The sentence; returns the finding for findings_cure(), or NULL: no memory. */
struct finding *findings_add(struct findings *list, const char *id, enum severity severity,
                             const char *format, ...) PRINTF_LIKE(4, 5);
struct finding *findings_add_about(struct findings *list, const char *id, enum severity severity,
                                   struct finding_about about, const char *format, ...)
    PRINTF_LIKE(5, 6);
void findings_cure(struct findings *list, struct finding *finding, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* CLI_OK; CLI_DIFFERS: warnings only; CLI_ERROR: something fails. */
enum cli_exit findings_print(const struct cli *cli, const struct findings *list);

#endif
