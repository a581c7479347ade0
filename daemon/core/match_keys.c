/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See match_keys.h. */
#include "core/match_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/netdev.h"
#include "core/propstr.h"
#include "core/smbios1.h"

static const char vmware[] = "VMware-";

void match_keys_free(struct match_keys *keys, size_t n)
{
    for (size_t i = 0; keys != NULL && i < n; i++) {
        free(keys[i].serial);
        free(keys[i].name);
    }
    free(keys);
}

size_t match_keys_common_macs(const struct match_keys *a, const struct match_keys *b)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n_macs; i++) {
        for (size_t j = 0; j < b->n_macs; j++) {
            if (memcmp(a->macs[i], b->macs[j], MAC_SIZE) == 0) {
                n++;
                break;
            }
        }
    }
    return n;
}

static void add_mac(struct match_keys *keys, const char *mac)
{
    char *to = keys->macs[keys->n_macs];

    if (mac[0] == '\0' || keys->n_macs == FINGERPRINT_NICS_MAX) {
        return;
    }
    for (size_t i = 0; i < MAC_SIZE; i++) {
        to[i] = ascii_lower(mac[i]);
    }
    keys->n_macs++;
}

/* uuid and serial: a serial of VMware's long form tells the uuid, too. */
static int set_smbios(struct match_keys *keys, const char *uuid, const char *serial)
{
    struct smbios_uuid bytes;
    char text[SMBIOS_UUID_VMWARE_SIZE];

    keys->has_uuid = uuid != NULL && smbios_uuid_parse(uuid, &keys->uuid, NULL) == 0;
    if (serial == NULL || *serial == '\0') {
        return 0;
    }
    if (!str_istarts(serial, vmware) ||
        smbios_uuid_parse_vmware(serial + strlen(vmware), &bytes, NULL) < 0) {
        return str_replace(&keys->serial, serial);
    }
    if (!keys->has_uuid) {
        keys->uuid = smbios_uuid_swap(bytes);
        keys->has_uuid = true;
    }
    smbios_uuid_format_vmware(&bytes, text);
    keys->serial = str_printf("%s%s", vmware, text);
    return keys->serial == NULL ? -ENOMEM : 0;
}

/* "Web 1 (prod)" and "web-1--prod-" are one name: PVE takes only host names. */
static int set_name(struct match_keys *keys, const char *name)
{
    size_t n = 0;
    char *text;

    if (name == NULL || *name == '\0') {
        return 0;
    }
    text = str_dup(name);
    if (text == NULL) {
        return -ENOMEM;
    }
    for (const char *at = name; *at != '\0'; at++) {
        char c = ascii_is_alnum(*at) || *at == '.' ? ascii_lower(*at) : '-';

        if (c != '-' || (n > 0 && text[n - 1] != '-')) {
            text[n++] = c;
        }
    }
    while (n > 0 && text[n - 1] == '-') {
        n--;
    }
    text[n] = '\0';
    if (n == 0) { /* nothing but foreign letters says nothing here */
        free(text);
        return 0;
    }
    keys->name = text;
    return 0;
}

int match_keys_of_fingerprint(const struct fingerprint *fp, struct match_keys *ret)
{
    int rc = set_smbios(ret, fp->smbios.uuid, fp->smbios.serial);

    for (size_t i = 0; i < fp->n_nics; i++) {
        add_mac(ret, fp->nics[i].mac);
    }
    return rc < 0 ? rc : set_name(ret, fp->source.name);
}

static int read_nics(const struct pveconf *conf, struct match_keys *keys)
{
    char key[16];

    for (int i = 0; i < NETDEV_MAX; i++) {
        CLEANUP(netdev_fini) struct netdev net = {0};
        const char *value;
        int rc;

        (void)snprintf(key, sizeof(key), "net%d", i); /* two digits always fit */
        value = pveconf_get(conf, key);
        rc = value == NULL ? -ENOENT : netdev_parse(value, &net, NULL);
        if (rc == -ENOMEM) {
            return rc;
        }
        if (rc == 0) {
            add_mac(keys, net.mac);
        }
    }
    return 0;
}

int match_keys_of_config(const struct pveconf *conf, struct match_keys *ret)
{
    CLEANUP(smbios1_fini) struct smbios1 smbios = {0};
    const char *template = pveconf_get(conf, "template");
    int rc = smbios1_parse(pveconf_get(conf, "smbios1"), &smbios, NULL);

    if (rc == -ENOMEM) {
        return rc;
    }
    if (template != NULL) {
        (void)propstr_bool(template, &ret->is_template); /* else: not one */
    }
    rc = set_smbios(ret, smbios.fields[SMBIOS1_UUID], smbios.fields[SMBIOS1_SERIAL]);
    rc = rc < 0 ? rc : read_nics(conf, ret);
    return rc < 0 ? rc : set_name(ret, pveconf_get(conf, "name"));
}
