/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vcenter_priv.h: the network cards, in the order of their device keys (4000 is ethernet0). */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/vcenter_priv.h"

enum { SHOWN_MAX = 64 };

/* Six hex pairs with colons, any case; not a group address and not all zero. */
static bool read_mac(const char *text, char mac[MAC_SIZE])
{
    bool zero = true;

    if (strlen(text) != MAC_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < MAC_SIZE - 1; i++) {
        bool separator = i % 3 == 2;

        if (separator ? text[i] != ':' : ascii_hex(text[i]) < 0) {
            return false;
        }
        zero = zero && (separator || text[i] == '0');
        mac[i] = ascii_lower(text[i]);
    }
    mac[MAC_SIZE - 1] = '\0';
    return !zero && ascii_hex(mac[1]) % 2 == 0;
}

static void capture_mac(struct vcenter *v, const struct vcenter_device *device,
                        struct fingerprint_nic *nic)
{
    const char *text = vcenter_text(device->value, "mac_address");
    char mac[MAC_SIZE];

    if (*text == '\0') {
        vcenter_note(v,
                     "nics.%lu has no mac_address: its MAC is not known here; read it in the guest "
                     "and add it as nics[%zu].mac",
                     device->key, v->fp->n_nics);
    } else if (!read_mac(text, mac)) {
        vcenter_note(v, "nics.%lu: mac_address \"%.*s\" is none of a network card; left out",
                     device->key, SHOWN_MAX, text);
    } else {
        memcpy(nic->mac, mac, sizeof(mac));
    }
}

static enum fingerprint_nic_model capture_model(struct vcenter *v,
                                                const struct vcenter_device *device)
{
    static const struct {
        const char *name;
        enum fingerprint_nic_model model;
    } models[] = {
        {"VMXNET3", FINGERPRINT_NIC_VMXNET3}, {"VMXNET2", FINGERPRINT_NIC_VMXNET2},
        {"VMXNET", FINGERPRINT_NIC_VMXNET},   {"E1000", FINGERPRINT_NIC_E1000},
        {"E1000E", FINGERPRINT_NIC_E1000E},   {"PCNET32", FINGERPRINT_NIC_VLANCE},
    };
    const char *type = vcenter_text(device->value, "type");

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        if (str_equal(type, models[i].name)) {
            return models[i].model;
        }
    }
    vcenter_note(v, "nics.%lu: type \"%.*s\" is not known here: only its MAC is kept", device->key,
                 SHOWN_MAX, type);
    return FINGERPRINT_NIC_UNKNOWN;
}

static void add_nic(struct vcenter *v, const struct vcenter_device *device, size_t *cap)
{
    struct fingerprint *fp = v->fp;
    struct fingerprint_nic nic = {.model = FINGERPRINT_NIC_UNKNOWN};

    if (fp->n_nics == FINGERPRINT_NICS_MAX) {
        vcenter_note(v, "nics.%lu is one network card too many (at most %d); left out", device->key,
                     FINGERPRINT_NICS_MAX);
        return;
    }
    if (vec_reserve(&fp->nics, fp->n_nics, cap, sizeof(*fp->nics)) < 0) {
        v->error = -ENOMEM;
        return;
    }
    nic.model = capture_model(v, device);
    capture_mac(v, device, &nic);
    fp->nics[fp->n_nics++] = nic;
    fp->has_nics = true;
}

void vcenter_capture_nics(struct vcenter *v)
{
    CLEANUP(vcenter_devices_fini) struct vcenter_devices devices = {0};
    size_t cap = 0;

    vcenter_devices_read(v, "nics", &devices);
    for (size_t i = 0; i < devices.n && v->error == 0; i++) {
        add_nic(v, &devices.items[i], &cap);
    }
}
