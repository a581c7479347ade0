/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See drive.h: one drive, and what its bus knows. An option that PVE knows for some other bus, or
 * a value it would not read, is refused as PVE does: it drops such a line and the VM has no disk.
 * An option that is in none of our tables is kept: PVE learns new ones, and a move that it does
 * not like it refuses before anything changes.
 */
#include "core/drive.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum {
    SERIAL_MAX = 20, /* bytes; PVE accepts longer ones, QEMU and guests cut or refuse them */
    VENDOR_MAX = 8,
    PRODUCT_MAX = 16,
    MODEL_MAX = 40,
    WWN_DIGITS = 16,
};

#define BUS(bus) (1U << (bus))

static const struct {
    const char *name;
    int slots;
} buses[DRIVE_BUSES] = {
    [DRIVE_IDE] = {"ide", 4},
    [DRIVE_SATA] = {"sata", 6},
    [DRIVE_SCSI] = {"scsi", 31},
    [DRIVE_VIRTIO] = {"virtio", 16},
};

/* Options that not every bus knows. */
static const struct {
    const char *name;
    unsigned buses;
} special_options[] = {
    {"iothread", BUS(DRIVE_SCSI) | BUS(DRIVE_VIRTIO)},
    {"ro", BUS(DRIVE_SCSI) | BUS(DRIVE_VIRTIO)},
    {"queues", BUS(DRIVE_SCSI)},
    {"scsiblock", BUS(DRIVE_SCSI)},
    {"product", BUS(DRIVE_SCSI)},
    {"vendor", BUS(DRIVE_SCSI)},
    {"model", BUS(DRIVE_IDE)},
    {"ssd", BUS(DRIVE_IDE) | BUS(DRIVE_SATA) | BUS(DRIVE_SCSI)},
    {"wwn", BUS(DRIVE_IDE) | BUS(DRIVE_SATA) | BUS(DRIVE_SCSI)},
};

const char *drive_bus_name(enum drive_bus bus)
{
    return buses[bus].name;
}

int drive_bus_slots(enum drive_bus bus)
{
    return buses[bus].slots;
}

bool drive_slot_parse(const char *key, struct drive_slot *ret_slot)
{
    for (unsigned i = 0; i < DRIVE_BUSES; i++) {
        size_t len = strlen(buses[i].name);
        const char *digits = key + len;
        uint64_t index;

        if (str_starts(key, buses[i].name) && (*digits != '0' || digits[1] == '\0') &&
            str_to_u64(digits, (uint64_t)buses[i].slots - 1, &index)) {
            *ret_slot = (struct drive_slot){.bus = (enum drive_bus)i, .index = (int)index};
            return true;
        }
    }
    return false;
}

void drive_slot_format(struct drive_slot slot, char text[DRIVE_SLOT_SIZE])
{
    size_t len = strlen(buses[slot.bus].name);
    char *at = text + len;

    memcpy(text, buses[slot.bus].name, len);
    if (slot.index >= 10) {
        *at++ = (char)('0' + slot.index / 10 % 10);
    }
    *at++ = (char)('0' + slot.index % 10);
    *at = '\0';
}

bool drive_slot_equal(struct drive_slot a, struct drive_slot b)
{
    return a.bus == b.bus && a.index == b.index;
}

void drive_fini(struct drive *drive)
{
    free(drive->volume);
    propstr_fini(&drive->options);
    *drive = (struct drive){0};
}

bool drive_bus_knows(enum drive_bus bus, const char *option)
{
    for (size_t i = 0; i < ARRAY_SIZE(special_options); i++) {
        if (str_equal(special_options[i].name, option)) {
            return (special_options[i].buses & BUS(bus)) != 0;
        }
    }
    return true;
}

/* PVE's pattern of vendor and product. */
static bool is_scsi_text(const char *value)
{
    for (; *value != '\0'; value++) {
        if (!ascii_is_alnum(*value) && *value != '-' && *value != '_' && *value != ' ') {
            return false;
        }
    }
    return true;
}

bool drive_value_fits(const char *option, const char *value)
{
    size_t len = strlen(value);

    if (len == 0) {
        return false;
    }
    if (str_equal(option, "serial")) {
        return len <= SERIAL_MAX;
    }
    if (str_equal(option, "model")) {
        return len <= MODEL_MAX;
    }
    if (str_equal(option, "vendor")) {
        return len <= VENDOR_MAX && is_scsi_text(value);
    }
    if (str_equal(option, "product")) {
        return len <= PRODUCT_MAX && is_scsi_text(value);
    }
    return true;
}

/* 0x and 16 hex digits. */
static bool is_wwn(const char *value)
{
    size_t digits = 0;

    if (!str_starts(value, "0x")) {
        return false;
    }
    while (ascii_hex(value[2 + digits]) >= 0) {
        digits++;
    }
    return digits == WWN_DIGITS && value[2 + digits] == '\0';
}

static bool is_url_encoded(const char *value)
{
    for (; *value != '\0'; value++) {
        if (!ascii_is_alnum(*value) && strchr("-%_.!~*'()", *value) == NULL) {
            return false;
        }
    }
    return true;
}

