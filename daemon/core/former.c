/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See former.h. */
#include "core/former.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "core/assess.h"
#include "core/storagecfg.h"

int former_parse(const char *text, size_t len, char **ret_volid, struct err *err)
{
    CLEANUP_FREE char *volid = NULL;

    if (len > FORMER_MAX) {
        return err_set(err, -EINVAL, "it is longer than the name of a hookscript");
    }
    if (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    if (len == 0 || memchr(text, '\0', len) != NULL) {
        return err_set(err, -EINVAL, "it does not hold the name of a hookscript");
    }
    volid = str_ndup(text, len);
    if (volid == NULL) {
        return err_oom(err);
    }
    if (!storagecfg_is_snippet(volid)) {
        return err_set(err, -EINVAL, "it does not hold the name of a hookscript");
    }
    if (assess_is_our_hook(volid)) {
        return err_set(err, -EINVAL, "it names pve-hwid itself");
    }
    *ret_volid = STEAL(volid);
    return 0;
}
