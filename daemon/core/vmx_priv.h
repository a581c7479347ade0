/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One capture of a .vmx file on its way: shared by the vmx_*.c files, one per kind of device. */
#ifndef CORE_VMX_PRIV_H
#define CORE_VMX_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fingerprint.h"
#include "core/notes.h"
#include "core/vmx.h"
#include "core/vmx_dict.h"

struct vmx {
    struct vmx_dict dict;
    struct fingerprint *fp;
    const struct vmx_disk_files *files; /* NULL: nobody looked */
    struct notes *notes;
    size_t n_notes;
    int error; /* 0 or -ENOMEM, sticky: whoever sees it later stops there */
    const char *encoding;
    const char *guest; /* guestOS as written; "" where absent */
    int hardware;      /* virtualHW.version; 0: not said */
    bool efi;
};

/* --- vmx.c: for all of them --- */

/* Tells the administrator; control characters of foreign text become '?'. */
void vmx_note(struct vmx *v, const char *format, ...) PRINTF_LIKE(2, 3);
/* Value of a name that is put together; NULL: absent. Names in lower case. */
const char *vmx_get(const struct vmx *v, const char *format, ...) PRINTF_LIKE(2, 3);
/* VMware's booleans in any case; `fallback` where the value is absent or none. */
bool vmx_true(const char *value, bool fallback);
/* *at becomes the decoded text, at most `max` bytes; an empty one leaves NULL. `what` names the key
 * in the note about characters that could not be kept. */
void vmx_set_text(struct vmx *v, char **at, const char *value, size_t max, const char *what);
/* *at becomes a text of our own. */
void vmx_set(struct vmx *v, char **at, const char *text);
/* "12" below `max` without needless zeros at *at, which moves behind it; false: no such number. */
bool vmx_take_number(const char **at, int max, int *ret_number);

/* --- one kind of thing each --- */

void vmx_capture_smbios(struct vmx *v); /* vmx_smbios.c */
void vmx_capture_nics(struct vmx *v);   /* vmx_nics.c */
void vmx_capture_disks(struct vmx *v);  /* vmx_disks.c */
/* Appends the names of files that hold serial numbers. */
void vmx_list_disk_files(struct vmx *v, struct vmx_disk_files *files);

#endif
