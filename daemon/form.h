/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of HTTP: an api_request as application/x-www-form-urlencoded, paths, status lines. */
#ifndef FORM_H
#define FORM_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/api.h"

/* Appends "key=value&key=value". Everything but letters, digits and -._~ is escaped: a bare '='
 * inside a value makes PVE cut it off there, silently (facts/pve.md 4). 0 or -ENOMEM. */
int form_encode(const struct api_request *request, struct buf *form);

/* Paths are made of our own words, VMIDs, node names and UPIDs. What could change the meaning of
 * the URL ('?', '#', '%', "/..") does not occur in those and is refused rather than escaped. */
bool form_path_is_sane(const char *path);

/* Base, path and (of a GET) the query; -EINVAL: the path is not sane. */
int form_url(const char *base, const struct api_request *request, const struct buf *form,
             char **ret_url, struct err *err);

/* "https://host:port" of "https://host:port/api2/json". NULL: no memory. */
char *form_origin(const char *url);

/* The reason phrase of "HTTP/1.1 500 some words\r\n", cut to size - 1 bytes; control bytes, which
 * have no business in a log line, become blanks. */
void form_take_reason(const char *line, size_t len, char *reason, size_t size);

#endif
