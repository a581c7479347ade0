/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See identity.h. */
#include "core/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "base/str.h"
#include "core/netdev.h"
#include "core/propstr.h"
#include "core/smbios1.h"

static const char vmware[] = "VMware-";

void identity_fini(struct identity *id)
{
    free(id->serial);
    *id = (struct identity){0};
}

/* What firmware says where nobody gave the board a number. */
static bool is_placeholder(const char *serial)
{
    static const char *const words[] = {
        "none",          "not specified",        "not applicable",
        "not available", "system serial number", "to be filled by o.e.m.",
        "n/a",           "default string",       "unknown",
        "123456789",     "1234567890",           "0123456789",
        "oem",           "serial number",        "invalid",
    };
    size_t same = 0;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_iequal(serial, words[i])) {
            return true;
        }
    }
    while (serial[same] != '\0' && serial[same] == serial[0]) {
        same++;
    }
    return serial[same] == '\0'; /* "0", "........" */
}

static void add_mac(struct identity *id, const char *mac)
{
    char *to = id->macs[id->n_macs];

    if (mac[0] == '\0' || id->n_macs == FINGERPRINT_NICS_MAX ||
        str_equal(mac, "00:00:00:00:00:00")) {
        return;
    }
    for (size_t i = 0; i < MAC_SIZE; i++) {
        to[i] = ascii_lower(mac[i]);
    }
    id->n_macs++;
}

/* A serial of VMware's long form tells the uuid, too. */
static int set_smbios(struct identity *id, const char *uuid, const char *serial)
{
    struct smbios_uuid bytes;
    char text[SMBIOS_UUID_VMWARE_SIZE];

    id->has_uuid = uuid != NULL && smbios_uuid_parse(uuid, &id->uuid, NULL) == 0 &&
                   !smbios_uuid_is_none(&id->uuid);
    if (serial == NULL || is_placeholder(serial)) {
        return str_replace(&id->serial, NULL);
    }
    if (!str_istarts(serial, vmware) ||
        smbios_uuid_parse_vmware(serial + strlen(vmware), &bytes, NULL) < 0) {
        return str_replace(&id->serial, serial);
    }
    if (!id->has_uuid) {
        id->uuid = smbios_uuid_swap(bytes);
        id->has_uuid = !smbios_uuid_is_none(&bytes);
    }
    smbios_uuid_format_vmware(&bytes, text);
    free(id->serial);
    id->serial = str_printf("%s%s", vmware, text);
    return id->serial == NULL ? -ENOMEM : 0;
}

int identity_of_fingerprint(const struct fingerprint *fp, struct identity *ret)
{
    for (size_t i = 0; i < fp->n_nics; i++) {
        add_mac(ret, fp->nics[i].mac);
    }
    return set_smbios(ret, fp->smbios.uuid, fp->smbios.serial);
}

/* --- a configuration -------------------------------------------------------------------------- */

static int add_smbios1(struct identity *id, const char *value)
{
    CLEANUP(smbios1_fini) struct smbios1 smbios = {0};
    int rc = smbios1_parse(value, &smbios, NULL);

    if (rc < 0) {
        return rc == -ENOMEM ? rc : 0;
    }
    return set_smbios(id, smbios.fields[SMBIOS1_UUID], smbios.fields[SMBIOS1_SERIAL]);
}

static int add_net(struct identity *id, const char *value)
{
    CLEANUP(netdev_fini) struct netdev net = {0};
    int rc = netdev_parse(value, &net, NULL);

    if (rc == 0) {
        add_mac(id, net.mac);
    }
    return rc == -ENOMEM ? rc : 0;
}

/* `meta: creation-qemu=10.0.13,ctime=1795397075` */
static int add_meta(struct identity *id, const char *value)
{
    CLEANUP(propstr_fini) struct propstr props = {0};
    uint64_t ctime = 0;
    int rc = propstr_parse(value, &props, NULL);

    if (rc == 0 && propstr_get(&props, "ctime") != NULL &&
        str_to_u64(propstr_get(&props, "ctime"), FINGERPRINT_CTIME_MAX, &ctime)) {
        id->ctime = (int64_t)ctime;
    }
    return rc == -ENOMEM ? rc : 0;
}

int identity_add_option(struct identity *id, const char *key, const char *value)
{
    int index;

    if (str_equal(key, "smbios1")) {
        return add_smbios1(id, value);
    }
    if (str_equal(key, "meta")) {
        return add_meta(id, value);
    }
    if (str_equal(key, "template")) {
        (void)propstr_bool(value, &id->is_template); /* else: not one */
        return 0;
    }
    return netdev_key_index(key, &index) ? add_net(id, value) : 0;
}

int identity_of_config(const struct pveconf *conf, struct identity *ret)
{
    const struct pveconf_section *options = &conf->sections[0];

    for (size_t i = 0; i < options->n; i++) {
        int rc = identity_add_option(ret, options->keys[i].key, options->keys[i].value);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* --- keys ------------------------------------------------------------------------------------- */

static uint64_t hash_of(enum identity_kind kind, const void *bytes, size_t len)
{
    uint8_t digest[SHA256_SIZE];
    uint64_t hash = 0;

    sha256(bytes, len, digest);
    for (size_t i = 0; i < sizeof(hash); i++) {
        hash = hash << 8 | digest[i];
    }
    return hash ^ (uint64_t)kind; /* the same bytes as another kind are another key */
}

size_t identity_keys(const struct identity *id, struct identity_key keys[IDENTITY_KEYS_MAX])
{
    size_t n = 0;

    if (id->has_uuid) {
        keys[n++] = (struct identity_key){
            .kind = IDENTITY_UUID,
            .hash = hash_of(IDENTITY_UUID, id->uuid.bytes, sizeof(id->uuid.bytes))};
    }
    if (id->serial != NULL) {
        keys[n++] = (struct identity_key){
            .kind = IDENTITY_SERIAL,
            .hash = hash_of(IDENTITY_SERIAL, id->serial, strlen(id->serial))};
    }
    for (size_t i = 0; i < id->n_macs; i++) {
        keys[n++] = (struct identity_key){
            .kind = IDENTITY_MAC,
            .index = i,
            .hash = hash_of(IDENTITY_MAC, id->macs[i], strlen(id->macs[i]))};
    }
    return n;
}

char *identity_key_text(const struct identity *id, const struct identity_key *key)
{
    char uuid[SMBIOS_UUID_SIZE];

    switch (key->kind) {
    case IDENTITY_UUID:
        smbios_uuid_format(&id->uuid, uuid);
        return str_printf("uuid %s", uuid);
    case IDENTITY_SERIAL:
        return str_printf("serial %s", id->serial);
    case IDENTITY_MAC:
    case IDENTITY_KINDS:
        break;
    }
    return str_printf("MAC %s", id->macs[key->index]);
}

int identity_name(const struct identity *id, char text[SMBIOS_UUID_SIZE])
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(0);

    text[0] = '\0';
    if (id->has_uuid) {
        buf_add(&bytes, id->uuid.bytes, sizeof(id->uuid.bytes));
    } else if (id->serial != NULL) {
        buf_adds(&bytes, id->serial);
    } else {
        for (size_t i = 0; i < id->n_macs; i++) {
            buf_adds(&bytes, id->macs[i]);
        }
    }
    if (bytes.error != 0) {
        return bytes.error;
    }
    if (bytes.len > 0) {
        smbios_uuid_digest(bytes.data, bytes.len, text);
    }
    return 0;
}
