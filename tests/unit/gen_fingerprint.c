/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See gen_conf.h: fingerprints. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "gen_conf.h"

static const char *pick(struct gen *g, const char *const *words, size_t n)
{
    return words[gen_roll(g, (unsigned)n)];
}
#define PICK(g, words) pick(g, words, ARRAY_SIZE(words))

/* How many disks and network cards a configuration has. */
static void count(const char *config, unsigned *ret_disks, unsigned *ret_nics)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(drive_list_fini) struct drive_list list = {0};

    *ret_disks = *ret_nics = 0;
    if (pveconf_parse(config, strlen(config), &conf, NULL) < 0) {
        abort();
    }
    if (drive_list_read(conf, &list, NULL) == 0) {
        for (size_t i = 0; i < list.n; i++) {
            *ret_disks += drive_is_disk(&list.items[i]) ? 1 : 0;
        }
    }
    for (size_t i = 0; i < conf->sections[0].n; i++) {
        const char *key = conf->sections[0].keys[i].key;

        *ret_nics += str_starts(key, "net") && ascii_is_digit(key[3]) ? 1 : 0;
    }
}

static void add_smbios(struct gen *g, struct buf *json)
{
    static const char *const more[] = {
        "", ",\"version\":\"None\"", ",\"family\":\"F\",\"sku\":\"S\"",
        ",\"serial\":\"VMware-56 4d 1a 9b 00 11 22 33-44 55 66 77 88 99 aa bb\""};

    buf_addf(json,
             ",\"smbios\":{\"uuid\":\"9b1a4d56-1100-3322-4455-66778899aabb\","
             "\"manufacturer\":\"VMware, Inc.\",\"product\":\"VMware7,1\"%s}",
             PICK(g, more));
}

static void add_nics(struct gen *g, struct buf *json, unsigned n)
{
    static const char *const models[] = {"vmxnet3", "e1000", "vlance", "e1000e", "unknown"};

    buf_adds(json, ",\"nics\":[");
    for (unsigned i = 0; i < n; i++) {
        buf_addf(json, "%s{\"model\":\"%s\"", i > 0 ? "," : "", PICK(g, models));
        if (!gen_one_in(g, 5)) {
            buf_addf(json, ",\"mac\":\"%s:c%u\"",
                     gen_one_in(g, 2) ? "bc:24:11:9a:a3" : "00:50:56:8a:01", i);
        }
        buf_addc(json, '}');
    }
    buf_addc(json, ']');
}

/* VMware's rules: four IDE drives, no unit 7 on scsi, one controller a bus. */
static void add_place(struct buf *json, const char *kind, unsigned i, unsigned *n_ide)
{
    bool scsi = str_equal(kind, "pvscsi") || str_starts(kind, "lsi");

    if (str_equal(kind, "ide")) {
        buf_addf(json, "\"bus\":%u,\"unit\":%u", *n_ide / 2, *n_ide % 2);
        (*n_ide)++;
    } else if (scsi) {
        buf_addf(json, "\"bus\":%d,\"unit\":%u", str_equal(kind, "pvscsi") ? 0 : 1,
                 i + (i >= 7 ? 1 : 0));
    } else {
        buf_addf(json, "\"bus\":%u,\"unit\":%u", i % 4, i / 4);
    }
}

static void add_disks(struct gen *g, struct buf *json, unsigned n)
{
    static const char *const kinds[] = {"sata", "ide", "pvscsi", "nvme", "lsisas1068"};
    const char *all = gen_one_in(g, 3) ? NULL : PICK(g, kinds);
    bool mixed = gen_one_in(g, 4); /* pvscsi with another SCSI controller: then all disks stay */
    unsigned n_ide = 0;

    buf_adds(json, ",\"disks\":[");
    for (unsigned i = 0; i < n; i++) {
        const char *kind = all != NULL ? all : pick(g, kinds, mixed ? 5 : 4);

        kind = str_equal(kind, "ide") && n_ide == 4 ? "sata" : kind;
        buf_addf(json, "%s{\"controller\":\"%s\",", i > 0 ? "," : "", kind);
        add_place(json, kind, i, &n_ide);
        if (gen_one_in(g, 3)) {
            buf_addf(json, ",\"serial\":\"D%u\"", gen_roll(g, 4));
        }
        if (gen_one_in(g, 4)) {
            buf_adds(json, ",\"vendor\":\"VMware\",\"product\":\"Virtual disk\",\"model\":\"VMware "
                           "IDE Hard Drive\"");
        }
        buf_addc(json, '}');
    }
    buf_addc(json, ']');
}

static void add_policy(struct gen *g, struct buf *json)
{
    static const char *const policies[] = {
        ",\"policy\":{\"on_drift\":\"refuse\"}", ",\"policy\":{\"on_drift\":\"start\"}",
        ",\"policy\":{\"on_error\":\"refuse\"}", ",\"policy\":{\"disks\":\"keep\"}",
        ",\"policy\":{\"nics\":\"keep\"}"};

    if (gen_one_in(g, 8)) {
        buf_adds(json, PICK(g, policies));
    }
}

/* The right number mostly, now and then one more or less, and none. */
static unsigned about(struct gen *g, unsigned n)
{
    if (gen_one_in(g, 6)) {
        return gen_one_in(g, 2) || n == 0 ? n + 1 : n - 1;
    }
    return gen_one_in(g, 8) ? 0 : n;
}

char *gen_fingerprint(struct gen *g, const char *config)
{
    static const char *const versions[] = {"8.2", "9.0", "10.0"};
    struct buf json = BUF_INIT(0);
    unsigned disks, nics;

    count(config, &disks, &nics);
    disks = about(g, disks);
    nics = about(g, nics);
    buf_adds(&json, "{\"format\":1");
    if (!gen_one_in(g, 4) || disks + nics == 0) {
        add_smbios(g, &json);
    }
    if (gen_one_in(g, 2)) {
        buf_addf(&json, ",\"machine\":{\"type\":\"q35\",\"min_version\":\"%s\"}",
                 PICK(g, versions));
    }
    if (nics > 0) {
        add_nics(g, &json, nics);
    }
    if (disks > 0) {
        add_disks(g, &json, disks);
    }
    add_policy(g, &json);
    buf_addc(&json, '}');
    return buf_steal(&json);
}
