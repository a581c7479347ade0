/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every drive and network card that is read is written so that it reads the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/drive.h"
#include "core/netdev.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = size == 0 ? NULL : str_ndup((const char *)data + 1, size - 1);
    CLEANUP(drive_fini) struct drive drive = {0};
    CLEANUP(drive_fini) struct drive again = {0};
    CLEANUP(netdev_fini) struct netdev net = {0};
    CLEANUP(netdev_fini) struct netdev net_again = {0};
    CLEANUP_FREE char *drive_text = NULL;
    CLEANUP_FREE char *net_text = NULL;
    struct drive_slot slot = {.bus = DRIVE_IDE, .index = 0};

    if (text == NULL) {
        return 0;
    }
    slot.bus = (enum drive_bus)(data[0] % DRIVE_BUSES);
    if (drive_parse(slot, text, &drive, NULL) == 0) {
        drive_text = drive_format(&drive);
        assert(drive_parse(slot, drive_text, &again, NULL) == 0);
        assert(str_equal(drive.volume, again.volume) && drive.options.n == again.options.n);
        assert(drive_is_disk(&drive) == drive_is_disk(&again));
    }
    if (netdev_parse(text, &net, NULL) == 0) {
        net_text = netdev_format(&net);
        assert(netdev_parse(net_text, &net_again, NULL) == 0);
        assert(str_equal(net.model, net_again.model) && str_equal(net.mac, net_again.mac));
    }
    return 0;
}
