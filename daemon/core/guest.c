/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See guest.h: the machine as a whole; guest_drive.c has the drives. */
#include "core/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/propstr.h"
#include "core/qemu_args.h"

enum {
    MEMORY_DEFAULT_MIB = 512,  /* PVE's */
    MEMORY_MAX_MIB = 64 << 20, /* 64 TiB */
    CPU_MAX = 4096,
};

int guest_init(struct guest *guest, const struct pveconf *conf)
{
    int rc;

    *guest = (struct guest){.conf = conf, .args = pveconf_get(conf, "args")};
    guest->ovmf = str_equal(pveconf_get(conf, "bios"), "ovmf");
    rc = smbios1_parse(pveconf_get(conf, "smbios1"), &guest->smbios, NULL);
    if (rc != -ENOMEM) {
        rc = machine_parse(pveconf_get(conf, "machine"), &guest->machine, NULL);
    }
    if (rc != -ENOMEM) {
        rc = drive_list_read(conf, &guest->drives, NULL);
    }
    if (rc == -ENOMEM) {
        guest_fini(guest);
        return rc;
    }
    return 0;
}

void guest_fini(struct guest *guest)
{
    smbios1_fini(&guest->smbios);
    machine_fini(&guest->machine);
    drive_list_fini(&guest->drives);
    *guest = (struct guest){0};
}

/* --- SMBIOS ----------------------------------------------------------------------------------- */

static char *smbios_text(const struct guest *guest, enum smbios1_field field, const char *fallback)
{
    const char *said = guest->smbios.fields[field];

    return str_dup(said != NULL ? said : fallback);
}

static char *bios_vendor(const struct guest *guest)
{
    char *vendor = NULL;

    if (qemu_args_smbios(guest->args, 0, "vendor", &vendor) < 0) {
        return NULL;
    }
    return vendor != NULL ? vendor : str_dup(guest->ovmf ? "EDK II" : "SeaBIOS");
}

static const char *product(const struct guest *guest)
{
    switch (guest->machine.kind) {
    case MACHINE_PC:
        return "Standard PC (i440FX + PIIX, 1996)";
    case MACHINE_Q35:
        return "Standard PC (Q35 + ICH9, 2009)";
    case MACHINE_VIRT:
        break;
    }
    return "QEMU Virtual Machine";
}

static char *machine_text(const struct guest *guest)
{
    const char *said = pveconf_get(guest->conf, "machine");

    if (said == NULL) {
        return str_dup("pc (PVE's default)");
    }
    /* What PVE could not read it does not start: shown as it stands. */
    return guest->machine.rest == NULL ? str_dup(said) : machine_format(&guest->machine);
}

/* --- CPU and memory --------------------------------------------------------------------------- */

static int number_of(const struct guest *guest, const char *key, int fallback)
{
    const char *said = pveconf_get(guest->conf, key);
    uint64_t number;

    return said != NULL && str_to_u64(said, CPU_MAX, &number) && number > 0 ? (int)number
                                                                            : fallback;
}

void guest_cpu(const struct guest *guest, int *ret_sockets, int *ret_cores)
{
    *ret_sockets = number_of(guest, "sockets", 1);
    *ret_cores = number_of(guest, "cores", 1);
}

/* The value without a key, or that of `key`, of an option; `fallback` where it says neither. */
static char *main_value(const struct guest *guest, const char *option, const char *key,
                        const char *fallback)
{
    CLEANUP(propstr_fini) struct propstr props = {0};
    const char *said = pveconf_get(guest->conf, option);
    const char *value = NULL;
    int rc = said == NULL ? 0 : propstr_parse(said, &props, NULL);

    if (rc == -ENOMEM) {
        return NULL;
    }
    if (said != NULL && rc == 0) {
        value = propstr_get(&props, NULL);
        value = value != NULL ? value : propstr_get(&props, key);
    }
    return str_dup(value != NULL ? value : fallback);
}

long guest_memory_mib(const struct guest *guest)
{
    const char *said = pveconf_get(guest->conf, "memory");
    uint64_t mib;

    if (said == NULL) {
        return MEMORY_DEFAULT_MIB;
    }
    if (str_starts(said, "current=")) {
        said += strlen("current=");
    }
    return str_to_u64(said, MEMORY_MAX_MIB, &mib) ? (long)mib : MEMORY_DEFAULT_MIB;
}

static char *cpu_text(const struct guest *guest)
{
    int sockets, cores;

    guest_cpu(guest, &sockets, &cores);
    return str_printf("%d x %d cores", sockets, cores);
}

/* --- cards ------------------------------------------------------------------------------------ */

const char *guest_scsihw(const struct guest *guest)
{
    const char *said = pveconf_get(guest->conf, "scsihw");

    return said != NULL ? said : "lsi";
}

static bool has_scsi(const struct guest *guest)
{
    for (size_t i = 0; i < guest->drives.n; i++) {
        if (guest->drives.items[i].slot.bus == DRIVE_SCSI) {
            return true;
        }
    }
    return false;
}

/* Ids as facts/vmware.md 7 has them: what Windows builds its hardware ids of. */
static char *scsi_text(const struct guest *guest)
{
    static const struct {
        const char *name, *ids;
    } known[] = {
        {"pvscsi", "15ad:07c0"},
        {"lsi", "LSI 53C895A, 1000:0012"},
        {"lsi53c810", "1000:0001"},
        {"virtio-scsi-pci", "1af4:1004"},
        {"virtio-scsi-single", "1af4:1004"},
        {"megasas", "1000:0060"},
    };
    const char *scsihw = guest_scsihw(guest);

    if (!has_scsi(guest)) {
        return str_dup("none");
    }
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (str_equal(known[i].name, scsihw)) {
            return str_printf("%s (%s)", scsihw, known[i].ids);
        }
    }
    return str_dup(scsihw);
}

char *guest_vga(const struct guest *guest)
{
    return main_value(guest, "vga", "type", "std");
}

static char *display_text(const struct guest *guest)
{
    CLEANUP_FREE char *vga = guest_vga(guest);

    if (vga == NULL) {
        return NULL;
    }
    if (str_equal(vga, "vmware")) {
        return str_dup("VMware SVGA (15ad:0405)");
    }
    return str_equal(vga, "std") ? str_dup("std (1234:1111)") : STEAL(vga);
}

char *guest_text(const struct guest *guest, enum guest_what what)
{
    switch (what) {
    case GUEST_UUID:
        return smbios_text(guest, SMBIOS1_UUID, "none");
    case GUEST_SERIAL:
        return smbios_text(guest, SMBIOS1_SERIAL, "none");
    case GUEST_MANUFACTURER:
        return smbios_text(guest, SMBIOS1_MANUFACTURER, "QEMU");
    case GUEST_PRODUCT:
        return smbios_text(guest, SMBIOS1_PRODUCT, product(guest));
    case GUEST_BIOS_VENDOR:
        return bios_vendor(guest);
    case GUEST_FIRMWARE:
        return str_dup(guest->ovmf ? "efi" : "bios");
    case GUEST_MACHINE:
        return machine_text(guest);
    case GUEST_SCSI:
        return scsi_text(guest);
    case GUEST_DISPLAY:
        return display_text(guest);
    case GUEST_CPU:
        return cpu_text(guest);
    case GUEST_CPU_MODEL:
        return main_value(guest, "cpu", "cputype", "kvm64");
    case GUEST_MEMORY:
        return str_printf("%ld MiB", guest_memory_mib(guest));
    }
    return NULL;
}
