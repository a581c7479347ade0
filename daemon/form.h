/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of HTTP: an api_request as application/x-www-form-urlencoded, paths, status lines. */
#ifndef FORM_H
#define FORM_H

#include <stdbool.h>

#include "base/buf.h"
#include "core/api.h"

/* Appends "key=value&key=value". Everything but letters, digits and -._~ is escaped: a bare '='
 * inside a value makes PVE cut it off there, silently (facts/pve.md 4). 0 or -ENOMEM. */
int form_encode(const struct api_request *request, struct buf *form);

/* Paths are made of our own words, VMIDs, node names and UPIDs. What could change the meaning of
 * the URL ('?', '#', '%', "/..") does not occur in those and is refused rather than escaped. */
bool form_path_is_sane(const char *path);

/* The reason phrase of "HTTP/1.1 500 some words\r\n", cut to size - 1 bytes; control bytes, which
 * have no business in a log line, become blanks. */
void form_take_reason(const char *line, size_t len, char *reason, size_t size);

#endif
