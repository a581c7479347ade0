/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See form.h. */
#include "form.h"

#include <string.h>

#include "base/str.h"

static void add_escaped(struct buf *form, const char *text)
{
    for (; *text != '\0'; text++) {
        if (ascii_is_alnum(*text) || strchr("-._~", *text) != NULL) {
            buf_addc(form, *text);
        } else {
            buf_addf(form, "%%%02X", (unsigned char)*text);
        }
    }
}

int form_encode(const struct api_request *request, struct buf *form)
{
    buf_adds(form, ""); /* no parameter is an empty text, not NULL */
    for (size_t i = 0; i < request->n_params; i++) {
        buf_adds(form, i > 0 ? "&" : "");
        add_escaped(form, request->params[i].key);
        buf_addc(form, '=');
        add_escaped(form, request->params[i].value);
    }
    return form->error;
}

bool form_path_is_sane(const char *path)
{
    if (path[0] != '/' || strstr(path, "/.") != NULL || strstr(path, "//") != NULL) {
        return false;
    }
    for (; *path != '\0'; path++) {
        if (!ascii_is_alnum(*path) && strchr("/-._:@!", *path) == NULL) {
            return false;
        }
    }
    return true;
}
