/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes end in a configuration or a sentence; [PENDING] can be applied to every one. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/pveconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(pveconf_freep) struct pveconf *applied = NULL;
    struct err err = {""};

    if (pveconf_parse((const char *)data, size, &conf, &err) != 0) {
        assert(err.text[0] != '\0');
        return 0;
    }
    assert(pveconf_apply_pending(conf, &applied) == 0 && !pveconf_has_pending(applied));
    for (size_t i = 0; i < applied->sections[0].n; i++) {
        const struct pveconf_key *key = &applied->sections[0].keys[i];

        assert(str_equal(key->value, pveconf_get_pending(conf, key->key)));
    }
    return 0;
}
