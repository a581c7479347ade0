/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See gen_conf.h: configurations. */
#include "gen_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "fake_pve_priv.h"

/* --- dice ------------------------------------------------------------------------------------ */

uint64_t gen_bits(struct gen *g) /* xorshift64 */
{
    g->state ^= g->state << 13;
    g->state ^= g->state >> 7;
    g->state ^= g->state << 17;
    return g->state;
}

struct gen gen_new(uint64_t seed)
{
    uint64_t mixed = (seed + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
    struct gen g = {(mixed ^ (mixed >> 29)) | 1};

    for (int i = 0; i < 4; i++) {
        (void)gen_bits(&g);
    }
    return g;
}

unsigned gen_roll(struct gen *g, unsigned sides)
{
    return (unsigned)(gen_bits(g) % sides);
}

bool gen_one_in(struct gen *g, unsigned n)
{
    return gen_roll(g, n) == 0;
}

static const char *pick(struct gen *g, const char *const *words, size_t n)
{
    return words[gen_roll(g, (unsigned)n)];
}
#define PICK(g, words) pick(g, words, ARRAY_SIZE(words))

/* --- the parts of a VM ------------------------------------------------------------------------ */

struct parts {
    struct gen *g;
    struct fake_map keys;
    char names[64][16]; /* of what can boot */
    unsigned n_names, n_volumes;
};

static void set(struct parts *p, const char *key, const char *value)
{
    fake_map_set(&p->keys, key, value);
}

static void set_one_of(struct parts *p, const char *key, const char *const *values, size_t n)
{
    const char *value = pick(p->g, values, n);

    if (value[0] != '\0') {
        set(p, key, value);
    }
}
#define SET_ONE_OF(p, key, values) set_one_of(p, key, values, ARRAY_SIZE(values))

static void add_plain(struct parts *p)
{
    static const char *const tags[] = {"", "", "windows;licensed", "a"};
    static const char *const agents[] = {"", "1", "enabled=1,fstrim_cloned_disks=1"};
    static const char *const vgas[] = {"", "std", "qxl,memory=32", "none"};
    static const char *const locks[] = {"", "", "", "", "", "", "",       "",
                                        "", "", "", "", "", "", "",       "",
                                        "", "", "", "", "", "", "backup", "migrate"};
    static const char *const protections[] = {"", "", "", "", "", "", "", "", "", "0", "1"};
    static const char *const templates[] = {"", "", "", "", "", "", "", "", "", "", "", "",
                                            "", "", "", "", "", "", "", "", "", "", "", "1"};
    static const char *const argses[] = {
        "", "", "", "", "-device sga", "-set device.scsi0.x=1 -set device.net0.y=2"};
    static const char *const passed[] = {"", "", "", "0000:01:00.0,pcie=1", "mapping=gpu"};
    static const char *const usbs[] = {"", "", "", "host=1234:5678,usb3=1", "spice"};
    static const char *const serials[] = {"", "", "socket"};

    set(p, "name", "vm105");
    set(p, "memory", "4096");
    set(p, "cores", "2");
    set(p, "ostype", gen_one_in(p->g, 4) ? "l26" : "win10");
    set(p, "meta", "creation-qemu=10.0.13,ctime=1795397075");
    set(p, "vmgenid", "e24baae3-3b90-4331-90c2-4c7b19607e84");
    set(p, "hookscript", "local:snippets/pve-hwid");
    SET_ONE_OF(p, "tags", tags);
    SET_ONE_OF(p, "agent", agents);
    SET_ONE_OF(p, "vga", vgas);
    SET_ONE_OF(p, "lock", locks);
    SET_ONE_OF(p, "protection", protections);
    SET_ONE_OF(p, "template", templates);
    SET_ONE_OF(p, "args", argses);
    SET_ONE_OF(p, "hostpci0", passed);
    SET_ONE_OF(p, "usb0", usbs);
    SET_ONE_OF(p, "serial0", serials);
}

static void add_identity(struct parts *p)
{
    static const char *const machines[] = {"",
                                           "",
                                           "pc",
                                           "q35",
                                           "q35,viommu=intel",
                                           "pc-q35-8.1+pve1",
                                           "pc-q35-9.2+pve1,enable-s3=0",
                                           "pc-q35-10.0",
                                           "pc-i440fx-9.0,viommu=virtio"};
    static const char *const hws[] = {"",        "virtio-scsi-pci", "virtio-scsi-single", "lsi",
                                      "megasas", "pvscsi",          "virtio-scsi-single"};
    static const char *const smbios[] = {
        "",
        "uuid=11111111-2222-3333-4444-555555555555",
        "uuid=11111111-2222-3333-4444-555555555555,base64=1,family=Zg==,sku=c2t1",
        "base64=1,manufacturer=Vk13YXJlLCBJbmMu,product=VkU=,serial=c2VyaWFs",
        "uuid=11111111-2222-3333-4444-555555555555,manufacturer=plain,product=text",
        "uuid=9b1a4d56-1100-3322-4455-66778899aabb"};

    SET_ONE_OF(p, "machine", machines);
    SET_ONE_OF(p, "scsihw", hws);
    SET_ONE_OF(p, "smbios1", smbios);
    if (gen_one_in(p->g, 2)) {
        set(p, "bios", "ovmf");
        set(p, "efidisk0",
            "local:105/vm-105-disk-90.qcow2,efitype=4m,pre-enrolled-keys=1,size=528K");
    }
    if (gen_one_in(p->g, 5)) {
        set(p, "tpmstate0", "local:105/vm-105-disk-91.raw,size=4M,version=v2.0");
    }
}

static void add_nics(struct parts *p)
{
    static const char *const models[] = {"virtio", "e1000", "vmxnet3", "rtl8139", "e1000e"};
    static const char *const options[] = {"",
                                          ",firewall=1",
                                          ",link_down=1",
                                          ",mtu=1400,queues=4",
                                          ",queues=8,rate=10,tag=42",
                                          ",firewall=1,tag=7,trunks=5;6"};
    unsigned n = gen_roll(p->g, 5);

    for (unsigned i = 0; i < n; i++) {
        unsigned index = gen_one_in(p->g, 5) ? i + 7 : i;
        char *key = str_printf("net%u", index);
        char *value = str_printf("%s=BC:24:11:9A:A3:C%u,bridge=vmbr%u%s", PICK(p->g, models), i,
                                 gen_roll(p->g, 2), PICK(p->g, options));

        if (fake_map_get(&p->keys, key) == NULL) {
            set(p, key, value);
            (void)snprintf(p->names[p->n_names++], 16, "%s", key); /* fits */
        }
        free(key);
        free(value);
    }
}

static void add_option(struct parts *p, struct fake_map *options, const char *bus,
                       const char *option)
{
    char *key = str_ndup(option, strcspn(option, "="));

    if (fake_schema_bus_knows(bus, key) && gen_one_in(p->g, 5)) {
        fake_map_set(options, option, "");
    }
    free(key);
}

/* The volume of a disk: of a directory, of LVM, or a device of the node. */
static char *any_volume(struct parts *p)
{
    unsigned i = p->n_volumes++;

    if (gen_one_in(p->g, 14)) {
        return str_printf("/dev/disk/by-id/scsi-3600%u", i);
    }
    return gen_one_in(p->g, 3) ? str_printf("local-lvm:vm-105-disk-%u", i)
                               : str_printf("local:105/vm-105-disk-%u.%s", i,
                                            gen_one_in(p->g, 2) ? "raw" : "qcow2");
}

static void add_disk(struct parts *p, const char *bus, const char *slot)
{
    static const char *const all[] = {"aio=native",
                                      "backup=0",
                                      "cache=writeback",
                                      "discard=on",
                                      "iops_rd=500",
                                      "iothread=1",
                                      "mbps=20",
                                      "model=VMware%20IDE",
                                      "replicate=0",
                                      "ro=1",
                                      "product=Virtual",
                                      "queues=4",
                                      "scsiblock=1",
                                      "serial=S1",
                                      "ssd=1",
                                      "vendor=VMware",
                                      "wwn=0x500056789abcdef0",
                                      "detect_zeroes=0"};
    static const char *const sizes[] = {"size=1G", "size=64M", "size=32G"};
    struct fake_map options = {0};
    struct buf value = BUF_INIT(0);
    char *volume = any_volume(p);

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        add_option(p, &options, bus, all[i]);
    }
    if (gen_one_in(p->g, 4)) {
        char *serial = str_printf("serial=D%u", gen_roll(p->g, 4));

        fake_map_set(&options, "serial=S1", NULL);
        fake_map_set(&options, serial, "");
        free(serial);
    }
    if (volume[0] != '/') {
        fake_map_set(&options, PICK(p->g, sizes), "");
    }
    buf_adds(&value, volume);
    for (size_t i = 0; i < options.n; i++) {
        buf_addf(&value, ",%s", options.items[i].key);
    }
    set(p, slot, value.data);
    buf_fini(&value);
    fake_map_fini(&options);
    free(volume);
}

