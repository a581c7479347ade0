/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vmware.h. */
#include "core/vmware.h"

#include <string.h>

#include "base/str.h"

enum { SERIAL_UNIT_MAX = 9 }; /* two digits have been seen; how more look is not known */

const char *vmware_product(bool efi, int hardware)
{
    if (!efi) {
        return "VMware Virtual Platform";
    }
    return hardware >= VMWARE_HARDWARE_20 ? "VMware20,1" : "VMware7,1";
}

bool vmware_is_scsi(enum fingerprint_controller controller)
{
    return controller == FINGERPRINT_PVSCSI || controller == FINGERPRINT_LSILOGIC ||
           controller == FINGERPRINT_LSISAS1068 || controller == FINGERPRINT_BUSLOGIC;
}

const char *vmware_disk_model(enum fingerprint_controller controller)
{
    static const char *const models[] = {[FINGERPRINT_SATA] = "VMware Virtual SATA Hard Drive",
                                         [FINGERPRINT_IDE] = "VMware Virtual IDE Hard Drive",
                                         [FINGERPRINT_NVME] = "VMware Virtual NVMe Disk"};

    return models[controller];
}

bool vmware_disk_serial(enum fingerprint_controller controller, int bus, int unit,
                        char serial[VMWARE_SERIAL_SIZE])
{
    static const char base[VMWARE_SERIAL_SIZE] = "00000000000000000001";
    bool known = controller == FINGERPRINT_IDE || (controller == FINGERPRINT_SATA && bus == 0);

    if (!known || unit > SERIAL_UNIT_MAX) {
        return false;
    }
    memcpy(serial, base, sizeof(base));
    serial[0] = (char)('0' + bus);
    serial[1] = (char)('0' + unit);
    return true;
}

const char *vmware_cdrom_product(enum fingerprint_controller controller)
{
    if (controller == FINGERPRINT_SATA) {
        return "VMware SATA CD01";
    }
    return controller == FINGERPRINT_IDE ? "VMware IDE CDR10" : NULL;
}

bool vmware_guest_is_windows(const char *guest)
{
    return str_istarts(guest, "win") || str_istarts(guest, "longhorn");
}

static bool starts_with_one(const char *guest, const char *const *prefixes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_istarts(guest, prefixes[i])) {
            return true;
        }
    }
    return false;
}

bool vmware_guest_is_new_windows(const char *guest)
{
    static const char *const old[] = {"win31", "win95",   "win98", "winme",
                                      "winnt", "win2000", "winxp", "winnet"};

    return vmware_guest_is_windows(guest) && !starts_with_one(guest, old, ARRAY_SIZE(old));
}

bool vmware_guest_is_64bit(const char *guest)
{
    return str_ends(guest, "-64") || str_ends(guest, "64Guest");
}

enum fingerprint_controller vmware_default_scsi(const char *guest)
{
    static const char *const buslogic[] = {"win31",   "win95", "win98", "winme",
                                           "win2000", "winnt", "winxp"};

    if (vmware_guest_is_new_windows(guest)) {
        return FINGERPRINT_LSISAS1068;
    }
    return !vmware_guest_is_64bit(guest) && starts_with_one(guest, buslogic, ARRAY_SIZE(buslogic))
               ? FINGERPRINT_BUSLOGIC
               : FINGERPRINT_LSILOGIC;
}

/* Windows 8 and Server 2012 or later: "windows8-64", "windows9srv-64", "windows9Server64Guest". */
static bool guest_is_windows_8(const char *guest)
{
    return vmware_guest_is_new_windows(guest) && str_istarts(guest, "windows") &&
           !str_istarts(guest, "windows7");
}

enum fingerprint_nic_model vmware_default_nic(const char *guest)
{
    if (*guest == '\0') {
        return FINGERPRINT_NIC_UNKNOWN;
    }
    if (guest_is_windows_8(guest)) {
        return FINGERPRINT_NIC_E1000E;
    }
    return vmware_guest_is_64bit(guest) ? FINGERPRINT_NIC_E1000 : FINGERPRINT_NIC_FLEXIBLE;
}

bool vmware_parse_mac(const char *text, char mac[MAC_SIZE])
{
    char lower[MAC_SIZE] = "";
    bool zero = true;

    if (strlen(text) != MAC_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < MAC_SIZE - 1; i++) {
        bool separator = i % 3 == 2;

        if (separator ? text[i] != ':' && text[i] != '-' : ascii_hex(text[i]) < 0) {
            return false;
        }
        zero = zero && (separator || text[i] == '0');
        lower[i] = separator ? ':' : ascii_lower(text[i]);
    }
    if (zero || ascii_hex(lower[1]) % 2 != 0) {
        return false;
    }
    memcpy(mac, lower, MAC_SIZE);
    return true;
}
