/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What other nodes answer: a list of VMs, or pending values. Names that become part of a path are
 * safe. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/survey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *answer = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
    struct survey_vms vms = {0};
    struct identity now = {0}, next = {0};

    if (answer == NULL) {
        return 0;
    }
    (void)survey_read_vms(answer, "pve1", &vms); /* or a sentence: both is fine */
    for (size_t i = 0; i < vms.n; i++) {
        must(vms.items[i].vmid > 0 && vms.items[i].node[0] != '\0');
        must(strpbrk(vms.items[i].node, "/?#%") == NULL && !str_equal(vms.items[i].node, ".."));
        must(survey_find(&vms, vms.items[i].vmid) != NULL);
    }
    survey_vms_fini(&vms);
    (void)survey_read_pending(answer, &now, &next); /* likewise */
    identity_fini(&now);
    identity_fini(&next);
    json_decref(answer);
    return 0;
}