static void add_drive(struct parts *p)
{
    static const struct {
        const char *name;
        unsigned slots;
    } buses[] = {{"ide", 4}, {"sata", 6}, {"scsi", 8}, {"virtio", 6}};
    static const char *const cdroms[] = {"none,media=cdrom",
                                         "local:iso/virtio.iso,media=cdrom,size=612M",
                                         "local:105/vm-105-cloudinit.qcow2,media=cdrom,size=4M"};
    unsigned bus = gen_roll(p->g, 7);
    char slot[16];

    bus = bus < 4 ? bus : 2 + bus % 2; /* most are scsi or virtio */
    (void)snprintf(slot, sizeof(slot), "%s%u", buses[bus].name, gen_roll(p->g, buses[bus].slots));
    if (fake_map_get(&p->keys, slot) != NULL) {
        return;
    }
    (void)snprintf(p->names[p->n_names++], 16, "%s", slot); /* fits */
    if (bus < 3 && gen_one_in(p->g, 5)) {
        set(p, slot, PICK(p->g, cdroms));
    } else {
        add_disk(p, buses[bus].name, slot);
    }
}

static void add_unused(struct parts *p)
{
    unsigned n = gen_one_in(p->g, 4) ? 1 + gen_roll(p->g, 3) : 0;

    for (unsigned i = 0; i < n; i++) {
        char *key = str_printf("unused%u", i * (1 + gen_roll(p->g, 2)));
        char *value = str_printf("local:105/vm-105-disk-%u.qcow2", 100 + i);

        set(p, key, value);
        free(key);
        free(value);
    }
}

