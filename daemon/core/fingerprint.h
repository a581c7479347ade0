/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The fingerprint: what a guest saw on VMware, one JSON object of `format` 1 (docs/DESIGN.md, "The
 * fingerprint"; schema in conf/). Strict: an unknown key, a wrong type, a value out of range is an
 * error that names its JSON path and the cure. What is absent is NULL, 0 or false and is not
 * touched in a VM.
 */
#ifndef CORE_FINGERPRINT_H
#define CORE_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/smbios_uuid.h"

enum {
    FINGERPRINT_MAX = 64 * 1024, /* bytes of a file */
    FINGERPRINT_NICS_MAX = 32,   /* PVE: net0 to net31 */
    FINGERPRINT_DISKS_MAX = 64,
    FINGERPRINT_STRING_MAX = 256,
    MAC_SIZE = 18,
};

#define FINGERPRINT_CTIME_MAX 4294967295L /* seconds since 1970: until 2106 */

enum fingerprint_nic_model {
    FINGERPRINT_NIC_VMXNET3,
    FINGERPRINT_NIC_VMXNET2,
    FINGERPRINT_NIC_VMXNET,
    FINGERPRINT_NIC_E1000,
    FINGERPRINT_NIC_E1000E,
    FINGERPRINT_NIC_VLANCE,
    FINGERPRINT_NIC_FLEXIBLE,
    FINGERPRINT_NIC_UNKNOWN, /* "unknown": only the MAC is kept */
};

enum fingerprint_controller {
    FINGERPRINT_PVSCSI,
    FINGERPRINT_LSILOGIC,
    FINGERPRINT_LSISAS1068,
    FINGERPRINT_BUSLOGIC,
    FINGERPRINT_SATA, /* "sata" or "ahci" */
    FINGERPRINT_IDE,
    FINGERPRINT_NVME,
};

/* What a fingerprint that was merged says of itself in `source.parts`: who each part came from. */
enum fingerprint_part {
    FINGERPRINT_PART_NAME, /* source.name */
    FINGERPRINT_PART_HARDWARE_VERSION,
    FINGERPRINT_PART_UUID,
    FINGERPRINT_PART_MANUFACTURER,
    FINGERPRINT_PART_PRODUCT,
    FINGERPRINT_PART_VERSION,
    FINGERPRINT_PART_SERIAL,
    FINGERPRINT_PART_SKU,
    FINGERPRINT_PART_FAMILY,
    FINGERPRINT_PART_BIOS,
    FINGERPRINT_PART_FIRMWARE,
    FINGERPRINT_PART_MACHINE,
    FINGERPRINT_PART_NICS,         /* how many, in which order, which models */
    FINGERPRINT_PART_NICS_MAC,     /* their addresses */
    FINGERPRINT_PART_DISKS,        /* how many, in which order, on which controllers */
    FINGERPRINT_PART_DISKS_SERIAL, /* their serial numbers and INQUIRY strings */
    FINGERPRINT_PART_CDROMS,
    FINGERPRINT_PART_CPU,
    FINGERPRINT_PART_MEMORY,
    FINGERPRINT_PART_DISPLAY,
    FINGERPRINT_PART_VMGENID,
    FINGERPRINT_PART_LICENSE,
    FINGERPRINT_PART_POLICY,
    FINGERPRINT_PARTS,
};

enum fingerprint_drift {
    FINGERPRINT_DRIFT_RESTART,
    FINGERPRINT_DRIFT_REFUSE,
    FINGERPRINT_DRIFT_START
};
enum fingerprint_on_error { FINGERPRINT_ERROR_START, FINGERPRINT_ERROR_REFUSE };
enum fingerprint_match { FINGERPRINT_MATCH, FINGERPRINT_KEEP };

struct fingerprint_source {
    char *kind;                     /* "vmx", ... */
    char *name;                     /* displayName */
    int hardware_version;           /* virtualHW.version; 0: not said */
    char *captured;                 /* ISO 8601 UTC */
    char *parts[FINGERPRINT_PARTS]; /* kind of the source that a part came from; NULL: not said */
};

/* Type 1 strings as the guest saw them; `uuid` as QEMU must be told it: LE(b), lower case. */
struct fingerprint_smbios {
    char *uuid;
    char *manufacturer;
    char *product;
    char *version;
    char *serial;
    char *sku;
    char *family;
};

/* Type 0 as the guest saw it: compared and reported. */
struct fingerprint_bios {
    char *vendor;
    char *version;
    char *date;
};

struct fingerprint_nic {
    enum fingerprint_nic_model model;
    char mac[MAC_SIZE]; /* "" : not said; else lower case with colons */
};

struct fingerprint_disk {
    enum fingerprint_controller controller;
    int bus;
    int unit;
    char *serial;
    char *vendor;  /* SCSI INQUIRY */
    char *product; /* SCSI INQUIRY */
    char *model;   /* ATA */
    char *volume;  /* PVE volume id this disk is meant to be, e.g. local-lvm:vm-105-disk-0 */
};

struct fingerprint_policy {
    bool has_on_drift, has_on_error, has_disks, has_nics; /* said, or the defaults below */
    enum fingerprint_drift on_drift;                      /* restart */
    enum fingerprint_on_error on_error;                   /* start */
    enum fingerprint_match disks;                         /* match */
    enum fingerprint_match nics;                          /* match */
};

/* The VM of PVE that the fingerprint was given to, by whoever put it into its place. */
struct fingerprint_vm {
    long ctime;     /* its creation, as in `meta`; 0: not said. Another one is another VM */
    int moved_from; /* the VMID that had the identity before; 0: none */
};

struct fingerprint {
    struct fingerprint_source source;
    bool has_smbios;
    struct fingerprint_smbios smbios;
    bool has_bios;
    struct fingerprint_bios bios;
    char *firmware; /* "efi", "bios" or NULL */
    bool has_machine;
    char *machine_type;               /* "q35" (the only one so far) */
    int machine_major, machine_minor; /* min_version; 8.2 where not said */
    bool has_nics;
    struct fingerprint_nic *nics;
    size_t n_nics;
    bool has_disks;
    struct fingerprint_disk *disks;
    size_t n_disks;
    struct fingerprint_disk *cdroms;
    size_t n_cdroms;
    int sockets, cores; /* 0: not said */
    long memory_mib;    /* 0: not said */
    char *display;      /* "vmware-svga", "none" or NULL: not said */
    char *vmgenid;
    char *license_channel, *license_status, *license_product, *license_partial_key;
    char *license_kms_host;
    bool has_license_rearms, has_license_grace; /* said: 0 is a number that counts */
    int license_remaining_rearms;
    long license_grace_minutes;
    struct fingerprint_policy policy;
    struct fingerprint_vm vm;
};

/* -EINVAL: the sentence names JSON path (or line and column) and cure; -EFBIG; -ENOMEM. An empty or
 * cut-off text is -EAGAIN: perhaps somebody is still writing it. */
int fingerprint_parse(const char *text, size_t len, struct fingerprint **ret_fp, struct err *err);
/* Canonical text: fixed key order, two blanks of indent, final newline, nothing that is not said.
 */
int fingerprint_format(const struct fingerprint *fp, char **ret_text, struct err *err);
struct fingerprint *fingerprint_new(void); /* all absent, policy defaults; NULL: no memory */
void fingerprint_free(struct fingerprint *fp);
DEFINE_CLEANUP(struct fingerprint, fingerprint_free)

/* All the checks of meaning that fingerprint_parse() makes behind the shape: at least one of
 * smbios, machine, nics, disks; a VMware serial and a uuid that name each other's bytes (law 6). */
int fingerprint_check(const struct fingerprint *fp, struct err *err);
/* Whether anything in it tells this machine from another: the UUID, a MAC, a disk. */
bool fingerprint_is_distinct(const struct fingerprint *fp);

/* "smbios.uuid", "nics.mac", ... */
const char *fingerprint_part_name(enum fingerprint_part part);
const char *fingerprint_nic_name(enum fingerprint_nic_model model);
const char *fingerprint_controller_name(enum fingerprint_controller controller);
const char *fingerprint_drift_name(enum fingerprint_drift drift);
const char *fingerprint_on_error_name(enum fingerprint_on_error on_error);

#endif
