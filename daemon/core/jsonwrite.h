/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JSON values of foreign texts. A configuration may hold any bytes, JSON is UTF-8: a text that is
 * not becomes ASCII with '?'. New references; NULL: no memory. */
#ifndef CORE_JSONWRITE_H
#define CORE_JSONWRITE_H

#include <jansson.h>

#include "core/notes.h"

json_t *jsonwrite_text(const char *text); /* NULL is null */
json_t *jsonwrite_notes(const struct notes *notes);

#endif