static void shuffle(struct parts *p)
{
    for (unsigned i = p->n_names; i-- > 1;) {
        unsigned j = gen_roll(p->g, i + 1);
        char swap[16];

        memcpy(swap, p->names[i], 16);
        memcpy(p->names[i], p->names[j], 16);
        memcpy(p->names[j], swap, 16);
    }
}

/* None, letters, an order of some of what is there (and of what is not), with and without the old
 * `bootdisk`. */
static void add_boot(struct parts *p)
{
    static const char *const letters[] = {"cdn", "dcn", "n", "ca", "c"};
    struct buf order = BUF_INIT(0);
    unsigned n;

    shuffle(p);
    if (gen_one_in(p->g, 4) && p->n_names > 0) {
        set(p, "bootdisk", gen_one_in(p->g, 5) ? "scsi30" : p->names[0]);
    }
    if (gen_one_in(p->g, 6)) {
        return;
    }
    if (gen_one_in(p->g, 6) || p->n_names == 0) {
        set(p, "boot", PICK(p->g, letters));
        return;
    }
    n = 1 + gen_roll(p->g, p->n_names);
    for (unsigned i = 0; i < n; i++) {
        buf_addf(&order, "%s%s", i == 0 ? "order=" : ";", p->names[i]);
    }
    if (gen_one_in(p->g, 6)) {
        buf_addf(&order, ";%s", fake_map_get(&p->keys, "hostpci0") != NULL ? "hostpci0" : "net9");
    }
    set(p, "boot", order.data);
    buf_fini(&order);
}

static void add_keys(struct buf *out, const struct fake_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        buf_addf(out, "%s: %s\n", map->items[i].key, map->items[i].value);
    }
}

/* --- pending changes and snapshots ------------------------------------------------------------ */

