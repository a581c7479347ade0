/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * VMware's .vmx file to a fingerprint (facts/vmware.md 3). Foreign bytes: any input ends in a
 * fingerprint or in a sentence. Notes tell what could not be carried over or was guessed.
 */
#ifndef CORE_VMX_H
#define CORE_VMX_H

#include <stddef.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/notes.h"

enum { VMX_MAX = 1024 * 1024 }; /* bytes; real ones have 1 to 10 KiB */

/* SCSI disks whose serial number the guest saw (disk.EnableUUID): it is not in the .vmx, but in the
 * descriptor that fileName names. */
struct vmx_disk_file {
    char *file;   /* fileName as written, in the encoding of the .vmx */
    char *serial; /* for the caller to fill in; NULL: not known */
    char *why;    /* likewise: why it is not, as the end of a note; may be NULL */
};

struct vmx_disk_files {
    struct vmx_disk_file *items;
    size_t n, cap;
};

void vmx_disk_files_fini(struct vmx_disk_files *files);
/* The files to look for: each name once. A text that is no .vmx gives none. 0 or -ENOMEM. */
int vmx_find_disk_files(const char *text, size_t len, struct vmx_disk_files *ret_files);

/* `captured` (ISO 8601, may be NULL) is put into `source`: core has no clock. */
int vmx_capture(const char *text, size_t len, const char *captured, struct fingerprint **ret_fp,
                struct notes *notes, struct err *err);
/* The same, with what was found in those files. */
int vmx_capture_with(const char *text, size_t len, const struct vmx_disk_files *files,
                     const char *captured, struct fingerprint **ret_fp, struct notes *notes,
                     struct err *err);

#endif
