/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vmx_priv.h: the network cards, in the order of their numbers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/vmware.h"
#include "core/vmx_priv.h"

enum { NIC_NUMBER_MAX = 99, SHOWN_MAX = 64 };

/* The address type says which of the two keys counts; the other one may well be stale. */
static void capture_mac(struct vmx *v, int n, struct fingerprint_nic *nic)
{
    const char *type = vmx_get(v, "ethernet%d.addresstype", n);
    bool is_static = str_iequal(type, "static");
    const char *key = is_static ? "address" : "generatedAddress";
    const char *text = is_static ? vmx_get(v, "ethernet%d.address", n)
                                 : vmx_get(v, "ethernet%d.generatedaddress", n);

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
    if (!vmware_parse_mac(text, nic->mac)) {
        vmx_note(v, "ethernet%d.%s = \"%.*s\" is no address of a network card; left out", n, key,
                 SHOWN_MAX, text);
    }
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
    model = vmware_default_nic(v->guest);
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