static void add_pending(struct parts *p, struct buf *out)
{
    const char *net = fake_map_get(&p->keys, "net0");

    buf_adds(out, "\n[PENDING]\n");
    if (gen_one_in(p->g, 2)) {
        buf_adds(out, "cores: 4\n");
    }
    if (gen_one_in(p->g, 3)) {
        buf_adds(out, "smbios1: uuid=22222222-2222-3333-4444-555555555555\n");
    }
    if (net != NULL && gen_one_in(p->g, 3)) {
        buf_adds(out, "net0: e1000=BC:24:11:9A:A3:C0,bridge=vmbr9\n");
    }
    if (gen_one_in(p->g, 3)) {
        buf_adds(out, "delete: vga\n");
    } else if (p->n_names > 0 && gen_one_in(p->g, 8)) {
        buf_addf(out, "delete: %s\n", p->names[0]); /* of a disk: hands off then */
    }
}

static void add_snapshots(struct parts *p, struct buf *out)
{
    unsigned n = 1 + gen_roll(p->g, 3);

    for (unsigned i = 0; i < n; i++) {
        buf_addf(out, "\n[snap%u]\n%s", i, gen_one_in(p->g, 2) ? "#before%3A the update\n" : "");
        if (i > 0) {
            buf_addf(out, "parent: snap%u\n", i - 1);
        }
        for (size_t j = 0; j < p->keys.n; j++) {
            const struct fake_pair *pair = &p->keys.items[j];

            if (!str_equal(pair->key, "lock") && !str_equal(pair->key, "parent") &&
                !str_starts(pair->key, "unused") && !gen_one_in(p->g, 6)) {
                buf_addf(out, "%s: %s\n", pair->key, pair->value);
            }
        }
        buf_addf(out, "snaptime: %u\n", 1795397075 + i);
    }
}

/* As PVE writes it. */
static char *tidy(const char *text)
{
    struct fake_pve pve;
    char *out;

    fake_pve_init(&pve, text, NULL);
    out = fake_pve_text(&pve);
    fake_pve_fini(&pve);
    return out;
}

char *gen_config(struct gen *g)
{
    struct parts p = {.g = g};
    struct buf out = BUF_INIT(0);
    unsigned drives = gen_roll(g, 9);
    bool snapshots = gen_one_in(g, 4);
    char *text;

    if (gen_one_in(g, 4)) {
        buf_adds(&out, "#Licence server%3A do not touch\n#  zweite Zeile\n");
    }
    add_plain(&p);
    add_identity(&p);
    add_nics(&p);
    for (unsigned i = 0; i < drives; i++) {
        add_drive(&p);
    }
    add_unused(&p);
    add_boot(&p);
    if (snapshots) {
        set(&p, "parent", "snap0");
    }
    add_keys(&out, &p.keys);
    if (gen_one_in(g, 5)) {
        add_pending(&p, &out);
    }
    if (snapshots) {
        add_snapshots(&p, &out);
    }
    text = tidy(out.data);
    buf_fini(&out);
    fake_map_fini(&p.keys);
    return text;
}

/* --- by hand -----------------------------------------------------------------------------------
 */

char *gen_untidy(struct gen *g, const char *config)
{
    static const char *const oddities[] = {
        "nosuch: 1\n",      "\n",         "#a comment further down\n", "smbios1: uuid=56:4d\n",
        "name: vm105   \n", "tags:  b\n", "x-future-key: kept?\n",     "onboot: 1\n"};
    struct buf out = BUF_INIT(0);
    char *copy = str_dup(config), *state = NULL;
    bool in_main = true;

    if (gen_one_in(g, 3)) {
        buf_adds(&out, PICK(g, oddities));
    }
    for (char *line = strtok_r(copy, "\n", &state); line != NULL;
         line = strtok_r(NULL, "\n", &state)) {
        if (line[0] == '[' && in_main) {
            in_main = false;
            buf_adds(&out, gen_one_in(g, 3) ? "\n[special:cloudinit]\nfoo: 1\n" : "");
        }
        buf_addf(&out, "%s\n", line);
        if (in_main && gen_one_in(g, 12)) {
            buf_adds(&out, PICK(g, oddities));
        }
    }
    free(copy);
    return buf_steal(&out);
}
