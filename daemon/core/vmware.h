/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What VMware shows a guest, as look-ups (facts/vmware.md 1 and 3): the strings, models and serial
 * numbers that follow from firmware, hardware version and slot, and VMware's choices where a
 * description names no model. Every parser of a description asks here, so that two descriptions
 * of one VM agree.
 */
#ifndef CORE_VMWARE_H
#define CORE_VMWARE_H

#include <stdbool.h>

#include "core/fingerprint.h"

enum {
    VMWARE_SERIAL_SIZE = 21,        /* of a SATA or IDE disk, with the NUL */
    VMWARE_HARDWARE_20 = 20,        /* EFI calls itself VMware20,1 from here on (inferred) */
    VMWARE_HARDWARE_SMBIOS_27 = 13, /* SMBIOS 2.7 from here on, unless switched off */
};

#define VMWARE_MANUFACTURER   "VMware, Inc."
#define VMWARE_SYSTEM_VERSION "None"
#define VMWARE_SERIAL_PREFIX  "VMware-"
#define VMWARE_DISK_VENDOR    "VMware"
#define VMWARE_DISK_PRODUCT   "Virtual disk"
#define VMWARE_CDROM_VENDOR   "NECVMWar"
#define VMWARE_DISPLAY        "vmware-svga"

/* Type 1 product. `hardware` 0: not known. */
const char *vmware_product(bool efi, int hardware);

bool vmware_is_scsi(enum fingerprint_controller controller);
/* ATA and NVMe model; NULL for SCSI, whose disks have vendor and product. */
const char *vmware_disk_model(enum fingerprint_controller controller);
/* The serial number that follows from the slot (SATA, IDE); false: none does, or its form is not
 * known. */
bool vmware_disk_serial(enum fingerprint_controller controller, int bus, int unit,
                        char serial[VMWARE_SERIAL_SIZE]);
/* INQUIRY product of a CD-ROM drive (vendor VMWARE_CDROM_VENDOR); NULL: not known. */
const char *vmware_cdrom_product(enum fingerprint_controller controller);

/* `guest`: guestOS of a .vmx ("windows9srv-64") or osType of an OVF ("windows9Server64Guest"). */
bool vmware_guest_is_windows(const char *guest);
/* Windows Vista, Server 2008 and later. */
bool vmware_guest_is_new_windows(const char *guest);
bool vmware_guest_is_64bit(const char *guest);
/* What VMware gives a guest where nothing names a SCSI controller. */
enum fingerprint_controller vmware_default_scsi(const char *guest);
/* Likewise a network card; UNKNOWN where `guest` is empty. */
enum fingerprint_nic_model vmware_default_nic(const char *guest);

/* Six hex pairs with colons or dashes, to lower case with colons; not a group address and not all
 * zero. False leaves `mac` as it was. */
bool vmware_parse_mac(const char *text, char mac[MAC_SIZE]);

#endif
