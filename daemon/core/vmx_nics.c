/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vmx_priv.h: the network cards, in the order of their numbers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/vmx_priv.h"

enum { NIC_NUMBER_MAX = 99, SHOWN_MAX = 64 };

/* Six hex pairs with colons or dashes; not a group address and not all zero. */
static bool read_mac(const char *text, char mac[MAC_SIZE])
{
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
        mac[i] = separator ? ':' : ascii_lower(text[i]);
    }
    mac[MAC_SIZE - 1] = '\0';
    return !zero && ascii_hex(mac[1]) % 2 == 0;
}

/* The address type says which of the two keys counts; the other one may well be stale. */
static void capture_mac(struct vmx *v, int n, struct fingerprint_nic *nic)
{
    const char *type = vmx_get(v, "ethernet%d.addresstype", n);
    bool is_static = str_iequal(type, "static");
    const char *key = is_static ? "address" : "generatedAddress";
    const char *text = is_static ? vmx_get(v, "ethernet%d.address", n)
                                 : vmx_get(v, "ethernet%d.generatedaddress", n);
    char mac[MAC_SIZE];

    if (type != NULL && *type != '\0' && !is_static && !str_iequal(type, "generated") &&
        !str_iequal(type, "vpx")) {
        vmx_note(v, "ethernet%d.addressType = \"%.*s\" is not known here; generatedAddress counts",
                 n, SHOWN_MAX, type);
    }
    if (text == NULL || *text == '\0') {
        vmx_note(v,
                 "ethernet%d has no %s: its MAC is not known here; read it in the guest and add "
                 "it as nics[%zu].mac",
                 n, key, v->fp->n_nics);
        return;
    }
    if (!read_mac(text, mac)) {
        vmx_note(v, "ethernet%d.%s = \"%.*s\" is no address of a network card; left out", n, key,
                 SHOWN_MAX, text);
        return;
    }
    memcpy(nic->mac, mac, sizeof(mac));
}

/* Windows 8 and Server 2012 or later: "windows8-64", "windows9srv-64", "windows2019srv-64". */
static bool guest_is_windows_8(const struct vmx *v)
{
    return vmx_guest_is_new_windows(v) && str_istarts(v->guest, "windows") &&
           !str_istarts(v->guest, "windows7");
}

/* What VMware gives a guest whose .vmx names no model. */
static enum fingerprint_nic_model default_model(const struct vmx *v)
{
    if (*v->guest == '\0') {
        return FINGERPRINT_NIC_UNKNOWN;
    }
    if (guest_is_windows_8(v)) {
        return FINGERPRINT_NIC_E1000E;
    }
    return vmx_guest_is_64bit(v) ? FINGERPRINT_NIC_E1000 : FINGERPRINT_NIC_FLEXIBLE;
}

static enum fingerprint_nic_model capture_model(struct vmx *v, int n)
{
    const char *device = vmx_get(v, "ethernet%d.virtualdev", n);
    const char *features = vmx_get(v, "ethernet%d.features", n);
    enum fingerprint_nic_model model;

    if (device != NULL && *device != '\0') {
        for (model = FINGERPRINT_NIC_VMXNET3; model < FINGERPRINT_NIC_UNKNOWN; model++) {
            if (str_iequal(device, fingerprint_nic_name(model))) {
                return model == FINGERPRINT_NIC_VMXNET && str_equal(features, "15")
                           ? FINGERPRINT_NIC_VMXNET2
                           : model;
            }
        }
        vmx_note(v, "ethernet%d.virtualDev = \"%.*s\" is not known here: only its MAC is kept", n,
                 SHOWN_MAX, device);
        return FINGERPRINT_NIC_UNKNOWN;
    }
    model = default_model(v);
    if (model == FINGERPRINT_NIC_UNKNOWN) {
        vmx_note(v,
                 "ethernet%d has no virtualDev, and without guestOS VMware's choice is not "
                 "known: only its MAC is kept",
                 n);
    } else {
        vmx_note(v,
                 "ethernet%d has no virtualDev: taken as %s, VMware's choice for guestOS "
                 "\"%.*s\"; compare it with what the guest shows",
                 n, fingerprint_nic_name(model), SHOWN_MAX, v->guest);
    }
    return model;
}

static void add_nic(struct vmx *v, int n, size_t *cap)
{
    struct fingerprint *fp = v->fp;
    struct fingerprint_nic nic = {.model = FINGERPRINT_NIC_UNKNOWN};

    if (fp->n_nics == FINGERPRINT_NICS_MAX) {
        vmx_note(v, "ethernet%d is one network card too many (at most %d); left out", n,
                 FINGERPRINT_NICS_MAX);
        return;
    }
    if (vec_reserve(&fp->nics, fp->n_nics, cap, sizeof(*fp->nics)) < 0) {
        v->error = -ENOMEM;
        return;
    }
    nic.model = capture_model(v, n);
    capture_mac(v, n, &nic);
    fp->nics[fp->n_nics++] = nic;
    fp->has_nics = true;
}

void vmx_capture_nics(struct vmx *v)
{
    size_t cap = 0;

    for (int n = 0; n <= NIC_NUMBER_MAX && v->error == 0; n++) {
        if (vmx_true(vmx_get(v, "ethernet%d.present", n), false)) {
            add_nic(v, n, &cap);
        }
    }
}
