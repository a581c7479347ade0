/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What makes a machine that machine and no other, out of a fingerprint or a configuration: SMBIOS
 * uuid, serial number, MAC addresses. In one spelling, so that two sources compare. match.c looks
 * for a fingerprint's VM by it, claims.c for whoever has it besides.
 *
 * What says nothing is left out: a uuid of all zeros, "To be filled by O.E.M.", "None". Half the
 * world has those, and nobody must be refused for them.
 */
#ifndef CORE_IDENTITY_H
#define CORE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/fingerprint.h"
#include "core/pveconf.h"
#include "core/smbios_uuid.h"

struct identity {
    bool has_uuid;
    struct smbios_uuid uuid; /* as QEMU is told it */
    char *serial;            /* VMware's in one spelling, others as they are; NULL: none */
    char macs[FINGERPRINT_NICS_MAX][MAC_SIZE]; /* lower case */
    size_t n_macs;
    bool is_template; /* of a configuration */
    int64_t ctime;    /* of a configuration: when the VM was made, s since 1970; 0: not said */
};

/* 0 or -ENOMEM. `ret` starts as {0}. */
int identity_of_fingerprint(const struct fingerprint *fp, struct identity *ret);
/* The main section. */
int identity_of_config(const struct pveconf *conf, struct identity *ret);
/* One option of PVE's (smbios1, netN, template, meta; others do nothing); one that cannot be read
 * is not there, as for PVE. */
int identity_add_option(struct identity *id, const char *key, const char *value);
void identity_fini(struct identity *id);

/* A word for "this machine", made of uuid, or else serial, or else MACs; "" where there is nothing
 * of these. Tells whether a fingerprint is still that of the same machine. 0 or -ENOMEM. */
int identity_name(const struct identity *id, char text[SMBIOS_UUID_SIZE]);

enum identity_kind { IDENTITY_UUID, IDENTITY_SERIAL, IDENTITY_MAC, IDENTITY_KINDS };
enum { IDENTITY_KEYS_MAX = 2 + FINGERPRINT_NICS_MAX };

/* One thing that only one machine may have. */
struct identity_key {
    uint64_t hash; /* of kind and value: 64 bits of SHA-256 */
    enum identity_kind kind;
    size_t index; /* of a MAC */
};
size_t identity_keys(const struct identity *id, struct identity_key keys[IDENTITY_KEYS_MAX]);
/* "uuid 9b1a..", "serial VMware-..", "MAC 00:50:.."; NULL: no memory. */
char *identity_key_text(const struct identity *id, const struct identity_key *key);

#endif
