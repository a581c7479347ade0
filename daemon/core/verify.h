/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does a VM have what its fingerprint says, and does the machine that runs have it? The first is
 * the plan's to say. The second is read from the machine itself, QEMU's own command line and what
 * PVE asks QEMU: a configuration says what the next start gets, and may be younger than the machine
 * (facts/pve.md 2). Times are not compared: what QEMU was given is better evidence than when.
 */
#ifndef CORE_VERIFY_H
#define CORE_VERIFY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/assess.h"

enum verify_result { VERIFY_OK, VERIFY_DIFFERS, VERIFY_UNKNOWN };

enum { VERIFY_CHECKS_MAX = 6 };

struct verify {
    bool running;
    struct verify_check {
        const char *what; /* "configuration", "pending", "smbios", "machine", "nics", "disks" */
        enum verify_result result;
        char *detail; /* a clause */
    } checks[VERIFY_CHECKS_MAX];
    size_t n;
};

struct verify_input {
    const struct assessment *assessment; /* ASSESS_PLANNED */
    const json_t *status;                /* `data` of status/current */
    const json_t *pending;               /* `data` of GET pending */
    const char *argv;                    /* QEMU's command line, a NUL behind each word; NULL */
    size_t argv_len;
};

/* 0 or -ENOMEM. */
int verify_make(const struct verify_input *in, struct verify *ret);
void verify_fini(struct verify *v);
/* VERIFY_DIFFERS where one check says so; else UNKNOWN where one does; else OK. */
enum verify_result verify_result(const struct verify *v);
const char *verify_result_name(enum verify_result result);
/* [{"what","result","detail"}]: a new reference; NULL: no memory. */
json_t *verify_checks_to_json(const struct verify *v);

#endif
