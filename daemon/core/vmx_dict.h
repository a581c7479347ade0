/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lines of a .vmx file as a dictionary (facts/vmware.md 3, "Grammar"). Flat on purpose: names
 * like `guestOS` and `guestOS.detailed.data` exist side by side, so it is no tree. Names are folded
 * to lower case; values are bytes with their |XX escapes undone, in the encoding that `.encoding`
 * names (vmx_text.h).
 */
#ifndef CORE_VMX_DICT_H
#define CORE_VMX_DICT_H

#include <stddef.h>

#include "base/err.h"
#include "core/notes.h"

struct vmx_entry {
    char *name;  /* lower case */
    char *value; /* without NUL inside */
    size_t line; /* from 1 */
};

struct vmx_dict {
    struct vmx_entry *entries; /* sorted by name, each name once */
    size_t n, cap;
};

/* Lines that are no `name = value` are left out with a note, as VMware leaves them alone. -EINVAL
 * where the text is no .vmx at all; -EFBIG; -ENOMEM. */
int vmx_dict_parse(const char *text, size_t len, struct vmx_dict *ret_dict, struct notes *notes,
                   struct err *err);
void vmx_dict_fini(struct vmx_dict *dict);
/* `name` in lower case. NULL: not there. */
const char *vmx_dict_get(const struct vmx_dict *dict, const char *name);

#endif
