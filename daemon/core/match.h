/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which fingerprint belongs to which VM of a cluster, by what both say of themselves: the SMBIOS
 * uuid in either byte order (PVE's own import keeps the text and thereby turns the bytes round),
 * the serial number, MAC addresses, and last the name. One to one: who fits two is proposed for
 * none, and no identity is given out twice.
 */
#ifndef CORE_MATCH_H
#define CORE_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/notes.h"
#include "core/pveconf.h"

enum match_by { /* a set of them */
                MATCH_UUID = 1,
                MATCH_UUID_SWAPPED = 2, /* as PVE's import wrote it */
                MATCH_SERIAL = 4,
                MATCH_MAC = 8, /* all of the fingerprint's */
                MATCH_SOME_MACS = 16,
                MATCH_NAME = 32,
};

enum match_sure {
    MATCH_CERTAIN,   /* by uuid, serial or all MACs, and only this one */
    MATCH_LIKELY,    /* by some MACs or by name, and only this one */
    MATCH_AMBIGUOUS, /* several fit: `why` names two */
    MATCH_NONE,
};

struct match_fingerprint {
    const char *file;
    const struct fingerprint *fp;
};

struct match_vm {
    uint32_t vmid;
    const char *node;
    const struct pveconf *conf;
};

/* A fingerprint that lies in its place already. */
struct match_placed {
    uint32_t vmid;
    const struct fingerprint *fp;
};

struct match_input {
    const struct match_fingerprint *fingerprints;
    size_t n_fingerprints;
    const struct match_vm *vms;
    size_t n_vms;
    const struct match_placed *placed;
    size_t n_placed;
};

struct match_pair {
    enum match_sure sure;
    size_t vm;   /* index; only where certain or likely */
    unsigned by; /* enum match_by */
    char *why;   /* of an ambiguous one; NULL else */
};

struct match {
    struct match_pair *pairs; /* one for each fingerprint */
    size_t n;
    /* Why nothing may be written: one identity twice, or one fingerprint for two VMs. */
    struct notes conflicts;
};

/* 0 or -ENOMEM. Templates are left out: they never start. */
int match_make(const struct match_input *input, struct match **ret, struct err *err);
void match_free(struct match *match);
DEFINE_CLEANUP(struct match, match_free)

const char *match_sure_name(enum match_sure sure);
/* "uuid, MAC". NULL: no memory. */
char *match_by_text(unsigned by);

#endif
