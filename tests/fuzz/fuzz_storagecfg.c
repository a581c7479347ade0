/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes are storages, of which `local` is always one, or a sentence; each snippet of each is an
 * absolute path with the snippet's own name at its end, or there is none. The first line is also
 * read as the note about a former hookscript. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/former.h"
#include "core/storagecfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_former(const char *text, size_t len)
{
    CLEANUP_FREE char *volid = NULL;
    struct err err = {""};

    if (former_parse(text, len, &volid, &err) < 0) {
        assert(err.text[0] != '\0');
        return;
    }
    assert(storagecfg_is_snippet(volid) && strchr(volid, '\n') == NULL);
}

static void check_item(const struct storagecfg *cfg, const struct storagecfg_item *item)
{
    CLEANUP_FREE char *volid = str_printf("%s:snippets/hook", item->id);
    CLEANUP_FREE char *path = NULL;
    struct err err = {""};

    assert(volid != NULL && storagecfg_is_snippet(volid));
    if (storagecfg_snippet_path(cfg, volid, &path, &err) < 0) {
        assert(err.text[0] != '\0');
        return;
    }
    assert(path[0] == '/' && str_ends(path, "/hook"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(storagecfg_freep) struct storagecfg *cfg = NULL;
    const char *text = (const char *)data;
    const char *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    struct err err = {""};

    check_former(text, newline != NULL ? (size_t)(newline - text) + 1 : size);
    if (storagecfg_parse(text, size, &cfg, &err) < 0) {
        assert(err.text[0] != '\0');
        return 0;
    }
    assert(storagecfg_find(cfg, "local") != NULL);
    for (size_t i = 0; i < cfg->n; i++) {
        check_item(cfg, &cfg->items[i]);
    }
    return 0;
}
