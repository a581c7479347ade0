/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See err.h. vsnprintf into the fixed text: nothing here can fail, and nothing allocates. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *format, ...)
{
    va_list args;

    if (err == NULL) {
        return code;
    }
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof(err->text), format, args); /* a cut sentence is still one */
    va_end(args);
    return code;
}

int err_prefix(struct err *err, int code, const char *format, ...)
{
    char old[ERR_TEXT_MAX];
    size_t used;
    va_list args;

    if (err == NULL) {
        return code;
    }
    memcpy(old, err->text, sizeof(old));
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof(err->text), format, args); /* a cut sentence is still one */
    va_end(args);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", old);
    return code;
}

int err_oom(struct err *err)
{
    return err_set(err, -ENOMEM, "out of memory");
}
