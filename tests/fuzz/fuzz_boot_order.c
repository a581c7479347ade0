/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A boot order that is read is written so that it reads the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *value = str_ndup((const char *)data, size);
    CLEANUP_FREE char *line = str_printf("boot: %s\nbootdisk: scsi0\n", value);
    CLEANUP_FREE char *written = NULL;
    CLEANUP_FREE char *line_again = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf_again = NULL;
    CLEANUP(boot_order_fini) struct boot_order boot = {0};
    CLEANUP(boot_order_fini) struct boot_order again = {0};

    if (pveconf_parse(line, strlen(line), &conf, NULL) == 0 &&
        boot_order_parse(conf, &boot, NULL) == 0 && boot.explicit_order) {
        written = boot_order_format(&boot);
        line_again = str_printf("boot: %s\n", written);
        assert(pveconf_parse(line_again, strlen(line_again), &conf_again, NULL) == 0);
        assert(boot_order_parse(conf_again, &again, NULL) == 0 && again.n == boot.n);
    }
    return 0;
}
