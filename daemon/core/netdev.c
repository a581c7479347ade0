/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See netdev.h. */
#include "core/netdev.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

static const char *const models[] = {
    "e1000",    "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e",  "i82551", "i82557b",
    "i82559er", "ne2k_isa",      "ne2k_pci",      "pcnet",         "rtl8139", "virtio", "vmxnet3",
};

static const char *const options[] = {
    "bridge",   "queues",    "rate", "tag",         "trunks",
    "firewall", "link_down", "mtu",  "host-tunnel", /* qemu-server 9.2 */
};

static bool is_in(const char *const *words, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        if (str_equal(words[i], word)) {
            return true;
        }
    }
    return false;
}

void netdev_fini(struct netdev *net)
{
    free(net->model);
    propstr_fini(&net->rest);
    *net = (struct netdev){0};
}

/* Six pairs with colons, no multicast address. */
static bool mac_parse(const char *text, char ret_mac[MAC_SIZE])
{
    if (strlen(text) != MAC_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < MAC_SIZE - 1; i++) {
        if (i % 3 == 2 ? text[i] != ':' : ascii_hex(text[i]) < 0) {
            return false;
        }
    }
    if (ascii_hex(text[1]) % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < MAC_SIZE; i++) {
        ret_mac[i] = text[i] >= 'a' && text[i] <= 'f' ? (char)(text[i] - 'a' + 'A') : text[i];
    }
    return true;
}

static int set_model(struct netdev *net, const char *model, struct err *err)
{
    if (net->model != NULL) {
        return err_set(err, -EINVAL, "the model is there twice (%s, %s)", net->model, model);
    }
    if (!is_in(models, ARRAY_SIZE(models), model)) {
        return err_set(err, -EINVAL, "PVE knows no network card model '%s'", model);
    }
    net->model = str_dup(model);
    return net->model == NULL ? err_oom(err) : 0;
}

static int set_mac(struct netdev *net, const char *mac, struct err *err)
{
    if (net->mac[0] != '\0') {
        return err_set(err, -EINVAL, "the MAC address is there twice");
    }
    return mac_parse(mac, net->mac)
               ? 0
               : err_set(err, -EINVAL, "'%s' is no unicast MAC address (BC:24:11:9A:A3:C1 is one)",
                         mac);
}

static int set_item(struct netdev *net, const struct prop *prop, struct err *err)
{
    if (prop->key == NULL || str_equal(prop->key, "model")) {
        return set_model(net, prop->value, err);
    }
    if (str_equal(prop->key, "macaddr")) {
        return set_mac(net, prop->value, err);
    }
    if (is_in(models, ARRAY_SIZE(models), prop->key)) {
        int rc = set_model(net, prop->key, err);

        return rc < 0 ? rc : set_mac(net, prop->value, err);
    }
    if (!is_in(options, ARRAY_SIZE(options), prop->key)) {
        return err_set(err, -EINVAL, "PVE knows neither a model nor an option '%s'", prop->key);
    }
    return propstr_set(&net->rest, prop->key, prop->value) < 0 ? err_oom(err) : 0;
}

int netdev_parse(const char *value, struct netdev *ret, struct err *err)
{
    CLEANUP(netdev_fini) struct netdev net = {0};
    CLEANUP(propstr_fini) struct propstr props = {0};
    int rc = propstr_parse(value, &props, err);

    for (size_t i = 0; rc == 0 && i < props.n; i++) {
        rc = set_item(&net, &props.items[i], err);
    }
    if (rc < 0) {
        return rc;
    }
    if (net.model == NULL) {
        return err_set(err, -EINVAL, "no network card model in '%s'", value);
    }
    *ret = net;
    net = (struct netdev){0};
    return 0;
}

char *netdev_format(const struct netdev *net)
{
    CLEANUP_FREE char *rest = propstr_format(&net->rest);
    struct buf buf = BUF_INIT(0);

    if (rest == NULL) {
        return NULL;
    }
    buf_adds(&buf, net->model);
    if (net->mac[0] != '\0') {
        buf_addf(&buf, "=%s", net->mac);
    }
    if (*rest != '\0') {
        buf_addf(&buf, ",%s", rest);
    }
    return buf_steal(&buf);
}

const char *netdev_model_for(enum fingerprint_nic_model model, bool *ret_exact)
{
    *ret_exact = true;
    switch (model) {
    case FINGERPRINT_NIC_VMXNET3:
        return "vmxnet3";
    case FINGERPRINT_NIC_VMXNET2:
    case FINGERPRINT_NIC_VMXNET:
        *ret_exact = false;
        return "vmxnet3";
    case FINGERPRINT_NIC_E1000:
        return "e1000-82545em"; /* VMware's chip; plain e1000 is an 82540EM */
    case FINGERPRINT_NIC_E1000E:
        return "e1000e";
    case FINGERPRINT_NIC_VLANCE:
    case FINGERPRINT_NIC_FLEXIBLE:
        return "pcnet";
    case FINGERPRINT_NIC_UNKNOWN:
        break;
    }
    *ret_exact = false;
    return NULL;
}

bool netdev_model_knows(const char *model, const char *option)
{
    return str_equal(model, "virtio") ||
           (!str_equal(option, "queues") && !str_equal(option, "mtu") &&
            !str_equal(option, "host-tunnel"));
}

bool netdev_key_index(const char *key, int *ret_index)
{
    uint64_t index;

    if (!str_starts(key, "net") || (key[3] == '0' && key[4] != '\0') ||
        !str_to_u64(key + 3, NETDEV_MAX - 1, &index)) {
        return false;
    }
    *ret_index = (int)index;
    return true;
}
