/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See form.h. */
#include "form.h"

#include <errno.h>
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

int form_url(const char *base, const struct api_request *request, const struct buf *form,
             char **ret_url, struct err *err)
{
    bool query = request->method == API_GET && form->len > 0;
    char *url;

    if (!form_path_is_sane(request->path)) {
        return err_set(err, -EINVAL, "'%.200s' is no path of the API", request->path);
    }
    url = str_printf("%s%s%s%s", base, request->path, query ? "?" : "", query ? form->data : "");
    if (url == NULL) {
        return err_oom(err);
    }
    *ret_url = url;
    return 0;
}

char *form_origin(const char *url)
{
    const char *host = strstr(url, "://");
    const char *slash = host == NULL ? NULL : strchr(host + 3, '/');

    return slash == NULL ? str_dup(url) : str_ndup(url, (size_t)(slash - url));
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
