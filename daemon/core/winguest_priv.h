/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One capture of a Windows guest's file on its way: shared by winguest.c and winguest_devices.c. */
#ifndef CORE_WINGUEST_PRIV_H
#define CORE_WINGUEST_PRIV_H

#include "core/builder.h"
#include "core/jsonread.h"

struct winguest {
    struct builder b;
    int rc; /* the first thing of a wrong shape, sticky: the look-ups below find nothing then */
    struct err *err;
};

/* What is absent, null or empty is not there (WMI has many such properties); what is of another
 * type is an error that names its path. */
const char *winguest_text(struct winguest *w, const struct jsonread *at, const char *key);
bool winguest_number(struct winguest *w, const struct jsonread *at, const char *key, long max,
                     long *ret);
bool winguest_enter(struct winguest *w, const struct jsonread *at, const char *key,
                    struct jsonread *ret);

void winguest_capture_devices(struct winguest *w, const struct jsonread *root);

#endif
