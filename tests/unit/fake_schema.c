/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See fake_pve_priv.h: which lines PVE can read, from the recordings 03d, 05, 06e, 12b and the
 * table "Options by bus" of the shared facts; tests/pvesim/schema.py says the same in more words.
 * Of its own, and not the code under test: a wrong table there must not hide behind itself here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "fake_pve_priv.h"

/* Names in blanks, so that a search for " name " finds whole words. */
static const char plain_keys[] =
    " acpi affinity agent args autostart balloon bios boot bootdisk cicustom cores cpu cpulimit "
    "cpuunits efidisk0 freeze hookscript hotplug keyboard kvm localtime lock machine memory meta "
    "name numa onboot ostype parent protection rng0 scsihw sockets smbios1 startup tablet tags "
    "tdf template tpmstate0 vcpus vga vmgenid vmstatestorage watchdog nameserver searchdomain "
    "citype ciuser sshkeys audio0 allow-ksm ";
static const struct {
    const char *name;
    unsigned slots;
} families[] = {{"ide", 4},      {"sata", 6}, {"scsi", 31},     {"virtio", 16},
                {"unused", 256}, {"net", 32}, {"ipconfig", 32}, {"serial", 4},
                {"parallel", 3}, {"usb", 14}, {"hostpci", 16},  {"virtiofs", 10}};
static const char every_bus[] =
    " file aio backup bps bps_rd bps_wr cache detect_zeroes discard format iops iops_max iops_rd "
    "iops_wr mbps mbps_max mbps_rd mbps_wr media replicate rerror serial shared size snapshot "
    "werror ";
static const char net_keys[] = " model macaddr bridge firewall link_down mtu queues rate tag "
                               "trunks host_mtu ";
static const char net_models[] =
    " e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er ne2k_isa "
    "ne2k_pci pcnet rtl8139 virtio vmxnet3 ";
static const char smbios_keys[] = " uuid version serial manufacturer product sku family base64 ";
static const char scsihws[] = " lsi lsi53c810 virtio-scsi-pci virtio-scsi-single megasas pvscsi ";

static bool among(const char *words, const char *word, size_t len)
{
    for (const char *at = words; (at = strstr(at, " ")) != NULL; at++) {
        if (strncmp(at + 1, word, len) == 0 && at[1 + len] == ' ') {
            return len > 0;
        }
    }
    return false;
}

bool fake_schema_bus_knows(const char *bus, const char *option)
{
    size_t len = strlen(option);
    bool scsi = str_equal(bus, "scsi");

    return among(every_bus, option, len) ||
           ((scsi || str_equal(bus, "virtio")) && among(" iothread ro ", option, len)) ||
           (scsi && among(" queues scsiblock product vendor ", option, len)) ||
           (str_equal(bus, "ide") && among(" model ", option, len)) ||
           (!str_equal(bus, "virtio") && among(" ssd wwn ", option, len));
}

/* "scsi12": "scsi" into `family`; false: no slot of any family. */
static bool split_slot(const char *key, char family[16])
{
    size_t letters = strcspn(key, "0123456789");
    uint64_t index;

    if (letters == 0 || letters >= 16 || !str_to_u64(key + letters, 999, &index) ||
        (key[letters] == '0' && key[letters + 1] != '\0')) {
        return false;
    }
    (void)snprintf(family, 16, "%.*s", (int)letters, key); /* fits: asked above */
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        if (str_equal(family, families[i].name)) {
            return index < families[i].slots;
        }
    }
    return false;
}

typedef bool (*sub_fn)(const void *arg, const char *key, size_t key_len, const char *value);

/* Each "key=value" of a list, keyless ones with NULL; false: one of them is wrong. */
static bool each_sub(const char *list, sub_fn fn, const void *arg)
{
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        const char *equals = memchr(list, '=', len);
        char *value = equals == NULL ? str_ndup(list, len)
                                     : str_ndup(equals + 1, len - (size_t)(equals - list) - 1);
        bool fine = len == 0 ||
                    (*value != '\0' && fn(arg, equals == NULL ? NULL : list,
                                          equals == NULL ? 0 : (size_t)(equals - list), value));

        free(value);
        if (!fine) {
            return false;
        }
        list += len + (list[len] == ',');
    }
    return true;
}

static bool is_base64(const char *text)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

    return n > 0 && strspn(text + n, "=") <= 2 && text[n + strspn(text + n, "=")] == '\0';
}

static bool is_uuid(const char *text)
{
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? text[i] != '-' : ascii_hex(text[i]) < 0) {
            return false;
        }
    }
    return text[36] == '\0';
}

static bool smbios_sub(const void *arg, const char *key, size_t len, const char *value)
{
    (void)arg;
    if (key == NULL || !among(smbios_keys, key, len)) {
        return false;
    }
    return len == 4 && strncmp(key, "uuid", 4) == 0 ? is_uuid(value)
           : len == 6 && strncmp(key, "base64", 6) == 0
               ? among(" 0 1 on off yes no true false ", value, strlen(value))
               : is_base64(value);
}

static bool net_sub(const void *arg, const char *key, size_t len, const char *value)
{
    (void)arg;
    return key == NULL ? among(net_models, value, strlen(value))
                       : among(net_keys, key, len) || among(net_models, key, len);
}

static bool drive_sub(const void *arg, const char *key, size_t len, const char *value)
{
    char *option = key == NULL ? NULL : str_ndup(key, len);
    bool fine = option == NULL || fake_schema_bus_knows(arg, option);

    if (option != NULL && str_equal(option, "serial")) {
        fine = fine && strlen(value) <= 60;
    }
    free(option);
    return fine;
}

static bool machine_sub(const void *arg, const char *key, size_t len, const char *value)
{
    (void)arg;
    if (key != NULL) {
        return among(" type viommu aw-bits enable-s3 enable-s4 ", key, len);
    }
    return str_equal(value, "q35") || str_equal(value, "pc") || str_starts(value, "pc-q35-") ||
           str_starts(value, "pc-i440fx-") || str_starts(value, "virt");
}

static bool boot_sub(const void *arg, const char *key, size_t len, const char *value)
{
    (void)arg;
    if (key == NULL) {
        return strspn(value, "acdn") == strlen(value) && strlen(value) <= 4;
    }
    return among(" order legacy ", key, len);
}

bool fake_schema_reads(const char *key, const char *value)
{
    char family[16];

    if (!split_slot(key, family)) {
        return among(plain_keys, key, strlen(key)) &&
               (!str_equal(key, "smbios1") ||
                (strlen(value) <= 512 && each_sub(value, smbios_sub, NULL))) &&
               (!str_equal(key, "machine") || each_sub(value, machine_sub, NULL)) &&
               (!str_equal(key, "scsihw") || among(scsihws, value, strlen(value))) &&
               (!str_equal(key, "boot") || each_sub(value, boot_sub, NULL));
    }
    if (str_equal(family, "net")) {
        return each_sub(value, net_sub, NULL);
    }
    return !fake_pve_is_disk(key) || each_sub(value, drive_sub, family);
}
