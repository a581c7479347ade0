/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as an OVF descriptor: at least one VM, or a sentence. */
#include "core/ovf.h"
#include "readback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(ovf_vms_fini) struct ovf_vms vms = {0};
    struct err err = {""};

    if (ovf_capture((const char *)data, size, NULL, &vms, &err) == 0) {
        must(vms.n > 0);
    } else {
        must(err.text[0] != '\0' && vms.n == 0);
    }
    for (size_t i = 0; i < vms.n; i++) {
        check_fingerprint(vms.items[i].fp);
        check_notes(&vms.items[i].notes);
    }
    return 0;
}
