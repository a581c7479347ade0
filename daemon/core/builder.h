/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fingerprint that is put together from a description of a VM, piece by piece: what the parsers
 * of OVF, dmidecode, Windows and the like have in common. The first failed allocation sticks, so
 * that the lines need no checks of their own. What a fingerprint could not hold (a slot that does
 * not exist, one device too many) is left out with a note; builder_finish() gives away only what
 * fingerprint_parse() would accept.
 */
#ifndef CORE_BUILDER_H
#define CORE_BUILDER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fingerprint.h"
#include "core/notes.h"

struct builder {
    struct fingerprint *fp;
    struct notes *notes;
    size_t n_notes;
    int error; /* 0 or -ENOMEM, sticky */
    size_t nics_cap, disks_cap, cdroms_cap;
};

/* `captured` (ISO 8601) may be NULL. -ENOMEM: there is no fingerprint to fill. */
int builder_init(struct builder *b, const char *kind, const char *captured, struct notes *notes);
void builder_fini(struct builder *b);

/* Tells the administrator; control characters of foreign text become '?'. */
void builder_note(struct builder *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* *at becomes a text of our own. */
void builder_set(struct builder *b, char **at, const char *text);
/* *at becomes a foreign text in UTF-8, at most `max` bytes; NULL or an empty one changes nothing.
 * `what` names it in the note about characters that could not be kept. */
void builder_text(struct builder *b, char **at, const char *text, size_t max, const char *what);

/* smbios.uuid and VMware's serial from the raw bytes; false, with nothing set: all 0 or all f. */
bool builder_uuid(struct builder *b, const struct smbios_uuid *raw);
/* Type 1 as VMware shows it (facts/vmware.md 1), with a note where that is a guess. */
void builder_type1(struct builder *b, bool efi, int hardware);
/* `firmware` as the guest's own words tell it ("VMware7,1" is EFI); not told where they do not. */
void builder_firmware(struct builder *b, const char *product, const char *bios_vendor);
/* q35 of the default version. */
void builder_machine(struct builder *b);
/* "vmx-13" or "13": source.hardware_version, which is also returned; 0: no such number. */
int builder_hardware(struct builder *b, const char *text);
/* Sockets and cores out of both numbers, in any order of trust: left out with a note where they do
 * not fit each other. 0 cores: not said, which VMware takes as 1. */
void builder_cpu(struct builder *b, uint64_t cpus, uint64_t cores_per_socket);
/* MiB; with a note where it is none. */
void builder_memory(struct builder *b, uint64_t mib);

/* One more network card; `what` names it in notes. An empty `mac` is noted as missing. */
void builder_nic(struct builder *b, enum fingerprint_nic_model model, const char *mac,
                 const char *what);
/* One more drive with the identity that VMware gives it in that slot; NULL: left out. The pointer
 * holds until the next one is added. */
struct fingerprint_disk *builder_drive(struct builder *b, bool cdrom,
                                       enum fingerprint_controller controller, int bus, int unit,
                                       const char *what);
/* Drives into the order of a .vmx: SCSI, SATA, NVMe, IDE, each by bus and unit. */
void builder_sort(struct builder *b);

/* -ENOMEM, or what fingerprint_check() says; else the fingerprint is the caller's. */
int builder_finish(struct builder *b, struct fingerprint **ret_fp, struct err *err);

#endif
