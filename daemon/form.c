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

void form_take_reason(const char *line, size_t len, char *reason, size_t size)
{
    const char *words = memchr(line, ' ', len);
    size_t n;

    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n')) {
        len--;
    }
    reason[0] = '\0';
    if (words == NULL || words + 4 >= line + len) {
        return; /* nothing behind " 500" */
    }
    words += 4;
    words += *words == ' ' ? 1 : 0;
    n = (size_t)(line + len - words);
    n = n < size - 1 ? n : size - 1;
    for (size_t i = 0; i < n; i++) {
        reason[i] = (unsigned char)words[i] < ' ' || words[i] == '\x7f' ? ' ' : words[i];
    }
    reason[n] = '\0';
}
