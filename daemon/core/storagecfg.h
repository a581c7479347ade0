/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reader of PVE's /etc/pve/storage.cfg, as far as it tells where a snippet lies: storages with a
 * directory, and the volume id of a hookscript as a path. `local` is always a directory at
 * /var/lib/vz, whatever the file says of it or if it says nothing, as with PVE. Unknown keys are
 * left alone; lines that PVE would ignore are ignored. We never write this format.
 */
#ifndef CORE_STORAGECFG_H
#define CORE_STORAGECFG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
    STORAGECFG_MAX = 256 * 1024, /* a storage takes some hundred bytes */
    STORAGECFG_ITEMS_MAX = 1000,
};

struct storagecfg_item {
    char *id, *type;
    char *path;         /* NULL: none */
    char *content;      /* "iso,snippets"; NULL: not said, PVE's default, never with snippets */
    char *content_dirs; /* "snippets=hooks"; NULL */
    bool disabled;
};

struct storagecfg {
    struct storagecfg_item *items;
    size_t n, cap;
};

/* -EINVAL: a NUL byte, or over the limits. */
int storagecfg_parse(const char *text, size_t len, struct storagecfg **ret, struct err *err);
void storagecfg_free(struct storagecfg *cfg);
DEFINE_CLEANUP(struct storagecfg, storagecfg_free)

/* NULL: there is none of that name. `local` is always there. */
const struct storagecfg_item *storagecfg_find(const struct storagecfg *cfg, const char *id);
bool storagecfg_has_content(const struct storagecfg_item *item, const char *type);

/* The directory of its snippets. -ENOENT: it has no directory. */
int storagecfg_snippets_dir(const struct storagecfg_item *item, char **ret, struct err *err);
/* "local:snippets/x" as a path, whether a file is there or not. -EINVAL: not the volume id of a
 * snippet; -ENOENT: no such storage, or one without a directory. */
int storagecfg_snippet_path(const struct storagecfg *cfg, const char *volid, char **ret,
                            struct err *err);

/* STORAGE:snippets/NAME, both without anything odd: what may follow `hookscript: `. */
bool storagecfg_is_snippet(const char *volid);

#endif