/* Would PVE read this value? Lengths of serial and model are those of the encoded text. */
static bool value_is_valid(const char *option, const char *value)
{
    if (str_equal(option, "wwn")) {
        return is_wwn(value);
    }
    if (str_equal(option, "serial")) {
        return is_url_encoded(value) && strlen(value) <= (size_t)SERIAL_MAX * 3;
    }
    if (str_equal(option, "model")) {
        return is_url_encoded(value) && strlen(value) <= (size_t)MODEL_MAX * 3;
    }
    return drive_value_fits(option, value);
}

static bool is_volume_key(const char *key)
{
    return key == NULL || str_equal(key, "file") || str_equal(key, "volume");
}

static int set_item(struct drive *drive, const struct prop *prop, struct err *err)
{
    const char *bus = drive_bus_name(drive->slot.bus);

    if (is_volume_key(prop->key)) {
        if (drive->volume != NULL) {
            return err_set(err, -EINVAL, "the volume is there twice (%s, %s)", drive->volume,
                           prop->value);
        }
        if (prop->value[strspn(prop->value, " ")] == '\0') {
            return err_set(err, -EINVAL, "the volume is blank");
        }
        drive->volume = str_dup(prop->value);
        return drive->volume == NULL ? err_oom(err) : 0;
    }
    if (!drive_bus_knows(drive->slot.bus, prop->key)) {
        return err_set(err, -EINVAL, "the bus %s does not know the option %s", bus, prop->key);
    }
    if (!value_is_valid(prop->key, prop->value)) {
        return err_set(err, -EINVAL, "PVE does not accept %s=%s", prop->key, prop->value);
    }
    return propstr_set(&drive->options, prop->key, prop->value) < 0 ? err_oom(err) : 0;
}

/* The last part of the name: cloudinit, vm-105-cloudinit, both perhaps with a format behind. */
static bool is_cloudinit(const char *volume)
{
    const char *slash = strrchr(volume, '/');
    const char *name = slash != NULL ? slash : strchr(volume, ':');

    if (name == NULL) {
        return false;
    }
    name++;
    if (str_starts(name, "vm-")) {
        name += strlen("vm-");
        name += strspn(name, "0123456789");
        name += *name == '-' ? 1 : 0;
    }
    return str_starts(name, "cloudinit") && (name[9] == '\0' || name[9] == '.');
}

int drive_parse(struct drive_slot slot, const char *value, struct drive *ret, struct err *err)
{
    CLEANUP(drive_fini) struct drive drive = {.slot = slot};
    CLEANUP(propstr_fini) struct propstr props = {0};
    int rc = propstr_parse(value, &props, err);

    for (size_t i = 0; rc == 0 && i < props.n; i++) {
        rc = set_item(&drive, &props.items[i], err);
    }
    if (rc < 0) {
        return rc;
    }
    if (drive.volume == NULL) {
        return err_set(err, -EINVAL, "no volume in '%s'", value);
    }
    drive.cdrom = str_equal(propstr_get(&drive.options, "media"), "cdrom");
    drive.cloudinit = is_cloudinit(drive.volume);
    *ret = drive;
    drive = (struct drive){0};
    return 0;
}

int drive_copy(const struct drive *from, struct drive *ret_to)
{
    CLEANUP(drive_fini)
    struct drive copy = {.slot = from->slot, .cdrom = from->cdrom, .cloudinit = from->cloudinit};

    copy.volume = str_dup(from->volume);
    if ((from->volume != NULL && copy.volume == NULL) ||
        propstr_copy(&from->options, &copy.options) < 0) {
        return -ENOMEM;
    }
    *ret_to = copy;
    copy = (struct drive){0};
    return 0;
}

char *drive_format(const struct drive *drive)
{
    CLEANUP_FREE char *options = propstr_format(&drive->options);

    if (options == NULL) {
        return NULL;
    }
    /* A path with '=' in it would read as an option. */
    return str_printf("%s%s%s%s", strchr(drive->volume, '=') == NULL ? "" : "file=", drive->volume,
                      *options == '\0' ? "" : ",", options);
}

bool drive_is_disk(const struct drive *drive)
{
    return !drive->cdrom && !drive->cloudinit && !str_equal(drive->volume, "none");
}

/* Everything but letters, digits and -._~ : what both old and new URI escaping leave alone. */
char *drive_url_encode(const char *value)
{
    static const char hex[] = "0123456789ABCDEF";
    struct buf buf = BUF_INIT(0);

    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;

        if (ascii_is_alnum(*value) || strchr("-._~", *value) != NULL) {
            buf_addc(&buf, *value);
        } else {
            buf_addc(&buf, '%');
            buf_addc(&buf, hex[c >> 4]);
            buf_addc(&buf, hex[c & 15]);
        }
    }
    return buf_steal(&buf);
}

/* A '%' without two hex digits stays, and so does %00: no NUL inside our strings. */
char *drive_url_decode(const char *value)
{
    struct buf buf = BUF_INIT(0);

    for (; *value != '\0'; value++) {
        int high = *value == '%' ? ascii_hex(value[1]) : -1;
        int low = high >= 0 ? ascii_hex(value[2]) : -1;

        if (low >= 0 && high + low > 0) {
            buf_addc(&buf, (char)(high * 16 + low));
            value += 2;
        } else {
            buf_addc(&buf, *value);
        }
    }
    return buf_steal(&buf);
}
