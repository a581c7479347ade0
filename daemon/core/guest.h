/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the guest of a configuration sees: what the configuration says, and where it says nothing
 * what PVE and QEMU make of that (manufacturer "QEMU", a disk "QEMU HARDDISK"). Values that PVE
 * could not read count as absent, as they do for PVE. Texts are for people and for comparison; a
 * returned char * is the caller's, NULL: out of memory.
 */
#ifndef CORE_GUEST_H
#define CORE_GUEST_H

#include <stdbool.h>

#include "core/drive.h"
#include "core/machine.h"
#include "core/pveconf.h"
#include "core/smbios1.h"

struct guest {
    const struct pveconf *conf; /* borrowed */
    const char *args;           /* borrowed, may be NULL */
    struct smbios1 smbios;
    struct machine machine;
    struct drive_list drives;
    bool ovmf;
};

/* `conf` without [PENDING], and it outlives the guest. 0 or -ENOMEM. */
int guest_init(struct guest *guest, const struct pveconf *conf);
void guest_fini(struct guest *guest);

enum guest_what {
    GUEST_UUID, /* "none" where QEMU makes none */
    GUEST_SERIAL,
    GUEST_MANUFACTURER,
    GUEST_PRODUCT,
    GUEST_BIOS_VENDOR,
    GUEST_FIRMWARE, /* "bios" or "efi" */
    GUEST_MACHINE,
    GUEST_SCSI, /* the controller of scsiN; "none" */
    GUEST_DISPLAY,
    GUEST_CPU,       /* "2 sockets x 4 cores" */
    GUEST_CPU_MODEL, /* PVE's name of it */
    GUEST_MEMORY,    /* "8192 MiB" */
};

char *guest_text(const struct guest *guest, enum guest_what what);
void guest_cpu(const struct guest *guest, int *ret_sockets, int *ret_cores);
long guest_memory_mib(const struct guest *guest);
/* "pvscsi", "lsi", ... as PVE calls it, also where there is no scsi drive. */
const char *guest_scsihw(const struct guest *guest);
/* "vmware", "std", "none", ... */
char *guest_vga(const struct guest *guest);

/* NULL where the VM has no such drive. */
const struct drive *guest_drive(const struct guest *guest, const char *slot);
/* "scsi0 (pvscsi)", "sata0 (AHCI)". */
char *guest_drive_place(const struct guest *guest, const struct drive *drive);
/* "VMware Virtual disk", "QEMU HARDDISK", "QEMU DVD-ROM". */
char *guest_drive_name(const struct guest *guest, const struct drive *drive);
/* Decoded; "" where it has none. QEMU's own numbers are "QM" and digits. */
char *guest_drive_serial(const struct guest *guest, const struct drive *drive);

#endif
