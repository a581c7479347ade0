/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Texts of a .vmx file to UTF-8. The encoding is named by the file, so it is foreign too: only
 * names of a fixed table reach iconv_open(), which takes more than names.
 */
#ifndef CORE_VMX_TEXT_H
#define CORE_VMX_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Is this encoding one we know? NULL: the default, UTF-8. */
bool vmx_text_knows(const char *encoding);
/*
 * At most `max` bytes of valid UTF-8 without control characters, blanks at the ends cut off;
 * *ret_lossy where something had to be replaced by '?' or cut. An unknown encoding counts as
 * UTF-8. 0 or -ENOMEM.
 */
int vmx_text_decode(const char *bytes, const char *encoding, size_t max, char **ret_text,
                    bool *ret_lossy);

#endif
